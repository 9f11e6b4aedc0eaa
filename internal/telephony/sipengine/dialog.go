package sipengine

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/emiago/sipgo/sip"

	"github.com/perezvon/perezvon/internal/telephony/sipengine/digestauth"
)

// dialogID names a dialog from our side (RFC 3261 §12).
type dialogID struct{ callID, local, remote string }

// dialog is the state that two user agents share (RFC 3261 §12): who they are,
// the way between them, the counters. What the call is about is the leg's.
type dialog struct {
	id     dialogID
	e      *Engine
	local  sip.FromHeader // with our tag
	remote sip.ToHeader   // with the far end's
	routes []sip.Uri      // frozen when the dialog is made
	// way is where the message came from that made the dialog. behindNAT tells
	// that requests go there, whatever the far end's Contact says.
	way       hop
	behindNAT bool
	// user is our user in Contact. login answers a challenge inside the dialog.
	user  string
	login login
	trunk string // whose login it is
	// called is the address that our INVITE went to; empty: they called us.
	called string

	inbox mailbox

	mu        sync.Mutex
	target    sip.Uri // the far end's Contact, newest
	seq       uint32  // of our last request
	canUpdate bool    // the far end's Allow names UPDATE
	kept      bool    // the ledger has it
}

// login is what a challenge is answered with; no username: it is not.
type login struct{ username, password string }

// dialogFromResponse makes the caller's dialog from its INVITE and a response
// with a To tag (RFC 3261 §12.1.2).
func (e *Engine) dialogFromResponse(invite *sip.Request, res *sip.Response, l login) *dialog {
	d := &dialog{
		e:      e,
		local:  cloneFrom(invite.From()),
		remote: cloneTo(res.To()),
		way:    hopTo(invite.Transport(), source(res.Source())),
		login:  l,
		seq:    invite.CSeq().SeqNo,
		target: *invite.Recipient.Clone(),
		called: invite.Destination(),
	}
	d.id = dialogID{invite.CallID().Value(), tag(d.local.Params), tag(d.remote.Params)}
	if c := invite.Contact(); c != nil {
		d.user = c.Address.User
	}
	for _, h := range res.GetHeaders("Record-Route") {
		if rr, ok := h.(*sip.RecordRouteHeader); ok {
			d.routes = append(d.routes, *rr.Address.Clone())
		}
	}
	slices.Reverse(d.routes)
	d.refresh(res)
	return d
}

// dialogFromRequest makes the called side's dialog from an INVITE and the tag
// of our responses (RFC 3261 §12.1.1).
func (e *Engine) dialogFromRequest(invite *sip.Request, localTag, user string) *dialog {
	d := &dialog{
		e:      e,
		local:  fromOf(invite.To()),
		remote: toOf(invite.From()),
		way:    hopTo(invite.Transport(), source(invite.Source())),
		user:   user,
		seq:    rand.Uint32N(1 << 15),
		target: *invite.From().Address.Clone(),
	}
	d.local.Params.Add("tag", localTag)
	d.id = dialogID{invite.CallID().Value(), localTag, tag(d.remote.Params)}
	for _, h := range invite.GetHeaders("Record-Route") {
		if rr, ok := h.(*sip.RecordRouteHeader); ok {
			d.routes = append(d.routes, *rr.Address.Clone())
		}
	}
	d.inbox.startAt(invite.CSeq().SeqNo)
	d.refresh(invite)
	return d
}

// refresh takes what a target refresh carries: a new Contact (RFC 3261
// §12.2), and what the far end allows.
func (d *dialog) refresh(m sip.Message) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if hs := m.GetHeaders("Contact"); len(hs) > 0 {
		if c, ok := hs[0].(*sip.ContactHeader); ok && !c.Address.Wildcard && c.Address.Host != "" {
			d.target = *c.Address.Clone()
		}
	}
	if len(m.GetHeaders("Allow")) > 0 {
		d.canUpdate = lists(m, "UPDATE", "Allow")
	}
	d.note()
}

