package telephonytest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/tone"
	"github.com/perezvon/perezvon/internal/telephony"
)

// elsewhere wants a phone that was cancelled to know that somebody has
// answered (RFC 3326), so that it shows no missed call.
func elsewhere(t *testing.T, p *SIPPhone) {
	t.Helper()
	if why := p.CancelReason(); !strings.HasPrefix(why, "SIP") || !strings.Contains(why, "cause=200") {
		t.Errorf("cancelled with the Reason %q", why)
	}
}

func dialCases() []exercise {
	return slices.Concat([]exercise{
		{"answered, and the far end hangs up", func(t *testing.T, r *Rig) {
			far := r.Outside[0]
			l := answered(t, r, far, "c1")
			if i := l.Info(); l.ID() != "c1" || i.Inbound || i.Trunk != far.Trunk || i.To != number || i.Codec != media.PCMA || i.CallID == "" || i.Operator != "" {
				t.Errorf("%s: %+v", l.ID(), i)
			}
			eventually(t, "the answer is acknowledged", far.Acked)
			if to := far.Called().Recipient.User; to != number {
				t.Errorf("called %q", to)
			}
			if l.Context().Err() != nil {
				t.Fatal("the leg has ended before the call")
			}
			far.Hangup(`Q.850;cause=16;text="Normal"`)
			if h := ends(t, l); h.By != telephony.ByFar || h.Leg != "c1" || h.Reason == "" || h.Q850 != 16 {
				t.Errorf("%+v", h)
			}
		}},
		{"answered, and we hang up", func(t *testing.T, r *Rig) {
			far := r.Outside[0]
			l := answered(t, r, far, "c1")
			l.Hangup(0)
			l.Hangup(0)
			if h := ends(t, l); h.By != telephony.ByUs {
				t.Errorf("%+v", h)
			}
			eventually(t, "a BYE came", far.HungUp)
			is(t, far.SIPPhone, PhoneIdle)
		}},
		{"answered, and the phone dies without BYE", func(t *testing.T, r *Rig) {
			l := answered(t, r, r.Outside[0], "c1")
			hearsNothing(t, r.Outside[0].SIPPhone)
			r.Outside[0].Die()
			if h := ends(t, l); h.By != telephony.ByNetwork || h.Reason == "" {
				t.Errorf("%+v", h)
			}
			eventually(t, "the dead phone is told, should it live", r.Outside[0].HungUp)
		}},
		{"an operator's registered phone answers", func(t *testing.T, r *Rig) {
			register(t, r)
			r.Operator.Behave(Manner{Answers: true})
			l := dial(t, r, telephony.Dial{Leg: "m1", Operator: r.Extension, CallerID: number, CallerName: `"Eve" <x>`})
			if i := l.Info(); i.Operator != r.Extension || i.Trunk != "" {
				t.Errorf("%+v", i)
			}
			from := r.Operator.Called().From()
			if from.Address.User != number || !strings.Contains(from.DisplayName, "Eve") {
				t.Errorf("From %v", from)
			}
			r.Operator.Hangup("")
			ends(t, l)
		}},
		{"the first of an operator's phones to answer wins, the other is cancelled", func(t *testing.T, r *Rig) {
			other := twoPhones(t, r)
			r.Operator.Behave(Manner{})
			other.Behave(Manner{})
			l := dial(t, r, telephony.Dial{Leg: "m1", Operator: r.Extension, OnProgress: ringing(2, other.Answer)})
			hearsFrom(t, l, other.Tone())
			eventually(t, "the other phone is cancelled", r.Operator.Cancelled)
			elsewhere(t, r.Operator)
			is(t, r.Operator, PhoneIdle)
			is(t, other, PhoneTalking)
		}},
		{"answered by somebody else, which every phone of the operator is told", func(t *testing.T, r *Rig) {
			other := twoPhones(t, r)
			r.Operator.Behave(Manner{})
			other.Behave(Manner{})
			ctx, cancel := context.WithCancelCause(t.Context())
			done := begun(func() error {
				_, err := r.Engine.Dial(ctx, telephony.Dial{
					Leg: "m1", Operator: r.Extension, OnProgress: ringing(2, func() { cancel(telephony.ErrElsewhere) }),
				})
				return err
			})
			if err := result(t, done); !errors.Is(err, telephony.ErrElsewhere) {
				t.Errorf("%v", err)
			}
			for _, p := range []*SIPPhone{r.Operator, other} {
				eventually(t, "it is cancelled", p.Cancelled)
				elsewhere(t, p)
				is(t, p, PhoneIdle)
			}
		}},
		{"an operator's phone is shown the number that a carrier vouches for", func(t *testing.T, r *Rig) {
			register(t, r)
			r.Operator.Behave(Manner{Answers: true})
			dial(t, r, telephony.Dial{Leg: "m1", Operator: r.Extension, CallerID: "100", ANI: number})
			if h := r.Operator.Called().GetHeader("P-Asserted-Identity"); h == nil || !strings.Contains(h.Value(), number+"@") {
				t.Errorf("P-Asserted-Identity %v", h)
			}
		}},
		{"of two phones that answer in the same instant one is hung up", func(t *testing.T, r *Rig) {
			other := twoPhones(t, r)
			both := Manner{Answers: true, After: 50 * time.Millisecond, CrossesCancel: true}
			r.Operator.Behave(both)
			other.Behave(both)
			l := dial(t, r, telephony.Dial{Leg: "m1", Operator: r.Extension})
			eventually(t, "one is hung up", func() bool { return r.Operator.HungUp() != other.HungUp() })
			winner, loser := r.Operator, other
			if winner.HungUp() {
				winner, loser = other, r.Operator
			}
			is(t, loser, PhoneIdle)
			is(t, winner, PhoneTalking)
			hearsFrom(t, l, winner.Tone())
		}},
		{"a decline on one phone speaks for all", func(t *testing.T, r *Rig) {
			other := twoPhones(t, r)
			r.Operator.Behave(Manner{})
			other.Behave(Manner{Refuses: 603, After: 50 * time.Millisecond})
			if err := fails(t, r, telephony.Dial{Leg: "m1", Operator: r.Extension}); err.Code != 603 {
				t.Errorf("%v", err)
			}
			eventually(t, "the other phone is cancelled", r.Operator.Cancelled)
		}},
		{"a trunk that asks for the password gets it", func(t *testing.T, r *Rig) {
			far := r.Outside[0]
			far.Behave(Manner{Demands: far.Password, Answers: true})
			l := dial(t, r, out(far, "c1"))
			far.Hangup("")
			ends(t, l)
		}},
		{"a trunk with another password refuses", func(t *testing.T, r *Rig) {
			r.Outside[0].Behave(Manner{Demands: "another", Answers: true})
			if err := fails(t, r, out(r.Outside[0], "c1")); err.Code != 407 || err.Phase != telephony.PhaseTrying {
				t.Errorf("%v", err)
			}
		}},
		{"an acknowledgement that was lost is sent again", func(t *testing.T, r *Rig) {
			r.Outside[0].Behave(Manner{Answers: true, DropsAck: true})
			l := dial(t, r, out(r.Outside[0], "c1"))
			eventually(t, "the answer is acknowledged", r.Outside[0].Acked)
			if l.Context().Err() != nil {
				t.Error("the leg has ended")
			}
		}},
		{"progress is told in order", func(t *testing.T, r *Rig) {
			far := r.Outside[0]
			told := make(chan telephony.Progress, 8)
			d := out(far, "c1")
			d.OnProgress = func(p telephony.Progress) { told <- p }
			done := begun(func() error {
				_, err := r.Engine.Dial(t.Context(), d)
				return err
			})
			is(t, far.SIPPhone, PhoneRinging)
			if p := <-told; p != (telephony.Progress{Code: 180, Ringing: true}) {
				t.Errorf("%+v", p)
			}
			far.Early()
			if p := <-told; p != (telephony.Progress{Code: 183, EarlyMedia: true}) {
				t.Errorf("%+v", p)
			}
			far.Answer()
			if err := result(t, done); err != nil {
				t.Fatal(err)
			}
			if len(told) > 0 {
				t.Errorf("and more: %+v", <-told)
			}
		}},
		{"nobody answers in time, and nobody is left ringing", func(t *testing.T, r *Rig) {
			d := out(r.Outside[0], "c1")
			d.Timeout = 300 * time.Millisecond
			err := fails(t, r, d)
			if err.Code != 408 || err.Phase != telephony.PhaseRinging || err.Elapsed < d.Timeout {
				t.Errorf("%v after %v", err, err.Elapsed)
			}
			is(t, r.Outside[0].SIPPhone, PhoneIdle)
			if !r.Outside[0].Cancelled() {
				t.Error("not cancelled")
			}
		}},
		{"given up while it rings", func(t *testing.T, r *Rig) {
			err := giveUp(t, r, func() { is(t, r.Outside[0].SIPPhone, PhoneRinging) })
			if err.Code != 487 {
				t.Errorf("%v", err)
			}
			is(t, r.Outside[0].SIPPhone, PhoneIdle)
			if !r.Outside[0].Cancelled() {
				t.Error("not cancelled")
			}
		}},
		{"given up before the far end's first word", func(t *testing.T, r *Rig) {
			// A CANCEL must wait for a provisional response (RFC 3261 §9.1).
			r.Outside[0].Behave(Manner{Wait: 2 * time.Second})
			giveUp(t, r, func() { is(t, r.Outside[0].SIPPhone, PhoneRinging) })
			if within(150*time.Millisecond, r.Outside[0].Cancelled) {
				t.Error("cancelled too early")
			}
			eventually(t, "cancelled at the first word", r.Outside[0].Cancelled)
			is(t, r.Outside[0].SIPPhone, PhoneIdle)
		}},
		{"picked up in the instant of the CANCEL", func(t *testing.T, r *Rig) {
			r.Outside[0].Behave(Manner{CrossesCancel: true})
			giveUp(t, r, func() { is(t, r.Outside[0].SIPPhone, PhoneRinging) })
			eventually(t, "the answer is acknowledged", r.Outside[0].Acked)
			eventually(t, "and hung up", r.Outside[0].HungUp)
			is(t, r.Outside[0].SIPPhone, PhoneIdle)
		}},
		{"given up before it began", func(t *testing.T, r *Rig) {
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(errGivenUp)
			_, err := r.Engine.Dial(ctx, out(r.Outside[0], "c1"))
			if !errors.Is(err, errGivenUp) {
				t.Errorf("%v", err)
			}
			is(t, r.Outside[0].SIPPhone, PhoneIdle)
		}},
	}, refusals())
}

