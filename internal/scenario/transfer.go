package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/media/tone"
	"github.com/perezvon/perezvon/internal/speech/prompts"
	"github.com/perezvon/perezvon/internal/telephony"
)

// Why a transfer came to nothing, beside what the colleague's phone says.
var (
	errNoNumber  = errors.New("no number was dialled")
	errBack      = errors.New("the operator went back")
	errColleague = errors.New("the colleague hung up")
	errBusyTalk  = errors.New("three are talking")
	errNoQueue   = errors.New("there are no queues")
	// errNobodyTook: a client was passed on, and neither the colleague nor
	// the operator who had done it was there.
	errNobodyTook = errors.New("nobody took the call that was passed on")
)

// next is what becomes of who waited, once what the operator did without him
// is over; nil: they talk on.
type next func(ctx context.Context) error

// grant does what was wanted. nil: two are there to talk on, the same or
// others. kept is whom the transfer is about; it is over when he leaves.
func (t *talk) grant(ctx context.Context, w wish) error {
	if w.by != t.left && w.by != t.right {
		// He was replaced in the very moment in which it was wanted for him.
		w.progress(481)
		w.give.refuse()
		return nil
	}
	if w.give != nil {
		return t.giveAway(w)
	}
	kept := t.other(w.by)
	ctx, _, free := t.whileOn(ctx, kept)
	defer free()
	if w.action == actBlind && w.number != "" {
		if to, err := t.mayReach(ctx, w.by.target, w.number); err == nil {
			t.started(w)
			return t.blind(ctx, kept, w, to)
		}
	}
	then, err := beside(ctx,
		func(ctx context.Context) (next, error) { return t.apart(ctx, kept, w) },
		func(ctx context.Context) error { return t.music(ctx, kept) },
	)
	if err != nil || then == nil {
		return err
	}
	return then(ctx)
}

// apart is what the operator does while kept hears music: he dials, and talks
// to the colleague, or is told why he cannot. None of it is in the recording
// that the client is in.
func (t *talk) apart(ctx context.Context, kept *line, w wish) (next, error) {
	by := w.by
	by.Record(t.track(by.ID(), call.Colleague))
	defer func() { by.Record(t.trackOn(by, by == t.left)) }()
	w, err := t.dialled(ctx, w)
	if err != nil {
		return nil, t.refused(ctx, w, err)
	}
	if w.refer != nil && w.refer.Replaces != nil {
		return t.takeOver(ctx, kept, w)
	}
	to, err := t.mayReach(ctx, w.by.target, w.number)
	if err != nil {
		return nil, t.refused(ctx, w, err)
	}
	if to.queue != nil {
		w.action = actBlind // nobody is there to be asked
	}
	t.started(w)
	if w.action == actAttended {
		return t.attended(ctx, kept, w, to)
	}
	return func(ctx context.Context) error { return t.blind(ctx, kept, w, to) }, nil
}

func (t *talk) started(w wish) {
	t.event(call.Event{
		Type: call.TransferStarted, Leg: w.by.ID(), Operator: w.by.who(), Number: w.number, Action: string(w.action), Method: w.method,
	})
}

// failed notes a transfer that came to nothing, and tells a phone that asked
// for it.
func (t *talk) failed(w wish, why error) {
	t.event(call.Event{Type: call.TransferFailed, Leg: w.by.ID(), Operator: w.by.who(), Number: w.number, Reason: why.Error()})
	w.progress(codeOf(why))
}

// progress tells the phone that asked by REFER how its transfer goes.
func (w wish) progress(code int) {
	if w.refer != nil && w.refer.Progress != nil {
		w.refer.Progress(code)
	}
}

// codeOf is a failure as a SIP status.
func codeOf(why error) int {
	var dial *telephony.DialError
	switch {
	case errors.As(why, &dial) && dial.Code >= 300:
		return dial.Code
	case errors.Is(why, errUnknown):
		return 404
	case errors.Is(why, errForbidden):
		return 403
	}
	return 480
}

// refused goes back to the conversation after telling the operator why.
func (t *talk) refused(ctx context.Context, w wish, why error) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := context.Cause(w.by.Context()); err != nil {
		return err // who has not said where to has not transferred
	}
	t.failed(w, why)
	return t.tell(ctx, w.by, why)
}

