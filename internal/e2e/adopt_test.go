package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/apiclient"
	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/localasterisk"
	"github.com/perezvon/perezvon/internal/serverproc"
	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/asterisk/ari"
	"github.com/perezvon/perezvon/internal/telephony/asterisk/asterisktest"
	"github.com/perezvon/perezvon/internal/telephony/telephonytest"
)

// kept is a scene on a real Asterisk, whose server may be killed and started
// again.
type kept struct {
	*scene
	node *localasterisk.Asterisk
	wire *wire // between the two
	args []string
}

// castKept is cast on a real Asterisk.
func castKept(t *testing.T, flags ...string) *kept {
	t.Helper()
	people := map[string]*telephonytest.SIPPhone{}
	var pjsip strings.Builder
	const endpoint = "context = " + asterisktest.Context + "\ndisallow = all\nallow = alaw\ndirect_media = no\n"
	for name, freq := range tones {
		if name == "client" {
			p := telephonytest.NewSIPPhoneAt(t, netip.MustParseAddr("127.0.0.2"), freq)
			fmt.Fprintf(&pjsip, "[city]\ntype = endpoint\naors = city\n%s\n[city]\ntype = aor\ncontact = sip:%s\n\n"+
				"[city]\ntype = identify\nendpoint = city\nmatch = %s\n\n", endpoint, p.Addr(), p.Addr().Addr())
			people[name] = p
			continue
		}
		people[name] = telephonytest.NewSIPPhone(t, freq)
		if name == "line" {
			continue
		}
		fmt.Fprintf(&pjsip, "[%[1]s]\ntype = endpoint\naors = %[1]s\nauth = %[1]s\n%[2]s\n[%[1]s]\ntype = aor\nmax_contacts = 2\n\n"+
			"[%[1]s]\ntype = auth\nauth_type = userpass\nusername = %[1]s\npassword = %[3]s\n\n", name, endpoint, phonePassword)
	}
	k := &kept{node: asterisktest.Start(t, pjsip.String())}
	k.wire = newWire(t, k.node.HTTP.String())
	k.args = append([]string{"--transfer-ring", "2s", "--engine", "asterisk", "--ari-url", "http://" + k.wire.listener.Addr().String() + "/ari", "--ari-username", k.node.User}, flags...)
	srv := start(t, serverproc.Options{Data: filepath.Join(t.TempDir(), "data"), Args: k.args, Env: k.env()})
	k.scene = &scene{server: srv, people: people}
	srv.SIP = k.node.SIP.String()
	must(t, srv.API.Do(limit(t), "PUT", "/api/v1/trunks/city", packet{"endpoint": "city"}, nil))
	for name, p := range people {
		p.Behave(telephonytest.Manner{Answers: true})
		if name == "client" || name == "line" {
			continue
		}
		must(t, srv.API.Do(limit(t), "PUT", "/api/v1/operators/"+name, packet{"password": phonePassword}, nil))
		if code := p.Register(k.node.SIP, name, phonePassword, 3600); code != 200 {
			t.Fatalf("%s is not registered: %d", name, code)
		}
	}
	k.route(packet{"operator": "101"})
	return k
}

func (k *kept) env() []string { return []string{"PEREZVON_ARI_PASSWORD=" + k.node.Password} }

// again starts the server anew on the same data.
func (k *kept) again() {
	k.t.Helper()
	gone := k.server
	k.server = start(k.t, serverproc.Options{Data: gone.Data, Key: gone.API.Key, SIP: gone.SIP, Args: k.args, Env: k.env()})
}

