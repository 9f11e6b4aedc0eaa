package sipengine

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/sipengine/digestauth"
)

const (
	// triesMax bounds the INVITEs of one attempt: challenges, redirections and
	// longer session intervals together.
	triesMax = 8
	// finalWait is how long a cancelled INVITE is waited for (RFC 3261 §9.1).
	finalWait = 64 * sipT1
)

// sipT1 and sipT2 are the constants of retransmission (RFC 3261 §17.1.1.1).
const (
	sipT1 = 500 * time.Millisecond
	sipT2 = 4 * time.Second
)

// errNoAnswer is the cause when it has rung long enough.
var errNoAnswer = errors.New("nobody answered in time")

// attempt calls one phone or trunk: an INVITE, those that follow from its
// refusal, and all their answers.
type attempt struct {
	e         *Engine
	leg       *leg
	req       *sip.Request // the INVITE, as sent last
	login     login
	behindNAT bool
	trunk     string
	progress  func(telephony.Progress)

	phase telephony.Phase
	early string // To tag whose description is in force before the answer
	given bool   // up, and seen to in the background

	mu   sync.Mutex
	acks map[string]*sip.Request // the ACK of each 2xx, by its To tag
}

// run calls until somebody answers, which returns nil, or the call has failed.
// It gives up when ctx ends; the far end never rings on.
func (a *attempt) run(ctx context.Context) *telephony.DialError {
	a.phase, a.acks = telephony.PhaseTrying, make(map[string]*sip.Request)
	failure := a.invite(ctx)
	if !a.given {
		a.forget()
	}
	return failure
}

func (a *attempt) invite(ctx context.Context) *telephony.DialError {
	for range triesMax {
		res, failure := a.send(ctx)
		switch {
		case failure != nil:
			return failure
		case res.IsSuccess():
			return a.accepted(res)
		}
		next := a.another(res)
		if next == nil {
			return a.refused(res)
		}
		a.req = next
	}
	return a.fail(sip.StatusLoopDetected, "Too many challenges and redirections", nil)
}

// another is the INVITE to be sent after a refusal that leaves hope, or nil.
func (a *attempt) another(res *sip.Response) *sip.Request {
	switch {
	case challenged(res) && a.login.username != "":
		fresh, err := digestauth.Authorize(a.req, res, a.login.username, a.login.password)
		if err != nil {
			a.leg.log.Warn("a challenge could not be met", "trunk", a.trunk, "err", err)
			return nil
		}
		return fresh
	case res.StatusCode == statusIntervalTooSmall:
		return a.longer(res)
	case res.IsRedirection():
		return a.redirected(res)
	}
	return nil
}

// statusIntervalTooSmall: RFC 4028 §6.
const statusIntervalTooSmall = 422

// longer offers the session interval that a 422 asks for (RFC 4028 §7.4).
func (a *attempt) longer(res *sip.Response) *sip.Request {
	least, ok := seconds(header(res, "Min-SE"))
	offered, _ := seconds(header(a.req, "Session-Expires", "x"))
	if !ok || least <= offered {
		return nil
	}
	fresh := again(a.req)
	fresh.RemoveHeader("Session-Expires")
	fresh.RemoveHeader("Min-SE")
	s := strconv.Itoa(int(least / time.Second))
	fresh.AppendHeader(sip.NewHeader("Session-Expires", s))
	fresh.AppendHeader(sip.NewHeader("Min-SE", s))
	return fresh
}

// redirected follows a 3xx (RFC 3261 §8.1.3.4), as far as it is safe: the
// first Contact, and only within the host that was called, so that a far end
// can name another subscriber but not make us call anywhere in the world. The
// way stays the same; triesMax bounds the chain.
func (a *attempt) redirected(res *sip.Response) *sip.Request {
	for _, h := range res.GetHeaders("Contact") {
		c, ok := h.(*sip.ContactHeader)
		if !ok || c.Address.Host != a.req.Recipient.Host || c.Address.User == a.req.Recipient.User {
			continue
		}
		fresh := again(a.req)
		fresh.Recipient = *c.Address.Clone()
		fresh.Recipient.Headers = nil
		a.leg.log.Info("call redirected", "trunk", a.trunk, "to", fresh.Recipient.User)
		return fresh
	}
	return nil
}

// again is a copy of an INVITE as a new transaction.
func again(req *sip.Request) *sip.Request {
	fresh := req.Clone()
	fresh.CSeq().SeqNo++
	fresh.Via().Params.Add("branch", sip.GenerateBranchN(16))
	return fresh
}

