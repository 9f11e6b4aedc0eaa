package sipengine

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/emiago/sipgo/sip"

	"github.com/perezvon/perezvon/internal/telephony"
)

// inbound is the INVITE of a leg that called us, until its final response.
type inbound struct {
	req *sip.Request
	tx  *sip.ServerTx
	tag string // ours, in every response

	mu    sync.Mutex
	state inboundState
}

type inboundState uint8

const (
	open      inboundState = iota // no final response yet
	finalSent                     // answered or refused by us
	cancelled                     // by the caller
)

// errCancelled: the caller's CANCEL came before our answer.
var errCancelled = errors.New("cancelled by the caller")

// onInvite takes a call in. It returns when the call is over, because the
// transaction would end with it.
func (e *Engine) onInvite(req *sip.Request, tx *sip.ServerTx, c caller) {
	switch {
	case e.life.Err() != nil:
		e.refuse(req, tx, sip.StatusServiceUnavailable, "Service Unavailable")
		return
	case e.cfg.Handler == nil:
		e.refuse(req, tx, sip.StatusTemporarilyUnavailable, "Temporarily Unavailable")
		return
	case req.MaxForwards() != nil && req.MaxForwards().Val() == 0:
		e.refuse(req, tx, sip.StatusTooManyHops, "Too Many Hops")
		return
	case len(req.Body()) > 0 && sdpOf(req) == nil:
		e.refuse(req, tx, sip.StatusUnsupportedMediaType, "Unsupported Media Type")
		return
	}
	if res := badExtension(req); res != nil {
		e.respond(tx, res)
		return
	}
	if res := e.tooBrief(req); res != nil {
		e.respond(tx, res)
		return
	}
	replaced, refusal := e.takeOver(req, c)
	if refusal != nil {
		e.respond(tx, refusal)
		return
	}
	l, err := e.inboundLeg(req, tx, c, replaced)
	if err != nil {
		e.log.Error("a call in finds no media port", "err", err)
		e.refuse(req, tx, sip.StatusServiceUnavailable, "Service Unavailable")
		return
	}
	// At once, so that the caller stops repeating itself.
	e.respond(tx, sip.NewResponseFromRequest(req, sip.StatusTrying, "Trying", nil))
	if !tx.OnCancel(func(cancel *sip.Request) { l.in.cancel(l, reasonOf(cancel)) }) {
		l.in.cancel(l, reason{})
	}
	l.log.Debug("call in", "from", l.info.From, "to", l.info.To, "trunk", l.info.Trunk, "operator", l.info.Operator)
	e.cfg.Handler(l.ctx, l)
	l.Hangup(0)
}

// inboundLeg makes the leg of a call in, with its early dialog.
func (e *Engine) inboundLeg(req *sip.Request, tx *sip.ServerTx, c caller, replaced telephony.Leg) (*leg, error) {
	info := telephony.Info{
		Inbound: true, From: req.From().Address.User, FromName: req.From().DisplayName,
		To: req.Recipient.User, Operator: c.operator, Replaces: replaced, CallID: req.CallID().Value(),
	}
	name, codecs := "o1", operatorCodecs
	release := func() {}
	if c.trunk != nil {
		info.Trunk, info.ANI = c.trunk.Name, asserted(req)
		name, codecs = "c1", trunkCodecs(c.trunk.Codecs)
		release = c.trunk.Occupy()
	}
	l, err := e.newLeg(name, info, nil)
	if err != nil {
		release()
		return nil, err
	}
	l.release = release
	l.in = &inbound{req: req, tx: tx, tag: sip.GenerateTagN(16)}
	d := e.dialogFromRequest(req, l.in.tag, req.Recipient.User)
	d.behindNAT = c.trunk == nil
	if c.trunk != nil {
		d.login, d.trunk = login{c.trunk.Username, c.trunk.Password}, c.trunk.Name
	}
	l.describe(d.way, codecs)
	l.mu.Lock()
	l.dialog = d
	l.mu.Unlock()
	e.enterDialog(l, d)
	e.changes.tell(l.operator)
	return l, nil
}

// Ringing tells the caller that we ring (180).
func (l *leg) Ringing(ctx context.Context) error {
	if err := context.Cause(l.ctx); err != nil {
		return err
	}
	if l.in == nil || l.answered() {
		return nil
	}
	return l.in.provisional(l.reply(l.in.req, sip.StatusRinging, "Ringing"))
}

