package sipengine

import (
	"context"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/perezvon/perezvon/internal/telephony"
)

// part takes leave of the far end, in the background. The dialog stays until it
// knows: its ACK may be on its way.
func (l *leg) part(d *dialog) {
	l.e.tasks.Run(func() {
		l.bye(d)
		l.e.forgetDialog(d)
	})
}

// bye tells the far end that the call is over (RFC 3261 §15.1.1). Whom we
// answered and who has not acknowledged yet must not get a BYE before its ACK
// (§15), so that is waited for.
func (l *leg) bye(d *dialog) {
	defer d.drop()
	l.awaitAcks(d)
	l.awaitTold()
	ctx, cancel := context.WithTimeout(context.Background(), finalWait)
	defer cancel()
	res, err := d.send(ctx, d.request(sip.BYE))
	switch {
	case err != nil:
		l.log.Warn("a BYE was not answered", "err", err)
	case res.StatusCode >= 300 && res.StatusCode != sip.StatusCallTransactionDoesNotExists:
		l.log.Warn("a BYE was refused", "code", res.StatusCode)
	}
}

// awaitAcks waits until the far end has acknowledged our 2xx to its INVITEs in
// the dialog, or can do so no more.
func (l *leg) awaitAcks(d *dialog) {
	l.mu.Lock()
	var open []*unacked
	for _, u := range l.acks {
		if l.dialog == d {
			open = append(open, u)
		}
	}
	l.mu.Unlock()
	limit := time.NewTimer(finalWait)
	defer limit.Stop()
	for _, u := range open {
		select {
		case <-u.done:
		case <-l.e.gone:
			return
		case <-limit.C:
			return
		}
	}
}

// onBye takes the far end's BYE (RFC 3261 §15.1.2).
func (l *leg) onBye(req *sip.Request, tx sip.ServerTransaction) {
	l.e.respond(tx, l.reply(req, sip.StatusOK, "OK"))
	if l.in != nil {
		// A caller may end its early dialog that way (RFC 3261 §15).
		_, _ = l.in.final(l.reply(l.in.req, sip.StatusRequestTerminated, "Request Terminated"))
	}
	why := reasonOf(req)
	l.end(&telephony.HangupError{Leg: l.id, By: telephony.ByFar, Q850: why.q850, Reason: why.words("BYE")})
}