// tell lets the operator hear why he is back.
func (t *talk) tell(ctx context.Context, by *line, why error) error {
	what := prompts.BackToCall
	var dial *telephony.DialError
	switch {
	case errors.Is(why, errBack):
		return context.Cause(ctx)
	case errors.Is(why, errUnknown):
		what = prompts.NumberUnknown
	case errors.Is(why, errForbidden):
		what = prompts.NumberForbidden
	case errors.As(why, &dial):
		switch refusalOf(dial, true) {
		case busy:
			what = prompts.NumberBusy
		case unknown:
			what = prompts.NumberUnknown
		default:
			what = prompts.NotAvailable
		}
	}
	err := t.say(ctx, by, string(what), t.words(what))
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if errors.Is(err, telephony.ErrReplaced) {
		return nil
	}
	return err
}

// dialled lets the operator dial where to, if that is not known yet. A phone
// that sends the same by REFER meanwhile is taken at that word.
func (t *talk) dialled(ctx context.Context, w wish) (wish, error) {
	if w.number != "" || w.refer != nil {
		return w, nil
	}
	ctx, _, free := t.whileOn(ctx, w.by)
	defer free()
	var refer telephony.Refer
	which, err := first(ctx,
		func(ctx context.Context) (err error) { w.number, err = t.collect(ctx, w.by); return err },
		func(ctx context.Context) (err error) { refer, err = w.by.Refers().Next(ctx); return err },
	)
	if which == 1 && err == nil {
		return referred(w.by, refer), nil
	}
	if err != nil {
		// Hung up already, but his phone may have asked first.
		if rs := w.by.Refers().Drain(); len(rs) > 0 {
			return referred(w.by, rs[0]), nil
		}
	}
	return w, err
}

// collect takes a number from the keys of a phone: '#' ends it, or a pause.
func (t *talk) collect(ctx context.Context, by *line) (string, error) {
	number := ""
	take := func(d telephony.Digit) (done bool) {
		if d.Key == '#' {
			return true
		}
		number += string(rune(d.Key))
		return false
	}
	done := false
	// The first key ends the invitation to dial.
	_, err := first(ctx,
		func(ctx context.Context) error {
			d, err := t.key(ctx, by, 0)
			if err == nil {
				done = take(d)
			}
			return err
		},
		func(ctx context.Context) error {
			if err := t.say(ctx, by, string(prompts.Transfer), t.words(prompts.Transfer)); err != nil {
				return err
			}
			return t.pause(ctx, by, "for a number", t.features().InterDigit)
		},
	)
	for err == nil && !done && number != "" {
		var d telephony.Digit
		if d, err = t.key(ctx, by, t.features().InterDigit); err == nil {
			done = take(d)
		}
	}
	switch {
	case err != nil && !errors.Is(err, errNoKey):
		return "", err
	case number == "":
		return "", errNoNumber
	case number == t.features().Back:
		return "", errBack
	}
	return number, nil
}

// blind passes kept on at once: he hears the colleague's phone ring. Nobody
// there: the call goes back to who passed it on.
func (t *talk) blind(ctx context.Context, kept *line, w wish, to destination) error {
	t.part("passed on", call.Transferred)
	if w.refer == nil {
		t.hangUp(w.by)
	} else {
		w.by.Record(nil) // his phone waits for the outcome
	}
	colleague, err := t.reach(ctx, kept, w, to)
	if err == nil {
		w.progress(200)
		t.passed(w, colleague)
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		w.progress(487)
		t.hangUp(w.by)
		return cause
	}
	t.failed(w, err)
	return t.giveBack(ctx, kept, w)
}

// reach calls a destination while kept hears it ring.
func (t *talk) reach(ctx context.Context, kept *line, w wish, to destination) (*line, error) {
	if to.queue != nil {
		return t.inQueue(ctx, kept, to.queue.Name)
	}
	return t.dialFirst(ctx, t.targets(ctx, w, to, call.Operator, kept), kept)
}

// passed: the colleague has kept from now on.
func (t *talk) passed(w wish, colleague *line) {
	t.event(call.Event{
		Type: call.TransferDone, Leg: colleague.ID(), Operator: colleague.who(), Number: colleague.number, Action: string(w.action),
	})
	t.part("passed on", call.Transferred)
	if w.refer != nil && w.by.Context().Err() == nil {
		w.by.Record(nil)
		t.leaving = append(t.leaving, leaver{w.by, time.Now().Add(leaveTime)})
	} else {
		t.hangUp(w.by)
	}
	t.replace(w.by, colleague)
}

// leaver is an operator whose phone was told that its transfer has succeeded:
// it hangs up by itself (RFC 5589 §6.1), or is hung up then.
type leaver struct {
	*line
	until time.Time
}

