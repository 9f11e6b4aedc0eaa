package scenario

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/telephony"
)

// Errors of Talks.
var (
	// ErrNotTalking: the call is not in a conversation that somebody could be
	// transferred out of.
	ErrNotTalking = errors.New("the call is not in a conversation now")
	// ErrUnknownNumber and ErrForbiddenNumber: why a number cannot be
	// transferred to.
	ErrUnknownNumber   = errUnknown
	ErrForbiddenNumber = errForbidden
	// errMerged is the end of a consultation call whose far party went over to
	// the client's call.
	errMerged = errors.New("the call became part of another one")
)

// handoverTime is how long one call waits for another's leg. It is given as
// soon as the other's conversation is interrupted.
const handoverTime = 2 * time.Second

// Talks is every conversation under way, for what comes from outside of it: a
// transfer ordered through the API, and a phone that connects the parties of
// two of its calls (REFER with Replaces). One Talks serves all scenarios of an
// engine.
type Talks struct {
	mu   sync.Mutex
	live map[string]*talk // by call
}

// NewTalks makes a Talks without conversations.
func NewTalks() *Talks { return &Talks{live: make(map[string]*talk)} }

func (ts *Talks) add(t *talk) {
	if ts == nil {
		return
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.live[t.callID] = t
}

// change lets f change the sides of a conversation.
func (ts *Talks) change(_ *talk, f func()) {
	if ts == nil {
		f()
		return
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	f()
}

// remove ends what waits to be asked of the conversation.
func (ts *Talks) remove(t *talk) {
	if ts == nil {
		return
	}
	ts.mu.Lock()
	delete(ts.live, t.callID)
	ts.mu.Unlock()
	for _, w := range t.asked.Drain() {
		w.give.refuse()
		w.progress(481)
	}
}

// of finds the conversation that a leg is one side of.
func (ts *Talks) of(leg telephony.Leg) (t *talk, l *line, ok bool) {
	if ts == nil {
		return nil, nil, false
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for _, t := range ts.live {
		for _, l := range []*line{t.left, t.right} {
			if l.Leg == leg {
				return t, l, true
			}
		}
	}
	return nil, nil, false
}

// Order is a transfer that somebody asks for who is not on the phone.
type Order struct {
	Account, CallID string
	// To is an extension, a queue or a number, as the call's operator would
	// dial it.
	To string
	// Attended puts the operator through to the colleague first.
	Attended bool
}

// Transfer lets the operator of a call transfer it. When it returns the
// transfer is under way. Errors: ErrNotTalking, ErrUnknownNumber,
// ErrForbiddenNumber.
func (ts *Talks) Transfer(ctx context.Context, o Order) error {
	if ts == nil {
		return ErrNotTalking
	}
	ts.mu.Lock()
	t, ok := ts.live[o.CallID]
	if !ok || t.account != o.Account || !t.talking.Load() {
		ts.mu.Unlock()
		return ErrNotTalking
	}
	by := t.right
	ts.mu.Unlock()
	if _, err := t.mayReach(ctx, by.target, o.To); err != nil {
		return err
	}
	w := wish{by: by, action: actBlind, number: o.To, method: byAPI}
	if o.Attended {
		w.action = actAttended
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.live[o.CallID] != t || t.right != by || !t.talking.Load() {
		return ErrNotTalking // it ended, or changed hands, in between
	}
	t.asked.Push(w)
	return nil
}

// handover is a leg's way from one call to another. Either gets it, or both
// know that it stays where it is.
type handover struct {
	call string // that wants it

	mu      sync.Mutex
	decided bool
	leg     *telephony.Queue[*line] // the far party; nil: it stays
}

// give hands the line over; false: nobody waits for it any more.
func (h *handover) give(l *line) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.decided {
		return false
	}
	h.decided = true
	h.leg.Push(l)
	return true
}

func (h *handover) refuse() {
	if h != nil {
		h.give(nil)
	}
}

// wait is take that does not wait long.
func (h *handover) wait(ctx context.Context) *line {
	ctx, cancel := context.WithTimeout(ctx, handoverTime)
	defer cancel()
	return h.take(ctx)
}

// take waits for the line; nil if it is not given before ctx ends.
func (h *handover) take(ctx context.Context) *line {
	if l, err := h.leg.Next(ctx); err == nil {
		return l
	}
	if h.give(nil) {
		return nil
	}
	return h.leg.Drain()[0] // given at the last moment
}

// giveAway gives the other party of w.by to the call that wants it. The error
// is errMerged: nobody is left to talk to.
func (t *talk) giveAway(w wish) error {
	far := t.other(w.by)
	if far.Context().Err() != nil {
		w.give.refuse()
		return nil
	}
	far.Record(nil)
	// First, and once: from then on the leg's end is the other call's matter.
	t.event(call.Event{Type: call.Merged, Leg: far.ID(), Operator: far.who(), Number: far.number, OtherCall: w.give.call})
	gone := *far
	if !w.give.give(&gone) {
		t.note("the other call gave up waiting")
		far.Record(t.trackOn(far, far == t.left))
		return nil
	}
	far.gone = true
	far.over()
	return fmt.Errorf("%w: %s", errMerged, w.give.call)
}

// takeOver carries out the attended transfer of a phone (REFER with Replaces):
// the other party of its second call, the consultation, takes its place in the
// client's, and the consultation becomes a stage of it.
func (t *talk) takeOver(ctx context.Context, kept *line, w wish) (next, error) {
	replaced := w.refer.Replaces
	t.started(w)
	other, by, ok := t.Talks.of(replaced)
	switch {
	case !ok:
		// The colleague's phone rings still: that call is given up for a blind
		// transfer to the same number.
		replaced.Hangup(0)
		to, err := t.mayReach(ctx, w.by.target, w.number)
		if err != nil {
			return nil, t.refused(ctx, w, err)
		}
		if to.colleague != nil {
			to.colleague.CallWaiting = true // it rings for the call that was given up
		}
		return func(ctx context.Context) error { return t.blind(ctx, kept, w, to) }, nil
	case other == t:
		return nil, t.refused(ctx, w, errors.New("both legs are of this call"))
	case !t.ofClient() && other.ofClient():
		// The phone sent it on the consultation: the client's call shall live.
		r := *w.refer
		r.Replaces = w.by.Leg
		t.Talks.ask(other, wish{by: by, action: actAttended, number: w.number, method: byRefer, refer: &r})
		return nil, nil
	}
	h := &handover{call: t.callID, leg: telephony.NewQueue[*line](1)}
	t.Talks.ask(other, wish{by: by, give: h})
	got := h.wait(ctx)
	if got == nil {
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		return nil, t.refused(ctx, w, errors.New("the consultation is over"))
	}
	colleague := t.adopt(got, other.callID)
	w.progress(200)
	if cause := context.Cause(ctx); cause != nil {
		t.hangUp(colleague)
		return nil, cause
	}
	return func(context.Context) error { t.passed(w, colleague); return nil }, nil
}

// ofClient tells a client's call from one between operators.
func (t *talk) ofClient() bool { return t.left.role == call.Client && t.left.who() == "" }

// ask puts a wish to a conversation, if it is alive.
func (ts *Talks) ask(t *talk, w wish) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.live[t.callID] == t {
		t.asked.Push(w)
	} else {
		w.give.refuse()
		w.progress(481)
	}
}

// adopt makes a leg that came from another call one of this.
func (t *talk) adopt(from *line, otherCall string) *line {
	l := &line{Leg: from.Leg, target: from.target, name: t.operatorLeg()}
	l.role, l.left = call.Operator, false
	l.over = sync.OnceFunc(func() { t.legEnded(l, l.target, "") })
	t.event(call.Event{Type: call.Merged, Leg: l.ID(), Role: l.role, Operator: l.who(), Number: l.number, OtherCall: otherCall, SIPCallID: l.Info().CallID})
	return l
}

// referred is a transfer that l's phone asked for.
func referred(l *line, r telephony.Refer) wish {
	w := wish{by: l, action: actBlind, number: r.To, method: byRefer, refer: &r}
	if r.Replaces != nil {
		w.action = actAttended
	}
	return w
}