// Progress lets the caller hear us before the answer (183 with a description).
// A caller that offered none can only be told that we ring.
func (l *leg) Progress(ctx context.Context) error {
	if err := context.Cause(l.ctx); err != nil {
		return err
	}
	if l.in == nil || l.answered() {
		return nil
	}
	offer := sdpOf(l.in.req)
	if offer == nil {
		return l.Ringing(ctx)
	}
	body, err := l.answer(offer)
	if err != nil {
		return err
	}
	res := l.reply(l.in.req, sip.StatusSessionInProgress, "Session Progress")
	setSDP(res, body)
	return l.in.provisional(res)
}

// reply is a response of the leg's: with our tag, Contact and what we allow.
func (l *leg) reply(req *sip.Request, code int, words string) *sip.Response {
	res := sip.NewResponseFromRequest(req, code, words, nil)
	l.mu.Lock()
	d := l.dialog
	l.mu.Unlock()
	res.To().Params.Add("tag", d.id.local)
	switch req.Method {
	case sip.INVITE, sip.UPDATE, sip.REFER, sip.SUBSCRIBE: // they refresh the target (RFC 3261 §12.2)
		if code < 300 {
			res.AppendHeader(&sip.ContactHeader{Address: l.e.contact(d.user, d.way)})
			res.AppendHeader(sip.NewHeader("Allow", allowed(l.operator)))
			res.AppendHeader(sip.NewHeader("Supported", supports(l.operator)))
		}
	default:
	}
	return res
}

// provisional sends a 1xx, unless a final response has gone.
func (in *inbound) provisional(res *sip.Response) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.state != open {
		return nil
	}
	return in.send(res)
}

// final sends the final response, unless another has been sent.
func (in *inbound) final(res *sip.Response) (bool, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.state != open {
		return false, nil
	}
	err := in.send(res)
	if !errors.Is(err, errCancelled) {
		in.state = finalSent
	}
	return err == nil, err
}

// send responds. sipgo answers a CANCEL by itself: it sends 487 and only then
// tells us. A response of ours that comes after it is not sent, but kept for
// retransmission in the place of the 487; so the 487 is put back.
func (in *inbound) send(res *sip.Response) error {
	err := in.tx.Respond(res)
	if errors.Is(err, sip.ErrTransactionCanceled) {
		in.state = cancelled
		_ = in.tx.Respond(sip.NewResponseFromRequest(in.req, sip.StatusRequestTerminated, "Request Terminated", nil))
		return errCancelled
	}
	return err
}

// refuse ends a call in that was not answered; false if it was.
// why, if there is more to say than the code does, is told in words.
func (in *inbound) refuse(l *leg, code int, why string) bool {
	if code < 300 || code > 699 {
		code = sip.StatusGlobalDecline
	}
	words := cmp.Or(plain(why), refusals[code], "Refused")
	res := l.reply(in.req, code, words) // phones show one or the other of the two
	if why != "" {
		res.AppendHeader(sip.NewHeader("Warning", `399 perezvon "`+words+`"`)) // RFC 3261 §20.43; 399 is "miscellaneous"
	}
	sent, _ := in.final(res)
	if sent {
		l.end(&telephony.HangupError{Leg: l.id, By: telephony.ByUs, Code: code, Reason: words})
	}
	return sent
}

// cancel ends a call in that its caller gave up (RFC 3261 §9.2). It is called
// while sipgo holds its transaction and must not wait.
func (in *inbound) cancel(l *leg, why reason) {
	l.e.tasks.Run(func() {
		in.mu.Lock()
		answered := in.state == finalSent
		if !answered {
			in.state = cancelled
		}
		in.mu.Unlock()
		if !answered {
			l.end(&telephony.HangupError{Leg: l.id, By: telephony.ByFar, Code: sip.StatusRequestTerminated, Q850: why.q850, Reason: why.words("CANCEL")})
		}
	})
}

// refusals are the words of the refusals that scenarios give.
var refusals = map[int]string{
	sip.StatusForbidden:              "Forbidden",
	sip.StatusNotFound:               "Not Found",
	sip.StatusRequestTimeout:         "Request Timeout",
	sip.StatusTemporarilyUnavailable: "Temporarily Unavailable",
	sip.StatusBusyHere:               "Busy Here",
	sip.StatusNotAcceptableHere:      "Not Acceptable Here",
	sip.StatusServiceUnavailable:     "Service Unavailable",
	sip.StatusGlobalBusyEverywhere:   "Busy Everywhere",
	sip.StatusGlobalDecline:          "Decline",
}

// plain leaves out what can stand neither between quotes nor in a line.
func plain(why string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == '"' || r == '\\' || r == 0x7f {
			return -1
		}
		return r
	}, why)
}
