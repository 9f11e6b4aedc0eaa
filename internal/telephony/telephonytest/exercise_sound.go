package telephonytest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/media/codec"
	"github.com/perezvon/perezvon/internal/media/tone"
	"github.com/perezvon/perezvon/internal/telephony"
)

// The prompts' tones are apart from those of the phones.
const (
	promptTone = 1500
	secondTone = 1800
)

// prompt is a tone as something to be played; its Key is its frequency.
func prompt(freq float64, d time.Duration) telephony.Prompt {
	clip := tone.Sine(freq, d, 16000, 8000)
	return telephony.Prompt{Clip: &audio.Clip{Key: fmt.Sprintf("test:%g", freq), Rate: clip.Rate, Samples: clip.Samples}}
}

func playCases() []exercise {
	return []exercise{
		{"is heard to its end", func(t *testing.T, r *Rig) {
			l := answered(t, r, r.Outside[0], "m1")
			began := time.Now()
			done := begun(func() error { return l.Play(t.Context(), prompt(promptTone, 2*time.Second)) })
			hears(t, r.Outside[0].SIPPhone, promptTone)
			if err := result(t, done); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took < 1960*time.Millisecond {
				t.Errorf("returned after %v of 2 s", took)
			}
			hearsNothing(t, r.Outside[0].SIPPhone)
		}},
		{"is interrupted at once", func(t *testing.T, r *Rig) {
			l := answered(t, r, r.Outside[0], "m1")
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			done := begun(func() error { return l.Play(ctx, prompt(promptTone, time.Minute)) })
			hears(t, r.Outside[0].SIPPhone, promptTone)
			cancel(errGivenUp)
			if err := result(t, done); !errors.Is(err, errGivenUp) {
				t.Errorf("%v", err)
			}
			hearsNothing(t, r.Outside[0].SIPPhone)
		}},
		{"goes round and round", func(t *testing.T, r *Rig) {
			l := answered(t, r, r.Outside[0], "m1")
			ctx, cancel := context.WithCancel(t.Context())
			p := prompt(promptTone, 100*time.Millisecond)
			p.Loop = true
			done := begun(func() error { return l.Play(ctx, p) })
			for range 3 {
				hears(t, r.Outside[0].SIPPhone, promptTone)
			}
			cancel()
			if err := result(t, done); !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
		}},
		{"gives way to another", func(t *testing.T, r *Rig) {
			l := answered(t, r, r.Outside[0], "m1")
			first := begun(func() error { return l.Play(t.Context(), prompt(promptTone, time.Minute)) })
			hears(t, r.Outside[0].SIPPhone, promptTone)
			second := begun(func() error { return l.Play(t.Context(), prompt(secondTone, 500*time.Millisecond)) })
			if err := result(t, first); !errors.Is(err, telephony.ErrReplaced) {
				t.Errorf("%v", err)
			}
			hears(t, r.Outside[0].SIPPhone, secondTone)
			if err := result(t, second); err != nil {
				t.Error(err)
			}
		}},
		{"ends with the leg", func(t *testing.T, r *Rig) {
			l := answered(t, r, r.Outside[0], "m1")
			done := begun(func() error { return l.Play(t.Context(), prompt(promptTone, time.Minute)) })
			hears(t, r.Outside[0].SIPPhone, promptTone)
			r.Outside[0].Hangup("")
			if h := hangup(t, result(t, done)); h.By != telephony.ByFar || h.Leg != "m1" {
				t.Errorf("%+v", h)
			}
			if err := l.Play(t.Context(), prompt(promptTone, time.Minute)); hangup(t, err).By != telephony.ByFar {
				t.Errorf("on the ended leg: %v", err)
			}
		}},
	}
}

