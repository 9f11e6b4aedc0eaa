package telephonytest

import (
	"crypto/rand"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/mediatest"
	"github.com/perezvon/perezvon/internal/media/stream"
)

// read takes messages one by one, in the order they came.
func (p *SIPPhone) read() {
	parser := sip.NewParser()
	b := make([]byte, 65536)
	for {
		n, from, err := p.conn.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		msg, err := parser.ParseSIP(slices.Clone(b[:n]))
		if err != nil {
			continue // a keep-alive
		}
		p.mu.Lock()
		switch m := msg.(type) {
		case *sip.Request:
			m.SetSource(from.String())
			m.SetTransport("UDP")
			p.request(m, from)
		case *sip.Response:
			if p.call != nil && m.IsSuccess() && m.CSeq() != nil && m.CSeq().MethodName == sip.INVITE {
				p.call.answers++
			}
			if ch := p.waiting[branch(m)]; ch != nil {
				select {
				case ch <- m:
				default:
				}
			}
		}
		p.mu.Unlock()
	}
}

func branch(m interface{ Via() *sip.ViaHeader }) string {
	if via := m.Via(); via != nil {
		b, _ := via.Params.Get("branch")
		return b
	}
	return ""
}

// request takes a request; the lock is held.
func (p *SIPPhone) request(req *sip.Request, from netip.AddrPort) {
	if res := p.sent[branch(req)+string(req.Method)]; res != nil && req.Method != sip.ACK {
		p.write(res.String(), from) // the request was repeated
		return
	}
	c := p.call
	mine := c != nil && req.CallID() != nil && req.CallID().Value() == c.invite.CallID().Value()
	switch {
	case req.Method == sip.INVITE && !req.To().Params.Has("tag"):
		p.invited(req, from)
	case req.Method == sip.ACK:
		if mine {
			c.acks++
			c.acked = c.acks > 1 || !c.manner.DropsAck
		}
	case req.Method == sip.REGISTER:
		p.registered(req, from)
	case req.Method == sip.OPTIONS:
		code := 200
		if p.manner.Unavailable {
			code = 503
		}
		p.respond(req, code, "", nil)
	case !mine:
		p.respond(req, 481, "", nil)
	case req.Method == sip.INVITE: // a re-INVITE
		p.respond(req, 200, "", p.description(c))
	case req.Method == sip.CANCEL:
		p.respond(req, 200, "", nil)
		if h := req.GetHeader("Reason"); h != nil {
			c.why = h.Value()
		}
		p.cancelled(c)
	case req.Method == sip.BYE:
		p.respond(req, 200, "", nil)
		c.byes++
		p.over(c)
	case req.Method == sip.NOTIFY:
		p.notified(c, req)
		if c.manner.LateNotify > 0 {
			p.after(c.manner.LateNotify, func() { p.respond(req, 200, "", nil) })
			return
		}
		p.respond(req, 200, "", nil)
	default:
		p.respond(req, 200, "", nil)
	}
}

// demands challenges a request that does not prove to know the password.
func (p *SIPPhone) demands(req *sip.Request, code int, ask, answer string, from netip.AddrPort) bool {
	if p.manner.Demands == "" || proves(req, answer, p.manner.Demands) {
		return false
	}
	res := sip.NewResponseFromRequest(req, code, "Prove It", nil)
	res.AppendHeader(sip.NewHeader(ask, `Digest realm="test", nonce="`+rand.Text()+`", qop="auth"`))
	p.write(res.String(), from)
	return true
}

// registered takes the engine's registration, as a carrier does.
func (p *SIPPhone) registered(req *sip.Request, from netip.AddrPort) {
	if p.demands(req, 401, "WWW-Authenticate", "Authorization", from) {
		return
	}
	p.account = nil
	if h := req.GetHeader("Expires"); h != nil && h.Value() != "0" && req.Contact() != nil {
		p.account = req.Contact().Address.Clone()
	}
	res := sip.NewResponseFromRequest(req, 200, "OK", nil)
	if p.account != nil {
		res.AppendHeader(&sip.ContactHeader{Address: *p.account, Params: sip.HeaderParams{{K: "expires", V: "300"}}})
	}
	p.write(res.String(), from)
}

