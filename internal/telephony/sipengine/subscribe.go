package sipengine

import (
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

const (
	// watchesMax is how many subscriptions the phones of one operator may have:
	// ten phones with keys for fifty colleagues.
	watchesMax = 500
	// The life of a subscription: shorter is refused with 423, longer is cut,
	// so that a restart of ours does not leave the lamps dark for long.
	watchLeast = time.Minute
	watchMost  = 10 * time.Minute
)

// statusBadEvent: RFC 6665 §8.3.2.
const statusBadEvent = 489

// onSubscribe takes an operator's wish to see what a colleague's phones are
// doing (the lamps of its keys, RFC 4235).
func (e *Engine) onSubscribe(req *sip.Request, tx *sip.ServerTx, c caller) {
	if c.operator == "" {
		e.refuse(req, tx, sip.StatusForbidden, "Forbidden")
		return
	}
	if res := badExtension(req); res != nil {
		e.respond(tx, res)
		return
	}
	name, id := eventOf(req)
	kind, known := packages[name]
	if !known {
		res := sip.NewResponseFromRequest(req, statusBadEvent, "Bad Event", nil)
		res.AppendHeader(sip.NewHeader("Allow-Events", allowEvents))
		e.respond(tx, res)
		return
	}
	extension, err := unescape(req.Recipient.User)
	_, unknown := e.cfg.Directory.Operator(e.life, extension)
	lives, tooShort := watchLife(req)
	switch {
	case req.Contact() == nil:
		e.refuse(req, tx, sip.StatusBadRequest, "No Contact")
		return
	case err != nil || unknown != nil:
		e.refuse(req, tx, sip.StatusNotFound, "Not Found")
		return
	case !accepts(req, kind.media):
		e.refuse(req, tx, sip.StatusNotAcceptable, "Not Acceptable")
		return
	case tooShort:
		e.respond(tx, tooBriefWatch(req))
		return
	}
	d := e.dialogFromRequest(req, sip.GenerateTagN(16), req.Recipient.User)
	d.behindNAT = true
	w := &watch{e: e, kind: kind, watcher: c.operator, extension: extension, entity: "sip:" + userPart(extension) + "@" + req.Recipient.Host}
	if id != "" {
		name += ";id=" + id
	}
	s := e.subscribe(d, name, w, max(lives, watchLeast)) // one look is ended by accept
	if !e.subs.add(s) {
		s.remove() // stops its timer
		res := sip.NewResponseFromRequest(req, sip.StatusTemporarilyUnavailable, "Too Many Subscriptions", nil)
		res.AppendHeader(sip.NewHeader("Retry-After", strconv.Itoa(int(watchLeast/time.Second))))
		e.respond(tx, res)
		return
	}
	s.accept(req, tx, lives)
}

// accept answers a SUBSCRIBE and sends the NOTIFY that belongs to it (RFC 6665
// §4.2.1.2).
func (s *subscription) accept(req *sip.Request, tx *sip.ServerTx, lives time.Duration) {
	res := sip.NewResponseFromRequest(req, sip.StatusOK, "OK", nil)
	res.To().Params.Add("tag", s.d.id.local)
	res.AppendHeader(&sip.ContactHeader{Address: s.e.contact(s.d.user, s.d.way)})
	res.AppendHeader(sip.NewHeader("Expires", strconv.Itoa(int(lives/time.Second))))
	res.AppendHeader(sip.NewHeader("Allow-Events", allowEvents))
	s.e.respond(tx, res)
	if lives == 0 { // only a look, or the end
		s.end(overTimeout)
		return
	}
	s.wake()
}

// onRequest takes a request in the dialog of a subscription: more time, or the
// end.
func (s *subscription) onRequest(req *sip.Request, tx *sip.ServerTx) {
	if req.IsAck() {
		return
	}
	leave, ok := s.d.inbox.enter(req.CSeq().SeqNo)
	if !ok {
		s.e.refuse(req, tx, sip.StatusInternalServerError, "CSeq Out Of Order")
		return
	}
	defer leave()
	w, watches := s.feed.(*watch)
	if req.Method != sip.SUBSCRIBE || !watches || !s.open() {
		s.e.refuse(req, tx, sip.StatusCallTransactionDoesNotExists, "Call/Transaction Does Not Exist")
		return
	}
	lives, tooShort := watchLife(req)
	if tooShort {
		s.e.respond(tx, tooBriefWatch(req))
		return
	}
	s.d.refresh(req)
	if lives > 0 {
		w.again.Store(true)
		s.extend(lives)
	}
	s.accept(req, tx, lives)
}

// watchLife is how long a subscription is to live: what Expires asks for, as
// far as we give it.
func watchLife(req *sip.Request) (lives time.Duration, tooShort bool) {
	lives, ok := seconds(header(req, "Expires"))
	if !ok {
		return watchMost, false
	}
	return min(lives, watchMost), 0 < lives && lives < watchLeast
}

func tooBriefWatch(req *sip.Request) *sip.Response {
	res := sip.NewResponseFromRequest(req, sip.StatusIntervalToBrief, "Interval Too Brief", nil)
	res.AppendHeader(sip.NewHeader("Min-Expires", strconv.Itoa(int(watchLeast/time.Second))))
	return res
}

// accepts tells whether Accept allows a media type; without one all are.
func accepts(req *sip.Request, media string) bool {
	all := tokens(req, "Accept")
	for _, a := range all {
		a, _, _ = strings.Cut(a, ";")
		switch a = strings.ToLower(strings.TrimSpace(a)); a {
		case media, "application/*", "*/*":
			return true
		}
	}
	return len(all) == 0
}

// watchPhones wakes the subscriptions of whoever something changes for.
func (e *Engine) watchPhones() {
	l := e.changes.listen()
	defer e.changes.leave(l)
	for {
		changed := e.changes.next(e.life, l)
		if changed == nil {
			return
		}
		for _, extension := range changed {
			for _, s := range e.subs.of(extension) {
				s.wake()
			}
		}
	}
}

// expired implements feed.
func (w *watch) expired(s *subscription) { s.end(overTimeout) }