func joinCases() []exercise {
	cases := []exercise{
		{"two hear each other, part, and join with others", func(t *testing.T, r *Rig) {
			register(t, r)
			a, b := answered(t, r, r.Outside[0], "m1"), answered(t, r, r.Outside[1], "c1")
			r.Operator.Behave(Manner{Answers: true})
			c := dial(t, r, telephony.Dial{Leg: "m2", Operator: r.Extension})
			one, two, three := r.Outside[0].SIPPhone, r.Outside[1].SIPPhone, r.Operator

			ctx, part := context.WithCancelCause(t.Context())
			done := begun(func() error { return r.Engine.Join(ctx, a, b) })
			hears(t, one, two.Tone())
			hears(t, two, one.Tone())
			hearsNothing(t, three)
			part(errGivenUp)
			if err := result(t, done); !errors.Is(err, errGivenUp) {
				t.Errorf("%v", err)
			}
			hearsNothing(t, one)
			hearsNothing(t, two)

			done = begun(func() error { return r.Engine.Join(t.Context(), c, b) })
			hears(t, two, three.Tone())
			hears(t, three, two.Tone())
			hearsNothing(t, one)
			three.Hangup("")
			if h := hangup(t, result(t, done)); h.Leg != "m2" || h.By != telephony.ByFar {
				t.Errorf("%+v", h)
			}
			hearsNothing(t, two)
			for _, l := range []telephony.Leg{a, b} {
				if l.Context().Err() != nil {
					t.Errorf("%s has ended", l.ID())
				}
			}
		}},
		{"outlives a hold by the far side", func(t *testing.T, r *Rig) {
			register(t, r)
			r.Operator.Behave(Manner{Answers: true})
			a, b := dial(t, r, telephony.Dial{Leg: "m1", Operator: r.Extension}), answered(t, r, r.Outside[0], "c1")
			one, two := r.Operator, r.Outside[0].SIPPhone
			done := begun(func() error { return r.Engine.Join(t.Context(), a, b) })
			hears(t, one, two.Tone())
			if code := one.Hold(true); code != 200 {
				t.Fatalf("hold: %d", code)
			}
			hearsNothing(t, one)
			hearsNothing(t, two)
			if s := r.Engine.DeviceState(r.Extension); s != telephony.OnHold {
				t.Errorf("device state %s", s)
			}
			// A phone on hold sends nothing, and is not dead.
			if within(2*r.Patience+500*time.Millisecond, func() bool { return a.Context().Err() != nil || b.Context().Err() != nil }) {
				t.Fatalf("%v, %v", context.Cause(a.Context()), context.Cause(b.Context()))
			}
			if code := one.Hold(false); code != 200 {
				t.Fatalf("resume: %d", code)
			}
			hears(t, one, two.Tone())
			hears(t, two, one.Tone())
			if s := r.Engine.DeviceState(r.Extension); s != telephony.InUse {
				t.Errorf("device state %s", s)
			}
			two.Hangup("")
			if h := hangup(t, result(t, done)); h.Leg != "c1" {
				t.Errorf("%+v", h)
			}
		}},
		{"with a leg that has ended returns its end", func(t *testing.T, r *Rig) {
			a, b := answered(t, r, r.Outside[0], "m1"), answered(t, r, r.Outside[1], "c1")
			r.Outside[1].Hangup("")
			ends(t, b)
			if h := hangup(t, result(t, begun(func() error { return r.Engine.Join(t.Context(), a, b) }))); h.Leg != "c1" {
				t.Errorf("%+v", h)
			}
		}},
	}
	for _, one := range []media.Codec{media.PCMA, media.PCMU, media.G722} {
		for _, two := range []media.Codec{media.PCMA, media.PCMU, media.G722} {
			cases = append(cases, exercise{fmt.Sprint(one, " with ", two), func(t *testing.T, r *Rig) {
				r.Outside[0].Behave(Manner{Answers: true, Codec: one})
				r.Outside[1].Behave(Manner{Answers: true, Codec: two})
				a, b := dial(t, r, out(r.Outside[0], "m1")), dial(t, r, out(r.Outside[1], "c1"))
				if a.Info().Codec != one || b.Info().Codec != two {
					t.Fatalf("%v and %v", a.Info().Codec, b.Info().Codec)
				}
				done := begun(func() error { return r.Engine.Join(t.Context(), a, b) })
				hears(t, r.Outside[0].SIPPhone, r.Outside[1].Tone())
				hears(t, r.Outside[1].SIPPhone, r.Outside[0].Tone())
				a.Hangup(0)
				if h := hangup(t, result(t, done)); h.Leg != "m1" || h.By != telephony.ByUs {
					t.Errorf("%+v", h)
				}
			}})
		}
	}
	return cases
}

