package scenario

import (
	"context"
	"errors"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/speech"
	"github.com/perezvon/perezvon/internal/telephony"
)

// Left is a call whose process has died while phones of it are on the line still:
// the phone system outlived it.
type Left struct {
	Call call.Call
	// Events is the call's timeline, all of it.
	Events []call.Event
	// Legs are those that live, by their names in the call.
	Legs map[string]telephony.Leg
	// Seen is when the process was last known to be alive.
	Seen time.Time
	// Packet is the callback's, of a call that is one.
	Packet callback.Packet
}

// CanBeLeft tells whether another process could do more for a call than end it:
// two have talked on it, or somebody who called us waits to be served. A callback
// that has not brought two together is made anew by its own rules, and a call out
// that rings by who made it: nobody is called twice by one call.
func CanBeLeft(c call.Call) bool {
	return !c.JoinedAt.IsZero() || c.Direction == call.Inbound || c.Direction == call.Internal
}

// GoesOn tells whether Resume can do more for the call than end it (CanBeLeft),
// as those are there who it is about.
func (l Left) GoesOn() bool {
	if !CanBeLeft(l.Call) {
		return false
	}
	if !l.Call.JoinedAt.IsZero() {
		return len(l.Legs) > 0
	}
	for _, e := range l.Events {
		if e.Type == call.Arrived {
			return l.Legs[e.Leg] != nil
		}
	}
	return false
}

// What the timeline says of what the server was not there for.
const (
	whileAway     = "hung up while the server was away"
	rangMeanwhile = "the server was restarted while it rang"
)

var (
	errRestarted = errors.New("the server was restarted")
	errLeft      = errors.New("the server was restarted, and nothing is left to go on with")
)

// resumed is a call that is gone on with.
type resumed struct {
	*course
	call.Standing
	board *Switchboard
	left  Left
	lines map[string]*line // by name; of legs that are gone too
}

// Resume goes on with a call where its timeline ends, and returns when it is over,
// as Run does. Who talks talks on, and can do what he could; a transfer under way
// goes on, or the other gets back to who is there; a caller who waited is served.
func (b *Switchboard) Resume(ctx context.Context, left Left) call.Status {
	voice := b.Voice
	if left.Call.Direction == call.Callback {
		voice = speech.Voice{Language: left.Packet.Language, Name: left.Packet.Voice}
	}
	r := &resumed{
		course: b.newCourse(left.Call.ID, left.Call.Account, voice), Standing: call.StandingOf(left.Events),
		board: b, left: left, lines: map[string]*line{},
	}
	return r.perform(ctx, func(ctx context.Context) error {
		defer func() {
			for _, l := range r.lines {
				r.hangUp(l)
			}
		}()
		r.takeUp()
		if r.Left == "" {
			return r.serve(ctx, nil)
		}
		return r.talkOn(ctx)
	}).Status
}

// takeUp makes the lines, and brings the timeline and the recording up to now.
func (r *resumed) takeUp() {
	for _, e := range r.left.Events {
		r.noteLeg(e.Leg)
	}
	for _, s := range r.Legs {
		leg, t := r.left.Legs[s.Leg], targetOf(s, r.Standing)
		if leg != nil {
			l := &line{Leg: leg, target: t, name: s.Leg}
			l.over = onceEnded(r.course, l, t)
			r.lines[s.Leg] = l
			continue
		}
		if s.Answered || s.Arrived {
			r.lines[s.Leg] = &line{Leg: newGone(s.Leg), target: t, over: func() {}}
			r.before(call.Event{Type: call.LegEnded, Leg: s.Leg, Role: s.Role, By: telephony.ByFar, Reason: whileAway})
			continue
		}
		r.before(call.Event{Type: call.DialCancelled, Leg: s.Leg, Role: s.Role, Trunk: s.Trunk, Reason: rangMeanwhile})
	}
	for _, side := range []string{r.Left, r.Right} { // who is gone may have no leg in the timeline any more
		if side != "" && r.lines[side] == nil {
			r.lines[side] = &line{Leg: newGone(side), target: goneTarget(side, r.left.Events), over: func() {}}
		}
	}
	if r.Newest != "" && r.Third == "" && !(r.here(r.Left) && r.here(r.Right)) {
		how := call.Done
		if r.Transfer.Leg != "" {
			how = call.Transferred
		}
		r.before(call.Event{Type: call.Parted, Leg: r.Newest, Other: r.other(r.Newest), Reason: whileAway, Outcome: how})
		r.Newest = ""
	}
	r.recordOn()
	r.event(call.Event{Type: call.Continued, Reason: errRestarted.Error(), ElapsedMS: time.Since(r.left.Seen).Milliseconds()})
	for _, s := range r.Legs {
		if l := r.lines[s.Leg]; s.Held && r.here(s.Leg) {
			if l.toldHeld = l.Held().On(); !l.toldHeld {
				r.event(call.Event{Type: call.Resumed, Leg: s.Leg})
			}
		}
	}
}

