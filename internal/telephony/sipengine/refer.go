package sipengine

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/perezvon/perezvon/internal/telephony"
)

// referWait is how long a phone waits to hear more of its transfer, after
// which it is told that nothing came of it.
const referWait = 3 * time.Minute

// referTarget is whom a phone wants its call to be connected with.
type referTarget struct {
	number   string    // empty if replaces says it all
	replaces *replaces // an attended transfer (RFC 5589 §7)
}

var errNobody = errors.New("it names nobody")

// parseReferTo reads the value of a Refer-To header (RFC 3515 §2.1).
func parseReferTo(value string) (t referTarget, err error) {
	uri, ok := addrSpec(value)
	if !ok {
		return t, errNoURI
	}
	a, err := parseAddress(uri)
	if err != nil {
		return t, err
	}
	if a.method != "" && a.method != "INVITE" {
		return t, fmt.Errorf("a call cannot be referred to a %q", a.method)
	}
	t.number = a.user
	for _, h := range a.headers {
		if !strings.EqualFold(h.K, "Replaces") {
			continue
		}
		if t.replaces != nil {
			return t, errNoReplaces
		}
		r, err := parseReplaces(h.V)
		if err != nil {
			return t, err
		}
		t.replaces = &r
	}
	if t.number == "" && t.replaces == nil {
		return t, errNobody
	}
	return t, nil
}

// onRefer takes a transfer that the phone asks for (RFC 3515) and hands it to
// whoever reads the leg's Refers. Only operators may transfer; one transfer of
// a call is under way at a time.
func (l *leg) onRefer(req *sip.Request, tx *sip.ServerTx) {
	e := l.e
	if l.operator == "" || !l.answered() {
		e.refuse(req, tx, sip.StatusGlobalDecline, "Decline")
		return
	}
	if res := badExtension(req); res != nil {
		e.respond(tx, res)
		return
	}
	hs := append(req.GetHeaders("Refer-To"), req.GetHeaders("r")...)
	if len(hs) != 1 {
		e.refuse(req, tx, sip.StatusBadRequest, "One Refer-To Is Needed")
		return
	}
	target, err := parseReferTo(hs[0].Value())
	if err != nil {
		l.log.Warn("a transfer is not understood", "err", err)
		e.refuse(req, tx, sip.StatusBadRequest, "Bad Refer-To")
		return
	}
	if old := l.transfer(); old != nil && old.open() && !old.feed.(*referral).decided() {
		e.refuse(req, tx, sip.StatusRequestPending, "Request Pending")
		return
	}

	refer := telephony.Refer{To: target.number}
	found := true
	if target.replaces != nil {
		other := e.replaced(*target.replaces)
		// Only the phone's own consultation may be disposed of.
		found = other != nil && other != l && other.operator == l.operator && other.ctx.Err() == nil
		if found {
			refer.Replaces = other
		}
	}
	l.log.Info("transfer asked for", "to", target.number, "attended", target.replaces != nil, "found", found)

	res := l.reply(req, sip.StatusAccepted, "Accepted")
	if found && strings.EqualFold(strings.TrimSpace(header(req, "Refer-Sub")), "false") {
		// The phone does not want to know (RFC 4488 §4).
		res.AppendHeader(sip.NewHeader("Refer-Sub", "false"))
		refer.Progress = func(int) {}
		e.respond(tx, res)
		l.refers.Push(refer)
		return
	}
	s, r := l.referral(req)
	if !e.subs.add(s) {
		s.remove() // stops its timer
		e.refuse(req, tx, sip.StatusServiceUnavailable, "Service Unavailable")
		return
	}
	l.mu.Lock()
	l.refer = s
	l.mu.Unlock()
	e.respond(tx, res)
	refer.Progress = func(code int) { r.progress(s, code) }
	refer.Progress(sip.StatusTrying)
	if !found {
		// As the INVITE that we would send is answered (RFC 5589 §7.3). Not in the
		// REFER's own response: 481 there would end the call (RFC 5057 §5.1).
		refer.Progress(sip.StatusCallTransactionDoesNotExists)
		return
	}
	l.refers.Push(refer)
}

// transfer is the newest one the phone has asked for, nil if none.
func (l *leg) transfer() *subscription {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refer
}

