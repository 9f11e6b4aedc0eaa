package scenario

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/media/tone"
	"github.com/perezvon/perezvon/internal/telephony"
)

// target is one phone to call.
type target struct {
	leg      string // m1, m2…; c1
	role     call.Role
	operator string // extension, called on its registered phones
	number   string // outside, E.164
	// owner is the operator whose outside phone number is.
	owner  string
	trunks []string // to number, in the order to try
	// failsOver tells after which failures the next trunk is tried.
	failsOver      func(*telephony.DialError) bool
	extension      string // dialled after the answer, when extensionDelay has passed
	extensionDelay time.Duration
	callerID       string // shown to this phone; empty: the trunk's own
	// callerName and ani are told to operators' phones.
	callerName, ani string
	callWaiting     bool // an operator's phones may ring while he talks
	timeout         time.Duration
	// left: recorded on the client's side. Who takes the place of the one who
	// called, in a call between operators.
	left bool
}

// who is the operator that the phone belongs to, "" if to none.
func (t target) who() string { return cmp.Or(t.operator, t.owner) }

// managers is whom to call, in order; those of one list ring together: an
// operator's registered phones and his outside ones, or a whole group.
func (s *callbackCourse) managers(ctx context.Context) [][]target {
	var all [][]target
	count := 0
	for _, group := range s.packet.Managers.Groups() {
		var lists [][]target
		for _, m := range group {
			together := s.phones(ctx, m)
			for i := range together {
				count++
				together[i].leg = fmt.Sprintf("m%d", count)
			}
			lists = append(lists, together)
		}
		if s.packet.DialMode == callback.DialParallel {
			lists = [][]target{slices.Concat(lists...)}
		}
		all = append(all, lists...)
	}
	return all
}

// phones are those of one manager.
func (s *callbackCourse) phones(ctx context.Context, m callback.ManagerTarget) []target {
	one := target{
		role: call.Manager, extension: m.Extension, timeout: seconds(s.packet.ManagerTimeoutS), trunks: s.packet.RouteToManagers(),
		failsOver: failoverRules[s.packet.FailoverOn], extensionDelay: millis(s.packet.ExtensionDelayMS),
	}
	outside := func(number, owner string) target {
		t := one
		t.number, t.owner = number, owner
		return t
	}
	extension := m.Operator()
	if extension == "" {
		return []target{outside(m.Number, "")}
	}
	registered := one
	registered.operator = extension
	together := []target{registered}
	operator, err := s.Operators.Operator(ctx, s.account, extension)
	if err != nil {
		// The engine knows best whether a phone is there.
		s.note(fmt.Sprintf("operator %s: %v", extension, err))
	}
	together[0].callWaiting = operator.CallWaiting
	for _, phone := range operator.Phones {
		together = append(together, outside(phone, extension))
	}
	return together
}

// client is the client's phone.
func (s *callbackCourse) client() target {
	number, extension := s.packet.ClientNumber()
	return target{
		leg: "c1", role: call.Client, number: number, extension: extension,
		trunks: s.packet.RouteToClient(), timeout: seconds(s.packet.ClientTimeoutS),
		failsOver: failoverRules[s.packet.FailoverOn], extensionDelay: millis(s.packet.ExtensionDelayMS),
	}
}

// Why a call was not answered by us, beside what the far end says.
var (
	errNobodyToCall   = errors.New("nobody to call")
	errAnsweredSecond = errors.New("another answered in the same instant")
	errClientLeft     = errors.New("the client hung up before the two were joined")
	errNotStored      = errors.New("the call could not be stored")
	errNoTrunk        = &telephony.DialError{Code: 404, Reason: "no trunk is set", Phase: telephony.PhaseSetup}
)

// unreached is why nobody of a side was reached: the last of several.
type unreached struct {
	role     call.Role
	operator bool // it was an operator's registered phone, not a trunk
	last     *telephony.DialError
}

func (e *unreached) Error() string { return string(e.role) + ": " + e.last.Error() }
func (e *unreached) Unwrap() error { return e.last }

// dialFirst calls all targets at once. The first answer wins; the others are
// cancelled, and have been when it returns. listener hears the ringing; nil:
// nobody. The error is ctx's cause or *unreached.
func (s *course) dialFirst(ctx context.Context, targets []target, listener *line) (*line, error) {
	l, all := s.dialTogether(ctx, targets, listener)
	if l != nil {
		return l, nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return nil, cause
	}
	return nil, lastOf(targets, all)
}

// errElsewhere ends the ringing of phones that lose: the engine tells them so.
var errElsewhere = elsewhere{errors.New("another answered first")}

type elsewhere struct{ error }

func (elsewhere) Is(target error) bool { return target == telephony.ErrElsewhere }

// dialTogether is dialFirst that tells what came of each target, too; l is nil if
// nobody answered. A colleague may pick the call up, who is no target. The phones
// that lose are told that the call was answered elsewhere.
func (s *course) dialTogether(ctx context.Context, targets []target, listener *line) (l *line, all []result[*line]) {
	var winner int
	colleague := s.orPickedUp(ctx, targets, func(ctx context.Context) { winner, all = s.dialAll(ctx, targets, listener) })
	if winner < 0 {
		return colleague, all
	}
	if colleague != nil { // in the same instant
		s.hangUp(colleague)
	}
	return all[winner].value, all
}

