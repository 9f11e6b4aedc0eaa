package sipengine

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/emiago/sipgo/sip"

	"github.com/perezvon/perezvon/internal/telephony/sipengine/trunk"
)

// onRequest takes every request from the transaction layer, in a goroutine of
// its own. When it returns the transaction is over.
func (e *Engine) onRequest(req *sip.Request, tx *sip.ServerTx) {
	// The transaction ends where nothing final was said, and is otherwise kept
	// for retransmissions.
	defer tx.TerminateGracefully()
	if !e.tasks.Begin() {
		return
	}
	defer e.tasks.End()
	if req.From() == nil || req.To() == nil || req.CallID() == nil || req.CSeq() == nil || req.Via() == nil ||
		req.CSeq().MethodName != req.Method || tag(req.From().Params) == "" {
		e.refuse(req, tx, sip.StatusBadRequest, "Bad Request")
		return
	}
	switch {
	case tag(req.To().Params) != "":
		e.inDialog(req, tx)
	case req.IsAck():
		// Of a refusal whose transaction is gone (TCP): nothing to do.
	case req.IsCancel():
		e.refuse(req, tx, sip.StatusCallTransactionDoesNotExists, "Call/Transaction Does Not Exist")
	default:
		e.outOfDialog(req, tx)
	}
}

// caller is who sent a request, proven.
type caller struct {
	trunk    *trunk.Trunk
	operator string
	source   netip.AddrPort
}

// admit finds out who sent a request: a trunk by its address or by digest, an
// operator by digest. Others get a challenge and, after a few, silence: ok is false and
// the request has been answered as far as it will be.
func (e *Engine) admit(req *sip.Request, tx *sip.ServerTx) (c caller, ok bool) {
	c.source = source(req.Source())
	if t := e.trunks.MatchSource(c.source); t != nil && (t.At(c.source) || !e.fromPhone(req, c.source)) {
		// Several accounts at one carrier share its addresses: the called
		// user, which is what we registered, tells them apart.
		if by := e.trunks.MatchUser(req.Recipient.User); by != nil && by.Host == t.Host {
			t = by
		}
		c.trunk = t
		return c, true
	}
	user, challenge, ok := e.auth.Authenticate(e.life, req, c.source)
	if !ok {
		if challenge != nil {
			e.respond(tx, challenge)
		}
		return c, false
	}
	if t := e.trunks.MatchUser(user); t != nil {
		// An operator of that name goes first, as with the password.
		if _, err := e.cfg.Directory.Operator(e.life, user); err != nil {
			c.trunk = t
			return c, true
		}
	}
	c.operator = user
	return c, true
}

// fromPhone tells that a request is a phone's although it comes from a trunk's
// host: an office may have its exchange and its phones behind one address.
func (e *Engine) fromPhone(req *sip.Request, source netip.AddrPort) bool {
	return req.Method == sip.REGISTER || req.GetHeader("Authorization") != nil || e.phones.At(source)
}

// outOfDialog takes a request that begins something.
func (e *Engine) outOfDialog(req *sip.Request, tx *sip.ServerTx) {
	c, ok := e.admit(req, tx)
	if !ok {
		return
	}
	switch req.Method {
	case sip.INVITE:
		e.onInvite(req, tx, c)
	case sip.REGISTER:
		if c.operator == "" {
			e.refuse(req, tx, sip.StatusForbidden, "Forbidden")
			return
		}
		if err := e.phones.Handle(e.life, req, tx, c.operator, c.source); err != nil {
			e.log.Warn("a REGISTER could not be answered", "operator", c.operator, "err", err)
		}
	case sip.OPTIONS:
		// What an INVITE would get (RFC 3261 §11.2).
		e.respond(tx, e.capabilities(req, c.operator))
	case sip.BYE, sip.INFO, sip.UPDATE, sip.PRACK:
		e.refuse(req, tx, sip.StatusCallTransactionDoesNotExists, "Call/Transaction Does Not Exist")
	case sip.REFER:
		// Calls are not begun by REFER outside a dialog (RFC 3515 allows it).
		e.refuse(req, tx, sip.StatusForbidden, "Only In A Call")
	case sip.SUBSCRIBE:
		e.onSubscribe(req, tx, c)
	case sip.NOTIFY, sip.MESSAGE, sip.PUBLISH:
		e.refuse(req, tx, sip.StatusMethodNotAllowed, "Method Not Allowed")
	default:
		e.refuse(req, tx, sip.StatusNotImplemented, "Not Implemented")
	}
}

// capabilities answers OPTIONS (RFC 3261 §11.2).
func (e *Engine) capabilities(req *sip.Request, operator string) *sip.Response {
	res := sip.NewResponseFromRequest(req, sip.StatusOK, "OK", nil)
	res.AppendHeader(sip.NewHeader("Allow", allowed(operator)))
	res.AppendHeader(sip.NewHeader("Supported", supports(operator)))
	res.AppendHeader(sip.NewHeader("Accept", sdpType))
	return res
}

// refuse answers a request with a refusal. An ACK is never answered.
func (e *Engine) refuse(req *sip.Request, tx sip.ServerTransaction, code int, words string) {
	if req.IsAck() {
		return
	}
	res := sip.NewResponseFromRequest(req, code, words, nil)
	if code == sip.StatusMethodNotAllowed {
		res.AppendHeader(sip.NewHeader("Allow", allow))
	}
	e.respond(tx, res)
}

func (e *Engine) respond(tx sip.ServerTransaction, res *sip.Response) {
	if err := tx.Respond(res); err != nil {
		e.log.Debug("a response could not be sent", "code", res.StatusCode, "err", err)
	}
}

// badExtension is the 420 for an option that is required and not known here
// (RFC 3261 §8.2.2.3), nil if there is none. 100rel is not: nothing we do
// rests on a provisional response.
func badExtension(req *sip.Request) *sip.Response {
	var unknown []string
	for _, option := range tokens(req, "Require") {
		if !slices.ContainsFunc(strings.Split(supportedOperator, ", "), func(known string) bool { return strings.EqualFold(option, known) }) {
			unknown = append(unknown, option)
		}
	}
	if unknown == nil {
		return nil
	}
	res := sip.NewResponseFromRequest(req, sip.StatusBadExtension, "Bad Extension", nil)
	res.AppendHeader(sip.NewHeader("Unsupported", strings.Join(unknown, ", ")))
	return res
}
