package stream_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/dtmf"
	"github.com/perezvon/perezvon/internal/media/mediatest"
	"github.com/perezvon/perezvon/internal/media/resample"
	"github.com/perezvon/perezvon/internal/media/stream"
)

const allKeys = "0123456789*#ABCD"

// pad notes the keys that a stream tells.
type pad struct {
	mu      sync.Mutex
	keys    []byte
	methods map[string]bool
	at      []time.Time
}

func (p *pad) options() stream.Options {
	p.methods = map[string]bool{}
	return stream.Options{OnDigit: func(key byte, at time.Time, method string) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.keys = append(p.keys, key)
		p.methods[method] = true
		p.at = append(p.at, at)
	}}
}

// told is what came so far; the keys, when, and by which methods.
func (p *pad) told() (keys string, at []time.Time, methods string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.keys), slices.Clone(p.at), strings.Join(slices.Collect(maps.Keys(p.methods)), " ")
}

func TestEachKeyIsToldOnceWhateverPacketsAreLost(t *testing.T) {
	losses := map[string]func(n int) bool{
		"none":         nil,
		"marker":       func(n int) bool { return n == 0 },
		"first four":   func(n int) bool { return n < 4 },
		"all ends":     func(n int) bool { return n >= 5 },
		"two ends":     func(n int) bool { return n >= 6 },
		"every second": func(n int) bool { return n%2 == 0 },
		"all but one":  func(n int) bool { return n != 3 },
		"all but end":  func(n int) bool { return n != 7 },
	}
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			virtually(t, func(t *testing.T, w world) {
				var got pad
				_, p := w.leg(media.PCMA, 440, got.options())
				for i := range len(allKeys) {
					pressed := time.Now()
					// The same key twice is two keys.
					p.Press(allKeys[i], lose)
					time.Sleep(60 * time.Millisecond)
					p.Press(allKeys[i], lose)
					time.Sleep(60 * time.Millisecond)
					keys, at, _ := got.told()
					if len(at) != 2*(i+1) {
						t.Fatalf("%c pressed twice: got %q so far", allKeys[i], keys)
					}
					if d := at[2*i].Sub(pressed); d > 160*time.Millisecond || lose == nil && d != 0 {
						t.Errorf("%c told after %v", allKeys[i], d)
					}
				}
				keys, _, methods := got.told()
				for i := range keys {
					if keys[i] != allKeys[i/2] {
						t.Fatalf("got %q", keys)
					}
				}
				if methods != stream.MethodRFC4733 {
					t.Errorf("methods %v", methods)
				}
			})
		})
	}
}

func TestKeysOverABadNetwork(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		var got pad
		_, p := w.leg(media.PCMA, 440, got.options())
		w.net.SetLinkFrom(p.Addr(), mediatest.Link{Loss: 0.15, Jitter: 60 * time.Millisecond, Reorder: 0.3, ReorderBy: 50 * time.Millisecond})
		want := strings.Repeat(allKeys, 4)
		for i := range len(want) {
			p.Press(want[i], nil)
			time.Sleep(200 * time.Millisecond)
		}
		if keys, _, _ := got.told(); keys != want {
			t.Errorf("got %q, want %q", keys, want)
		}
	})
}

func TestSentKeysArriveAsEvents(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		s, p := w.leg(media.PCMA, 440, stream.Options{})
		start := time.Now()
		if err := s.SendDigits(t.Context(), "12,*#A"); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d != 1500*time.Millisecond {
			t.Errorf("took %v, want five keys of 200 ms and a pause of 500 ms", d)
		}
		if got := p.Keys(); got != "12*#A" {
			t.Errorf("the phone got %q", got)
		}
		packets := p.Packets()
		continuous(t, packets)
		ends := map[uint32]int{}
		marked := 0
		for _, k := range packets {
			if k.Payload[1]&0x80 != 0 {
				ends[k.TS]++
			}
			if k.Marker {
				marked++
			}
		}
		for ts, n := range ends {
			if n != 3 {
				t.Errorf("event %d ended %d times, want 3", ts, n)
			}
		}
		if len(ends) != 5 || marked != 5 {
			t.Errorf("%d events ended, %d marked, want 5", len(ends), marked)
		}
		if d := packets[8].TS - packets[0].TS; d != 1600 {
			t.Errorf("the second key begins %d ticks after the first, want 200 ms", d)
		}
	})
}

func TestSentKeysGoBeforeSoundAndTheStreamGoesOn(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		a, pa := w.leg(media.PCMA, 440, stream.Options{})
		b, _ := w.leg(media.PCMA, 1000, stream.Options{})
		defer stream.Join(a, b)()
		time.Sleep(time.Second)
		if err := a.SendDigits(t.Context(), "42"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		continuous(t, pa.Packets())
		if got := pa.Keys(); got != "42" {
			t.Errorf("the phone got %q", got)
		}
		mediatest.Hears(t, pa, 1000)
	})
}