// The process is killed and started again: the two hear each other all the while,
// a transfer works afterwards, and there is one call and one recording.
func TestAsteriskKeepsATalkThroughTheDeathOfTheServer(t *testing.T) {
	t.Parallel()
	k := castKept(t)
	k.inbound()
	k.hears("client-101", "101")
	k.talksOn(t, "client", "101", 1500*time.Millisecond)
	must(t, k.Kill())
	killed := time.Now()
	k.talksOn(t, "client", "101", 3*time.Second)
	away := time.Now()
	k.again()
	k.until(k.id, is(call.Continued, ""))
	back := time.Now()
	k.talksOn(t, "client", "101", 1500*time.Millisecond)
	k.hears("client-101", "101")
	transfers := time.Now()
	k.press("101", "*2102#")
	k.hears("101-102 client:music", "")
	k.leaves("101")
	k.hears("client-102", "102")
	with102 := time.Now()
	k.talksOn(t, "client", "102", 2*time.Second)
	k.leaves("client")
	events := k.told(outcome{
		Status: call.Completed, Responsible: "102", Stages: []string{"101 transferred", "102 done"},
		Passes: []string{"started 101 102 attended keys", "completed 102 attended"},
	})
	all := k.recording(t)
	zero := find(t, events, call.RecordingStarted, "").At
	at := func(m time.Time) time.Duration { return m.Sub(zero) }
	first := k.talks[0]
	// At most the last second before the kill is lost.
	all.left.has(t, tones["client"], at(first.from)+slack/2, at(killed)-time.Second)
	all.right.has(t, tones["101"], at(first.from)+slack/2, at(killed)-time.Second)
	all.left.hasNot(t, tones["client"], at(killed)+slack, at(away)-slack)
	all.left.has(t, tones["client"], at(back)+slack/2, at(transfers))
	all.left.has(t, tones["client"], at(with102), at(with102)+1500*time.Millisecond)
	all.right.has(t, tones["102"], at(with102), at(with102)+1500*time.Millisecond)
	end := at(events[len(events)-1].At)
	if is := time.Duration(len(all.left.samples)) * time.Second / time.Duration(all.left.rate); is < end-slack || is > end+slack {
		t.Errorf("the recording has %v, the call %v", is, end)
	}
	if n := k.count(); n != 1 {
		t.Errorf("%d calls are in the log", n)
	}
	k.nothingLeft(t)
}

// recording waits for the call's and reads it.
func (k *kept) recording(t *testing.T) stereo {
	t.Helper()
	k.until(k.id, func(e call.Event) bool { return e.Recording == call.RecordingReady })
	var file bytes.Buffer
	must(t, k.API.Recording(limit(t), k.id, &file))
	return readStereo(t, file.Bytes())
}

// count is how many calls the log has.
func (k *kept) count() int {
	var list struct {
		Items []apiclient.Call `json:"items"`
	}
	must(k.t, k.API.Do(limit(k.t), "GET", "/api/v1/calls", nil, &list))
	return len(list.Items)
}

// nothingLeft waits until Asterisk has no channels and bridges any more.
func (k *kept) nothingLeft(t *testing.T) {
	t.Helper()
	client, err := ari.New(ari.Config{URL: k.node.URL, User: k.node.User, Password: k.node.Password, App: asterisktest.App})
	must(t, err)
	defer client.Close()
	until(t, "Asterisk has nothing left", func() bool {
		channels, err := client.Channels(limit(t))
		must(t, err)
		bridges, err := client.Bridges(limit(t))
		must(t, err)
		return len(channels) == 0 && len(bridges) == 0
	})
}

// talksOn looks at all that two hear for some time: none of it is missing.
func (k *kept) talksOn(t *testing.T, a, b string, d time.Duration) {
	t.Helper()
	began := time.Now()
	sounds := [2]func() []int16{k.people[a].Sound().Heard, k.people[b].Sound().Heard}
	var from [2]int
	for i, s := range sounds {
		from[i] = len(s())
	}
	want := int(d.Seconds() * 8000)
	until(t, "the two have talked on", func() bool {
		return len(sounds[0]())-from[0] >= want && len(sounds[1]())-from[1] >= want
	})
	if took := time.Since(began); took > d+time.Second {
		t.Errorf("%v of sound took %v", d, took)
	}
	for i, who := range []string{b, a} {
		heard := channel{name: who + " as the other hears it", rate: 8000, samples: sounds[i]()[from[i]:]}
		heard.has(t, tones[who], 0, d-window)
	}
}

