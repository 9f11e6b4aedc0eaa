package sipengine

import (
	"errors"
	"strings"

	"github.com/emiago/sipgo/sip"

	"github.com/perezvon/perezvon/internal/telephony"
)

var (
	errNoURI      = errors.New("not a sip, sips or tel URI")
	errNoReplaces = errors.New("not a dialog with two tags")
)

// replaces names a dialog that another is to take the place of (RFC 3891 §6.1).
type replaces struct {
	callID, toTag, fromTag string
	earlyOnly              bool
}

// parseReplaces reads the value of a Replaces header.
func parseReplaces(value string) (r replaces, err error) {
	parts := strings.Split(value, ";")
	r.callID = strings.TrimSpace(parts[0])
	for _, p := range parts[1:] {
		k, v, _ := strings.Cut(p, "=")
		v = strings.TrimSpace(v)
		var to *string
		switch strings.ToLower(strings.TrimSpace(k)) {
		case "to-tag":
			to = &r.toTag
		case "from-tag":
			to = &r.fromTag
		case "early-only":
			r.earlyOnly = true
			continue
		default:
			continue
		}
		if *to != "" {
			return replaces{}, errNoReplaces // twice
		}
		*to = v
	}
	if r.callID == "" || r.toTag == "" || r.fromTag == "" {
		return replaces{}, errNoReplaces
	}
	return r, nil
}

// replaced is the leg whose dialog is named, nil if there is none. The to-tag
// ought to be ours and the from-tag the far end's (RFC 3891 §3); phones that
// see the dialog from their own side, or have learned of it as of somebody
// else's (RFC 4235), turn them round.
func (e *Engine) replaced(r replaces) *leg {
	for _, id := range []dialogID{{r.callID, r.toTag, r.fromTag}, {r.callID, r.fromTag, r.toTag}} {
		if l := e.find(id); l != nil {
			return l
		}
	}
	// Calls of ours that ring have no dialog yet that requests could come in.
	e.mu.Lock()
	defer e.mu.Unlock()
	for l := range e.legs {
		if id := l.rings(); id.callID == r.callID && (id.is(r.toTag, r.fromTag) || id.is(r.fromTag, r.toTag)) {
			return l
		}
	}
	return nil
}

// is compares tags; that of a far end which has not told its own is any.
func (id dialogID) is(local, remote string) bool {
	return id.local == local && (id.remote == remote || id.remote == "")
}

// takeOver finds the call that a phone wants to have with its INVITE (RFC 3891
// §3: call pickup, and whatever else a scenario makes of it). No response: there
// is none, or it is found.
func (e *Engine) takeOver(req *sip.Request, c caller) (telephony.Leg, *sip.Response) {
	refused := func(code int, words string) (telephony.Leg, *sip.Response) {
		return nil, sip.NewResponseFromRequest(req, code, words, nil)
	}
	hs := req.GetHeaders("Replaces")
	switch {
	case len(hs) == 0:
		return nil, nil
	case c.operator == "":
		return refused(sip.StatusForbidden, "Forbidden")
	case len(hs) > 1:
		return refused(sip.StatusBadRequest, "Several Replaces")
	}
	r, err := parseReplaces(hs[0].Value())
	if err != nil {
		return refused(sip.StatusBadRequest, "Bad Replaces")
	}
	l := e.replaced(r)
	switch {
	case l == nil, l.inbound() && !l.answered(): // RFC 3891 §3: a caller's own early dialog
		return refused(sip.StatusCallTransactionDoesNotExists, "Call/Transaction Does Not Exist")
	case l.ctx.Err() != nil:
		return refused(sip.StatusGlobalDecline, "Decline") // it is over
	case r.earlyOnly && l.answered():
		return refused(sip.StatusBusyHere, "Busy Here")
	}
	return l, nil
}
