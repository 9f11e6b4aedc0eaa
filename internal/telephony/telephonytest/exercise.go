package telephonytest

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/media/mediatest"
	"github.com/perezvon/perezvon/internal/media/tone"
	"github.com/perezvon/perezvon/internal/telephony"
)

// Rig is an engine with phones around it, all of it new for each test.
type Rig struct {
	Engine telephony.Engine
	// Server is where the engine takes SIP from phones and trunks.
	Server netip.AddrPort
	// Outside are two carriers, each at the far end of a trunk. The engine
	// offers PCMA, PCMU and G722 to them.
	Outside [2]Outside
	// Extension is an operator's with Password. Operator is a phone for it,
	// which the suite registers.
	Extension, Password string
	Operator            *SIPPhone
	// Stranger is a phone that nobody knows.
	Stranger *SIPPhone
	// Calls gets the calls that come in. The engine's handler waits for the end
	// of the leg.
	Calls <-chan telephony.Leg
	// KeyMethod is the telephony.Digit.Method of every key of an engine that
	// cannot tell how one came; empty: it can.
	KeyMethod string
	// StatusOnly: of a call that does not come about the engine may hear the
	// status and not the network's Q.850 cause.
	StatusOnly bool
	// CoarseTransfer: of a transfer the engine can tell a phone that it is under
	// way, that it came about, and (503) that it did not, and nothing else.
	CoarseTransfer bool
	// Gap is the longest silence when legs that talk are joined anew with
	// others; 0: 40 ms. An engine that asks another process for each step needs
	// longer, and how long on a busy machine is not in its hands.
	Gap time.Duration
	// Patience is how long the engine lets an answered leg live from which
	// nothing is heard; the rig keeps it short.
	Patience time.Duration
}

// Outside is a carrier and the trunk that leads to it. Password is that of the
// trunk's account there.
type Outside struct {
	Trunk, Password string
	*SIPPhone
}

// Exception is a case that an engine cannot pass, and why not: what the case
// says of the wire is not in the engine's hands.
type Exception struct{ Case, Why string }

// Exercise is the suite that every engine must pass: what package telephony
// promises, with real signalling and real sound. newRig makes the engine under
// test and its phones, and ends them at the end of the test it is given. The
// phones' tones must differ by more than 100 Hz.
func Exercise(t *testing.T, newRig func(t *testing.T) *Rig, except ...Exception) {
	left := make(map[string]bool, len(except))
	for _, x := range except {
		left[x.Case] = true
	}
	groups := []struct {
		name  string
		cases []exercise
	}{
		{"Dial", dialCases()},
		{"Listener", listenerCases()},
		{"Play", playCases()},
		{"Digits", digitCases()},
		{"Join", joinCases()},
		{"Conference", conferenceCases()},
		{"KeepKeys", keepKeysCases()},
		{"Held", heldCases()},
		{"Record", recordCases()},
		{"Inbound", inboundCases()},
		{"Refuse", refuseCases()},
		{"DeviceState", deviceCases()},
		{"Transfer", transferCases()},
	}
	for i := range groups {
		g := &groups[i]
		g.cases = slices.DeleteFunc(g.cases, func(c exercise) bool {
			name := g.name + "/" + c.name
			defer delete(left, name)
			return left[name]
		})
	}
	for name := range left {
		t.Errorf("there is no case %q to be excepted", name)
	}
	for _, group := range groups {
		t.Run(group.name, func(t *testing.T) {
			for _, c := range group.cases {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.run(t, newRig(t))
				})
			}
		})
	}
}

// exercise is one named test of the suite.
type exercise struct {
	name string
	run  func(t *testing.T, r *Rig)
}

// patience is how long the suite waits for what must happen, on however busy a
// machine. How quickly it happens is no business of the suite, which runs on
// real sockets: engines have tests in virtual time for that, and benchmarks.
const patience = 30 * time.Second

// eventually fails the test unless cond comes true.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	if !within(patience, cond) {
		t.Fatalf("never came true: %s", what)
	}
}

// within waits until cond is true or d is over.
func within(d time.Duration, cond func() bool) bool {
	deadline := time.NewTimer(d)
	defer deadline.Stop()
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for {
		if cond() {
			return true
		}
		select {
		case <-deadline.C:
			return cond()
		case <-look.C:
		}
	}
}

