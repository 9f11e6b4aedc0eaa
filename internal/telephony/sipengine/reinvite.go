package sipengine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/sipengine/digestauth"
)

// ackWait is how long a re-INVITE waits for the ACK before it, which may have
// been handed over after it.
const ackWait = 4 * gapWait

// onReinvite takes an INVITE inside the dialog: hold and resume, another
// address, another codec, or only a sign of life (RFC 3261 §14.2).
func (l *leg) onReinvite(req *sip.Request, tx *sip.ServerTx) {
	l.awaitAck()
	if res := l.notNow(req); res != nil {
		l.e.respond(tx, res)
		return
	}
	res := l.reply(req, sip.StatusOK, "OK")
	u := &unacked{done: make(chan struct{})}
	if offer := sdpOf(req); offer != nil {
		body, err := l.answer(offer)
		if err != nil {
			l.log.Warn("a change of the call is refused", "err", err)
			l.e.refuse(req, tx, sip.StatusNotAcceptableHere, "Not Acceptable Here")
			return
		}
		setSDP(res, body)
	} else {
		setSDP(res, l.offer())
		u.take = l.takeAnswer
	}
	l.dialog.refresh(req)
	l.agreeTimer(req, res)
	l.expectAck(req.CSeq().SeqNo, u)
	l.e.respond(tx, res)
	l.startTimer(res, false)
	l.resend(tx, res, req.CSeq().SeqNo, u)
	l.log.Info("call changed by the far end", "held", l.onHold())
}

// onUpdate takes an UPDATE (RFC 3311): the same without an ACK, and mostly
// without a description, as a sign of life.
func (l *leg) onUpdate(req *sip.Request, tx *sip.ServerTx) {
	l.awaitAck()
	if res := l.notNow(req); res != nil {
		l.e.respond(tx, res)
		return
	}
	res := l.reply(req, sip.StatusOK, "OK")
	if offer := sdpOf(req); offer != nil {
		body, err := l.answer(offer)
		if err != nil {
			l.e.refuse(req, tx, sip.StatusNotAcceptableHere, "Not Acceptable Here")
			return
		}
		setSDP(res, body)
	}
	l.dialog.refresh(req)
	l.agreeTimer(req, res)
	l.e.respond(tx, res)
	l.startTimer(res, false)
}

// notNow is why a change of the call cannot be taken, nil if it can.
func (l *leg) notNow(req *sip.Request) *sip.Response {
	l.mu.Lock()
	inviting, open, early := l.inviting, len(l.acks) > 0, l.since.IsZero()
	l.mu.Unlock()
	changes := req.IsInvite() || sdpOf(req) != nil
	switch {
	case inviting && changes: // glare (RFC 3261 §14.2, RFC 3311 §5.2)
		return sip.NewResponseFromRequest(req, sip.StatusRequestPending, "Request Pending", nil)
	case open && changes || early:
		res := sip.NewResponseFromRequest(req, sip.StatusInternalServerError, "Not Yet", nil)
		res.AppendHeader(sip.NewHeader("Retry-After", "1"))
		return res
	}
	if res := badExtension(req); res != nil {
		return res
	}
	return l.e.tooBrief(req)
}

// awaitAck lets an ACK that came together with a change of the call go first.
func (l *leg) awaitAck() {
	l.mu.Lock()
	var open []*unacked
	for _, u := range l.acks {
		open = append(open, u)
	}
	l.mu.Unlock()
	limit := time.NewTimer(ackWait)
	defer limit.Stop()
	for _, u := range open {
		select {
		case <-u.done:
		case <-limit.C:
			return
		}
	}
}