// track keeps what a leg sounds like.
type track struct {
	mu      sync.Mutex
	decoder codec.Decoder
	codec   media.Codec
	heard   []int16
	notes   []string
}

func (k *track) Packet(_ time.Time, c media.Codec, _, _ uint32, payload []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if c != k.codec {
		k.codec, k.decoder, k.heard = c, codec.NewDecoder(c), nil
	}
	k.heard = k.decoder.Decode(k.heard, payload)
}

func (k *track) PlayStarted(_ time.Time, key string, loop bool, _ time.Duration) {
	k.note("start", key, loop)
}
func (k *track) PlayEnded(_ time.Time, key string) { k.note("end", key) }

func (k *track) note(what ...any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.notes = append(k.notes, fmt.Sprint(what...))
}

// has tells whether the newest 200 ms are that tone.
func (k *track) has(freq float64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := k.codec.SampleRate() / 5
	return len(k.heard) >= n && tone.Strength(k.heard[len(k.heard)-n:], k.codec.SampleRate(), freq) > 0.8
}

func (k *track) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.heard)
}

func (k *track) noted() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return fmt.Sprint(k.notes)
}

func recordCases() []exercise {
	return []exercise{
		{"takes the leg's sound and the notes of what it heard", func(t *testing.T, r *Rig) {
			l := answered(t, r, r.Outside[0], "c1")
			k := &track{}
			l.Record(k)
			eventually(t, "the phone's tone is on the track", func() bool { return k.has(r.Outside[0].Tone()) })
			if err := l.Play(t.Context(), prompt(promptTone, 60*time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			if got, want := k.noted(), fmt.Sprint([]string{"start" + "test:1500" + "false", "end" + "test:1500"}); got != want {
				t.Errorf("notes %s, want %s", got, want)
			}
			if !k.has(r.Outside[0].Tone()) {
				t.Error("what was played is on the track")
			}
			l.Record(nil)
			// A packet may be on its way into the track.
			within(50*time.Millisecond, func() bool { return false })
			n := k.count()
			within(100*time.Millisecond, func() bool { return false })
			if k.count() != n {
				t.Error("the track goes on")
			}
		}},
		{"begins with the early media", func(t *testing.T, r *Rig) {
			client := r.Outside[0]
			k := &track{}
			d := out(client, "c1")
			d.Record = k
			done := begun(func() error {
				_, err := r.Engine.Dial(t.Context(), d)
				return err
			})
			is(t, client.SIPPhone, PhoneRinging)
			client.Early()
			eventually(t, "the early media is on the track", func() bool { return k.has(client.Tone()) })
			n := k.count()
			client.Answer()
			if err := result(t, done); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the call is on the track", func() bool { return k.count() > n+8000 })
		}},
		{"goes on while two are joined", func(t *testing.T, r *Rig) {
			a, b := answered(t, r, r.Outside[0], "m1"), answered(t, r, r.Outside[1], "c1")
			ka, kb := &track{}, &track{}
			a.Record(ka)
			b.Record(kb)
			begun(func() error { return r.Engine.Join(t.Context(), a, b) })
			hears(t, r.Outside[0].SIPPhone, r.Outside[1].Tone())
			eventually(t, "each has its own", func() bool { return ka.has(r.Outside[0].Tone()) && kb.has(r.Outside[1].Tone()) })
		}},
	}
}