// is waits for a phone's state.
func is(t *testing.T, p *SIPPhone, state string) {
	t.Helper()
	if !within(patience, func() bool { return p.State() == state }) {
		t.Fatalf("the phone is %s, want %s", p.State(), state)
	}
}

// hears fails the test unless the phone comes to hear the tone of freq Hz and
// hardly anything else, for 160 ms at a stretch.
func hears(t *testing.T, p *SIPPhone, freq float64) {
	t.Helper()
	best, level := 0.0, -120.0
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		heard, rate := listen(p, 160*time.Millisecond)
		s := tone.Strength(heard, rate, freq)
		level = mediatest.Level(heard)
		if s > 0.8 && level > -50 {
			return
		}
		best = max(best, s)
	}
	t.Fatalf("%g Hz had at most %.0f %% of what was heard (level %.0f dB at last)", freq, 100*best, level)
}

// listen is what the phone hears during the next d, or less if it hears
// nothing for long.
func listen(p *SIPPhone, d time.Duration) (heard []int16, rate int) {
	m := p.Sound()
	if m == nil {
		within(20*time.Millisecond, func() bool { return false })
		return nil, 8000
	}
	m.Forget()
	enough := int(d.Seconds() * float64(m.Rate()))
	within(2*d, func() bool {
		heard = m.Heard()
		return len(heard) >= enough
	})
	return heard, m.Rate()
}

// hearsNothing fails the test unless it becomes quiet on the phone.
func hearsNothing(t *testing.T, p *SIPPhone) {
	t.Helper()
	var level float64
	deadline := time.Now().Add(patience)
	for {
		heard, _ := listen(p, 120*time.Millisecond)
		if level = mediatest.Level(heard); level < -50 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the phone still hears something of %.0f dB", level)
		}
	}
}

// number is whom the suite calls outside.
const number = "+74951234567"

// out is an order to call a carrier.
func out(o Outside, leg string) telephony.Dial {
	return telephony.Dial{Leg: leg, Trunk: o.Trunk, Number: number, CallerID: "+74957654321", Timeout: patience}
}

// dial calls out and wants an answer.
func dial(t *testing.T, r *Rig, d telephony.Dial) telephony.Leg {
	t.Helper()
	l, err := r.Engine.Dial(t.Context(), d)
	if err != nil {
		t.Fatalf("dial %s%s: %v", d.Trunk, d.Operator, err)
	}
	t.Cleanup(func() { l.Hangup(0) })
	return l
}

// answered calls a carrier that picks up at once.
func answered(t *testing.T, r *Rig, o Outside, leg string) telephony.Leg {
	t.Helper()
	o.Behave(Manner{Answers: true})
	return dial(t, r, out(o, leg))
}

// fails calls out and wants a failure.
func fails(t *testing.T, r *Rig, d telephony.Dial) *telephony.DialError {
	t.Helper()
	l, err := r.Engine.Dial(t.Context(), d)
	if err == nil {
		l.Hangup(0)
		t.Fatal("the call came about")
	}
	var failure *telephony.DialError
	if !errors.As(err, &failure) {
		t.Fatalf("%T: %v", err, err)
	}
	return failure
}

// ends waits for the end of a leg and returns its cause.
func ends(t *testing.T, l telephony.Leg) *telephony.HangupError {
	t.Helper()
	select {
	case <-l.Context().Done():
	case <-time.After(patience):
		t.Fatal("the leg has not ended")
	}
	return hangup(t, context.Cause(l.Context()))
}

// hangup wants an error to be a *telephony.HangupError.
func hangup(t *testing.T, err error) *telephony.HangupError {
	t.Helper()
	var h *telephony.HangupError
	if !errors.As(err, &h) {
		t.Fatalf("%T: %v, want a *HangupError", err, err)
	}
	return h
}

// register makes the operator's phone known.
func register(t *testing.T, r *Rig) {
	t.Helper()
	if code := r.Operator.Register(r.Server, r.Extension, r.Password, 300); code != 200 {
		t.Fatalf("REGISTER: %d", code)
	}
}

// begun is something running; done gets its error.
func begun(f func() error) (done <-chan error) {
	ch := make(chan error, 1)
	go func() { ch <- f() }()
	return ch
}

// result waits for what begun started.
func result(t *testing.T, done <-chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		t.Fatal("it has not returned")
		return nil
	}
}
