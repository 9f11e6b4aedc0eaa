package checkup_test

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/telephony/asterisk/ari/aritest"
	"github.com/perezvon/perezvon/internal/telephony/asterisk/checkup"
)

// network is an Asterisk of ARI and sockets, whose RTP fares as the test wants:
// no real one loses packets when asked.
type network struct {
	*aritest.Fake

	// mute: nothing leaves it; deaf: nothing arrives; each lossy-th packet is
	// lost, if it is not 0; late is how long a packet takes.
	mute, deaf bool
	lossy      int
	late       time.Duration
	clock      time.Duration // ahead of ours
	refuse     map[string]int
	without    string // a module
	stopped    string // a module that does not run
	timer      string // the source of time; empty: the one that is recommended
	silent     bool   // no events

	t     *testing.T
	mu    sync.Mutex
	lines map[string]*far // by channel
	left  map[string]bool // channels and bridges
	tasks sync.WaitGroup
}

// far is Asterisk's end of a line.
type far struct {
	conn *net.UDPConn
	host netip.AddrPort
	to   *far // whom its sound goes to
	n    int
}

func newNetwork(t *testing.T) *network {
	n := &network{Fake: aritest.New(t), t: t, lines: map[string]*far{}, left: map[string]bool{}, refuse: map[string]int{}}
	n.Answers = n.answers
	// Whoever asks has an application of his own.
	n.AnyApp = true
	t.Cleanup(func() {
		n.mu.Lock()
		for _, l := range n.lines {
			_ = l.conn.Close()
		}
		n.mu.Unlock()
		n.tasks.Wait()
	})
	return n
}

func (n *network) answers(request string, r *http.Request) aritest.Answer {
	q := r.URL.Query()
	n.mu.Lock()
	defer n.mu.Unlock()
	if code := n.refuse[request]; code != 0 {
		return aritest.Answer{Code: code, Body: map[string]string{"message": "No"}}
	}
	method, path, _ := strings.Cut(request, " /")
	at := strings.Split(path, "/")
	switch {
	case request == "GET /asterisk/info":
		return aritest.Answer{Code: 200, Body: map[string]any{"system": map[string]string{"version": "22.10.0"}}}
	case request == "GET /asterisk/modules":
		all := []map[string]string{{"name": cmp.Or(n.timer, "res_timing_pthread") + ".so", "status": "Running"}}
		for _, name := range checkup.Modules() {
			switch name {
			case n.without:
			case n.stopped:
				all = append(all, map[string]string{"name": name + ".so", "status": "Not Running"})
			default:
				all = append(all, map[string]string{"name": name + ".so", "status": "Running"})
			}
		}
		return aritest.Answer{Code: 200, Body: all}
	case request == "GET /applications":
		return aritest.Answer{Code: 200, Body: []any{}}
	case request == "POST /channels/externalMedia":
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			n.t.Error(err)
			return aritest.Answer{Code: 500}
		}
		id := q.Get("channelId")
		l := &far{conn: conn, host: netip.MustParseAddrPort(q.Get("external_host"))}
		n.lines[id], n.left[id] = l, true
		n.tasks.Go(func() { n.forward(l) })
		if !n.silent {
			n.Tell(map[string]any{
				"type": "StasisStart", "timestamp": time.Now().Add(n.clock).Format("2006-01-02T15:04:05.000-0700"),
				"channel": map[string]string{"id": id, "name": "UnicastRTP/1"},
			})
		}
		own := conn.LocalAddr().(*net.UDPAddr)
		return aritest.Answer{Code: 200, Body: map[string]any{
			"id": id, "channelvars": map[string]string{"UNICASTRTP_LOCAL_ADDRESS": own.IP.String(), "UNICASTRTP_LOCAL_PORT": fmt.Sprint(own.Port)},
		}}
	case method == "POST" && len(at) == 3 && at[2] == "silence":
		if !n.mute {
			l := n.lines[at[1]]
			packet := make([]byte, 172)
			packet[0], packet[1], packet[12] = 0x80, 8, 0xd5
			for range 20 {
				_, _ = l.conn.WriteToUDPAddrPort(packet, l.host)
			}
		}
	case request == "POST /bridges":
		n.left[q.Get("bridgeId")] = true
	case method == "POST" && len(at) == 3 && at[2] == "addChannel":
		one, two, _ := strings.Cut(q.Get("channel"), ",")
		n.lines[one].to, n.lines[two].to = n.lines[two], n.lines[one]
	case method == "DELETE" && len(at) == 2:
		delete(n.left, at[1])
		n.Tell(map[string]any{"type": "ChannelDestroyed", "channel": map[string]string{"id": at[1]}})
	}
	return aritest.Answer{Code: 204}
}