// systemctl restart: what talks is left in Asterisk, and gone on with.
func TestAsteriskKeepsATalkThroughAPlannedRestart(t *testing.T) {
	t.Parallel()
	k := castKept(t)
	k.inbound()
	k.hears("client-101", "101")
	must(t, k.Stop())
	k.talksOn(t, "client", "101", 1500*time.Millisecond)
	k.again()
	k.is(call.Continued)
	k.hears("client-101", "101")
	k.leaves("101")
	k.told(outcome{Status: call.Completed, Responsible: "101", Stages: []string{"101 done"}})
	k.recording(t)
	k.nothingLeft(t)
}

// A consultation under way is not cut off, and the client is passed on.
func TestAsteriskKeepsAConsultationThroughTheDeathOfTheServer(t *testing.T) {
	t.Parallel()
	k := castKept(t)
	k.inbound()
	k.hears("client-101", "101")
	k.press("101", "*2102#")
	k.hears("101-102 client:music", "")
	must(t, k.Kill())
	k.talksOn(t, "101", "102", 2*time.Second)
	k.again()
	k.is(call.Continued)
	k.hears("101-102 client:music", "")
	k.leaves("101")
	k.hears("client-102", "102")
	k.leaves("102")
	k.told(outcome{
		Status: call.Completed, Responsible: "102", Stages: []string{"101 transferred", "102 done"},
		Passes: []string{"started 101 102 attended keys", "completed 102 attended"},
	})
	k.nothingLeft(t)
}

// A hold outlives the server: who was put on hold hears music again, and is heard
// when it ends. The CRM, which was told of the call by the first process, is told
// of it by the second one, as one call.
func TestAsteriskKeepsAHoldThroughTheDeathOfTheServer(t *testing.T) {
	t.Parallel()
	k := castKept(t, "--outbound-allow", "127.0.0.0/8")
	portal := k.crm(nil)
	k.inbound()
	k.hears("client-101", "101")
	k.holds("101", true)
	k.hears("client:music", "")
	must(t, k.Kill())
	k.again()
	k.is(call.Continued)
	k.hears("client:music", "")
	k.holds("101", false)
	k.hears("client-101", "101")
	k.leaves("client")
	k.told(outcome{Status: call.Completed, Responsible: "101", Stages: []string{"101 done"}, Passes: []string{"hold", "resumed"}})
	k.has(portal, k.id)
	if n := len(portal.Calls()); n != 1 {
		t.Errorf("the portal has %d calls", n)
	}
	k.nothingLeft(t)
}

// Three who talk together go on without the server, and after it.
func TestAsteriskKeepsAThreeWayTalkThroughTheDeathOfTheServer(t *testing.T) {
	t.Parallel()
	k := castKept(t)
	k.inbound()
	k.hears("client-101", "101")
	k.press("101", "*2102#")
	k.hears("101-102 client:music", "")
	k.press("101", "*3")
	k.hears("client-101-102", "101-102")
	must(t, k.Kill())
	k.hears("client-101-102", "")
	k.again()
	k.is(call.Continued)
	k.hears("client-101-102", "101-102")
	k.leaves("101")
	k.hears("client-102", "102")
	k.leaves("102")
	k.told(outcome{
		Status: call.Completed, Responsible: "102", Stages: []string{"101 transferred", "102 done"},
		Passes: []string{"started 101 102 attended keys", "completed 102 three_way"},
	})
	k.nothingLeft(t)
}

