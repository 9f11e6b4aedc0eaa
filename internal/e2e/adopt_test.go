//go:build asterisk

package e2e

import (
	"bytes"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/apiclient"
	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/localasterisk"
	"github.com/perezvon/perezvon/internal/serverproc"
	"github.com/perezvon/perezvon/internal/telephony/asterisk/ari"
	"github.com/perezvon/perezvon/internal/telephony/asterisk/asterisktest"
	"github.com/perezvon/perezvon/internal/telephony/telephonytest"
)

// kept is a scene on a real Asterisk, whose server may be killed and started
// again.
type kept struct {
	*scene
	node *localasterisk.Asterisk
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
	k.args = append([]string{"--transfer-ring", "2s", "--engine", "asterisk", "--ari-url", k.node.URL, "--ari-username", k.node.User}, flags...)
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
	all.left.mostlyHas(t, tones["client"], at(first.from)+slack/2, at(killed)-time.Second, holes)
	all.right.mostlyHas(t, tones["101"], at(first.from)+slack/2, at(killed)-time.Second, holes)
	all.left.hasNot(t, tones["client"], at(killed)+slack, at(away)-slack)
	all.left.mostlyHas(t, tones["client"], at(back)+slack, at(with102)+time.Second, holes)
	all.right.mostlyHas(t, tones["102"], at(with102), at(with102)+1500*time.Millisecond, holes)
	end := at(events[len(events)-1].At)
	if is := time.Duration(len(all.left.samples)) * time.Second / time.Duration(all.left.rate); is < end-slack || is > end+slack {
		t.Errorf("the recording has %v, the call %v", is, end)
	}
	if n := k.count(); n != 1 {
		t.Errorf("%d calls are in the log", n)
	}
	k.nothingLeft(t)
}

// holes is the share of 20 ms that a snoop may lose on a busy machine.
const holes = 0.3

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
