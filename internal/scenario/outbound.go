package scenario

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/speech/prompts"
	"github.com/perezvon/perezvon/internal/telephony"
)

// fromOperator is a call that an operator dials: to a colleague, to a queue, or
// outside.
func (a *arrival) fromOperator(ctx context.Context) error {
	defer func() { a.hangUp(a.caller) }()
	self := target{role: call.Client, operator: a.info.Operator}
	by, err := a.Operators.Operator(ctx, a.account, a.info.Operator)
	if err != nil {
		a.begin(call.Internal, a.info.Operator, self)
		a.caller.Refuse(403, "the operator is not known any more")
		return fmt.Errorf("%w: operator %s: %w", errForbidden, a.info.Operator, err)
	}
	if meant, ok := a.ringMeant(); ok {
		return a.pickUpOther(ctx, meant)
	}
	if a.dialsNoticeCode() {
		return a.ownNotice(ctx, by.Extension)
	}
	to, err := a.destination(ctx, by, a.info.To)
	if err == nil && to.number != "" {
		self.role = call.Operator // the call belongs to the client
		a.begin(call.Outbound, to.number, self)
	} else {
		a.begin(call.Internal, by.Extension, self)
	}
	waiting, _, free := a.whileOn(ctx, a.caller)
	defer free()
	return a.reachOut(ctx, waiting, by, to, err)
}

// reachOut brings an operator to where he has dialled; err is why that leads
// nowhere.
func (a *arrival) reachOut(ctx, waiting context.Context, by directory.Operator, to destination, err error) error {
	switch {
	case errors.Is(err, errForbidden):
		err = a.refuse(waiting, 403, promptRefusal, a.words(prompts.NumberForbidden), err)
	case err != nil:
		err = a.refuse(waiting, 404, promptRefusal, a.words(prompts.NumberUnknown), err)
	case to.queue != nil:
		if err = a.queueStep(waiting, ctx, directory.ToQueue{Name: to.queue.Name}); err == nil {
			a.caller.Refuse(480, errNobody.Error())
			err = errNobody
		}
	case to.colleague != nil:
		from := caller{number: by.Extension, name: by.Name}
		err = a.callOut(ctx, waiting, a.ringing(waiting, *to.colleague, a.operatorLeg(), from, colleagueRings))
	default:
		err = a.callOut(ctx, waiting, []target{outside(call.Client, "c1", to, by.CallerID, outsideRings)})
	}
	switch {
	case context.Cause(ctx) != nil:
		return context.Cause(ctx)
	case callerLeft(err):
		return fmt.Errorf("%w (%w)", errAbandoned, err)
	}
	return err
}

// callOut calls whom the operator has dialled, who hears the ringing or what
// the carrier says, and lets them talk.
func (a *arrival) callOut(ctx, waiting context.Context, targets []target) error {
	callee, err := a.dialFirst(waiting, targets, a.caller)
	if err != nil {
		if cause := context.Cause(waiting); cause != nil {
			return cause
		}
		if heard, left := a.notice(waiting, targets[0].operator, missedBy(err)); heard || left != nil {
			return cmp.Or(left, err)
		}
		return a.unanswered(waiting, err)
	}
	if err := a.pickUp(waiting); err != nil {
		a.hangUp(callee)
		return err
	}
	callee.Record(a.track(callee.ID(), callee.role))
	client, operator := a.caller, callee
	if callee.role == call.Client {
		client, operator = callee, a.caller
	}
	last, why := a.converse(ctx, client, operator)
	a.hangUp(client)
	a.hangUp(last)
	if errors.As(why, new(*telephony.HangupError)) {
		return errTalked
	}
	return why
}

// unanswered tells the operator why nobody picked up.
func (a *arrival) unanswered(ctx context.Context, err error) error {
	u := (*unreached)(nil)
	if !errors.As(err, &u) {
		return a.refuse(ctx, 503, promptRefusal, a.words(prompts.NotAvailable), err)
	}
	code, words := u.last.Code, prompts.NotAvailable
	switch refusalOf(u.last, u.operator) {
	case busy:
		code, words = 486, prompts.NumberBusy
	case unknown:
		code, words = 404, prompts.NumberUnknown
	case declined:
		words = prompts.NumberBusy
	}
	return a.refuse(ctx, code, promptRefusal, a.words(words), err)
}

// serveAgain takes up the call of somebody who waited when the process before
// this one died; queue is where, "": he heard something, or phones rang for him.
// He is taken along his route, or to where he has dialled, as if he called now.
func (a *arrival) serveAgain(ctx context.Context, queue string) error {
	waiting, _, free := a.whileOn(ctx, a.caller)
	defer free()
	if a.info.Operator == "" {
		return a.route(ctx, waiting, a.caller.number, queue)
	}
	by, err := a.Operators.Operator(ctx, a.account, a.info.Operator)
	if err != nil || a.dialsNoticeCode() {
		return errors.Join(errLeft, err)
	}
	to, err := a.destination(ctx, by, a.info.To)
	if err == nil && to.number != "" {
		return errLeft // it would be called twice
	}
	return a.reachOut(ctx, waiting, by, to, err)
}
