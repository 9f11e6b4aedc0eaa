package scenario

import (
	"cmp"
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/perezvon/perezvon/internal/acd"
	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/telephony"
)

// Why somebody is not in a queue any more.
var (
	errWaitedTooLong = errors.New("the longest wait is over")
	errWantsCallback = errors.New("the caller wants to be called back instead of waiting")
)

// queueStep lets the caller wait in a queue until a member takes the call
// (specification 3-responsible-manager §4). Whom the queue does not take, or
// keeps no longer, its fallback takes, then the route's next step. ctx ends the
// waiting, and talking the conversation, which an operator who waited may leave by
// a transfer.
func (a *arrival) queueStep(ctx, talking context.Context, to directory.ToQueue) error {
	if a.routes++; a.routes > mostRoutes {
		a.note("queue " + to.Name + " is not entered: the routes lead in a circle")
		return nil
	}
	q, err := a.findQueue(ctx, to.Name)
	if err != nil {
		a.note("queue " + to.Name + ": " + err.Error())
		return context.Cause(ctx)
	}
	a.rang = true
	w, err := a.enter(ctx, a.caller, a.shown(), q, to.Priority)
	if err == nil {
		if o := q.CallbackOffer; o != nil && a.mayBeCalled() {
			w.offer, w.keep = o, func(ctx context.Context) error { return a.keepPlace(ctx, w, to) }
		}
		err = a.wait(ctx, w)
	}
	switch {
	case err == nil:
		if err := a.connect(talking, w.operator); err != nil {
			return err
		}
		// A transfer to somebody who was not there: the caller waits again.
		return a.queueStep(ctx, talking, to)
	case context.Cause(ctx) != nil:
		return context.Cause(ctx)
	case errors.Is(err, acd.ErrFull), errors.Is(err, acd.ErrEmpty), errors.Is(err, errWaitedTooLong):
		return a.steps(ctx, q.Fallback)
	case errors.Is(err, errWantsCallback):
		if err := a.say(ctx, a.caller, promptWillCall, a.words(weWillCall)); err != nil && context.Cause(ctx) == nil {
			return err
		}
		return errWillCall
	}
	return err
}

// mayBeCalled tells whether a callback is offered: only to a client, and not to a
// number that anybody could have shown to let us call dear destinations.
func (a *arrival) mayBeCalled() bool {
	return a.board.Later != nil && a.caller.number != "" && directory.Operator{}.MayDial(a.caller.number, a.region())
}

// keepPlace orders the callback: by the offer's widget, or with the place in the
// queue kept.
func (a *arrival) keepPlace(ctx context.Context, w *waiter, to directory.ToQueue) error {
	if w.offer.Widget != "" {
		return a.board.Later.CallBack(ctx, a.account, w.offer.Widget, a.caller.number)
	}
	return a.board.Later.KeepPlace(ctx, acd.Kept{
		ID: call.NewID(), Account: a.account, Queue: to.Name, Client: a.caller.number, Name: a.info.FromName,
		CallID: a.callID, Priority: to.Priority, Since: w.since,
	})
}

// wait picks the caller up and lets him wait.
func (a *arrival) wait(ctx context.Context, w *waiter) error {
	if err := a.pickUp(ctx); err != nil {
		w.leave(err)
		return err
	}
	return w.wait(ctx)
}

// inQueue lets a client wait who was passed on to a queue, and returns the
// member who took the call.
func (s *course) inQueue(ctx context.Context, client *line, name string) (*line, error) {
	q, err := s.findQueue(ctx, name)
	if err != nil {
		return nil, err
	}
	from := caller{number: cmp.Or(client.number, client.who()), name: client.Info().FromName, ani: client.Info().ANI}
	w, err := s.enter(ctx, client, from, q, 0)
	if err != nil {
		return nil, err
	}
	if err := w.wait(ctx); err != nil {
		return nil, err
	}
	return w.operator, nil
}

func (s *course) findQueue(ctx context.Context, name string) (directory.Queue, error) {
	if s.Queues == nil || s.Directory == nil {
		return directory.Queue{}, errNoQueue
	}
	return s.Directory.Queue(ctx, s.account, name)
}

// waiter is a caller in a queue.
type waiter struct {
	*course
	client *line
	from   caller // whom members see
	queue  string
	place  *acd.Place
	since  time.Time
	// offer is the callback instead of waiting, nil: none; keep orders it.
	offer *directory.CallbackOffer
	keep  func(context.Context) error
	// offered: the key works.
	offered atomic.Bool
	// operator is the member who took the call.
	operator *line
}

// enter puts a caller into the queue. The error is acd.ErrFull, acd.ErrEmpty or
// ctx's cause. What follows must end with wait or leave.
func (s *course) enter(ctx context.Context, client *line, from caller, q directory.Queue, priority int) (*waiter, error) {
	w := &waiter{course: s, client: client, from: from, queue: q.Name, since: time.Now()}
	if s.waited.queue == q.Name {
		w.since, s.waited.queue = s.waited.since, ""
	}
	var err error
	w.place, err = s.Queues.Join(ctx, q, acd.Caller{
		Account: s.account, Call: s.callID, Number: from.number, Name: from.name, Priority: priority, Since: w.since,
	})
	switch {
	case errors.Is(err, acd.ErrFull), errors.Is(err, acd.ErrEmpty):
		s.event(call.Event{Type: call.QueueLeft, Leg: client.ID(), Queue: q.Name, Reason: string(howLeft(err))})
		return nil, err
	case err != nil: // he has gone: he was never in it
		return nil, err
	}
	s.event(call.Event{Type: call.QueueJoined, Leg: client.ID(), Queue: q.Name, Position: w.place.Position()})
	return w, nil
}

