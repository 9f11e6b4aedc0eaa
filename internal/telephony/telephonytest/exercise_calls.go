package telephonytest

import (
	"cmp"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/media/dtmf"
	"github.com/perezvon/perezvon/internal/telephony"
)

// keys reads n keys from a leg.
func keys(t *testing.T, l telephony.Leg, n int) (pressed, method string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for range n {
		d, err := l.Digits().Next(ctx)
		if err != nil {
			t.Fatalf("after %q: %v", pressed, err)
		}
		pressed, method = pressed+string(d.Key), d.Method
	}
	return pressed, method
}

// method is how a key is told that came in a way.
func (r *Rig) method(came string) string { return cmp.Or(r.KeyMethod, came) }

// noMore wants no key for some time: none is reported twice.
func noMore(t *testing.T, l telephony.Leg) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
	defer cancel()
	if d, err := l.Digits().Next(ctx); err == nil {
		t.Errorf("%c by %s that nobody pressed", d.Key, d.Method)
	}
}

func digitCases() []exercise {
	return []exercise{
		{"by RFC 4733", func(t *testing.T, r *Rig) {
			l := answered(t, r, r.Outside[0], "m1")
			begun(func() error {
				for _, k := range []byte("19#*") {
					r.Outside[0].Sound().Press(k, nil)
				}
				return nil
			})
			if got, method := keys(t, l, 4); got != "19#*" || method != r.method("rfc4733") {
				t.Errorf("%q by %s", got, method)
			}
			noMore(t, l)
		}},
		{"by SIP INFO", func(t *testing.T, r *Rig) {
			l := answered(t, r, r.Outside[0], "m1")
			for i, k := range []byte("05D") {
				r.Outside[0].Info(k)
				// Not the next before this one is there: the network may
				// reorder them.
				if got, method := keys(t, l, 1); got != "05D"[i:i+1] || method != r.method("info") {
					t.Errorf("%q by %s", got, method)
				}
			}
			noMore(t, l)
		}},
		{"in the sound, where there are no telephone-events", func(t *testing.T, r *Rig) {
			r.Outside[0].Behave(Manner{Answers: true, NoEvents: true})
			l := dial(t, r, out(r.Outside[0], "m1"))
			for _, k := range []byte("58") {
				r.Outside[0].Sound().Say(dtmf.Generate(k, 100*time.Millisecond))
				r.Outside[0].Sound().Say(make([]int16, 800))
			}
			if got, method := keys(t, l, 2); got != "58" || method != r.method("inband") {
				t.Errorf("%q by %s", got, method)
			}
			noMore(t, l)
		}},
		{"interrupt a prompt", func(t *testing.T, r *Rig) {
			l := answered(t, r, r.Outside[0], "m1")
			ctx, cancel := context.WithCancelCause(t.Context())
			done := begun(func() error { return l.Play(ctx, prompt(promptTone, time.Minute)) })
			hears(t, r.Outside[0].SIPPhone, promptTone)
			begun(func() error {
				r.Outside[0].Sound().Press('5', nil)
				return nil
			})
			keys(t, l, 1)
			cancel(errGivenUp)
			if err := result(t, done); !errors.Is(err, errGivenUp) {
				t.Error(err)
			}
		}},
		{"we send arrive", func(t *testing.T, r *Rig) {
			l := answered(t, r, r.Outside[0], "m1")
			began := time.Now()
			if err := l.SendDigits(t.Context(), "12,3#"); err != nil {
				t.Fatal(err)
			}
			// Four keys of 100 ms with as much pause, and 500 ms.
			if took := time.Since(began); took < 1100*time.Millisecond {
				t.Errorf("took %v", took)
			}
			eventually(t, "the keys arrive", func() bool { return r.Outside[0].Sound().Keys() == "123#" })
		}},
		{"we send arrive as sound, where there are no telephone-events", func(t *testing.T, r *Rig) {
			r.Outside[0].Behave(Manner{Answers: true, NoEvents: true})
			l := dial(t, r, out(r.Outside[0], "m1"))
			if err := l.SendDigits(t.Context(), "42"); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the keys are heard", func() bool {
				var got string
				var d dtmf.Detector
				d.Process(r.Outside[0].Sound().Heard(), func(key byte) { got += string(key) })
				return got == "42"
			})
		}},
	}
}

// incoming waits for a call in.
func incoming(t *testing.T, r *Rig) telephony.Leg {
	t.Helper()
	select {
	case l := <-r.Calls:
		return l
	case <-time.After(patience):
		t.Fatal("no call came in")
		return nil
	}
}