// recordOn goes on with the recording.
func (r *resumed) recordOn() {
	if !r.Recorded {
		return
	}
	tape, err := r.Tapes.Open(r.callID)
	if err != nil {
		r.log.Error("the recording does not go on", "err", err)
		r.note("the recording does not go on: " + err.Error())
		return
	}
	r.tape = tape
	for _, side := range []string{r.Left, r.Right} {
		if r.here(side) {
			r.lines[side].Record(r.trackOn(r.lines[side], side == r.Left))
		}
	}
}

// here tells whether a leg lives.
func (r *resumed) here(leg string) bool { return r.left.Legs[leg] != nil }

func (r *resumed) other(leg string) string {
	if leg == r.Left {
		return r.Right
	}
	return r.Left
}

// before puts on the timeline what happened while nobody of ours was there. It
// counts for the last moment that is known: the time without the server is
// nobody's talk.
func (r *resumed) before(e call.Event) {
	e.CallID, e.At = r.callID, r.left.Seen
	r.Journal.Append(e)
}

// targetOf is whom a leg of the timeline is of.
func targetOf(s call.StandingLeg, of call.Standing) target {
	t := target{
		leg: s.Leg, role: s.Role, number: s.Number, callerID: s.CallerID, failsOver: networkFailed,
		left: s.Leg == of.Left && s.Role == call.Operator && !s.Arrived,
	}
	switch {
	case s.Operator != "" && (s.Number == "" || s.Arrived):
		t.operator, t.number = s.Operator, ""
	case s.Operator != "":
		t.owner = s.Operator
	}
	if s.Trunk != "" && !s.Arrived {
		t.trunks = []string{s.Trunk}
	}
	return t
}

// goneTarget is targetOf of a leg that had ended before.
func goneTarget(leg string, events []call.Event) target {
	for i, e := range events {
		if e.Leg == leg && (e.Type == call.Arrived || e.Type == call.Dialing) {
			before := call.StandingOf(events[:i+1])
			return targetOf(*before.Leg(leg), before)
		}
	}
	return target{leg: leg}
}

// talkOn lets the two sides talk on, and then does what the call's direction
// wants.
func (r *resumed) talkOn(ctx context.Context) error {
	left, right := r.lines[r.Left], r.lines[r.Right]
	t := &talk{
		course: r.course, left: left, right: right, newest: right, staged: r.Newest != "", asked: telephony.NewQueue[wish](8),
	}
	if r.Newest == r.Left {
		t.newest = left
	}
	last, why := t.run(ctx, func(ctx context.Context) error { return r.begun(ctx, t) })
	switch {
	case context.Cause(ctx) != nil:
		r.hangUp(last)
		return context.Cause(ctx)
	case r.left.Call.Direction == call.Callback:
		s := &callbackCourse{course: r.course, packet: r.left.Packet}
		return s.afterTalk(ctx, left, last, why)
	}
	r.hangUp(last)
	switch {
	case errors.As(why, new(*telephony.HangupError)):
		return errTalked
	case errors.Is(why, errNobodyTook) && r.left.Call.Direction == call.Inbound:
		return r.serve(ctx, why)
	}
	return why
}