// keysIn finds keys in what a phone heard.
func keysIn(p *mediatest.Phone) string {
	var keys []byte
	var d dtmf.Detector
	d.Process(resample.Convert(p.Heard(), p.Rate(), dtmf.Rate), func(k byte) { keys = append(keys, k) })
	return string(keys)
}

func TestSentKeysAreTonesWithoutTelephoneEvent(t *testing.T) {
	for _, c := range []media.Codec{media.PCMA, media.PCMU, media.G722} {
		t.Run(c.Name(), func(t *testing.T) {
			virtually(t, func(t *testing.T, w world) {
				s, p := w.leg(c, 440, stream.Options{})
				params := p.Params()
				params.EventPT = 0
				s.Configure(params)
				start := time.Now()
				if err := s.SendDigits(t.Context(), allKeys); err != nil {
					t.Fatal(err)
				}
				if d := time.Since(start); d != 3200*time.Millisecond {
					t.Errorf("took %v", d)
				}
				if got := keysIn(p); got != allKeys || p.Keys() != "" {
					t.Errorf("heard %q, events %q", got, p.Keys())
				}
				continuous(t, p.Packets())
			})
		})
	}
}

func TestSendDigitsRefusesWhatIsNoKey(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		s, p := w.leg(media.PCMA, 440, stream.Options{})
		if err := s.SendDigits(t.Context(), "12x"); err == nil || !strings.Contains(err.Error(), "'x'") {
			t.Errorf("SendDigits: %v", err)
		}
		if len(p.Packets()) > 0 {
			t.Error("something was sent")
		}
		cause := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(250*time.Millisecond, func() { cancel(cause) })
		if err := s.SendDigits(ctx, "12345"); err != cause {
			t.Errorf("SendDigits: %v", err)
		}
		if got := p.Keys(); got != "12" {
			t.Errorf("got %q until the cause", got)
		}
	})
}

func TestInbandKeysAreFoundOnlyWithoutTelephoneEvent(t *testing.T) {
	for _, agreed := range []bool{false, true} {
		for _, c := range []media.Codec{media.PCMA, media.G722} {
			t.Run(fmt.Sprint(c, " telephone-event ", agreed), func(t *testing.T) {
				virtually(t, func(t *testing.T, w world) {
					var got pad
					s, p := w.leg(c, 0, got.options())
					params := p.Params()
					if !agreed {
						params.EventPT = 0
					}
					s.Configure(params)
					p.Mute(true)
					// A stream that sends tones is the phone.
					far := w.open(stream.Options{})
					to := params
					to.EventPT, to.Remote = 0, addr(s)
					far.Configure(to)
					params.Remote = addr(far)
					s.Configure(params)
					if err := far.SendDigits(t.Context(), "159#"); err != nil {
						t.Fatal(err)
					}
					want, by := "159#", stream.MethodInband
					if agreed {
						want, by = "", ""
					}
					if keys, _, methods := got.told(); keys != want || methods != by {
						t.Errorf("got %q by %q, want %q by %q", keys, methods, want, by)
					}
				})
			})
		}
	}
}

func TestKeysPassThroughAJoin(t *testing.T) {
	for _, c := range []struct {
		name          string
		events        bool // the peer agreed on telephone-event
		withhold      bool
		asEvent, tone string
	}{
		{name: "both have events", events: true, asEvent: "15#"},
		{name: "the peer needs tones", tone: "15#"},
		{name: "withheld events", events: true, withhold: true},
		{name: "withheld tones", withhold: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			virtually(t, func(t *testing.T, w world) {
				var got pad
				a, pa := w.leg(media.PCMA, 0, got.options())
				b, pb := w.leg(media.PCMU, 1000, stream.Options{})
				rec := &track{}
				a.Record(rec)
				params := pa.Params()
				params.EventPT = 96 // what pa sends must come out as the peer's type
				if c.events {
					params.EventPT = mediatest.EventPT
				}
				q := pb.Params()
				if !c.events {
					params.EventPT, q.EventPT = mediatest.EventPT, 0
				}
				a.Configure(params)
				b.Configure(q)
				var options []stream.JoinOption
				if c.withhold {
					options = append(options, stream.WithholdDigits(a))
				}
				part := stream.Join(a, b, options...)
				defer part()
				time.Sleep(time.Second)
				for _, k := range []byte("15#") {
					before := rec.count()
					pa.Press(k, nil)
					if rec.count() > before+1 {
						t.Error("the key's packets are in the recording")
					}
					time.Sleep(300 * time.Millisecond)
				}
				time.Sleep(time.Second)
				if keys, _, _ := got.told(); keys != "15#" {
					t.Errorf("told of %q", keys)
				}
				if got := pb.Keys(); got != c.asEvent {
					t.Errorf("the peer got events %q, want %q", got, c.asEvent)
				}
				if got := keysIn(pb); got != c.tone {
					t.Errorf("the peer heard tones %q, want %q", got, c.tone)
				}
				packets := pb.Packets()
				for i := range packets[1:] {
					if packets[i+1].Seq != packets[i].Seq+1 {
						t.Fatalf("sequence number %d after %d", packets[i+1].Seq, packets[i].Seq)
					}
				}
			})
		})
	}
}