// twoPhones registers a second phone for the operator.
func twoPhones(t *testing.T, r *Rig) (other *SIPPhone) {
	t.Helper()
	register(t, r)
	if code := r.Stranger.Register(r.Server, r.Extension, r.Password, 300); code != 200 {
		t.Fatalf("REGISTER: %d", code)
	}
	return r.Stranger
}

// ringing is told of progress and calls then when that many phones ring. The
// phones themselves know it sooner, but whoever is cancelled before its first
// answer has arrived cannot be told why: its CANCEL waits for that.
func ringing(phones int, then func()) func(telephony.Progress) {
	return func(p telephony.Progress) {
		if p.Ringing {
			if phones--; phones == 0 {
				then()
			}
		}
	}
}

// hearsFrom wants a tone to be what comes from the leg's phone.
func hearsFrom(t *testing.T, l telephony.Leg, freq float64) {
	t.Helper()
	k := &track{}
	l.Record(k)
	eventually(t, "the phone's tone comes", func() bool { return k.has(freq) })
	l.Record(nil)
}

var errGivenUp = errors.New("the test gave up")

// giveUp dials, gives up once when has returned, and wants the cause back.
func giveUp(t *testing.T, r *Rig, when func()) *telephony.DialError {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	done := begun(func() error {
		l, err := r.Engine.Dial(ctx, out(r.Outside[0], "c1"))
		if err == nil {
			l.Hangup(0)
		}
		return err
	})
	when()
	cancel(errGivenUp)
	err := result(t, done)
	var failure *telephony.DialError
	if !errors.As(err, &failure) || !errors.Is(err, errGivenUp) {
		t.Fatalf("%T: %v", err, err)
	}
	return failure
}