// begun carries on with what was under way when the process died. nil: two are
// there to talk on.
func (r *resumed) begun(ctx context.Context, t *talk) error {
	by := r.lines[r.Transfer.Leg]
	passing := by != nil && (by == t.left || by == t.right)
	var kept *line
	if passing {
		kept = t.other(by)
	} else if r.Returning != "" {
		// Who gave the call away is rung again.
		by = r.lines[r.Returning]
		if by == nil {
			by = t.right
		}
		kept = t.other(by)
	}
	switch {
	case kept != nil && !r.here(kept.ID()):
		return context.Cause(kept.Context())
	case passing:
		return r.passOn(ctx, t, kept, by)
	case kept != nil && !r.here(by.ID()):
		return t.kept(ctx, kept, func(ctx context.Context) error {
			return t.giveBack(ctx, kept, wish{by: by})
		})
	case !r.here(r.Left):
		return context.Cause(t.left.Context())
	case !r.here(r.Right):
		return context.Cause(t.right.Context())
	case r.Third != "" && r.here(r.Third):
		third, first := r.lines[r.Third], t.newest
		return t.kept(ctx, t.other(first), func(ctx context.Context) error { return t.threeOn(ctx, t.other(first), first, third) })
	case r.Third != "":
		r.event(call.Event{Type: call.Parted, Leg: r.Third, Other: t.other(t.newest).ID(), Reason: whileAway, Outcome: call.Done})
	}
	return nil
}

// kept does f, which ends when the one leaves whom it is about.
func (t *talk) kept(ctx context.Context, kept *line, f func(ctx context.Context) error) error {
	ctx, _, free := t.whileOn(ctx, kept)
	defer free()
	return f(ctx)
}

// passOn goes on with a transfer.
func (r *resumed) passOn(ctx context.Context, t *talk, kept, by *line) error {
	w := wish{by: by, action: action(r.Transfer.Action), number: r.Transfer.Number, method: r.Transfer.Method}
	var colleague *line
	for _, s := range r.Legs {
		if s.Role == call.Colleague && s.Answered && r.here(s.Leg) {
			colleague = r.lines[s.Leg]
		}
	}
	return t.kept(ctx, kept, func(ctx context.Context) error {
		switch {
		case colleague != nil && r.here(by.ID()):
			return t.consultOn(ctx, kept, w, colleague)
		case colleague != nil: // hanging up completes it
			t.passed(w, colleague)
			return nil
		case w.action == actAttended && r.here(by.ID()):
			// The colleague's phone was ringing: the other is back with who is there.
			t.failed(w, errRestarted)
			return nil
		}
		// He has passed the call on, and it has not arrived.
		to, err := t.mayReach(ctx, by.target, w.number)
		if err != nil {
			t.failed(w, err)
			return t.giveBack(ctx, kept, w)
		}
		if to.queue != nil {
			r.waited.queue, r.waited.since = r.Queue, r.QueuedAt
		}
		return t.blind(ctx, kept, w, to)
	})
}

// consultOn lets an operator and the colleague whom he consults talk on.
func (t *talk) consultOn(ctx context.Context, kept *line, w wish, colleague *line) error {
	then, err := beside(ctx,
		func(ctx context.Context) (next, error) {
			w.by.Record(t.track(w.by.ID(), call.Colleague))
			defer func() { w.by.Record(t.trackOn(w.by, w.by == t.left)) }()
			return t.consult(ctx, kept, w, colleague)
		},
		func(ctx context.Context) error { return t.music(ctx, kept) },
	)
	if err != nil || then == nil {
		return err
	}
	return then(ctx)
}

// serve goes on with the call of somebody who waits. lost is why he talks no
// more; nil: he has not talked yet.
func (r *resumed) serve(ctx context.Context, lost error) error {
	a := &arrival{course: r.course, board: r.board, at: r.left.Call.StartedAt, talked: lost != nil}
	for _, s := range r.Legs {
		if s.Arrived && r.here(s.Leg) {
			a.caller, a.answered = r.lines[s.Leg], s.Answered
		}
		a.rang = a.rang || !s.Arrived
	}
	if a.caller == nil {
		return errLeft
	}
	if lost != nil {
		a.note(lost.Error())
	}
	a.info = a.caller.Info()
	if a.answered {
		a.caller.Record(a.track(a.caller.ID(), a.caller.role))
	}
	for _, e := range r.left.Events {
		a.rang = a.rang || e.Type == call.QueueJoined || e.Type == call.Dialing || e.Type == call.Skipped
	}
	r.waited.queue, r.waited.since = r.Queue, r.QueuedAt
	return a.serveAgain(ctx, r.Queue)
}