func inboundCases() []exercise {
	return []exercise{
		{"from a trunk, answered, and the caller hangs up", func(t *testing.T, r *Rig) {
			caller := r.Outside[0]
			caller.Call(r.Server, number, "", "84950000000")
			l := incoming(t, r)
			if i := l.Info(); l.ID() != "c1" || !i.Inbound || i.Trunk != caller.Trunk || i.Operator != "" || i.From != number || i.To != "84950000000" {
				t.Errorf("%+v", i)
			}
			if err := l.Ringing(t.Context()); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the caller hears that it rings", func() bool { return len(caller.Heard()) > 0 && caller.Heard()[0] == 180 })
			if err := l.Answer(t.Context()); err != nil {
				t.Fatal(err)
			}
			is(t, caller.SIPPhone, PhoneTalking)
			begun(func() error { return l.Play(t.Context(), prompt(promptTone, time.Minute)) })
			hears(t, caller.SIPPhone, promptTone)
			begun(func() error {
				caller.Sound().Press('7', nil)
				return nil
			})
			if got, _ := keys(t, l, 1); got != "7" {
				t.Errorf("key %q", got)
			}
			caller.Hangup("")
			if h := ends(t, l); h.By != telephony.ByFar {
				t.Errorf("%+v", h)
			}
		}},
		{"hears us before the answer, and after it without a break", func(t *testing.T, r *Rig) {
			caller := r.Outside[0]
			caller.Call(r.Server, number, "", "100")
			l := incoming(t, r)
			if err := l.Progress(t.Context()); err != nil {
				t.Fatal(err)
			}
			begun(func() error { return l.Play(t.Context(), prompt(promptTone, time.Minute)) })
			hears(t, caller.SIPPhone, promptTone)
			if caller.Final() != 0 {
				t.Errorf("final %d", caller.Final())
			}
			if err := l.Answer(t.Context()); err != nil {
				t.Fatal(err)
			}
			is(t, caller.SIPPhone, PhoneTalking)
			hears(t, caller.SIPPhone, promptTone)
			l.Hangup(0)
		}},
		{"answered, and we hang up", func(t *testing.T, r *Rig) {
			caller := r.Outside[0]
			caller.Call(r.Server, number, "", "100")
			l := incoming(t, r)
			if err := l.Answer(t.Context()); err != nil {
				t.Fatal(err)
			}
			is(t, caller.SIPPhone, PhoneTalking)
			l.Hangup(0)
			if h := ends(t, l); h.By != telephony.ByUs {
				t.Errorf("%+v", h)
			}
			eventually(t, "a BYE came", caller.HungUp)
		}},
		{"answered, and we hang up in the same instant", func(t *testing.T, r *Rig) {
			// The BYE must wait for the ACK (RFC 3261 §15), and no longer.
			caller := r.Outside[0]
			caller.Behave(Manner{LateAck: 2 * time.Second})
			caller.Call(r.Server, number, "", "100")
			l := incoming(t, r)
			if err := l.Answer(t.Context()); err != nil {
				t.Fatal(err)
			}
			l.Hangup(0)
			if within(100*time.Millisecond, caller.HungUp) {
				t.Error("the BYE did not wait")
			}
			eventually(t, "a BYE came", caller.HungUp)
			if caller.Final() != 200 {
				t.Errorf("final %d", caller.Final())
			}
		}},
		{"answered, and the caller's BYE overtakes its ACK", func(t *testing.T, r *Rig) {
			caller := r.Outside[0]
			caller.Behave(Manner{ByeFirst: true, LateAck: 300 * time.Millisecond})
			caller.Call(r.Server, number, "", "100")
			l := incoming(t, r)
			if err := l.Answer(t.Context()); err != nil && context.Cause(l.Context()) == nil {
				t.Fatal(err)
			}
			if h := ends(t, l); h.By != telephony.ByFar {
				t.Errorf("%+v", h)
			}
			// One repeat may have crossed the ACK on a busy machine; without an end
			// they come 0.5, 1.5 and 3.5 s after the answer (RFC 3261 §13.3.1.4).
			eventually(t, "the ACK is sent", caller.Confirmed)
			if n := caller.Answers(); within(2*time.Second, func() bool { return caller.Answers() > n+1 }) {
				t.Error("the answer is repeated to a caller who has hung up")
			}
		}},
		{"joined with a call out", func(t *testing.T, r *Rig) {
			caller, far := r.Outside[0], r.Outside[1]
			caller.Call(r.Server, number, "", "100")
			l := incoming(t, r)
			if err := l.Answer(t.Context()); err != nil {
				t.Fatal(err)
			}
			b := answered(t, r, far, "c1")
			begun(func() error { return r.Engine.Join(t.Context(), l, b) })
			hears(t, caller.SIPPhone, far.Tone())
			hears(t, far.SIPPhone, caller.Tone())
		}},
		refusedInbound("refused with a code", 486, 486),
		refusedInbound("refused without one is declined", 0, 603),
		{"without a codec in common", func(t *testing.T, r *Rig) {
			caller := r.Outside[0]
			caller.Behave(Manner{Foreign: true})
			caller.Call(r.Server, number, "", "100")
			l := incoming(t, r)
			if err := l.Answer(t.Context()); err == nil {
				t.Error("answered")
			}
			is(t, caller.SIPPhone, PhoneIdle)
			if caller.Final() != 488 {
				t.Errorf("final %d", caller.Final())
			}
			ends(t, l)
		}},
		{"the caller gives up", func(t *testing.T, r *Rig) {
			caller := r.Outside[0]
			caller.Call(r.Server, number, "", "100")
			l := incoming(t, r)
			if err := l.Ringing(t.Context()); err != nil {
				t.Fatal(err)
			}
			eventually(t, "it rings", func() bool { return len(caller.Heard()) > 0 })
			caller.Cancel()
			if h := ends(t, l); h.By != telephony.ByFar {
				t.Errorf("%+v", h)
			}
			is(t, caller.SIPPhone, PhoneIdle)
			if caller.Final() != 487 {
				t.Errorf("final %d", caller.Final())
			}
			if err := l.Answer(t.Context()); hangup(t, err).By != telephony.ByFar {
				t.Errorf("answering it: %v", err)
			}
		}},
		{"from an operator who proves to be one", func(t *testing.T, r *Rig) {
			r.Operator.Call(r.Server, r.Extension, r.Password, "100")
			l := incoming(t, r)
			if i := l.Info(); l.ID() != "o1" || !i.Inbound || i.Operator != r.Extension || i.Trunk != "" || i.To != "100" {
				t.Errorf("%+v", i)
			}
		}},
		{"with the number that a carrier vouches for, which a phone's word is not taken for", func(t *testing.T, r *Rig) {
			asserts := Manner{Asserts: "+74951112233"}
			r.Outside[0].Behave(asserts)
			r.Outside[0].Call(r.Server, number, "", "100")
			if i := incoming(t, r).Info(); i.ANI != asserts.Asserts || i.From != number {
				t.Errorf("%+v", i)
			}
			r.Operator.Behave(asserts)
			r.Operator.Call(r.Server, r.Extension, r.Password, "100")
			if i := incoming(t, r).Info(); i.ANI != "" {
				t.Errorf("%+v", i)
			}
		}},
		{"from somebody who only claims to be an operator", func(t *testing.T, r *Rig) {
			for _, password := range []string{"", "guess"} {
				r.Stranger.Call(r.Server, r.Extension, password, "100")
				eventually(t, "it is refused", func() bool { return r.Stranger.Final() == 401 })
				is(t, r.Stranger, PhoneIdle)
			}
			select {
			case l := <-r.Calls:
				t.Errorf("a stranger came through: %+v", l.Info())
			default:
			}
		}},
	}
}

