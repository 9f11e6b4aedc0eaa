package sipengine

import (
	"context"
	"errors"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/perezvon/perezvon/internal/telephony"
)

// unacked is a 2xx of ours that waits for its ACK.
type unacked struct {
	done chan struct{} // closed when it came, or never will
	// take is given the ACK of a 2xx that carried an offer: the answer is in
	// it. nil: nothing is expected in it.
	take func(ack *sip.Request)
}

// Answer picks up an inbound leg: its sound flows and 200 has been sent when it
// returns. A caller that offered nothing is answered with an offer of ours, and
// the leg is answered when it has taken that up. A call without a codec in
// common is refused with 488.
func (l *leg) Answer(ctx context.Context) error {
	if err := context.Cause(l.ctx); err != nil {
		return err
	}
	if l.in == nil || l.answered() {
		return nil
	}
	req := l.in.req
	res := l.reply(req, sip.StatusOK, "OK")
	u := &unacked{done: make(chan struct{})}
	offer := sdpOf(req)
	var body []byte
	if offer != nil {
		var err error
		if body, err = l.answer(offer); err != nil {
			l.log.Warn("a call in cannot be spoken with", "err", err)
			l.in.refuse(l, sip.StatusNotAcceptableHere, "")
			return err
		}
	} else {
		body = l.offer()
		u.take = l.takeAnswer
	}
	setSDP(res, body)
	l.agreeTimer(req, res)
	l.expectAck(req.CSeq().SeqNo, u)

	switch sent, err := l.in.final(res); {
	case errors.Is(err, errCancelled):
		l.end(&telephony.HangupError{Leg: l.id, By: telephony.ByFar, Code: sip.StatusRequestTerminated, Reason: "CANCEL"})
		return context.Cause(l.ctx)
	case err != nil:
		l.end(&telephony.HangupError{Leg: l.id, By: telephony.ByNetwork, Reason: "the answer could not be sent"})
		return context.Cause(l.ctx)
	case !sent: // refused by another goroutine
		<-l.ctx.Done()
		return context.Cause(l.ctx)
	}
	l.resend(l.in.tx, res, req.CSeq().SeqNo, u)
	if !l.begin(l.dialog) {
		// Hung up in the moment of the answer, which has gone out.
		l.e.enterDialog(l, l.dialog)
		l.part(l.dialog)
		return context.Cause(l.ctx)
	}
	l.startTimer(res, false)
	l.log.Info("answered", "codec", l.Info().Codec)
	if offer != nil {
		return nil
	}
	return l.during(ctx, func(ctx context.Context) error {
		select {
		case <-u.done:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
}

// takeAnswer takes the answer to our offer from an ACK (RFC 3261 §13.2.2.4).
func (l *leg) takeAnswer(ack *sip.Request) {
	if err := l.accept(sdpOf(ack)); err != nil {
		l.log.Warn("the answer in an ACK is of no use", "err", err)
		l.e.tasks.Run(func() {
			l.end(&telephony.HangupError{Leg: l.id, By: telephony.ByNetwork, Reason: "no common codec"})
		})
	}
}

// expectAck notes a 2xx that is about to be sent.
func (l *leg) expectAck(cseq uint32, u *unacked) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acks[cseq] = u
}

// forgetAck ends what expectAck began; false if it has been ended.
func (l *leg) forgetAck(cseq uint32) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, open := l.acks[cseq]
	delete(l.acks, cseq)
	return open
}

// onAck takes an ACK; it belongs to the INVITE with its CSeq, not to the last.
func (l *leg) onAck(ack *sip.Request) {
	l.mu.Lock()
	u := l.acks[ack.CSeq().SeqNo]
	delete(l.acks, ack.CSeq().SeqNo)
	l.mu.Unlock()
	if u == nil {
		return // the same again
	}
	if u.take != nil {
		u.take(ack)
	}
	close(u.done)
}

// resend repeats a 2xx until it is acknowledged (RFC 3261 §13.3.1.4), which
// transactions do not do, over TCP as well. A far end that never does has a
// call we cannot count on: it is ended with BYE.
func (l *leg) resend(tx *sip.ServerTx, res *sip.Response, cseq uint32, u *unacked) {
	l.e.tasks.Run(func() {
		interval := sipT1
		again := time.NewTimer(interval)
		defer again.Stop()
		limit := time.NewTimer(64 * sipT1)
		defer limit.Stop()
		for {
			select {
			case <-u.done:
				return
			case <-l.e.gone:
				return
			case ack := <-tx.Acks(): // in the INVITE's own transaction: wrong, and seen
				l.onAck(ack)
			case <-again.C:
				l.e.respond(tx, res)
				interval = min(2*interval, sipT2)
				again.Reset(interval)
			case <-limit.C:
				if !l.forgetAck(cseq) {
					return
				}
				close(u.done)
				l.end(&telephony.HangupError{Leg: l.id, By: telephony.ByNetwork, Reason: "the answer was not acknowledged"})
				return
			}
		}
	})
}
