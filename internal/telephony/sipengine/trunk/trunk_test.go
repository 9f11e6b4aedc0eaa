package trunk

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/google/go-cmp/cmp"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/telephony/sipengine/digestauth"
)

// carrier is the far end: it notes what it gets and answers as told.
type carrier struct {
	start time.Time
	mu    sync.Mutex
	got   []string // "<seconds since start> METHOD expires" of each request
	reply func(req *sip.Request) (*sip.Response, error)
}

func (c *carrier) Do(ctx context.Context, req *sip.Request) (*sip.Response, error) {
	if req.From() == nil || req.To() == nil || req.CallID() == nil || req.CSeq() == nil || req.Contact() == nil {
		return nil, fmt.Errorf("incomplete request: %s", req)
	}
	c.mu.Lock()
	line := fmt.Sprintf("%.0f %s", time.Since(c.start).Seconds(), req.Method)
	if h := req.GetHeader("Expires"); h != nil {
		line += " " + h.Value()
	}
	c.got = append(c.got, line)
	reply := c.reply
	c.mu.Unlock()
	res, err := reply(req)
	if res == nil && err == nil { // silence
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return res, err
}

func (c *carrier) set(reply func(req *sip.Request) (*sip.Response, error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reply = reply
}

func (c *carrier) log() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.got...)
}

func status(code int, headers ...sip.Header) func(*sip.Request) (*sip.Response, error) {
	return func(req *sip.Request) (*sip.Response, error) {
		res := sip.NewResponseFromRequest(req, code, strconv.Itoa(code), nil)
		for _, h := range headers {
			res.AppendHeader(h)
		}
		return res, nil
	}
}

func silence(*sip.Request) (*sip.Response, error) { return nil, nil }

// table runs trunks against a carrier until the test ends.
func table(t *testing.T, reply func(*sip.Request) (*sip.Response, error), trunks ...directory.Trunk) (*Table, *carrier) {
	t.Helper()
	c := &carrier{start: time.Now(), reply: reply}
	tb := NewTable(Config{Client: c, Resolver: names{}, Contact: func(string, string) sip.Uri {
		return sip.Uri{Scheme: "sip", Host: "192.0.2.1", Port: 5060}
	}})
	tb.Reload(trunks)
	tb.Start(t.Context())
	t.Cleanup(tb.Stop)
	return tb, c
}

// names is a name server.
type names map[string]string

func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if a, ok := n[host]; ok {
		return []netip.Addr{netip.MustParseAddr(a)}, nil
	}
	return nil, errors.New("no such host")
}

func (n names) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	target, ok := n["_"+service+"._"+proto+"."+name]
	if !ok {
		return "", nil, errors.New("no such records")
	}
	host, port, _ := strings.Cut(target, ":")
	p, _ := strconv.Atoi(port)
	return "", []*net.SRV{{Target: host + ".", Port: uint16(p)}}, nil
}

var registering = directory.Trunk{Name: "carrier", Host: "198.51.100.1", Username: "acme", Password: "secret", Register: true}

func TestARegistrationIsRefreshedAtFourFifthsAndTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb, c := table(t, func(req *sip.Request) (*sip.Response, error) {
			return status(200,
				&sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: "acme", Host: "203.0.113.9"}, Params: sip.HeaderParams{{K: "expires", V: "9000"}}},
				&sip.ContactHeader{Address: req.Contact().Address, Params: sip.HeaderParams{{K: "expires", V: "100"}}})(req)
		}, registering)
		time.Sleep(170 * time.Second)
		if s := tb.States(); !s[0].Registered || s[0].LastError != "" {
			t.Errorf("%+v", s)
		}
		tb.Stop()
		want := []string{"0 REGISTER 300", "80 REGISTER 300", "160 REGISTER 300", "170 REGISTER 0"}
		if d := cmp.Diff(want, c.log()); d != "" {
			t.Error(d)
		}
		if tb.States()[0].Registered {
			t.Error("still registered")
		}
	})
}

func TestARegistrationAnswersTheChallenge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		desk := digestauth.New(digestauth.Config{Realm: "carrier", Lookup: func(context.Context, string) (string, bool, error) {
			return "secret", true, nil
		}})
		var seqs []uint32
		var ids []string
		tb, _ := table(t, func(req *sip.Request) (*sip.Response, error) {
			seqs, ids = append(seqs, req.CSeq().SeqNo), append(ids, req.CallID().Value())
			user, challenge, ok := desk.Authenticate(t.Context(), req, netip.MustParseAddrPort("192.0.2.1:5060"))
			if !ok {
				return challenge, nil
			}
			if user != "acme" {
				t.Errorf("user %q", user)
			}
			return status(200)(req)
		}, registering)
		time.Sleep(300 * time.Second)
		if s := tb.States()[0]; !s.Registered {
			t.Errorf("%+v", s)
		}
		if d := cmp.Diff([]uint32{1, 2, 3, 4}, seqs); d != "" {
			t.Error(d)
		}
		for _, id := range ids {
			if id != ids[0] {
				t.Error("the Call-ID changed")
			}
		}
	})
}

func TestARegistrationTooBriefAsksForMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := table(t, func(req *sip.Request) (*sip.Response, error) {
			if req.GetHeader("Expires").Value() == "300" {
				return status(423, sip.NewHeader("Min-Expires", "600"))(req)
			}
			return status(200)(req)
		}, registering)
		time.Sleep(481 * time.Second)
		if d := cmp.Diff([]string{"0 REGISTER 300", "0 REGISTER 600", "480 REGISTER 600"}, c.log()); d != "" {
			t.Error(d)
		}
	})
}

func TestAFailedRegistrationIsTriedAgainLaterEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb, c := table(t, status(403), registering)
		time.Sleep(time.Hour)
		if s := tb.States()[0]; s.Registered || s.LastError != "REGISTER: 403 403" {
			t.Errorf("%+v", s)
		}
		var at []float64
		for _, line := range c.log() {
			n, _ := strconv.ParseFloat(strings.Fields(line)[0], 64)
			at = append(at, n)
		}
		for i, want := range []float64{5, 10, 20, 40, 80, 160, 300, 300, 300} {
			if gap := at[i+1] - at[i]; gap < want*0.8-1 || gap > want*1.2+1 {
				t.Errorf("gap %d is %v s, want about %v", i, gap, want)
			}
		}
	})
}

func TestAWrongPasswordIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb, c := table(t, status(401, sip.NewHeader("WWW-Authenticate", `Digest realm="c", nonce="n"`)), registering)
		time.Sleep(time.Second)
		if s := tb.States()[0]; s.LastError != "REGISTER: 401 401: the credentials were rejected" {
			t.Errorf("%+v", s)
		}
		if n := len(c.log()); n != 2 {
			t.Errorf("%d requests", n)
		}
	})
}

func TestARegistrationRunsOutWhenTheCarrierFallsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb, c := table(t, status(200), registering)
		time.Sleep(time.Second)
		c.set(silence)
		time.Sleep(298 * time.Second)
		if s := tb.States()[0]; !s.Registered || s.LastError == "" {
			t.Errorf("after 299 s: %+v", s)
		}
		time.Sleep(20 * time.Second)
		if s := tb.States()[0]; s.Registered {
			t.Errorf("after 319 s: %+v", s)
		}
		c.set(status(200))
		time.Sleep(2 * time.Minute)
		if s := tb.States()[0]; !s.Registered || s.LastError != "" {
			t.Errorf("when it is back: %+v", s)
		}
	})
}

