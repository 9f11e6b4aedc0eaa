package stream_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/media/mediatest"
	"github.com/perezvon/perezvon/internal/media/stream"
	"github.com/perezvon/perezvon/internal/media/tone"
)

func sine(freq float64, d time.Duration) *audio.Clip { return tone.Sine(freq, d, 8000, 8000) }

// track notes what a recording would be told.
type track struct {
	mu      sync.Mutex
	packets int
	bytes   int
	codec   media.Codec
	notes   []note
	into    time.Duration // how far the newest sound was when it was noted
}

type note struct {
	At    time.Time
	Event string
}

func (r *track) Packet(_ time.Time, c media.Codec, _, _ uint32, payload []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.packets++
	r.bytes += len(payload)
	r.codec = c
}

func (r *track) PlayStarted(at time.Time, key string, _ bool, into time.Duration) {
	r.note(at, "start "+key)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.into = into
}

func (r *track) PlayEnded(at time.Time, key string) { r.note(at, "end "+key) }

func (r *track) note(at time.Time, event string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, note{at, event})
}

func (r *track) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.packets
}

func (r *track) size() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bytes
}

func (r *track) events() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var e []string
	for _, n := range r.notes {
		e = append(e, n.Event)
	}
	return e
}

func TestTenMinutesOfPlayoutDoNotDrift(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		s, p := w.leg(media.PCMA, 0, stream.Options{})
		ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Minute, errors.New("enough"))
		defer cancel()
		start := time.Now()
		if err := s.Play(ctx, sine(440, 330*time.Millisecond), true); err == nil || err.Error() != "enough" {
			t.Fatalf("Play: %v, want the cause", err)
		}
		if d := time.Since(start); d != 10*time.Minute {
			t.Errorf("Play returned after %v", d)
		}
		packets := p.Packets()
		if n := len(packets); n < 30000 || n > 30001 {
			t.Errorf("%d packets in ten minutes, want 30000", n)
		}
		continuous(t, packets)
		for i, k := range packets {
			if want := start.Add(time.Duration(i) * 20 * time.Millisecond); !k.At.Equal(want) {
				t.Fatalf("packet %d came %v off its moment", i, k.At.Sub(want))
			}
			if k.Size != 160 {
				t.Fatalf("packet %d has %d bytes", i, k.Size)
			}
		}
	})
}

func TestPlayReturnsWhenTheSoundHasBeenHeard(t *testing.T) {
	for _, c := range []media.Codec{media.PCMA, media.PCMU, media.G722} {
		t.Run(c.Name(), func(t *testing.T) {
			virtually(t, func(t *testing.T, w world) {
				s, p := w.leg(c, 0, stream.Options{})
				start := time.Now()
				if err := s.Play(t.Context(), sine(440, 1010*time.Millisecond), false); err != nil {
					t.Fatal(err)
				}
				if d := time.Since(start); d != 1020*time.Millisecond {
					t.Errorf("took %v, want 1.02 s", d)
				}
				heard := p.Heard()
				if got := tone.Strength(heard, p.Rate(), 440); got < 0.9 {
					t.Errorf("tone has %.2f of what was heard", got)
				}
				if n := len(heard); n != p.Rate()*102/100 {
					t.Errorf("heard %d samples", n)
				}
				if at := p.Packets()[0].At; !at.Equal(start) {
					t.Errorf("the first packet came after %v", at.Sub(start))
				}
			})
		})
	}
}

func TestOneStreamFromPromptToPeerAndBack(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		manager, pm := w.leg(media.PCMA, 440, stream.Options{})
		client, pc := w.leg(media.PCMU, 1000, stream.Options{})
		play := func(f float64, d time.Duration) {
			if err := manager.Play(t.Context(), sine(f, d), false); err != nil {
				t.Fatal(err)
			}
		}
		switches := []time.Time{time.Now()}
		mark := func() { switches = append(switches, time.Now()) }

		play(600, time.Second) // the greeting
		mark()
		ctx, stopRinging := context.WithCancelCause(t.Context())
		ringing := make(chan error)
		go func() { ringing <- manager.Play(ctx, tone.Ringback(), true) }()
		time.Sleep(1500 * time.Millisecond)
		stopRinging(errors.New("early media"))
		if err := <-ringing; err == nil || err.Error() != "early media" {
			t.Fatalf("ringback ended with %v", err)
		}
		stop := stream.Listen(client, manager)
		mark()
		time.Sleep(time.Second)
		stop()
		time.Sleep(330 * time.Millisecond)
		part := stream.Join(manager, client)
		mark()
		time.Sleep(time.Second)
		mark()
		play(700, 500*time.Millisecond) // an announcement within the talk
		mark()
		time.Sleep(500 * time.Millisecond)
		part()
		mark()
		play(800, 500*time.Millisecond)

		packets := pm.Packets()
		continuous(t, packets)
		var marked []time.Time
		for _, k := range packets {
			if k.Marker {
				marked = append(marked, k.At)
			}
		}
		if len(marked) != len(switches) {
			t.Fatalf("%d packets marked at %d switches", len(marked), len(switches))
		}
		for i, at := range marked {
			if d := at.Sub(switches[i]); d < 0 || d > 20*time.Millisecond {
				t.Errorf("switch %d is marked %v after it happened", i, d)
			}
		}
		mediatest.HearsNothing(t, pc)
	})
}