// send sends the INVITE and waits for its final response.
func (a *attempt) send(ctx context.Context) (*sip.Response, *telephony.DialError) {
	req := a.req
	a.keep()
	tx, err := a.e.begin(ctx, req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, a.gaveUp(context.Cause(ctx))
		}
		return nil, a.fail(sip.StatusServiceUnavailable, "Transport Failure", err)
	}
	tx.OnRetransmission(a.onMore)
	trying := time.NewTimer(a.e.cfg.TryingTimeout)
	defer trying.Stop()
	heard := false
	for {
		select {
		case res := <-tx.Responses():
			if res.To() == nil {
				continue // nothing that could be acted on
			}
			if !res.IsProvisional() {
				return res, nil
			}
			heard = true
			trying.Stop()
			a.provisional(res)
		case <-tx.Done():
			code := sip.StatusServiceUnavailable
			err := outcome(tx)
			if errors.Is(err, sip.ErrTransactionTimeout) {
				code = sip.StatusRequestTimeout
			}
			return nil, a.fail(code, "No Response", err)
		case <-trying.C:
			a.abandon(tx, req, heard, nil)
			return nil, a.fail(sip.StatusRequestTimeout, "No Response", errNoAnswer)
		case <-ctx.Done():
			a.abandon(tx, req, heard, context.Cause(ctx))
			return nil, a.gaveUp(context.Cause(ctx))
		}
	}
}

// provisional takes a 1xx.
func (a *attempt) provisional(res *sip.Response) {
	if res.StatusCode == sip.StatusTrying {
		return
	}
	p := telephony.Progress{Code: res.StatusCode, Ringing: res.StatusCode == sip.StatusRinging}
	a.leg.ringing(dialogID{a.req.CallID().Value(), tag(a.req.From().Params), tag(res.To().Params)})
	a.e.changes.tell(a.leg.operator)
	if body := sdpOf(res); body != nil {
		t := tag(res.To().Params)
		switch {
		case a.early == t && t != "":
			p.EarlyMedia = true // said again
		case a.early == "":
			if err := a.leg.accept(body); err != nil {
				a.leg.log.Warn("early media not understood", "trunk", a.trunk, "err", err)
				break
			}
			a.early, p.EarlyMedia = t, true
		}
	}
	if p.Ringing {
		a.phase = telephony.PhaseRinging
	} else if a.phase == telephony.PhaseTrying {
		a.phase = telephony.PhaseProgress
	}
	a.progress(p)
}

// accepted takes the first 2xx.
func (a *attempt) accepted(res *sip.Response) *telephony.DialError {
	d, ack := a.established(res)
	err := a.leg.accept(sdpOf(res))
	if errors.Is(err, errNoDescription) && a.early != "" && a.early == d.id.remote {
		err = nil // it said so in a 1xx
	}
	// The dialog stands before the ACK is out: a far end that presses a key or
	// hangs up in the instant of the ACK must be known by then.
	stands := err == nil && a.leg.begin(d)
	a.acknowledge(d, ack)
	if err != nil {
		a.e.tasks.Run(func() { a.leg.bye(d) })
		return a.fail(sip.StatusNotAcceptableHere, "Not Acceptable Here", err)
	}
	if !stands {
		a.e.tasks.Run(func() { a.leg.bye(d) })
		return a.gaveUp(context.Cause(a.leg.ctx))
	}
	a.leg.startTimer(res, true)
	return nil
}

// established makes the dialog of a 2xx and the ACK to it (RFC 3261 §13.2.2.4).
func (a *attempt) established(res *sip.Response) (d *dialog, ack *sip.Request) {
	req := a.req
	d = a.e.dialogFromResponse(req, res, a.login)
	d.behindNAT, d.trunk = a.behindNAT, a.trunk
	d.keep()
	ack = d.numbered(sip.ACK, req.CSeq().SeqNo)
	for _, name := range []string{"Authorization", "Proxy-Authorization"} {
		for _, h := range req.GetHeaders(name) {
			ack.AppendHeader(sip.HeaderClone(h)) // RFC 3261 §22.1
		}
	}
	return d, ack
}

// acknowledge sends the ACK and keeps it, for when the 2xx comes again.
func (a *attempt) acknowledge(d *dialog, ack *sip.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.acks[d.id.remote] = ack
	a.e.write(ack)
}

// onMore takes each 2xx after the first: the same again is acknowledged again;
// that of another phone which the INVITE reached as well (RFC 3261 §13.2.2.4)
// is acknowledged and hung up.
func (a *attempt) onMore(res *sip.Response) {
	if res.To() == nil {
		return
	}
	a.mu.Lock()
	ack, known := a.acks[tag(res.To().Params)]
	if known {
		a.e.write(ack)
	}
	a.mu.Unlock()
	if !known {
		a.hangUp(res)
	}
}

// hangUp ends a call that was answered against our wish.
func (a *attempt) hangUp(res *sip.Response) {
	d, ack := a.established(res)
	a.acknowledge(d, ack)
	a.e.tasks.Run(func() { a.leg.bye(d) })
}

// abandon sees to it that a call given up does not ring on, in the background:
// it is cancelled as soon as the far end has shown that it is there (RFC 3261
// §9.1: not before its first provisional response), and if it answers all the
// same it is hung up.
func (a *attempt) abandon(tx sip.ClientTransaction, req *sip.Request, heard bool, cause error) {
	a.given = a.e.tasks.Run(func() { a.reap(tx, req, heard, cause) })
	if !a.given {
		tx.Terminate()
	}
}