// referral makes the subscription that comes with a REFER (RFC 3515 §2.4.4). It
// outlives the leg: a phone may hang up and want to know all the same.
func (l *leg) referral(req *sip.Request) (*subscription, *referral) {
	r := &referral{}
	event := "refer"
	if l.transfer() != nil {
		// RFC 3515 §2.4.6: the first needs no id, and some phones know none.
		event += ";id=" + strconv.Itoa(int(req.CSeq().SeqNo))
	}
	return l.e.subscribe(l.dialog, event, r, referWait), r
}

// awaitTold lets a phone that we are about to hang up on hear first how its
// transfer has ended, if that is being told; otherwise it might show that it failed.
func (l *leg) awaitTold() {
	s := l.transfer()
	if s == nil || !s.feed.(*referral).decided() {
		return
	}
	limit := time.NewTimer(sipT1)
	defer limit.Stop()
	select {
	case <-s.done:
	case <-limit.C:
	case <-l.e.gone:
	}
}

// referral is how a transfer goes, for the phone that asked for it.
type referral struct {
	mu    sync.Mutex
	codes []int // to be told
	told  int
	final bool // the last of the codes, or told
}

// decided tells whether it is known what became of the transfer.
func (r *referral) decided() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.final
}

// codesMax bounds what waits to be told; the newest replaces the one before.
const codesMax = 8

func (r *referral) progress(s *subscription, code int) {
	if code < 100 || code > 699 {
		return
	}
	r.mu.Lock()
	if r.final {
		r.mu.Unlock()
		return
	}
	r.final = code >= 200
	if len(r.codes) == codesMax {
		r.codes = r.codes[:codesMax-1]
	}
	r.codes = append(r.codes, code)
	r.mu.Unlock()
	s.extend(referWait)
	s.wake()
}

// next implements feed.
func (r *referral) next(over string) (news, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := news{kind: "message/sipfrag;version=2.0", last: over}
	switch {
	case len(r.codes) > 0:
		r.told, r.codes = r.codes[0], r.codes[1:]
		if n.last = ""; r.told >= 200 {
			n.last = overDone
		}
	case over == "":
		return news{}, false
	case over == overStopping && !r.final:
		// Nobody will ever know better.
		r.told, r.final, n.last = sip.StatusServiceUnavailable, true, overDone
	}
	n.body = fmt.Appendf(nil, "SIP/2.0 %d %s\r\n", r.told, phrase(r.told))
	return n, true
}

// expired tells the phone that nothing came of its transfer.
func (r *referral) expired(s *subscription) { r.progress(s, sip.StatusRequestTimeout) }

// phrase is the words of a status, as far as a transfer comes to it.
func phrase(code int) string {
	words := map[int]string{
		sip.StatusTrying: "Trying", sip.StatusRinging: "Ringing", sip.StatusSessionInProgress: "Session Progress", sip.StatusOK: "OK",
		sip.StatusCallTransactionDoesNotExists: "Call/Transaction Does Not Exist", sip.StatusRequestTerminated: "Request Terminated",
	}[code]
	switch {
	case words != "":
		return words
	case code < 300:
		return "Progress"
	}
	return cmp.Or(refusals[code], "Refused")
}

// onSubscribe takes a SUBSCRIBE in a call: the phone wants to hear of its
// transfer for longer, or no more (RFC 3515 §2.4.4).
func (l *leg) onSubscribe(req *sip.Request, tx *sip.ServerTx) {
	if name, _ := eventOf(req); name != "refer" {
		l.e.refuse(req, tx, statusBadEvent, "Bad Event")
		return
	}
	s := l.transfer()
	if s == nil || !s.open() {
		l.e.refuse(req, tx, sip.StatusForbidden, "Nothing To Subscribe To")
		return
	}
	left := referWait
	if asked, ok := seconds(header(req, "Expires")); ok {
		left = min(asked, referWait)
	}
	res := l.reply(req, sip.StatusOK, "OK")
	res.AppendHeader(sip.NewHeader("Expires", strconv.Itoa(int(left/time.Second))))
	l.e.respond(tx, res)
	if left == 0 {
		s.end(overTimeout)
		return
	}
	s.extend(left)
}