func refusedInbound(name string, code, want int) exercise {
	return exercise{name, func(t *testing.T, r *Rig) {
		r.Outside[0].Call(r.Server, number, "", "100")
		l := incoming(t, r)
		l.Hangup(code)
		if h := ends(t, l); h.By != telephony.ByUs {
			t.Errorf("%+v", h)
		}
		is(t, r.Outside[0].SIPPhone, PhoneIdle)
		if got := r.Outside[0].Final(); got != want {
			t.Errorf("refused with %d, want %d", got, want)
		}
	}}
}

func deviceCases() []exercise {
	return []exercise{
		{"follows the phone", func(t *testing.T, r *Rig) {
			state := func(want telephony.DeviceState) {
				t.Helper()
				if !within(patience, func() bool { return r.Engine.DeviceState(r.Extension) == want }) {
					t.Fatalf("%s, want %s", r.Engine.DeviceState(r.Extension), want)
				}
			}
			state(telephony.Unavailable)
			register(t, r)
			state(telephony.NotInUse)
			done := begun(func() error {
				_, err := r.Engine.Dial(t.Context(), telephony.Dial{Leg: "m1", Operator: r.Extension})
				return err
			})
			is(t, r.Operator, PhoneRinging)
			state(telephony.Ringing)
			r.Operator.Answer()
			if err := result(t, done); err != nil {
				t.Fatal(err)
			}
			state(telephony.InUse)
			r.Operator.Hangup("")
			state(telephony.NotInUse)
			if code := r.Operator.Register(r.Server, r.Extension, r.Password, 0); code != 200 {
				t.Fatalf("unregister: %d", code)
			}
			state(telephony.Unavailable)
		}},
		{"of a phone that calls is in use", func(t *testing.T, r *Rig) {
			register(t, r)
			r.Operator.Call(r.Server, r.Extension, r.Password, "100")
			l := incoming(t, r)
			if s := r.Engine.DeviceState(r.Extension); s != telephony.InUse {
				t.Error(s)
			}
			l.Hangup(0)
			eventually(t, "it is free again", func() bool { return r.Engine.DeviceState(r.Extension) == telephony.NotInUse })
		}},
		{"a wrong password registers nobody", func(t *testing.T, r *Rig) {
			if code := r.Stranger.Register(r.Server, r.Extension, "guess", 300); code != 401 {
				t.Errorf("%d", code)
			}
			if s := r.Engine.DeviceState(r.Extension); s != telephony.Unavailable {
				t.Error(s)
			}
		}},
	}
}