func TestTwoMissedOptionsAreDownAndOneAnswerIsUp(t *testing.T) {
	d := directory.Trunk{Name: "carrier", Host: "198.51.100.1", OptionsS: 60}
	for _, c := range []struct {
		name  string
		reply func(*sip.Request) (*sip.Response, error)
		down  bool
	}{
		{"404 is a sign of life", status(404), false},
		{"200", status(200), false},
		{"405", status(405), false},
		{"500", status(500), false},
		{"503", status(503), true},
		{"408", status(408), true},
		{"silence", silence, true},
		{"no route", func(*sip.Request) (*sip.Response, error) { return nil, errors.New("no route") }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tb, far := table(t, status(200), d)
				tr := tb.Get("carrier")
				time.Sleep(time.Second)
				far.set(c.reply)
				time.Sleep(64 * time.Second) // asked at 60 s: one miss at most
				if !tr.Healthy() {
					t.Fatal("down after one miss")
				}
				time.Sleep(35 * time.Second)
				if tr.Healthy() == c.down {
					t.Fatalf("healthy %v: %v", tr.Healthy(), far.log())
				}
				if c.down {
					if _, err := tr.Acquire(); err == nil || err.Code != 503 || err.Phase != "setup" || err.Trunk != "carrier" || !strings.Contains(err.Reason, "does not answer OPTIONS") {
						t.Errorf("%v", err)
					}
					if s := tr.State(); s.Healthy || s.LastError == "" {
						t.Errorf("%+v", s)
					}
				}
				far.set(status(200))
				time.Sleep(25 * time.Second)
				if s := tr.State(); !s.Healthy || s.LastError != "" {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

func TestChannelsAreCounted(t *testing.T) {
	tb := NewTable(Config{})
	tb.Reload([]directory.Trunk{{Name: "a", Host: "198.51.100.1", MaxChannels: 2}, {Name: "b", Host: "198.51.100.2"}})
	a := tb.Get("a")
	first, err := a.Acquire()
	if err != nil {
		t.Fatal(err)
	}
	a.Occupy()
	if _, err := a.Acquire(); err == nil || err.Code != 503 || err.Phase != "setup" || err.Reason != "all 2 channels are busy" {
		t.Fatalf("%v", err)
	}
	first()
	first()
	if s := a.State(); s.Channels != 1 {
		t.Errorf("%+v", s)
	}
	// The calls outlive a change of the settings.
	tb.Reload([]directory.Trunk{{Name: "a", Host: "198.51.100.1", MaxChannels: 1}})
	if _, err := tb.Get("a").Acquire(); err == nil {
		t.Error("the call was forgotten")
	}
	if tb.Get("b") != nil {
		t.Error("b is still there")
	}
}

func TestReloadKeepsWhatDidNotChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := directory.Trunk{Name: "other", Host: "198.51.100.2", Username: "o", Register: true}
		tb, c := table(t, status(200), registering, other)
		time.Sleep(time.Second)
		kept := tb.Get("carrier")
		changed := other
		changed.Codecs = []string{"G722"}
		tb.Reload([]directory.Trunk{registering, changed})
		time.Sleep(time.Second)
		if tb.Get("carrier") != kept || !kept.State().Registered {
			t.Error("the trunk that did not change was restarted")
		}
		if tb.Get("other").Codecs == nil || !tb.Get("other").State().Registered {
			t.Error("the change is not there")
		}
		tb.Reload([]directory.Trunk{registering})
		// Both at the start; the change takes one back and renews it.
		want := []string{"0 REGISTER 300", "0 REGISTER 300", "1 REGISTER 0", "1 REGISTER 300", "2 REGISTER 0"}
		if d := cmp.Diff(want, c.log()); d != "" {
			t.Error(d)
		}
	})
}

func TestStopDoesNotWaitForADeadCarrier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb, c := table(t, status(200), registering)
		time.Sleep(time.Second)
		c.set(silence)
		began := time.Now()
		tb.Stop()
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("%v", took)
		}
	})
}

func TestMatchSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := NewTable(Config{Client: &carrier{reply: status(200)}, Resolver: names{
			"sip.example.ru": "198.51.100.7", "_sip._udp.srv.example.ru": "edge.example.ru:5080", "edge.example.ru": "198.51.100.8",
		}})
		tb.Reload([]directory.Trunk{
			{Name: "address", Host: "198.51.100.1"},
			{Name: "name", Host: "sip.example.ru", Port: 5070},
			{Name: "records", Host: "srv.example.ru"},
			{Name: "local1", Host: "127.0.0.1", Port: 5080},
			{Name: "local2", Host: "127.0.0.1", Port: 5090},
			{Name: "tls", Host: "198.51.100.1", Transport: "tls"},
			{Name: "v6", Host: "2001:db8::1"},
		})
		tb.Start(t.Context())
		defer tb.Stop()
		synctest.Wait()
		for source, want := range map[string]string{
			"198.51.100.1:5060":          "address",
			"[::ffff:198.51.100.1]:5060": "address",
			"198.51.100.1:40000":         "address",
			"198.51.100.1:5061":          "tls",
			"198.51.100.7:5070":          "name",
			"198.51.100.7:1":             "name",
			"198.51.100.8:5080":          "records",
			"127.0.0.1:5080":             "local1",
			"127.0.0.1:5090":             "local2",
			"127.0.0.1:5060":             "",
			"[2001:db8::1]:5060":         "v6",
			"203.0.113.1:5060":           "",
		} {
			got := ""
			if tr := tb.MatchSource(netip.MustParseAddrPort(source)); tr != nil {
				got = tr.Name
			}
			if got != want {
				t.Errorf("%s is %q, want %q", source, got, want)
			}
		}
	})
}

func TestMatchUser(t *testing.T) {
	tb := NewTable(Config{})
	tb.Reload([]directory.Trunk{{Name: "a", Username: "acme"}, {Name: "b"}})
	if tr := tb.MatchUser("acme"); tr == nil || tr.Name != "a" {
		t.Errorf("%v", tr)
	}
	if tb.MatchUser("") != nil || tb.MatchUser("x") != nil {
		t.Error("a stranger was taken for a trunk")
	}
}