func (p *SIPPhone) invited(req *sip.Request, from netip.AddrPort) {
	if p.call != nil && branch(p.call.invite) == branch(req) && !p.call.manner.Mute {
		return // said again, because the phone has not said a word yet
	}
	if p.state != PhoneIdle {
		p.respond(req, 486, "", nil)
		return
	}
	if p.demands(req, 407, "Proxy-Authenticate", "Proxy-Authorization", from) {
		return
	}
	c := &farCall{invite: req, local: rand.Text(), peer: from, cseq: 1, manner: p.manner}
	c.remote, _ = req.From().Params.Get("tag")
	if h := req.Contact(); h != nil {
		c.target = *h.Address.Clone()
	}
	req.To().Params.Add("tag", c.local)
	p.call, p.state = c, PhoneRinging
	if c.manner.Mute {
		return
	}
	if c.manner.Wait > 0 {
		p.after(c.manner.Wait, func() { p.begin(c) })
		return
	}
	p.begin(c)
}

// begin says the phone's first words about a call.
func (p *SIPPhone) begin(c *farCall) {
	if p.call != c || p.state != PhoneRinging {
		return
	}
	says := c.manner.Says
	if says == nil {
		says = []int{180}
	}
	for _, code := range says {
		p.say(c, code)
	}
	if !c.manner.Answers && c.manner.Refuses == 0 {
		return
	}
	decide := func() {
		if p.call != c || p.state != PhoneRinging {
			return
		}
		if c.manner.Refuses != 0 {
			p.respond(c.invite, c.manner.Refuses, c.manner.Reason, nil)
			p.state = PhoneIdle
			return
		}
		p.answer(c)
	}
	if c.manner.After > 0 {
		p.after(c.manner.After, decide)
		return
	}
	decide()
}

func (p *SIPPhone) say(c *farCall, code int) {
	var body []byte
	if code == 183 {
		p.listen(c, c.invite.Body())
		body = p.description(c)
	}
	p.respond(c.invite, code, "", body)
}

func (p *SIPPhone) answer(c *farCall) {
	p.listen(c, c.invite.Body())
	p.respond(c.invite, 200, "", p.description(c))
	p.state = PhoneTalking
	// Until it is acknowledged the answer is said again (RFC 3261 §13.3.1.4).
	res := p.sent[branch(c.invite)+string(sip.INVITE)]
	var again func()
	again = func() {
		if p.call == c && !c.acked && p.state == PhoneTalking {
			p.write(res.String(), c.peer)
			p.after(500*time.Millisecond, again)
		}
	}
	p.after(500*time.Millisecond, again)
}

func (p *SIPPhone) cancelled(c *farCall) {
	c.cancelled = true
	switch {
	case p.state != PhoneRinging:
	case c.manner.CrossesCancel:
		p.answer(c)
	default:
		p.respond(c.invite, 487, "", nil)
		p.state = PhoneIdle
	}
}

// over ends a call on the phone's side.
func (p *SIPPhone) over(c *farCall) {
	p.state = PhoneIdle
	if c.media != nil {
		c.media.Mute(true)
	}
}

// listen opens the phone's sound toward what a description says.
func (p *SIPPhone) listen(c *farCall, body []byte) {
	if c.media == nil {
		c.media = mediatest.NewPhone(p.t, stream.SystemNet(), netip.MustParseAddr("127.0.0.1"), codecOf(c.manner), p.tone)
	}
	if remote, ok := soundAddr(body); ok {
		c.media.Call(remote)
	}
}

func codecOf(m Manner) media.Codec {
	if m.Codec == media.NoCodec {
		return media.PCMA
	}
	return m.Codec
}

// respond answers a request; the lock is held.
func (p *SIPPhone) respond(req *sip.Request, code int, reason string, body []byte) {
	res := sip.NewResponseFromRequest(req, code, "Test "+strconv.Itoa(code), body)
	if body != nil {
		res.AppendHeader(sip.NewHeader("Content-Type", "application/sdp"))
	}
	if reason != "" {
		res.AppendHeader(sip.NewHeader("Reason", reason))
	}
	res.AppendHeader(&sip.ContactHeader{Address: p.contact()})
	p.sent[branch(req)+string(req.Method)] = res
	to, _ := netip.ParseAddrPort(req.Source())
	p.write(res.String(), to)
}

func (p *SIPPhone) contact() sip.Uri {
	a := p.Addr()
	return sip.Uri{Scheme: "sip", User: "phone", Host: a.Addr().String(), Port: int(a.Port())}
}

func (p *SIPPhone) write(message string, to netip.AddrPort) {
	// A phone does not know whether its messages arrive.
	_, _ = p.conn.WriteToUDPAddrPort([]byte(message), to)
}
