package sipengine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
)

// errRestarted is why calls end that a killed process left.
var errRestarted = errors.New("the server was restarted")

// restarted is the Reason (RFC 3326) of these ends.
const restarted = `SIP;cause=503;text="Server restarted"`

// keep notes in the ledger that the INVITE is about to go out: what its CANCEL
// will need. Credentials are left out; a CANCEL has none.
func (a *attempt) keep() {
	if a.e.ledger == nil {
		return
	}
	a.e.ledger.note(entry{
		Key: a.key(), Message: likeness(a.req, sip.INVITE, a.req.To()).String(),
		Transport: a.req.Transport(), Addr: a.req.Destination(), NAT: a.behindNAT, Trunk: a.trunk,
	})
}

// forget removes from the ledger what keep noted.
func (a *attempt) forget() { a.e.ledger.drop(a.key()) }

// key names the INVITE in the ledger, and those that follow from its refusal.
func (a *attempt) key() string { return a.req.CallID().Value() }

// keep notes in the ledger that the dialog stands.
func (d *dialog) keep() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.kept {
		d.kept = true
		d.note()
	}
}

// drop removes from the ledger what keep noted.
func (d *dialog) drop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.kept {
		d.kept = false
		d.e.ledger.drop(d.id.key())
	}
}

func (id dialogID) key() string { return id.callID + " " + id.local + " " + id.remote }

// note renews the dialog's entry in the ledger, if it has one: what its BYE
// will need. d.mu is held, so that the newest is the last.
func (d *dialog) note() {
	if !d.kept || d.e.ledger == nil {
		return
	}
	bye := sip.NewRequest(sip.BYE, *d.target.Clone())
	for _, r := range d.routes {
		bye.AppendHeader(&sip.RouteHeader{Address: *r.Clone()})
	}
	from, to := cloneFrom(&d.local), cloneTo(&d.remote)
	callID := sip.CallIDHeader(d.id.callID)
	bye.AppendHeader(&from)
	bye.AppendHeader(&to)
	bye.AppendHeader(&callID)
	bye.AppendHeader(&sip.CSeqHeader{SeqNo: d.seq + 1, MethodName: sip.BYE})
	en := entry{
		Key: d.id.key(), Message: bye.String(),
		Transport: d.way.transport, Addr: d.way.addr, NAT: d.behindNAT, Trunk: d.trunk,
	}
	if sip.IsReliable(d.way.transport) {
		// The connection will be gone. Whom we called is reached where we
		// called; who called us came from a port that nobody listens on.
		en.Addr = d.called
	}
	d.e.ledger.note(en)
}

// noteLife tells the ledger now and then that calls stand.
func (e *Engine) noteLife() {
	tick := time.NewTicker(aliveEvery)
	defer tick.Stop()
	for {
		select {
		case <-e.life.Done():
			return
		case <-tick.C:
			e.ledger.alive()
		}
	}
}

// endLeft ends the calls that a killed process left, in the background.
func (e *Engine) endLeft(left []entry) {
	if e.ledger == nil {
		return
	}
	e.tasks.Run(e.noteLife)
	for _, en := range left {
		m, err := sip.ParseMessage([]byte(en.Message))
		req, ok := m.(*sip.Request)
		if err != nil || !ok || req.From() == nil || req.To() == nil || req.CallID() == nil || req.CSeq() == nil {
			e.log.Warn("an entry of the ledger cannot be read", "err", err)
			e.ledger.drop(en.Key)
			continue
		}
		switch {
		case req.IsInvite() && req.Via() != nil:
			e.tasks.Run(func() { e.cancelLeft(en, req) })
		case req.Method == sip.BYE:
			e.tasks.Run(func() { e.byeLeft(en, req) })
		}
	}
	e.ledger.tidy()
	if len(left) > 0 {
		e.log.Info("ending the calls that a killed process left", "calls", len(left))
	}
}

// orphan is an INVITE without a final answer whose process was killed. No
// transaction waits for its responses: onStrayResponse brings them.
type orphan struct {
	*attempt
	taking sync.Mutex    // one response at a time
	once   sync.Once     // for final
	final  chan struct{} // closed when a final response has been taken
}

func (e *Engine) orphan(callID string) *orphan {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.orphans[callID]
}