func (a *attempt) reap(tx sip.ClientTransaction, req *sip.Request, heard bool, cause error) {
	defer a.forget()
	limit := time.NewTimer(finalWait)
	defer limit.Stop()
	cancel := func() {
		if _, err := a.e.transact(context.Background(), a.e.cancelOf(req, cause)); err != nil {
			a.leg.log.Warn("a CANCEL was not answered", "trunk", a.trunk, "err", err)
		}
	}
	if heard {
		a.e.tasks.Run(cancel)
	}
	for {
		select {
		case res := <-tx.Responses():
			switch {
			case res.IsProvisional():
				if !heard {
					heard = true
					limit.Reset(finalWait)
					a.e.tasks.Run(cancel)
				}
				continue
			case res.IsSuccess():
				a.hangUp(res)
			}
			return
		case <-tx.Done():
			return
		case <-a.e.gone:
			return
		case <-limit.C:
			tx.Terminate()
			return
		}
	}
}

// cancelOf is the CANCEL of an INVITE (RFC 3261 §9.1).
func (e *Engine) cancelOf(invite *sip.Request, cause error) *sip.Request {
	req := likeness(invite, sip.CANCEL, invite.To())
	switch {
	case errors.Is(cause, telephony.ErrElsewhere):
		// So that the phone does not count a missed call (RFC 3326 §2).
		req.AppendHeader(sip.NewHeader("Reason", `SIP;cause=200;text="Call completed elsewhere"`))
	case errors.Is(cause, errRestarted):
		req.AppendHeader(sip.NewHeader("Reason", restarted))
	}
	e.prepare(req, hop{transport: invite.Transport(), addr: invite.Destination()})
	return req
}

// likeness is a request of the same hop as an INVITE, and matched by it: a
// CANCEL, the ACK of a refusal (RFC 3261 §9.1, §17.1.1.3). It has the INVITE's
// Request-URI, topmost Via, headers of identity and route.
func likeness(invite *sip.Request, method sip.RequestMethod, called *sip.ToHeader) *sip.Request {
	req := sip.NewRequest(method, *invite.Recipient.Clone())
	req.AppendHeader(invite.Via().Clone())
	sip.CopyHeaders("Route", invite, req)
	from, to := cloneFrom(invite.From()), cloneTo(called)
	callID := *invite.CallID()
	req.AppendHeader(&from)
	req.AppendHeader(&to)
	req.AppendHeader(&callID)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: invite.CSeq().SeqNo, MethodName: method})
	return req
}

// refused is the error of a final response.
func (a *attempt) refused(res *sip.Response) *telephony.DialError {
	why := reasonOf(res)
	err := a.fail(res.StatusCode, res.Reason, nil)
	err.Q850 = why.q850
	if why.text != "" && err.Reason == "" {
		err.Reason = why.text
	}
	return err
}

// gaveUp is the error of a call that we ended ourselves.
func (a *attempt) gaveUp(cause error) *telephony.DialError {
	if errors.Is(cause, errNoAnswer) {
		return a.fail(sip.StatusRequestTimeout, "No Answer", cause)
	}
	return a.fail(sip.StatusRequestTerminated, "Given Up", cause)
}

func (a *attempt) fail(code int, words string, err error) *telephony.DialError {
	return &telephony.DialError{Code: code, Reason: words, Trunk: a.trunk, Phase: a.phase, Err: err}
}

// onStrayResponse takes responses that no transaction waits for any more. A 2xx
// among them is a phone that thinks it is in a call with us: it is told
// otherwise.
func (e *Engine) onStrayResponse(res *sip.Response) {
	cseq, from, to, callID := res.CSeq(), res.From(), res.To(), res.CallID()
	if cseq != nil && callID != nil && cseq.MethodName == sip.INVITE {
		if o := e.orphan(callID.Value()); o != nil {
			o.take(res)
			return
		}
	}
	if !res.IsSuccess() || cseq == nil || cseq.MethodName != sip.INVITE || from == nil || to == nil || callID == nil {
		return
	}
	id := dialogID{callID.Value(), tag(from.Params), tag(to.Params)}
	if e.find(id) != nil || !e.isTrunk(source(res.Source())) {
		return // the same again after 32 s; or a stranger's invention
	}
	e.log.Warn("an answer to a call given up long ago is hung up", "sip", callID.Value())
	invite := sip.NewRequest(sip.INVITE, to.Address)
	invite.AppendHeader(from)
	invite.AppendHeader(callID)
	invite.AppendHeader(cseq)
	invite.SetTransport(res.Transport())
	d := e.dialogFromResponse(invite, res, login{})
	e.write(d.numbered(sip.ACK, cseq.SeqNo))
	e.tasks.Run(func() {
		if _, err := d.send(context.Background(), d.request(sip.BYE)); err != nil {
			e.log.Warn("a BYE was not answered", "sip", callID.Value(), "err", fmt.Errorf("stray call: %w", err))
		}
	})
}
