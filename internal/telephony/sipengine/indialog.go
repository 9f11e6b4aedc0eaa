package sipengine

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

// inDialog takes a request with a To tag.
func (e *Engine) inDialog(req *sip.Request, tx *sip.ServerTx) {
	id := dialogID{req.CallID().Value(), tag(req.To().Params), tag(req.From().Params)}
	l := e.find(id)
	if l == nil {
		if s := e.subs.find(id); s != nil {
			s.onRequest(req, tx)
			return
		}
	}
	if l == nil || req.IsCancel() {
		e.refuse(req, tx, sip.StatusCallTransactionDoesNotExists, "Call/Transaction Does Not Exist")
		return
	}
	if req.IsAck() {
		l.onAck(req)
		return
	}
	leave, ok := l.dialog.inbox.enter(req.CSeq().SeqNo)
	if !ok {
		// RFC 3261 §12.2.2: out of order.
		e.refuse(req, tx, sip.StatusInternalServerError, "CSeq Out Of Order")
		return
	}
	defer leave()
	if l.ctx.Err() != nil && req.Method != sip.BYE {
		e.refuse(req, tx, sip.StatusCallTransactionDoesNotExists, "Call/Transaction Does Not Exist")
		return
	}
	switch req.Method {
	case sip.BYE:
		l.onBye(req, tx)
	case sip.INVITE:
		l.onReinvite(req, tx)
	case sip.UPDATE:
		l.onUpdate(req, tx)
	case sip.INFO:
		l.onInfo(req, tx)
	case sip.OPTIONS:
		e.respond(tx, e.capabilities(req, l.operator))
	case sip.REFER:
		l.onRefer(req, tx)
	case sip.SUBSCRIBE:
		l.onSubscribe(req, tx)
	case sip.PRACK:
		e.refuse(req, tx, sip.StatusCallTransactionDoesNotExists, "Call/Transaction Does Not Exist")
	case sip.NOTIFY, sip.MESSAGE, sip.PUBLISH, sip.REGISTER:
		e.refuse(req, tx, sip.StatusMethodNotAllowed, "Method Not Allowed")
	default:
		e.refuse(req, tx, sip.StatusNotImplemented, "Not Implemented")
	}
}

// onInfo takes a key from an INFO (application/dtmf-relay, application/dtmf).
// Anything else that comes by INFO is accepted and left alone.
func (l *leg) onInfo(req *sip.Request, tx *sip.ServerTx) {
	l.e.respond(tx, l.reply(req, sip.StatusOK, "OK"))
	t := req.ContentType()
	if t == nil {
		return
	}
	kind, _, _ := strings.Cut(t.Value(), ";")
	if key, ok := infoKey(strings.ToLower(strings.TrimSpace(kind)), req.Body()); ok {
		l.pressed(key, time.Now(), "info")
	}
}

// infoKey reads the key in the body of an INFO: "Signal=5" among other lines,
// or the key alone. Some phones number * and # as RFC 4733 does: 10, 11.
func infoKey(kind string, body []byte) (byte, bool) {
	var signal string
	switch kind {
	case "application/dtmf":
		signal = string(body)
	case "application/dtmf-relay":
		for line := range bytes.Lines(body) {
			k, v, found := strings.Cut(string(line), "=")
			if found && strings.EqualFold(strings.TrimSpace(k), "signal") {
				signal = v
			}
		}
	}
	signal = strings.ToUpper(strings.TrimSpace(signal))
	if len(signal) == 1 && strings.Contains("0123456789*#ABCD", signal) {
		return signal[0], true
	}
	if n, err := strconv.Atoi(signal); err == nil && 10 <= n && n <= 15 {
		return "*#ABCD"[n-10], true
	}
	return 0, false
}