// take takes a response as the INVITE's transaction would have: a refusal,
// mostly the 487 that a CANCEL brings about, is acknowledged; an answer is
// acknowledged and hung up.
func (o *orphan) take(res *sip.Response) {
	if res.IsProvisional() || res.To() == nil || res.CSeq().SeqNo != o.req.CSeq().SeqNo {
		return
	}
	o.taking.Lock()
	defer o.taking.Unlock()
	if res.IsSuccess() {
		o.onMore(res)
	} else {
		ack := likeness(o.req, sip.ACK, res.To())
		o.e.prepare(ack, hop{transport: o.req.Transport(), addr: o.req.Destination()})
		o.e.write(ack)
	}
	o.once.Do(func() { close(o.final) })
}

// cancelLeft cancels an INVITE that a killed process sent, and takes its
// responses for as long as they can come.
func (e *Engine) cancelLeft(en entry, invite *sip.Request) {
	defer e.ledger.drop(en.Key)
	h, err := e.hopOf(en)
	if err != nil {
		e.log.Warn("a call left ringing cannot be cancelled", "sip", en.Key, "err", err)
		return
	}
	invite.SetTransport(h.transport)
	invite.SetDestination(h.addr)
	l := &leg{e: e, log: e.log.With("sip", en.Key)} // its voice is gone: it can only say goodbye
	o := &orphan{
		attempt: &attempt{
			e: e, leg: l, req: invite, login: e.loginOf(en.Trunk), trunk: en.Trunk,
			behindNAT: en.NAT, acks: make(map[string]*sip.Request),
		},
		final: make(chan struct{}),
	}
	e.mu.Lock()
	e.orphans[en.Key] = o
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.orphans, en.Key)
	}()

	limit := time.NewTimer(finalWait)
	defer limit.Stop()
	// Who knows of no INVITE need not be waited for when we stop; but it may
	// have answered, and still repeat that.
	var idle <-chan struct{}
	res, err := e.transact(context.Background(), e.cancelOf(invite, errRestarted))
	switch {
	case err != nil:
		l.log.Warn("a CANCEL was not answered", "trunk", en.Trunk, "err", err)
		idle = e.life.Done()
	case !res.IsSuccess():
		idle = e.life.Done()
	}
	select {
	case <-o.final:
		e.ledger.drop(en.Key)
	case <-idle:
		return
	case <-e.gone:
		return
	case <-limit.C:
		return
	}
	// Our ACK may be lost: then the answer comes again.
	select {
	case <-e.life.Done():
	case <-limit.C:
	}
}

// byeLeft ends a call that a killed process was in.
func (e *Engine) byeLeft(en entry, bye *sip.Request) {
	defer e.ledger.drop(en.Key)
	log := e.log.With("sip", bye.CallID().Value())
	d, err := e.dialogFromEntry(en, bye)
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), finalWait)
		defer cancel()
		req := d.request(sip.BYE)
		req.AppendHeader(sip.NewHeader("Reason", restarted))
		_, err = d.send(ctx, req)
	}
	if err != nil {
		log.Warn("a call that a killed process was in could not be ended", "trunk", en.Trunk, "err", err)
	}
}

// dialogFromEntry is a dialog as its entry in the ledger tells it: enough to end it.
func (e *Engine) dialogFromEntry(en entry, bye *sip.Request) (*dialog, error) {
	d := &dialog{
		e: e, local: cloneFrom(bye.From()), remote: cloneTo(bye.To()), target: *bye.Recipient.Clone(),
		behindNAT: en.NAT, trunk: en.Trunk, login: e.loginOf(en.Trunk), seq: bye.CSeq().SeqNo - 1,
	}
	d.id = dialogID{bye.CallID().Value(), tag(d.local.Params), tag(d.remote.Params)}
	for _, h := range bye.GetHeaders("Route") {
		if r, ok := h.(*sip.RouteHeader); ok {
			d.routes = append(d.routes, *r.Address.Clone())
		}
	}
	var err error
	if en.Addr != "" {
		d.way, err = e.hopOf(en)
	} else {
		d.way, err = e.resolve(context.Background(), slices.Concat(d.routes, []sip.Uri{d.target})[0], en.Transport)
	}
	return d, err
}

// hopOf is the way of an entry.
func (e *Engine) hopOf(en entry) (hop, error) {
	host, port, err := net.SplitHostPort(en.Addr)
	if err != nil {
		return hop{}, fmt.Errorf("the ledger's address: %w", err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return hop{}, fmt.Errorf("the ledger's address: %w", err)
	}
	return e.resolve(context.Background(), sip.Uri{Host: host, Port: int(n)}, en.Transport)
}

// loginOf is what a trunk's challenges are answered with.
func (e *Engine) loginOf(name string) login {
	if t := e.trunks.Get(name); t != nil {
		return login{t.Username, t.Password}
	}
	return login{}
}