// forward passes on what arrives on a line.
func (n *network) forward(l *far) {
	var p [2048]byte
	for {
		size, err := l.conn.Read(p[:])
		if err != nil {
			return
		}
		n.mu.Lock()
		l.n++
		to, lost := l.to, n.deaf || n.lossy > 0 && l.n%n.lossy == 0
		n.mu.Unlock()
		if to == nil || lost {
			continue
		}
		packet := append([]byte(nil), p[:size]...)
		time.AfterFunc(n.late, func() { _, _ = to.conn.WriteToUDPAddrPort(packet, to.host) })
	}
}

func (n *network) check(t *testing.T) *checkup.Report {
	t.Helper()
	c := n.Config()
	r, err := checkup.Run(t.Context(), checkup.Config{
		URL: c.URL, User: c.User, Password: c.Password, App: c.App, Dial: c.Dial, MediaAddr: netip.MustParseAddr("127.0.0.1"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEachModuleThatIsMissingIsNamed(t *testing.T) {
	t.Parallel()
	for _, module := range checkup.Modules() {
		for check, set := range map[string]func(n *network){
			"module.missing": func(n *network) { n.without = module }, "module.stopped": func(n *network) { n.stopped = module },
		} {
			n := newNetwork(t)
			set(n)
			n.refuse["POST /channels/externalMedia"] = 500 // the rest is not of interest
			r := n.check(t)
			f, ok := r.Find(check)
			if told := f.Tell(checkup.Russian); !ok || f.Level != checkup.Fault || f.About != module || !strings.Contains(told.Text, module) || !strings.Contains(told.Remedy, module) {
				t.Errorf("%s of %s:\n%s", check, module, r.Text(checkup.Russian))
			}
		}
	}
}

func TestSoundIsMeasuredBothWays(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		set   func(n *network)
		check string
		level checkup.Level
	}{
		"in order":                             {func(*network) {}, "media.ok", checkup.OK},
		"Asterisk's sound does not arrive":     {func(n *network) { n.mute = true }, "media.from", checkup.Fault},
		"ours does not arrive there":           {func(n *network) { n.deaf = true }, "media.to", checkup.Fault},
		"packets are lost":                     {func(n *network) { n.lossy = 10 }, "media.lost", checkup.Warning},
		"it takes long":                        {func(n *network) { n.late = 300 * time.Millisecond }, "media.slow", checkup.Warning},
		"the clock is ahead":                   {func(n *network) { n.clock = time.Hour }, "clock.differs", checkup.Warning},
		"the clock is behind":                  {func(n *network) { n.clock = -3 * time.Second }, "clock.differs", checkup.Warning},
		"events do not come":                   {func(n *network) { n.silent = true }, "events.silent", checkup.Fault},
		"no bridges":                           {func(n *network) { n.refuse["POST /bridges"] = 404 }, "bridge.refused", checkup.Fault},
		"no external media":                    {func(n *network) { n.refuse["POST /channels/externalMedia"] = 500 }, "media.refused", checkup.Fault},
		"a user who may read only":             {func(n *network) { n.refuse["POST /channels/externalMedia"] = 403 }, "ari.read_only", checkup.Fault},
		"a timer that forgets":                 {func(n *network) { n.timer = "res_timing_timerfd" }, "timing.forgets", checkup.Warning},
		"modules that cannot be listed":        {func(n *network) { n.refuse["GET /asterisk/modules"] = 404 }, "modules.unknown", checkup.Note},
		"an Asterisk without an ARI of it":     {func(n *network) { n.refuse["GET /asterisk/info"] = 404 }, "ari.absent", checkup.Fault},
		"an address that this user may not ":   {func(n *network) { n.refuse["GET /asterisk/info"] = 403 }, "ari.password", checkup.Fault},
		"an Asterisk that is not there at all": {func(n *network) { n.Refuse(true) }, "ari.unreachable", checkup.Fault},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t)
			tt.set(n)
			r := n.check(t)
			f, ok := r.Find(tt.check)
			if !ok || f.Level != tt.level {
				t.Errorf("%s is not found:\n%s", tt.check, r.Text(checkup.English))
			}
			if bad := r.Faults() + r.Warnings(); tt.level == checkup.OK && bad > 0 || tt.level != checkup.OK && tt.level != checkup.Note && bad != 1 {
				t.Errorf("%d are bad:\n%s", bad, r.Text(checkup.English))
			}
			n.mu.Lock()
			defer n.mu.Unlock()
			if len(n.left) > 0 {
				t.Errorf("left in Asterisk: %v", n.left)
			}
		})
	}
}