// refusals are the calls that do not come about, with code and phase.
func refusals() (cases []exercise) {
	for _, c := range []struct {
		name   string
		manner Manner
		change func(r *Rig, d *telephony.Dial)
		code   int
		phase  telephony.Phase
		q850   int
	}{
		{"busy", Manner{Says: []int{}, Refuses: 486}, nil, 486, telephony.PhaseTrying, 0},
		{"declined while ringing", Manner{Refuses: 603, After: 20 * time.Millisecond}, nil, 603, telephony.PhaseRinging, 0},
		{"unknown number, with the network's cause", Manner{Says: []int{}, Refuses: 404, Reason: `Q.850;cause=1;text="Unallocated"`}, nil, 404, telephony.PhaseTrying, 1},
		{"switched off, after an announcement", Manner{Says: []int{183}, Refuses: 480, After: 20 * time.Millisecond}, nil, 480, telephony.PhaseProgress, 0},
		{"the carrier is out of order", Manner{Says: []int{}, Refuses: 503}, nil, 503, telephony.PhaseTrying, 0},
		{"silence", Manner{Mute: true}, func(_ *Rig, d *telephony.Dial) { d.Timeout = 200 * time.Millisecond }, 408, telephony.PhaseTrying, 0},
		{"no common codec", Manner{Foreign: true, Answers: true, After: 50 * time.Millisecond}, nil, 488, telephony.PhaseRinging, 0},
		{"no such trunk", Manner{}, func(_ *Rig, d *telephony.Dial) { d.Trunk = "nowhere" }, 404, telephony.PhaseSetup, 0},
		{"no phone registered", Manner{}, func(r *Rig, d *telephony.Dial) { d.Trunk, d.Number, d.Operator = "", "", r.Extension }, 480, telephony.PhaseSetup, 0},
	} {
		cases = append(cases, exercise{c.name, func(t *testing.T, r *Rig) {
			r.Outside[0].Behave(c.manner)
			d := out(r.Outside[0], "c1")
			if c.change != nil {
				c.change(r, &d)
			}
			err := fails(t, r, d)
			if err.Code != c.code || err.Phase != c.phase || err.Q850 != c.q850 && (err.Q850 != 0 || !r.StatusOnly) || err.Trunk != d.Trunk || err.Reason == "" || err.Elapsed <= 0 {
				t.Errorf("%+v, want code %d, phase %s, Q.850 %d, trunk %q", err, c.code, c.phase, c.q850, d.Trunk)
			}
			if c.manner.Foreign {
				eventually(t, "the answer that is no use is hung up", r.Outside[0].HungUp)
			}
		}})
	}
	return cases
}