// next is the address of the next hop (RFC 3261 §12.2.1.1): the first route,
// else the target. A target that cannot be reached from here (a private
// address seen from outside, a browser's .invalid) and every phone behind a
// NAT are reached the way their own messages came (RFC 3581 §6).
func (d *dialog) next(target sip.Uri) hop {
	uri := target
	if len(d.routes) > 0 {
		uri = d.routes[0]
	} else if d.behindNAT || sip.IsReliable(d.way.transport) || hidden(target.Host, d.way.peer) {
		return d.way
	}
	h, err := d.e.resolve(context.Background(), uri, d.way.transport)
	if err != nil {
		d.e.log.Warn("a far end's address cannot be resolved; requests go where its own came from", "host", uri.Host, "err", err)
		return d.way
	}
	return h
}

// hidden tells that a Contact's host is of no use to us, who saw the far end
// at another address.
func hidden(host string, seen netip.Addr) bool {
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if err != nil {
		return strings.HasSuffix(strings.ToLower(host), ".invalid")
	}
	return ip.IsUnspecified() ||
		ip != seen && (ip.IsPrivate() || ip.IsLoopback()) && !seen.IsPrivate() && !seen.IsLoopback()
}

// request makes a request inside the dialog with the next CSeq (RFC 3261
// §12.2.1.1).
func (d *dialog) request(method sip.RequestMethod) *sip.Request {
	return d.numbered(method, d.nextSeq(0))
}

// nextSeq takes the next CSeq, least or more.
func (d *dialog) nextSeq(least uint32) uint32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seq = max(d.seq+1, least)
	d.note()
	return d.seq
}

// numbered makes a request with a CSeq of the caller's choice: an ACK has its
// INVITE's.
func (d *dialog) numbered(method sip.RequestMethod, seq uint32) *sip.Request {
	d.mu.Lock()
	target := *d.target.Clone()
	d.mu.Unlock()

	recipient, routes := target, d.routes
	if len(routes) > 0 && !routes[0].UriParams.Has("lr") {
		// A strict router: it gets its own URI as the Request-URI, and the
		// target at the end of the route.
		recipient = *routes[0].Clone()
		routes = append(slices.Clone(routes[1:]), target)
	}
	req := sip.NewRequest(method, recipient)
	for _, r := range routes {
		req.AppendHeader(&sip.RouteHeader{Address: *r.Clone()})
	}
	from, to := cloneFrom(&d.local), cloneTo(&d.remote)
	callID := sip.CallIDHeader(d.id.callID)
	req.AppendHeader(&from)
	req.AppendHeader(&to)
	req.AppendHeader(&callID)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: seq, MethodName: method})
	way := d.next(target)
	if method != sip.BYE && method != sip.ACK {
		req.AppendHeader(&sip.ContactHeader{Address: d.e.contact(d.user, way)})
	}
	d.e.prepare(req, way)
	return req
}

// send sends a request of the dialog, answers one challenge, and returns the
// final response.
func (d *dialog) send(ctx context.Context, req *sip.Request) (*sip.Response, error) {
	res, err := d.e.transact(ctx, req)
	if err != nil || d.login.username == "" || !challenged(res) {
		return res, err
	}
	fresh, err := digestauth.Authorize(req, res, d.login.username, d.login.password)
	if err != nil {
		return res, nil //nolint:nilerr // a challenge that cannot be met is the answer
	}
	fresh.CSeq().SeqNo = d.nextSeq(fresh.CSeq().SeqNo)
	return d.e.transact(ctx, fresh)
}

func challenged(res *sip.Response) bool {
	return res.StatusCode == sip.StatusUnauthorized || res.StatusCode == sip.StatusProxyAuthRequired
}

func cloneFrom(h *sip.FromHeader) sip.FromHeader {
	return sip.FromHeader{DisplayName: h.DisplayName, Address: *h.Address.Clone(), Params: h.Params.Clone()}
}

func cloneTo(h *sip.ToHeader) sip.ToHeader {
	return sip.ToHeader{DisplayName: h.DisplayName, Address: *h.Address.Clone(), Params: h.Params.Clone()}
}

func fromOf(h *sip.ToHeader) sip.FromHeader {
	return sip.FromHeader{DisplayName: h.DisplayName, Address: *h.Address.Clone(), Params: h.Params.Clone()}
}

func toOf(h *sip.FromHeader) sip.ToHeader {
	return sip.ToHeader{DisplayName: h.DisplayName, Address: *h.Address.Clone(), Params: h.Params.Clone()}
}