// dialAll is dialTogether without colleagues; winner is -1 if nobody answered.
func (s *course) dialAll(ctx context.Context, targets []target, listener *line) (winner int, all []result[*line]) {
	var answered atomic.Bool
	ringing, end := context.WithCancelCause(ctx)
	defer end(nil)
	calls := make([]func(context.Context) (*line, error), len(targets))
	for i, t := range targets {
		calls[i] = func(ctx context.Context) (*line, error) {
			defer context.AfterFunc(ctx, func() { end(context.Cause(ctx)) })()
			a, err := s.dial(ringing, t, listener)
			if err != nil {
				return nil, err
			}
			if !answered.CompareAndSwap(false, true) {
				a.leg.Hangup(0)
				s.legEnded(a.leg, t, errAnsweredSecond.Error())
				return nil, errAnsweredSecond
			}
			l := s.pickedUp(a, t)
			end(errElsewhere)
			return l, nil
		}
	}
	return race(ctx, func(_ int, r result[*line]) bool { return r.err == nil }, calls...)
}

// lastOf is the failure that came last: what the side's status is made of.
func lastOf(targets []target, all []result[*line]) error {
	var last *unreached
	for i, r := range all {
		var e *telephony.DialError
		if !errors.As(r.err, &e) {
			return r.err
		}
		if last == nil || e.Elapsed >= last.last.Elapsed {
			last = &unreached{role: targets[i].role, operator: targets[i].operator != "", last: e}
		}
	}
	return last
}

// answer is a leg, and how long it rang through the trunk that got through.
type answer struct {
	leg   telephony.Leg
	after time.Duration
}

// dial calls one phone, through its trunks in order where it is outside.
func (s *course) dial(ctx context.Context, t target, listener *line) (answer, error) {
	if t.operator != "" {
		return s.try(ctx, t, "", listener)
	}
	if len(t.trunks) == 0 {
		s.event(call.Event{Type: call.DialFailed, Leg: t.leg, Role: t.role, SIPCode: errNoTrunk.Code, Reason: errNoTrunk.Reason})
		return answer{}, errNoTrunk
	}
	tries := 0
	return alongTrunks(t.trunks, t.failsOver, func(trunk string) (answer, error) {
		next := t
		if tries++; tries > 1 {
			next.leg = fmt.Sprintf("%s.%d", t.leg, tries)
		}
		return s.try(ctx, next, trunk, listener)
	})
}

// try is one call to one phone, with all of it on the timeline. The first of a
// callback does not go out before it is stored, so that nobody is called twice
// by one attempt.
func (s *course) try(ctx context.Context, t target, trunk string, listener *line) (answer, error) {
	s.event(call.Event{
		Type: call.Dialing, Leg: t.leg, Role: t.role, Number: t.number, Operator: t.who(), Trunk: trunk,
		CallerID: t.callerID, TimeoutMS: t.timeout.Milliseconds(),
	})
	if err := s.storedFirst(); err != nil {
		return answer{}, fmt.Errorf("%w: %w", errNotStored, err)
	}
	d := telephony.Dial{
		Call: s.callID, Leg: t.leg, Operator: t.operator, Trunk: trunk, Number: t.number, CallerID: t.callerID,
		CallerName: t.callerName, ANI: t.ani, Timeout: t.timeout,
		// There is a tape once the manager has answered, so this is the client's:
		// he is recorded from what his carrier plays on.
		Record:     s.trackOf(t),
		OnProgress: func(p telephony.Progress) { s.progress(ctx, t.leg, listener, p) },
	}
	if listener != nil {
		d.Listener, d.Ringback = listener.Leg, telephony.Prompt{Clip: tone.Ringback(), Loop: true}
	}
	began := time.Now()
	leg, err := s.engineDial(ctx, d, t)
	if err == nil {
		return answer{leg, time.Since(began)}, nil
	}
	if cause := context.Cause(ctx); cause != nil {
		s.event(call.Event{Type: call.DialCancelled, Leg: t.leg, Role: t.role, Trunk: trunk, Reason: reason(cause)})
		return answer{}, err
	}
	var e *telephony.DialError
	if !errors.As(err, &e) {
		s.log.ErrorContext(ctx, "dial", "leg", t.leg, "trunk", trunk, "err", err)
		e = &telephony.DialError{Code: 500, Reason: err.Error(), Trunk: trunk, Phase: telephony.PhaseSetup, Err: err}
	}
	s.event(call.Event{
		Type: call.DialFailed, Leg: t.leg, Role: t.role, Trunk: trunk, SIPCode: e.Code, Q850: e.Q850,
		Reason: e.Reason, ElapsedMS: e.Elapsed.Milliseconds(),
	})
	return answer{}, e
}

// engineDial dials, unless it is an operator who is on the phone and has call
// waiting off.
func (s *course) engineDial(ctx context.Context, d telephony.Dial, t target) (telephony.Leg, error) {
	if t.operator != "" && !t.callWaiting {
		free, ok := s.Lines.take(s.Engine, t.operator)
		if !ok {
			return nil, &telephony.DialError{Code: 486, Reason: "busy, and call waiting is off", Phase: telephony.PhaseTrying}
		}
		defer free()
	}
	return s.Engine.Dial(ctx, d)
}

// progress puts a provisional answer on the timeline, and tells it on to a
// caller who is not answered yet.
func (s *course) progress(ctx context.Context, leg string, listener *line, p telephony.Progress) {
	e := call.Event{Type: call.Progress, Leg: leg, SIPCode: p.Code, EarlyMedia: p.EarlyMedia}
	if p.Ringing {
		e.Type = call.Ringing
	}
	s.event(e)
	if listener == nil {
		return
	}
	// What cannot be told to a caller who is gone ends the waiting by itself.
	if p.EarlyMedia {
		_ = listener.Progress(ctx)
	} else if p.Ringing {
		_ = listener.Ringing(ctx)
	}
}