func listenerCases() []exercise {
	return []exercise{
		{"hears ringback, then early media, then nothing", func(t *testing.T, r *Rig) {
			manager, client := r.Outside[0], r.Outside[1]
			m := answered(t, r, manager, "m1")
			d := out(client, "c1")
			d.Listener, d.Ringback = m, telephony.Prompt{Clip: tone.Ringback(), Loop: true}
			done := begun(func() error {
				_, err := r.Engine.Dial(t.Context(), d)
				return err
			})
			is(t, client.SIPPhone, PhoneRinging)
			hears(t, manager.SIPPhone, 425)
			client.Early()
			hears(t, manager.SIPPhone, client.Tone())
			client.Answer()
			if err := result(t, done); err != nil {
				t.Fatal(err)
			}
			hearsNothing(t, manager.SIPPhone)
		}},
		{"hears nothing more when the dial fails", func(t *testing.T, r *Rig) {
			manager, client := r.Outside[0], r.Outside[1]
			m := answered(t, r, manager, "m1")
			d := out(client, "c1")
			d.Listener, d.Ringback = m, prompt(promptTone, time.Minute)
			done := begun(func() error {
				_, err := r.Engine.Dial(t.Context(), d)
				return err
			})
			is(t, client.SIPPhone, PhoneRinging)
			hears(t, manager.SIPPhone, promptTone)
			client.Refuse(486)
			if err := result(t, done); err == nil {
				t.Fatal("answered")
			}
			hearsNothing(t, manager.SIPPhone)
			if m.Context().Err() != nil {
				t.Error("the listener's leg has ended")
			}
		}},
	}
}