// wait lets the caller hear music and what the queue announces until a member
// has answered, and leaves the queue.
func (w *waiter) wait(ctx context.Context) error {
	waiting := ctx
	if s := w.place.Settings().MaxWaitS; s > 0 {
		var cancel context.CancelFunc
		waiting, cancel = context.WithTimeoutCause(ctx, time.Duration(s)*time.Second, errWaitedTooLong)
		defer cancel()
	}
	_, err := first(waiting, w.serve, w.entertain, w.keys)
	if w.operator != nil {
		err = nil // whatever came in the same instant
	} else if cause := context.Cause(waiting); cause != nil {
		err = cause
	}
	w.leave(err)
	return err
}

// leave takes the caller out of the queue; err is why, nil: he was answered.
func (w *waiter) leave(err error) {
	how := howLeft(err)
	w.place.Leave(how)
	e := call.Event{
		Type: call.QueueLeft, Leg: w.client.ID(), Queue: w.queue, Reason: string(how), ElapsedMS: time.Since(w.since).Milliseconds(),
	}
	if w.operator != nil {
		e.Operator = w.operator.who()
	}
	w.event(e)
}

// howLeft names why a caller is not in the queue.
func howLeft(err error) acd.End {
	switch {
	case err == nil:
		return acd.Answered
	case errors.Is(err, acd.ErrFull):
		return acd.Full
	case errors.Is(err, acd.ErrEmpty):
		return acd.Empty
	case errors.Is(err, errWaitedTooLong):
		return acd.TimedOut
	case errors.Is(err, errWantsCallback):
		return acd.CallBack
	case errors.As(err, new(*telephony.HangupError)):
		return acd.Abandoned
	}
	return acd.Stopped
}

// serve rings members, whenever it is the caller's turn, until one answers.
func (w *waiter) serve(ctx context.Context) error {
	for {
		turn, err := w.place.Next(ctx)
		if err != nil {
			return err
		}
		w.operator, err = w.ringMembers(ctx, turn, w.from, time.Duration(w.place.Settings().RingS)*time.Second)
		if err != nil || w.operator != nil {
			return err
		}
	}
}

// ringMembers rings the members of a turn together and returns who answered,
// nil if nobody did. Whoever has let it ring too often is paused.
func (s *course) ringMembers(ctx context.Context, turn *acd.Turn, from caller, rings time.Duration) (*line, error) {
	outcomes := make(map[string]acd.Outcome)
	var targets []target
	for _, extension := range turn.Members {
		o, err := s.Operators.Operator(ctx, s.account, extension)
		if err != nil || o.Paused { // since the last look
			outcomes[extension] = acd.Refused
			continue
		}
		o.CallWaiting = false // a queue rings nobody who talks
		targets = append(targets, s.ringing(ctx, o, s.operatorLeg(), from, rings)...)
	}
	operator, all := s.dialTogether(ctx, targets, nil)
	var fault error
	for i, r := range all {
		extension := targets[i].who()
		switch outcome, told := outcomeOf(ctx, r, targets[i]); {
		case r.err == nil:
			outcomes[extension] = acd.Took
		case !told:
			fault = r.err
		case outcomes[extension] != acd.Took && outcomes[extension] != acd.Missed:
			outcomes[extension] = outcome
		}
	}
	tired := turn.Done(outcomes)
	if operator != nil {
		context.AfterFunc(operator.Context(), func() { turn.Free(operator.who()) })
		return operator, nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return nil, cause
	}
	for _, extension := range tired {
		s.pauseMember(ctx, extension)
	}
	return nil, fault
}

// outcomeOf is what came of one phone; told is false for a fault of ours.
func outcomeOf(ctx context.Context, r result[*line], t target) (o acd.Outcome, told bool) {
	e := (*telephony.DialError)(nil)
	switch {
	case ctx.Err() != nil, errors.Is(r.err, errAnsweredSecond), errors.Is(r.err, telephony.ErrElsewhere):
		return acd.Spared, true
	case !errors.As(r.err, &e):
		return acd.Spared, false
	case refusalOf(e, t.operator != "") == noAnswer:
		return acd.Missed, true
	}
	return acd.Refused, true
}

// pauseMember pauses who does not answer (auto_pause_after).
func (s *course) pauseMember(ctx context.Context, extension string) {
	reason := "paused: did not answer too often in a row"
	if s.Pauses == nil {
		return
	}
	if err := s.Pauses.SetPaused(ctx, s.account, extension, true); err != nil {
		s.log.ErrorContext(ctx, "a member who does not answer is not paused", "operator", extension, "err", err)
		reason = "is not paused: " + err.Error()
	}
	s.event(call.Event{Type: call.Note, Operator: extension, Reason: "operator " + extension + " " + reason})
}
