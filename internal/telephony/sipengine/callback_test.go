package sipengine

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/media/sdp"
	"github.com/perezvon/perezvon/internal/media/tone"
	"github.com/perezvon/perezvon/internal/recording"
	"github.com/perezvon/perezvon/internal/scenario"
	"github.com/perezvon/perezvon/internal/speech"
)

// The tests of this file run the scenario of a callback on the real engine: what
// the specification says of the wire, in virtual time, where it is exact.

// ivr is the text that is a tone of ivrTone, a second long; all others are half
// a second of silence.
const (
	ivr     = "Вам звонят с сайта"
	ivrTone = 800
)

// ordered is a callback under way on the world's engine.
type ordered struct {
	status chan call.Status

	mu     sync.Mutex
	events []call.Event
}

// callback orders one from +74951110001 to +79160000001.
func (w *world) callback(change func(*callback.Packet)) *ordered {
	w.Helper()
	return order(w.T, w.engine, change)
}

func order(t testing.TB, e *Engine, change func(*callback.Packet)) *ordered {
	t.Helper()
	p := callback.Packet{
		Managers: callback.Managers{{Number: "+74951110001"}}, Client: "+79160000001", Trunk: "carrier", ClientDelayMS: new(int),
		Greeting: "greeting", ConnectingText: "connecting",
	}
	change(&p)
	p, err := p.Normalize("RU")
	if err != nil {
		t.Fatal(err)
	}
	o := &ordered{status: make(chan call.Status, 1)}
	c := scenario.Callbacks{Services: scenario.Services{Engine: e, Journal: o, Tapes: o, Speech: o, Operators: o, Logger: logger(t)}}
	go func() {
		o.status <- c.Run(context.WithoutCancel(t.Context()), scenario.Attempt{CallID: "call", CallbackID: "callback", Account: directory.DefaultAccount, Number: 1, Packet: p})
	}()
	return o
}

// The services of a callback whose store, tape and voice do nothing that takes
// time.

func (o *ordered) Append(e call.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events = append(o.events, e)
}
func (*ordered) Flush(context.Context) error              { return nil }
func (o *ordered) Open(string) (scenario.Tape, error)     { return o, nil }
func (*ordered) Start(time.Time)                          {}
func (*ordered) Track(string, recording.Side) media.Track { return nil }
func (*ordered) Close() error                             { return nil }
func (*ordered) Operator(context.Context, string, string) (directory.Operator, error) {
	return directory.Operator{}, nil
}

func (*ordered) Say(_ context.Context, _ speech.Voice, text string) (*audio.Clip, error) {
	if text == ivr {
		return tone.Sine(ivrTone, time.Second, 8000, 8000), nil
	}
	return &audio.Clip{Key: text, Rate: 8000, Samples: make([]int16, 4000)}, nil
}

// takes answers the next INVITE, and the phone sends its tone.
func (p *peer) takes() *session {
	p.w.Helper()
	req := p.request(sip.INVITE)
	offer, err := sdp.Parse(req.Body())
	if err != nil {
		p.w.Fatal(err)
	}
	p.reply(req, 200, "", p.sdp())
	p.request(sip.ACK)
	p.phone.Call(netip.AddrPortFrom(engineAddr.Addr(), offer.Addr.Port()))
	return p.sessionOf(req)
}

// bursts is how often the tone was heard, with something else between.
func (p *peer) bursts(freq float64) (n int) {
	heard, rate := p.phone.Heard(), p.phone.Rate()
	sounds := false
	for window := rate / 10; len(heard) >= window; heard = heard[window:] {
		now := tone.Strength(heard[:window], rate, freq) > 0.8
		if now && !sounds {
			n++
		}
		sounds = now
	}
	return n
}

// "Сколько раз информатор озвучит текст; меньше 16 — соединение пойдёт
// автоматически, больше 16 — обрывается; до 24": as the manager's phone hears it
// and the client's carrier sees it.
func TestTheManagerHearsTheTextAsOftenAsTheLimitSays(t *testing.T) {
	for name, tt := range map[string]struct {
		repeats int
		hangUp  bool
	}{
		"once, then the client":     {1, false},
		"16 times, then the client": {16, false},
		"17 times, then the end":    {17, true},
		"24 times, then the end":    {24, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, client := withSecond(t)
				manager := w.carrier(0)
				o := w.callback(func(p *callback.Packet) {
					p.TrunksManager, p.TrunksClient, p.DTMFConnect, p.IVRText = []string{"carrier"}, []string{"second"}, "5", ivr
					if p.RepeatsBeforeConnect = &tt.repeats; tt.hangUp {
						p.RepeatsBeforeConnect, p.RepeatsBeforeHangup = nil, &tt.repeats
					}
				})
				s := manager.takes()
				want := call.RepeatLimit
				if !tt.hangUp {
					want = call.ClientBusy
					client.reply(client.request(sip.INVITE), 486, "", "")
					client.request(sip.ACK)
				}
				s.reply(s.request(sip.BYE), 200, "", "")
				if got := <-o.status; got != want {
					t.Errorf("ended as %v, want %v", got, want)
				}
				if n := manager.bursts(ivrTone); n != tt.repeats {
					t.Errorf("the manager heard the text %d times, want %d", n, tt.repeats)
				}
				client.silence(time.Minute) // who was not to be called was not
			})
		})
	}
}

// withSecond is a world with one more trunk, "second", and its far end.
func withSecond(t *testing.T) (*world, *peer) {
	addr := netip.MustParseAddrPort("10.0.0.3:5060")
	w := newWorld(t, func(_ *Config, p *people) {
		p.trunks = append(p.trunks, directory.Trunk{Name: "second", Host: addr.Addr().String(), Port: 5060, Codecs: []string{"PCMA", "PCMU"}})
	})
	return w, w.peerAt(addr, 0)
}

// From a trunk's refusal to the next trunk's INVITE nothing waits, on either
// side. What a real machine takes is BenchmarkFailover.
func TestARefusedCallGoesOutOnTheNextTrunkInTheSameInstant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, second := withSecond(t)
		first := w.carrier(0)
		o := w.callback(func(p *callback.Packet) {
			p.TrunksManager, p.TrunksClient = []string{"carrier", "second"}, []string{"carrier", "second"}
		})
		refused := func() *sip.Request {
			t.Helper()
			req := first.request(sip.INVITE)
			time.Sleep(time.Second)
			first.reply(req, 503, "", "")
			at := time.Now()
			first.request(sip.ACK)
			next := second.request(sip.INVITE)
			if took := time.Since(at); took > 0 {
				t.Errorf("%v from the refusal to the next INVITE", took)
			}
			return next
		}
		// The manager's side, then the client's.
		toManager := refused()
		second.reply(toManager, 200, "", second.sdp())
		second.request(sip.ACK)
		toClient := refused()
		second.reply(toClient, 486, "", "")
		second.request(sip.ACK)
		second.reply(second.request(sip.BYE), 200, "", "")
		if got := <-o.status; got != call.ClientBusy {
			t.Errorf("ended as %v", got)
		}
	})
}