// sendRefresh repeats the session for its timer and returns how the leg ended,
// nil if it lives.
func (l *leg) sendRefresh(d *dialog) *telephony.HangupError {
	ctx, cancel := context.WithTimeout(l.ctx, finalWait)
	defer cancel()
	d.mu.Lock()
	update := d.canUpdate
	d.mu.Unlock()
	var res *sip.Response
	var err error
	if update {
		req := d.request(sip.UPDATE)
		l.offerTimer(req)
		res, err = d.send(ctx, req)
	} else {
		res, err = l.reinvite(ctx, d)
	}
	lost := func(why string) *telephony.HangupError {
		return &telephony.HangupError{Leg: l.id, By: telephony.ByNetwork, Reason: why}
	}
	switch {
	case l.ctx.Err() != nil:
		return nil
	case err != nil:
		return lost("the far end did not answer a sign of life")
	case res.IsSuccess():
		d.refresh(res)
		l.startTimer(res, true)
	case res.StatusCode == sip.StatusCallTransactionDoesNotExists, res.StatusCode == sip.StatusRequestTimeout:
		// RFC 3261 §12.2.1.2: the far end knows nothing of the call.
		return lost(fmt.Sprintf("the far end knows the call no more (%d)", res.StatusCode))
	case res.StatusCode == sip.StatusRequestPending:
		l.retryRefresh()
	case res.StatusCode == statusIntervalTooSmall:
		if least, ok := seconds(header(res, "Min-SE")); ok {
			l.mu.Lock()
			l.timer.interval = max(l.timer.interval, least)
			l.mu.Unlock()
		}
		l.retryRefresh()
	case update:
		d.mu.Lock()
		d.canUpdate = false // it said so and cannot
		d.mu.Unlock()
		l.retryRefresh()
	default:
		l.log.Warn("a sign of life was refused", "code", res.StatusCode)
		l.mu.Lock()
		l.restartTimer()
		l.mu.Unlock()
	}
	return nil
}

// retryRefresh tries again after glare: who made the Call-ID waits longer (RFC
// 3261 §14.1).
func (l *leg) retryRefresh() {
	wait := rand.N(2 * time.Second)
	if l.in == nil {
		wait = 2100*time.Millisecond + rand.N(1900*time.Millisecond)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.timer.stop()
		l.timer.timer = time.AfterFunc(wait, func() { l.e.tasks.Run(l.refresh) })
	}
}

// reinvite sends an INVITE inside the dialog with the description in force,
// and returns its final response, acknowledged.
func (l *leg) reinvite(ctx context.Context, d *dialog) (*sip.Response, error) {
	req := d.request(sip.INVITE)
	req.AppendHeader(sip.NewHeader("Allow", allowed(l.operator)))
	l.offerTimer(req)
	setSDP(req, l.offer())
	for tries := 0; ; tries++ {
		res, err := l.inviteOnce(ctx, d, req)
		if err != nil || !challenged(res) || tries > 0 || d.login.username == "" {
			return res, err
		}
		fresh, err := digestauth.Authorize(req, res, d.login.username, d.login.password)
		if err != nil {
			return res, nil //nolint:nilerr // a challenge that cannot be met is the answer
		}
		fresh.CSeq().SeqNo = d.nextSeq(0)
		req = fresh
	}
}

func (l *leg) inviteOnce(ctx context.Context, d *dialog, req *sip.Request) (*sip.Response, error) {
	tx, err := l.e.begin(ctx, req)
	if err != nil {
		return nil, err
	}
	for {
		select {
		case res := <-tx.Responses():
			if res.IsProvisional() {
				continue
			}
			if !res.IsSuccess() {
				return res, nil
			}
			d.refresh(res)
			ack := d.numbered(sip.ACK, req.CSeq().SeqNo)
			l.e.write(ack)
			tx.OnRetransmission(func(*sip.Response) { l.e.write(ack.Clone()) })
			if err := l.accept(sdpOf(res)); err != nil && !errors.Is(err, errNoDescription) {
				l.log.Warn("the answer to a sign of life is of no use", "err", err)
			}
			return res, nil
		case <-tx.Done():
			return nil, outcome(tx)
		case <-ctx.Done():
			tx.Terminate()
			return nil, context.Cause(ctx)
		}
	}
}
