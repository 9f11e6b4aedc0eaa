package registrar

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

// Responder answers a request: a sip.ServerTransaction.
type Responder interface {
	Respond(res *sip.Response) error
}

// Handle carries out a REGISTER of an authenticated user that came from source
// and answers it (RFC 3261 §10.3): 200 with all contacts and what is left of
// their time; 403 if the address of record is not the user's; 400 for what
// cannot be understood; 423 for too short a time; 500 for a request that was
// overtaken by a later one. It changes all contacts or none. The error is that
// of the answer.
func (r *Registrar) Handle(_ context.Context, req *sip.Request, tx Responder, user string, source netip.AddrPort) error {
	to := req.To()
	if to == nil || req.CallID() == nil || req.CSeq() == nil {
		return tx.Respond(sip.NewResponseFromRequest(req, sip.StatusBadRequest, "Bad Request", nil))
	}
	if to.Address.User != user {
		return tx.Respond(sip.NewResponseFromRequest(req, sip.StatusForbidden, "Forbidden", nil))
	}
	wanted, refusal := r.read(req, source)
	if refusal != nil {
		return tx.Respond(refusal)
	}
	now := time.Now()
	overtaken := false
	var phones []Binding
	if wanted == nil {
		phones = r.Contacts(user) // only a question
	} else {
		r.update(user, func(had []Binding) []Binding {
			had = alive(had, now)
			phones, overtaken = wanted.apply(had, now, r.config.Contacts)
			if overtaken {
				return had
			}
			return phones
		})
	}
	if overtaken {
		return tx.Respond(sip.NewResponseFromRequest(req, sip.StatusInternalServerError, "CSeq Out Of Order", nil))
	}
	res := sip.NewResponseFromRequest(req, sip.StatusOK, "OK", nil)
	for _, b := range phones {
		left := max(1, int(b.Expires.Sub(now).Round(time.Second)/time.Second))
		res.AppendHeader(sip.NewHeader("Contact", "<"+b.Contact+">;expires="+strconv.Itoa(left)))
	}
	res.AppendHeader(sip.NewHeader("Date", now.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")))
	return tx.Respond(res)
}

// order is what a REGISTER asks for.
type order struct {
	callID string
	cseq   uint32
	all    bool      // remove every contact: "Contact: *"
	set    []Binding // an Expires of zero: remove this one
}

// read understands a REGISTER. nil: it asks only for the contacts.
func (r *Registrar) read(req *sip.Request, source netip.AddrPort) (*order, *sip.Response) {
	contacts := req.GetHeaders("Contact")
	if len(contacts) == 0 {
		return nil, nil
	}
	bad := func(why string) *sip.Response {
		return sip.NewResponseFromRequest(req, sip.StatusBadRequest, why, nil)
	}
	// A malformed Expires counts as none (RFC 3261 §20.19 lets it be 3600).
	byHeader, hasHeader := time.Duration(0), false
	if h := req.GetHeader("Expires"); h != nil {
		byHeader, hasHeader = seconds(h.Value())
	}
	o := &order{callID: req.CallID().Value(), cseq: req.CSeq().SeqNo}
	now := time.Now()
	for _, h := range contacts {
		c, ok := h.(*sip.ContactHeader)
		if !ok {
			return nil, bad("Bad Contact")
		}
		if c.Address.Wildcard {
			if len(contacts) > 1 || !hasHeader || byHeader != 0 {
				return nil, bad("Contact * Needs Expires 0 And Nothing Else")
			}
			o.all = true
			return o, nil
		}
		if !reachable(c.Address) {
			return nil, bad("Bad Contact")
		}
		life := r.config.Default
		if hasHeader {
			life = byHeader
		}
		if v, ok := param(c.Params, "expires"); ok {
			if own, ok := seconds(v); ok {
				life = own
			}
		}
		if 0 < life && life < r.config.Min {
			res := sip.NewResponseFromRequest(req, 423, "Interval Too Brief", nil)
			res.AppendHeader(sip.NewHeader("Min-Expires", strconv.Itoa(int(r.config.Min/time.Second))))
			return nil, res
		}
		b := Binding{
			Extension: req.To().Address.User,
			Contact:   c.Address.String(),
			Key:       key(c),
			Transport: strings.ToUpper(req.Transport()),
			Source:    netip.AddrPortFrom(source.Addr().Unmap(), source.Port()),
			CallID:    o.callID,
			CSeq:      o.cseq,
		}
		if life > 0 {
			b.Expires = now.Add(min(life, r.config.Max))
		}
		if ua := req.GetHeader("User-Agent"); ua != nil {
			b.UserAgent = ua.Value()[:min(len(ua.Value()), 128)]
		}
		o.set = append(o.set, b)
	}
	return o, nil
}

// apply is the phones after the order, the latest first. overtaken: a later
// request of the same client was carried out before.
func (o *order) apply(had []Binding, now time.Time, limit int) (phones []Binding, overtaken bool) {
	for _, p := range had {
		mine := o.all || slices.ContainsFunc(o.set, func(b Binding) bool { return b.Key == p.Key })
		if mine && p.CallID == o.callID && p.CSeq >= o.cseq {
			return nil, true
		}
	}
	if o.all {
		return nil, false
	}
	phones = slices.Clone(had)
	for _, b := range o.set {
		phones = slices.DeleteFunc(phones, func(p Binding) bool { return p.Key == b.Key })
		if b.Expires.After(now) {
			phones = slices.Insert(phones, 0, b)
		}
	}
	return phones[:min(len(phones), limit)], false
}

// reachable tells whether we could send a request to a contact.
func reachable(u sip.Uri) bool {
	if u.Scheme != "sip" && u.Scheme != "sips" || u.Host == "" || len(u.String()) > 512 {
		return false
	}
	// What a name or address consists of, and nothing that would end the
	// header it is written into.
	return !strings.ContainsFunc(u.String(), func(c rune) bool {
		return c <= ' ' || c == 0x7f || c == '<' || c == '>' || c == '"' || c == ','
	})
}

// key is what makes two contacts the same phone.
func key(c *sip.ContactHeader) string {
	if instance, ok := param(c.Params, "+sip.instance"); ok && instance != "" {
		flow, _ := param(c.Params, "reg-id")
		return instance + ";" + flow
	}
	u := c.Address
	transport, _ := param(u.UriParams, "transport")
	return u.Scheme + ":" + u.User + "@" + strings.ToLower(u.Host) + ":" + strconv.Itoa(u.Port) + ";" + strings.ToLower(transport)
}

// param finds a parameter whatever the case of its name.
func param(ps sip.HeaderParams, name string) (string, bool) {
	for _, p := range ps {
		if strings.EqualFold(p.K, name) {
			return strings.Trim(p.V, `"`), true
		}
	}
	return "", false
}

// seconds reads delta-seconds; what exceeds a day is a day.
func seconds(s string) (time.Duration, bool) {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 32)
	if err != nil {
		return 0, false
	}
	return min(time.Duration(n)*time.Second, 24*time.Hour), true
}
