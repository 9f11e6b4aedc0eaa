package sipengine

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/codec"
	"github.com/perezvon/perezvon/internal/media/stream"
	"github.com/perezvon/perezvon/internal/media/tone"
	"github.com/perezvon/perezvon/internal/telephony"
)

// people is a directory in memory.
type people struct {
	mu        sync.Mutex
	trunks    []directory.Trunk
	operators map[string]directory.Operator
}

func (p *people) Trunks(context.Context) ([]directory.Trunk, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trunks, nil
}

func (p *people) Operator(_ context.Context, extension string) (directory.Operator, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if op, ok := p.operators[extension]; ok {
		return op, nil
	}
	return directory.Operator{}, errors.New("no such operator")
}

// tape is a media.Track that keeps what was heard, decoded.
type tape struct {
	mu      sync.Mutex
	samples []int16
	came    chan struct{}
}

func newTape() *tape { return &tape{came: make(chan struct{}, 1)} }

func (t *tape) Packet(_ time.Time, c media.Codec, _, _ uint32, payload []byte) {
	t.mu.Lock()
	t.samples = codec.NewDecoder(c).Decode(t.samples, payload)
	t.mu.Unlock()
	select {
	case t.came <- struct{}{}:
	default:
	}
}
func (*tape) PlayStarted(time.Time, string, bool, time.Duration) {}
func (*tape) PlayEnded(time.Time, string)                        {}

// hears waits until the last half second on the tape is the tone.
func (t *tape) hears(tb testing.TB, freq float64) {
	tb.Helper()
	limit := time.After(30 * time.Second)
	for {
		t.mu.Lock()
		n := len(t.samples)
		var strength float64
		if n >= 4000 {
			strength = tone.Strength(t.samples[n-4000:], 8000, freq)
		}
		t.mu.Unlock()
		if strength > 0.8 {
			return
		}
		select {
		case <-t.came:
		case <-limit:
			tb.Fatalf("%v Hz is not heard: strength %.2f in %d samples", freq, strength, n)
		}
	}
}

func logger(tb testing.TB) *slog.Logger {
	if os.Getenv("SIP_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(tb.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// startReal starts an engine on loopback.
func startReal(t testing.TB, addr string, dir *people, handler func(context.Context, telephony.Leg)) *Engine {
	t.Helper()
	e, err := New(Config{
		Addr:      addr,
		Ports:     stream.NewPorts(stream.SystemNet(), netip.MustParseAddr("127.0.0.1"), 0, 0),
		Directory: dir, Handler: handler, Logger: logger(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
		defer cancel()
		if err := e.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return e
}

// trunkTo is a trunk to an engine.
func trunkTo(name, transport string, e *Engine) directory.Trunk {
	return directory.Trunk{Name: name, Host: "127.0.0.1", Port: int(e.Addr().Port()), Transport: transport}
}

func TestTwoEnginesCallEachOtherAndHearTheTonesOfBoth(t *testing.T) {
	for _, tt := range []struct{ transport, listen string }{
		{"udp", "127.0.0.1:0"},
		{"tcp", "127.0.0.1:0"},
		{"udp", "0.0.0.0:0"}, // every address of the machine
	} {
		t.Run(tt.transport+" "+tt.listen, func(t *testing.T) {
			transport := tt.transport
			called, ended, rang := newTape(), make(chan error, 1), make(chan struct{})
			dirA, dirB := &people{}, &people{}
			b := startReal(t, "127.0.0.1:0", dirB, func(ctx context.Context, l telephony.Leg) {
				l.Record(called)
				if err := l.Ringing(ctx); err != nil {
					t.Errorf("ringing: %v", err)
				}
				<-rang // two messages sent at once may be taken in either order
				if err := l.Answer(ctx); err != nil {
					t.Errorf("answer: %v", err)
				}
				ended <- l.Play(ctx, telephony.Prompt{Clip: tone.Sine(700, time.Minute, 8000, 8000)})
			})
			a := startReal(t, tt.listen, dirA, nil)
			dirA.trunks = []directory.Trunk{trunkTo("b", transport, b)}
			dirB.trunks = []directory.Trunk{trunkTo("a", transport, a)}
			if transport == "tcp" {
				// Connections come from any port: by user and password instead.
				dirA.trunks[0].Username, dirA.trunks[0].Password = "100", "secret"
				dirB.trunks = nil
				dirB.operators = map[string]directory.Operator{"100": {Extension: "100", Password: "secret"}}
			}
			for _, e := range []*Engine{a, b} {
				if err := e.Reload(t.Context()); err != nil {
					t.Fatal(err)
				}
			}

			calling := newTape()
			var progress []telephony.Progress
			leg, err := a.Dial(t.Context(), telephony.Dial{
				Leg: "c1", Trunk: "b", Number: "+74951234567", CallerID: "+74957654321", Record: calling,
				OnProgress: func(p telephony.Progress) {
					progress = append(progress, p)
					close(rang)
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(progress) != 1 || !progress[0].Ringing {
				t.Errorf("progress %v, want one that rings", progress)
			}
			ctx, cancel := context.WithCancel(t.Context())
			played := make(chan error, 1)
			go func() { played <- leg.Play(ctx, telephony.Prompt{Clip: tone.Sine(400, time.Minute, 8000, 8000)}) }()
			calling.hears(t, 700)
			called.hears(t, 400)
			cancel()
			if err := <-played; !errors.Is(err, context.Canceled) {
				t.Errorf("play ended with %v, want the context's cause", err)
			}

			leg.Hangup(0)
			var bye *telephony.HangupError
			if err := <-ended; !errors.As(err, &bye) || bye.By != telephony.ByFar {
				t.Errorf("the far leg ended with %v, want by the far end", err)
			}
			if err := context.Cause(leg.Context()); !errors.As(err, &bye) || bye.By != telephony.ByUs {
				t.Errorf("the leg ended with %v, want by us", err)
			}
		})
	}
}