// leaveTime is how long a phone may take for that.
const leaveTime = 3 * time.Second

// dismiss waits for those who are leaving. It does not end by itself.
func (t *talk) dismiss(ctx context.Context) error {
	for len(t.leaving) > 0 {
		l := t.leaving[0]
		on, _, free := t.whileOn(ctx, l.line)
		limited, cancel := context.WithDeadline(on, l.until)
		<-limited.Done()
		cancel()
		free()
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		t.hangUp(l.line)
		t.leaving = t.leaving[1:]
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// giveBack gives kept to who passed him on: his phone rings again, unless it
// is on the line still. He is gone too: errNobodyTook.
func (t *talk) giveBack(ctx context.Context, kept *line, w wish) error {
	by := w.by
	if !t.features().NoReturn {
		t.event(call.Event{Type: call.TransferReturned, Leg: by.ID(), Operator: by.who(), Number: by.number})
		if by.Context().Err() == nil {
			by.Digits().Drain()
			by.Record(t.trackOn(by, by == t.left))
			t.newest = by
			return nil
		}
		by.over()
		again := by.target
		again.leg, again.timeout, again.callWaiting = t.operatorLeg(), t.features().Ring, true
		again.callerName = fmt.Sprintf("%s: %s", t.returnedName(), kept.shown())
		if again.operator != "" {
			again.callerID = kept.shown()
		}
		colleague, err := t.dialFirst(ctx, []target{again}, kept)
		if err == nil {
			t.replace(by, colleague)
			return nil
		}
	}
	t.hangUp(by)
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return errNobodyTook
}

// attended lets the operator talk to the colleague first.
func (t *talk) attended(ctx context.Context, kept *line, w wish, to destination) (next, error) {
	colleague, err := t.ask(ctx, kept, w, to)
	if cause := context.Cause(ctx); cause != nil {
		if err == nil {
			t.hangUp(colleague)
		}
		t.hangUp(w.by)
		return nil, cause
	}
	gone := w.by.Context().Err() != nil
	switch {
	case err != nil && gone:
		return t.back(kept, w, err), nil
	case err != nil:
		t.failed(w, err)
		return nil, t.tell(ctx, w.by, err)
	case gone:
		return func(context.Context) error { t.passed(w, colleague); return nil }, nil
	}
	return t.consult(ctx, kept, w, colleague)
}

// back is that who waited is given back to an operator who has gone.
func (t *talk) back(kept *line, w wish, why error) next {
	return func(ctx context.Context) error {
		t.failed(w, why)
		t.part("passed on", call.Transferred)
		return t.giveBack(ctx, kept, w)
	}
}

// ask calls the colleague; the operator hears it ring, and can go back. Once
// he hangs up it has become a blind transfer: kept hears it ring.
func (t *talk) ask(ctx context.Context, kept *line, w wish, to destination) (*line, error) {
	by := w.by
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	who := t.targets(ctx, w, to, call.Colleague, by)
	return beside(ctx,
		func(ctx context.Context) (*line, error) { return t.dialFirst(ctx, who, by) },
		func(ctx context.Context) error {
			_, err := t.code(ctx, by, nil, t.features().ringing())
			if err == nil {
				giveUp(errBack)
			}
			return err
		},
		func(ctx context.Context) error { return t.hangsUpByRefer(ctx, by, w.number) },
		func(ctx context.Context) error {
			on, _, free := t.whileOn(ctx, by)
			defer free()
			<-on.Done()
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			t.part("passed on before the colleague answered", call.Transferred)
			return t.loop(ctx, kept, telephony.Prompt{Clip: tone.Ringback(), Loop: true})
		},
	)
}

// hangsUpByRefer takes the transfer key of a phone for hanging up, where that
// completes the transfer already under way, and declines all others.
func (t *talk) hangsUpByRefer(ctx context.Context, by *line, number string) error {
	for {
		r, err := by.Refers().Next(ctx)
		if err != nil {
			return err
		}
		if r.To == number && r.Replaces == nil {
			wish{refer: &r}.progress(200)
			t.hangUp(by)
			return nil
		}
		wish{refer: &r}.progress(603)
	}
}

// consult lets the operator and the colleague talk in private until the
// operator decides. His hanging up completes the transfer.
func (t *talk) consult(ctx context.Context, kept *line, w wish, colleague *line) (next, error) {
	by := w.by
	decided, err := t.private(ctx, w, colleague)
	if cause := context.Cause(ctx); cause != nil {
		t.hangUp(colleague)
		t.hangUp(by)
		return nil, cause
	}
	here, there := by.Context().Err() == nil, colleague.Context().Err() == nil
	switch {
	case here && there && err == nil && decided == actThreeWay:
		return func(ctx context.Context) error { return t.three(ctx, kept, w, colleague) }, nil
	case !here && there:
		return func(context.Context) error { t.passed(w, colleague); return nil }, nil
	case err == nil:
		err = errBack
	case !there:
		err = errColleague
	}
	t.hangUp(colleague)
	if !here {
		return t.back(kept, w, err), nil // both hung up at once
	}
	t.failed(w, err)
	return nil, t.tell(ctx, by, err)
}

// private is the conversation of an operator and the colleague alone. The
// error is the *HangupError of who left.
func (t *talk) private(ctx context.Context, w wish, colleague *line) (action, error) {
	by := w.by
	colleague.Record(t.track(colleague.ID(), call.Colleague))
	defer colleague.Record(nil)
	by.KeepKeys(true)
	colleague.KeepKeys(false)
	winner, all := race(ctx, func(i int, r result[action]) bool { return i == 0 || r.err == nil },
		func(ctx context.Context) (action, error) { return "", t.Engine.Join(ctx, by.Leg, colleague.Leg) },
		func(ctx context.Context) (action, error) {
			return t.code(ctx, by, colleague, t.features().consulting())
		},
		func(ctx context.Context) (action, error) { return "", t.noteKeys(ctx, colleague) },
		func(ctx context.Context) (action, error) {
			return "", t.onHold(ctx, by, colleague, t.track(by.ID(), call.Colleague))
		},
		func(ctx context.Context) (action, error) {
			return "", t.onHold(ctx, colleague, by, t.track(colleague.ID(), call.Colleague))
		},
		func(ctx context.Context) (action, error) {
			if err := t.hangsUpByRefer(ctx, by, w.number); err != nil {
				return "", err
			}
			<-ctx.Done() // Join ends with the leg
			return "", context.Cause(ctx)
		},
	)
	if winner < 0 {
		return "", context.Cause(ctx)
	}
	return all[winner].value, all[winner].err
}

// three lets all three talk until one leaves; then the other two go on.
func (t *talk) three(ctx context.Context, kept *line, w wish, colleague *line) error {
	by := w.by
	colleague.Record(t.trackOn(colleague, by == t.left))
	t.event(call.Event{
		Type: call.TransferDone, Leg: colleague.ID(), Operator: colleague.who(), Number: colleague.number, Action: string(actThreeWay),
	})
	t.event(call.Event{Type: call.Joined, Leg: colleague.ID(), Other: kept.ID()})
	return t.threeOn(ctx, kept, by, colleague)
}

// threeOn is three once it has begun.
func (t *talk) threeOn(ctx context.Context, kept, by, colleague *line) error {
	by.KeepKeys(false)
	_, err := beside(ctx,
		func(ctx context.Context) (struct{}, error) {
			return struct{}{}, t.Engine.Join(ctx, kept.Leg, by.Leg, colleague.Leg)
		},
		func(ctx context.Context) error { return t.noteKeys(ctx, kept) },
		func(ctx context.Context) error { return t.noteKeys(ctx, by) },
		func(ctx context.Context) error { return t.noteKeys(ctx, colleague) },
		func(ctx context.Context) error { return t.declineRefers(ctx, by) },
	)
	switch cause := context.Cause(ctx); {
	case cause != nil:
		err = cause
	case by.Context().Err() != nil && colleague.Context().Err() == nil:
		t.part("left the other two", call.Transferred)
		by.over()
		t.replace(by, colleague)
		t.staged = true // his stage has begun with the three
		return nil
	case colleague.Context().Err() != nil && by.Context().Err() == nil:
		t.event(call.Event{Type: call.Parted, Leg: colleague.ID(), Other: kept.ID(), Reason: err.Error(), Outcome: call.Done})
		colleague.over()
		return nil
	}
	t.event(call.Event{Type: call.Parted, Leg: colleague.ID(), Other: kept.ID(), Reason: err.Error(), Outcome: call.Done})
	t.hangUp(colleague)
	return err
}

func (t *talk) declineRefers(ctx context.Context, l *line) error {
	for {
		r, err := l.Refers().Next(ctx)
		if err != nil {
			return err
		}
		t.note(fmt.Sprintf("transfer to %s is declined: %v", r.To, errBusyTalk))
		wish{refer: &r}.progress(603)
	}
}
