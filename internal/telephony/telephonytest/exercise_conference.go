package telephonytest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/mediatest"
	"github.com/perezvon/perezvon/internal/media/tone"
	"github.com/perezvon/perezvon/internal/telephony"
)

// three is a client, an operator and somebody outside, all answered.
type three struct {
	r      *Rig
	legs   [3]telephony.Leg
	phones [3]*SIPPhone
}

func threeOf(t *testing.T, r *Rig, codecs ...media.Codec) three {
	t.Helper()
	manner := func(i int) Manner {
		m := Manner{Answers: true}
		if i < len(codecs) {
			m.Codec = codecs[i]
		}
		return m
	}
	register(t, r)
	x := three{r: r, phones: [3]*SIPPhone{r.Outside[0].SIPPhone, r.Operator, r.Outside[1].SIPPhone}}
	for i, p := range x.phones {
		p.Behave(manner(i))
	}
	x.legs = [3]telephony.Leg{
		dial(t, r, out(r.Outside[0], "c1")),
		dial(t, r, telephony.Dial{Leg: "m1", Operator: r.Extension, Timeout: patience}),
		dial(t, r, out(r.Outside[1], "m2")),
	}
	return x
}

// joins lets legs, by their numbers, hear each other until part.
func (x three) joins(t *testing.T, numbers ...int) (part func()) {
	t.Helper()
	var legs []telephony.Leg
	for _, n := range numbers {
		legs = append(legs, x.legs[n])
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	done := begun(func() error { return x.r.Engine.Join(ctx, legs...) })
	return func() {
		t.Helper()
		cancel(errGivenUp)
		if err := result(t, done); !errors.Is(err, errGivenUp) {
			t.Errorf("%v", err)
		}
	}
}

// hear wants that each of the phones comes to hear the others of them, about
// equally loud, and not itself.
func (x three) hear(t *testing.T, numbers ...int) {
	t.Helper()
	for _, n := range numbers {
		var last string
		if !within(patience, func() bool {
			heard, rate := listen(x.phones[n], 300*time.Millisecond)
			good := mediatest.Level(heard) > -30
			last = fmt.Sprintf("%.0f dB", mediatest.Level(heard))
			for _, other := range numbers {
				share, want := tone.Strength(heard, rate, x.phones[other].Tone()), 1/float64(len(numbers)-1)
				if other == n {
					good = good && share < 0.05
				} else {
					good = good && share > 0.7*want && share < 1.3*want
				}
				last += fmt.Sprintf(", %g Hz %.0f %%", x.phones[other].Tone(), 100*share)
			}
			return good
		}) {
			t.Fatalf("phone %d of %v hears %s", n, numbers, last)
		}
	}
}

// listenOn is how long a phone listens after each change of its call.
const listenOn = 400 * time.Millisecond

func conferenceCases() []exercise {
	return []exercise{
		{"each of three hears the two others and not itself", func(t *testing.T, r *Rig) {
			x := threeOf(t, r)
			part := x.joins(t, 0, 1, 2)
			x.hear(t, 0, 1, 2)
			part()
			for _, p := range x.phones {
				hearsNothing(t, p)
			}
		}},
		{"of three codecs", func(t *testing.T, r *Rig) {
			x := threeOf(t, r, media.PCMA, media.G722, media.PCMU)
			defer x.joins(t, 0, 1, 2)()
			x.hear(t, 0, 1, 2)
		}},
		{"a leg that ends ends it for all, with its cause", func(t *testing.T, r *Rig) {
			x := threeOf(t, r)
			done := begun(func() error { return r.Engine.Join(t.Context(), x.legs[:]...) })
			x.hear(t, 0, 1, 2)
			x.phones[1].Hangup("")
			if h := hangup(t, result(t, done)); h.Leg != "m1" || h.By != telephony.ByFar {
				t.Errorf("%+v", h)
			}
			hearsNothing(t, x.phones[0])
			hearsNothing(t, x.phones[2])
			defer x.joins(t, 0, 2)()
			x.hear(t, 0, 2)
		}},
		{"a leg is joined once", func(t *testing.T, r *Rig) {
			x := threeOf(t, r)
			for _, legs := range [][]telephony.Leg{nil, x.legs[:1], {x.legs[0], x.legs[0]}, {x.legs[0], x.legs[1], x.legs[0]}, {x.legs[0], x.legs[1], nil}} {
				if err := result(t, begun(func() error { return r.Engine.Join(t.Context(), legs...) })); err == nil {
					t.Errorf("%d legs were joined", len(legs))
				}
			}
			defer x.joins(t, 0, 1, 2)()
			x.hear(t, 0, 1, 2)
		}},
		{"a sound goes before the others", func(t *testing.T, r *Rig) {
			x := threeOf(t, r)
			defer x.joins(t, 0, 1, 2)()
			x.hear(t, 0, 1, 2)
			ctx, stop := context.WithCancel(t.Context())
			done := begun(func() error { return x.legs[0].Play(ctx, prompt(promptTone, time.Minute)) })
			hears(t, x.phones[0], promptTone)
			stop()
			if err := result(t, done); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			x.hear(t, 0, 1, 2)
		}},
		{"from two to three and back there is no gap", func(t *testing.T, r *Rig) {
			x := threeOf(t, r)
			k := &track{}
			x.legs[0].Record(k)
			part := x.joins(t, 0, 1)
			x.hear(t, 0, 1)
			bound := cmp.Or(r.Gap, 40*time.Millisecond)
			// A busy machine makes gaps by itself, but not always.
			var longest time.Duration
			for range 10 {
				for _, p := range x.phones[:2] {
					p.Sound().Forget()
				}
				for _, numbers := range [][]int{{0, 1, 2}, {0, 1}} {
					within(listenOn, func() bool { return false })
					part()
					part = x.joins(t, numbers...)
				}
				within(listenOn, func() bool { return false })
				longest = 0
				for _, p := range x.phones[:2] {
					heard, rate := p.Sound().Heard(), p.Sound().Rate()
					for _, g := range mediatest.Gaps(heard, rate, time.Millisecond) {
						longest = max(longest, g.Length)
					}
					if s := tone.Strength(heard, rate, p.Tone()); s > 0.03 {
						t.Errorf("a phone hears itself (%.2f)", s)
					}
				}
				t.Logf("the longest gap is %v", longest)
				if longest <= bound {
					break
				}
			}
			if longest > bound {
				t.Errorf("a gap of %v", longest)
			}
			x.legs[0].Record(nil)
			part()
			k.mu.Lock()
			defer k.mu.Unlock()
			if s := tone.Strength(k.heard, k.codec.SampleRate(), x.phones[0].Tone()); s < 0.95 {
				t.Errorf("the leg's own tone has %.0f %% of its track", 100*s)
			}
		}},
	}
}

func keepKeysCases() []exercise {
	press := func(p *SIPPhone, key byte) {
		begun(func() error {
			p.Sound().Press(key, nil)
			return nil
		})
	}
	// A key that is passed on takes its time to be there.
	const underWay = 400 * time.Millisecond
	return []exercise{
		{"kept keys come to the server and not to the other", func(t *testing.T, r *Rig) {
			a, b := answered(t, r, r.Outside[0], "m1"), answered(t, r, r.Outside[1], "c1")
			one, two := r.Outside[0], r.Outside[1]
			a.KeepKeys(true)
			ctx, part := context.WithCancelCause(t.Context())
			done := begun(func() error { return r.Engine.Join(ctx, a, b) })
			hears(t, two.SIPPhone, one.Tone())
			press(one.SIPPhone, '2')
			if got, _ := keys(t, a, 1); got != "2" {
				t.Errorf("%q", got)
			}
			press(two.SIPPhone, '7')
			if got, _ := keys(t, b, 1); got != "7" {
				t.Errorf("%q", got)
			}
			eventually(t, "a key that is not kept is heard by the other", func() bool { return one.Sound().Keys() == "7" })
			within(underWay, func() bool { return false })
			if got := two.Sound().Keys(); got != "" {
				t.Errorf("the other got the keys %q", got)
			}
			part(errGivenUp)
			if err := result(t, done); !errors.Is(err, errGivenUp) {
				t.Error(err)
			}
			a.KeepKeys(false)
			begun(func() error { return r.Engine.Join(t.Context(), a, b) })
			hears(t, two.SIPPhone, one.Tone())
			two.Sound().Forget()
			press(one.SIPPhone, '3')
			eventually(t, "a key is heard by the other again", func() bool { return two.Sound().Keys() == "3" })
		}},
		{"of three", func(t *testing.T, r *Rig) {
			x := threeOf(t, r)
			x.legs[1].KeepKeys(true)
			defer x.joins(t, 0, 1, 2)()
			x.hear(t, 0, 1, 2)
			press(x.phones[1], '4')
			if got, _ := keys(t, x.legs[1], 1); got != "4" {
				t.Errorf("%q", got)
			}
			within(underWay, func() bool { return false })
			press(x.phones[0], '9')
			for _, n := range []int{1, 2} {
				eventually(t, "the key is heard by both others", func() bool { return x.phones[n].Sound().Keys() != "" })
				if got := x.phones[n].Sound().Keys(); got != "9" {
					t.Errorf("phone %d got the keys %q", n, got)
				}
			}
			if got := x.phones[0].Sound().Keys(); got != "" {
				t.Errorf("phone 0 got the keys %q", got)
			}
		}},
	}
}

func heldCases() []exercise {
	var cases []exercise
	for _, direction := range []string{"sendonly", "inactive"} {
		cases = append(cases, exercise{"follows the phone's key, " + direction, func(t *testing.T, r *Rig) {
			l := answered(t, r, r.Outside[0], "m1")
			if l.Held().On() {
				t.Error("held from the beginning")
			}
			for range 2 {
				if code := r.Outside[0].Direct(direction); code != 200 {
					t.Fatalf("hold: %d", code)
				}
				if err := result(t, begun(func() error { return l.Held().Wait(t.Context(), true) })); err != nil {
					t.Fatal(err)
				}
				if code := r.Outside[0].Direct("sendrecv"); code != 200 {
					t.Fatalf("resume: %d", code)
				}
				if err := result(t, begun(func() error { return l.Held().Wait(t.Context(), false) })); err != nil {
					t.Fatal(err)
				}
			}
		}})
	}
	return cases
}

func refuseCases() []exercise {
	refuse := func(name, why, want string) exercise {
		return exercise{name, func(t *testing.T, r *Rig) {
			caller := r.Outside[0]
			caller.Call(r.Server, number, "", "100")
			l := incoming(t, r)
			l.Refuse(480, why)
			if h := ends(t, l); h.By != telephony.ByUs {
				t.Errorf("%+v", h)
			}
			is(t, caller.SIPPhone, PhoneIdle)
			if got := caller.Final(); got != 480 {
				t.Errorf("refused with %d", got)
			}
			if reason, warning := caller.Refusal(); !strings.Contains(reason, want) && !strings.Contains(warning, want) {
				t.Errorf("refused with %q, Warning %q; want %q in one of them", reason, warning, want)
			}
		}}
	}
	return []exercise{
		refuse("tells the phone why", "Operator 105 does not take calls", "Operator 105 does not take calls"),
		refuse("in any language", "Оператор 105 не в сети", "Оператор 105 не в сети"),
		refuse("and nothing breaks out of the words", "no\r\nX-Evil: \"1\"", "noX-Evil: 1"),
	}
}