// A caller whom nobody has answered yet is taken along his route again.
func TestAsteriskKeepsACallerWhoIsNotAnsweredThroughTheDeathOfTheServer(t *testing.T) {
	t.Parallel()
	k := castKept(t)
	k.behaves("101", telephonytest.Manner{})
	k.people["client"].Call(k.node.SIP, clientNumber, "", "+74951112233")
	k.id = k.only(call.Inbound)
	k.rings("101")
	must(t, k.Kill())
	k.again()
	until(t, "101's phone is told that the first call is given up", k.people["101"].Cancelled)
	k.rings("101")
	k.people["101"].Answer()
	k.hears("client-101", "101")
	k.leaves("client")
	k.told(outcome{Status: call.Completed, Responsible: "101", Stages: []string{"101 done"}})
	k.nothingLeft(t)
}

// A callback whose client still rang ends as 712, and nobody is left on the phone.
func TestAsteriskLeavesNobodyOfACallbackThatRangWhenTheServerDied(t *testing.T) {
	t.Parallel()
	k := castKept(t)
	k.behaves("client", telephonytest.Manner{})
	k.calledBack()
	k.rings("client")
	must(t, k.Kill())
	k.again()
	k.expect(k.id, call.Interrupted)
	until(t, "101 is hung up", k.people["101"].HungUp)
	until(t, "the client rings no more", k.people["client"].Cancelled)
	k.nothingLeft(t)
}

// The connection breaks for some seconds: the call goes on, and so do transfers.
func TestAsteriskKeepsATalkWhileTheConnectionIsBroken(t *testing.T) {
	t.Parallel()
	k := castKept(t)
	k.inbound()
	k.hears("client-101", "101")
	k.wire.cut(true)
	k.talksOn(t, "client", "101", 4*time.Second)
	k.wire.cut(false)
	until(t, "the server has connected again", func() bool { return k.wire.count() > 0 })
	k.press("101", "##102#")
	k.hears("client-102", "102")
	k.leaves("client")
	k.told(outcome{
		Status: call.Completed, Responsible: "102", Stages: []string{"101 transferred", "102 done"},
		Passes: []string{"started 101 102 blind keys", "completed 102 blind"},
	})
	k.nothingLeft(t)
}

// Asterisk dies: its calls end, and the timeline says why.
func TestAsteriskThatDiesEndsItsCalls(t *testing.T) {
	t.Parallel()
	k := castKept(t)
	k.inbound()
	k.hears("client-101", "101")
	must(t, syscall.Kill(k.node.PID(), syscall.SIGKILL))
	events := k.expect(k.id, call.Completed) // they have talked
	for _, leg := range []string{"c1", "o1"} {
		if e := find(t, events, call.LegEnded, leg); e.By != telephony.ByNetwork || !strings.Contains(e.Reason, "out of reach") {
			t.Errorf("%+v", e)
		}
	}
}

// wire is a connection that can be cut.
type wire struct {
	listener net.Listener
	to       string
	mu       sync.Mutex
	isCut    bool
	conns    map[net.Conn]bool
}

func newWire(t *testing.T, to string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	w := &wire{listener: l, to: to, conns: map[net.Conn]bool{}}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { w.carry(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		w.cut(true)
		all.Wait()
	})
	return w
}

// carry brings what is said on a connection to the other end, and back.
func (w *wire) carry(near net.Conn) {
	far, err := net.Dial("tcp", w.to)
	if err != nil {
		_ = near.Close()
		return
	}
	w.mu.Lock()
	w.conns[near], w.conns[far] = true, true
	if w.isCut {
		_, _ = near.Close(), far.Close()
	}
	w.mu.Unlock()
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1]) // it is cut, or one end has closed
			_, _ = near.Close(), far.Close()
		})
	}
	both.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.conns, near)
	delete(w.conns, far)
}

// cut breaks all connections, and those to come until it is called with false.
func (w *wire) cut(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.isCut = on
	for c := range w.conns {
		if on {
			_ = c.Close()
		}
	}
}

// count is how many connections there are.
func (w *wire) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.conns) / 2
}