func TestAnotherPlayTakesOver(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		s, p := w.leg(media.PCMA, 0, stream.Options{})
		rec := &track{}
		s.Record(rec)
		first := make(chan error)
		a, b := sine(440, time.Second), sine(1000, time.Second)
		a.Key, b.Key = "a", "b"
		go func() { first <- s.Play(t.Context(), a, true) }()
		time.Sleep(500 * time.Millisecond)
		second := make(chan error)
		go func() { second <- s.Play(t.Context(), b, false) }()
		if err := <-first; !errors.Is(err, stream.ErrReplaced) {
			t.Errorf("the first sound ended with %v", err)
		}
		mediatest.Hears(t, p, 1000)
		if err := <-second; err != nil {
			t.Error(err)
		}
		if got, want := rec.events(), []string{"start a", "end a", "start b", "end b"}; !slices.Equal(got, want) {
			t.Errorf("the track was told %q, want %q", got, want)
		}
	})
}

func TestPlayEndsWithTheCauseWithinAFrame(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		s, _ := w.leg(media.PCMA, 0, stream.Options{})
		cause := errors.New("key pressed")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(333*time.Millisecond, func() { cancel(cause) })
		start := time.Now()
		if err := s.Play(ctx, sine(440, time.Second), false); err != cause {
			t.Errorf("Play: %v", err)
		}
		if d := time.Since(start); d != 333*time.Millisecond {
			t.Errorf("returned after %v", d)
		}
		if err := s.Play(ctx, sine(440, time.Second), false); err != cause {
			t.Errorf("Play with a context that has ended: %v", err)
		}
	})
}

func TestPromptGoesBeforeThePeerAndIsNotedInTheRecording(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		a, pa := w.leg(media.PCMA, 440, stream.Options{})
		b, _ := w.leg(media.PCMA, 1000, stream.Options{})
		rec := &track{}
		a.Record(rec)
		defer stream.Join(a, b)()
		time.Sleep(time.Second)
		clip, silence := sine(600, time.Second), tone.Silence(time.Second)
		clip.Key = "prompt"
		start := time.Now()
		done := make(chan error)
		go func() { done <- a.Play(t.Context(), clip, false) }()
		mediatest.Hears(t, pa, 600)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		mediatest.Hears(t, pa, 1000)
		if err := a.Play(t.Context(), silence, false); err != nil {
			t.Fatal(err)
		}
		want := []note{{start, "start prompt"}, {start.Add(time.Second), "end prompt"}}
		rec.mu.Lock()
		defer rec.mu.Unlock()
		if !slices.EqualFunc(rec.notes, want, func(x, y note) bool { return x.At.Equal(y.At) && x.Event == y.Event }) {
			t.Errorf("the track was told %v, want %v", rec.notes, want)
		}
		if rec.packets < 115 || rec.codec != media.PCMA || rec.bytes != 160*rec.packets {
			t.Errorf("the track got %d packets, %d bytes of %v", rec.packets, rec.bytes, rec.codec)
		}
	})
}

func TestARecordingThatBeginsWithinAPromptIsToldOfIt(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		s, _ := w.leg(media.PCMA, 0, stream.Options{})
		clip := sine(440, time.Second)
		clip.Key = "prompt"
		start := time.Now()
		done := make(chan error)
		go func() { done <- s.Play(t.Context(), clip, false) }()
		time.Sleep(300 * time.Millisecond)
		rec := &track{}
		s.Record(rec)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if len(rec.notes) != 2 || !rec.notes[0].At.Add(-rec.into).Equal(start) || rec.into == 0 {
			t.Errorf("the track was told %v", rec.notes)
		}
	})
}

func TestTimePassesOnHold(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		s, p := w.leg(media.PCMA, 0, stream.Options{})
		start := time.Now()
		hold := p.Params()
		hold.Send = false
		time.AfterFunc(time.Second, func() { s.Configure(hold) })
		time.AfterFunc(3*time.Second, func() { s.Configure(p.Params()) })
		if err := s.Play(t.Context(), sine(440, 4*time.Second), false); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d != 4*time.Second {
			t.Errorf("took %v", d)
		}
		packets := p.Packets()
		if n := len(packets); n < 99 || n > 101 {
			t.Errorf("%d packets left, want those of two seconds", n)
		}
		continuous(t, packets)
	})
}

func TestPacketsAreAsLongAsAgreed(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		s, p := w.leg(media.PCMA, 0, stream.Options{})
		params := p.Params()
		params.Ptime = 30 * time.Millisecond
		s.Configure(params)
		if err := s.Play(t.Context(), sine(440, 300*time.Millisecond), false); err != nil {
			t.Fatal(err)
		}
		if k := p.Packets(); len(k) != 10 || k[0].Size != 240 {
			t.Errorf("%d packets of %d bytes", len(k), k[0].Size)
		}
	})
}

func TestManyInterruptedPromptsDoNotRunAheadOfTheClock(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		s, p := w.leg(media.PCMA, 0, stream.Options{})
		for range 100 {
			ctx, cancel := context.WithTimeout(t.Context(), 1005*time.Millisecond)
			_ = s.Play(ctx, sine(440, 2*time.Second), false)
			cancel()
		}
		continuous(t, p.Packets())
	})
}
