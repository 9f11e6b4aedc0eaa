package telephonytest

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"

	"github.com/perezvon/perezvon/internal/media/mediatest"
	"github.com/perezvon/perezvon/internal/media/sdp"
)

// account is what a phone proves itself with; the zero value does not.
type account struct{ user, password string }

// Register registers the phone with the engine at server and waits for the
// final status, which it returns; 0: none came. expires is in seconds.
func (p *SIPPhone) Register(server netip.AddrPort, user, password string, expires int) int {
	home := sip.Uri{Scheme: "sip", User: user, Host: server.Addr().String()}
	p.mu.Lock()
	req := p.outside(sip.REGISTER, sip.Uri{Scheme: "sip", Host: server.Addr().String(), Port: int(server.Port())}, home, home)
	req.AppendHeader(&sip.ContactHeader{Address: p.contact()})
	req.AppendHeader(sip.NewHeader("Expires", fmt.Sprint(expires)))
	p.mu.Unlock()
	code := 0
	if res := p.transact(req, server, account{user, password}, nil); res != nil {
		code = res.StatusCode
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.final = code
	return code
}

// Call lets the phone call number at the engine at server, as user if it has a
// password, otherwise as whoever from says. It returns at once: State, Final
// and Heard tell how it goes on.
func (p *SIPPhone) Call(server netip.AddrPort, from, password, number string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	host := server.Addr().String()
	target := sip.Uri{Scheme: "sip", User: number, Host: host, Port: int(server.Port())}
	req := p.outside(sip.INVITE, target, sip.Uri{Scheme: "sip", User: from, Host: host}, sip.Uri{Scheme: "sip", User: number, Host: host})
	c := &farCall{invite: req, out: true, peer: server, target: target, cseq: 100, manner: p.manner}
	c.local, _ = req.From().Params.Get("tag")
	p.call, p.state, p.final, p.refusal = c, PhoneCalling, 0, nil
	p.listen(c, nil)
	req.AppendHeader(&sip.ContactHeader{Address: p.contact()})
	if p.manner.Asserts != "" {
		req.AppendHeader(sip.NewHeader("P-Asserted-Identity", "<sip:"+p.manner.Asserts+"@"+host+">"))
	}
	req.AppendHeader(sip.NewHeader("Content-Type", "application/sdp"))
	req.SetBody(p.description(c))
	p.wg.Go(func() { p.calling(c, server, account{from, password}) })
}

func (p *SIPPhone) calling(c *farCall, server netip.AddrPort, a account) {
	if a.password == "" {
		a = account{}
	}
	res := p.transact(c.invite, server, a, c)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.call != c || p.closed {
		return
	}
	if res == nil {
		p.state = PhoneIdle
		return
	}
	p.final = res.StatusCode
	if !res.IsSuccess() {
		p.state, p.refusal = PhoneIdle, res
		return
	}
	c.remote, _ = res.To().Params.Get("tag")
	if h := res.Contact(); h != nil {
		c.target = *h.Address.Clone()
	}
	p.listen(c, res.Body())
	ack := p.inDialog(c, sip.ACK)
	ack.CSeq().SeqNo = c.invite.CSeq().SeqNo
	p.state = PhoneTalking
	if c.manner.ByeFirst {
		p.send(p.inDialog(c, sip.BYE), server)
		p.over(c)
	}
	if c.manner.LateAck > 0 {
		p.after(c.manner.LateAck, func() { p.confirm(c, ack) })
		return
	}
	p.confirm(c, ack)
}

// confirm sends the ACK of an answer.
func (p *SIPPhone) confirm(c *farCall, ack *sip.Request) {
	p.write(ack.String(), c.peer)
	c.confirmed = true
}

// Cancel gives a call up that was not answered.
func (p *SIPPhone) Cancel() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state != PhoneCalling {
		return
	}
	invite := p.call.invite
	req := sip.NewRequest(sip.CANCEL, invite.Recipient)
	for _, h := range invite.Headers() {
		switch h.Name() {
		case "Via", "From", "To", "Call-ID", "Max-Forwards":
			req.AppendHeader(sip.HeaderClone(h))
		}
	}
	req.AppendHeader(&sip.CSeqHeader{SeqNo: invite.CSeq().SeqNo, MethodName: sip.CANCEL})
	req.SetBody(nil)
	p.write(req.String(), p.call.peer)
}

// transactTimeout is how long a final response is waited for.
const transactTimeout = 10 * time.Second

// transact sends a request and waits for its final response, answering one
// challenge and acknowledging refusals of an INVITE; nil: none came. The lock
// is not held.
func (p *SIPPhone) transact(req *sip.Request, to netip.AddrPort, a account, c *farCall) *sip.Response {
	for range 2 {
		res := p.exchange(req, to, c)
		if res == nil || res.StatusCode != 401 || a.password == "" || req.GetHeader("Authorization") != nil {
			return res
		}
		header := res.GetHeader("WWW-Authenticate")
		challenge, err := digest.ParseChallenge(header.Value())
		if err != nil {
			p.t.Errorf("challenge %q: %v", header, err)
			return res
		}
		credentials, err := digest.Digest(challenge, digest.Options{
			Method: string(req.Method), URI: req.Recipient.String(), Username: a.user, Password: a.password,
		})
		if err != nil {
			p.t.Errorf("challenge %q: %v", header, err)
			return res
		}
		req = req.Clone()
		req.CSeq().SeqNo++
		req.Via().Params.Add("branch", sip.GenerateBranch())
		req.AppendHeader(sip.NewHeader("Authorization", credentials.String()))
	}
	return nil
}

// proves tells whether the credentials in a header are made with a password.
func proves(req *sip.Request, header, password string) bool {
	h := req.GetHeader(header)
	if h == nil {
		return false
	}
	got, err := digest.ParseCredentials(h.Value())
	if err != nil {
		return false
	}
	want, err := digest.Digest(&digest.Challenge{Realm: got.Realm, Nonce: got.Nonce, QOP: []string{got.QOP}}, digest.Options{
		Method: string(req.Method), URI: got.URI, Username: got.Username, Password: password, Cnonce: got.Cnonce, Count: got.Nc,
	})
	return err == nil && got.Response == want.Response
}

// exchange is one transaction.
func (p *SIPPhone) exchange(req *sip.Request, to netip.AddrPort, c *farCall) *sip.Response {
	p.mu.Lock()
	if c != nil {
		c.invite = req
	}
	ch := p.send(req, to)
	p.mu.Unlock()
	timeout := time.NewTimer(transactTimeout)
	defer timeout.Stop()
	for {
		select {
		case <-timeout.C:
			return nil
		case <-p.done:
			return nil
		case res := <-ch:
			if res.CSeq() == nil || res.CSeq().MethodName != req.Method {
				continue // that of our CANCEL, which has the same branch
			}
			if res.IsProvisional() {
				p.provisional(c, res)
				continue
			}
			if req.Method == sip.INVITE && !res.IsSuccess() {
				p.write(refusalAck(req, res).String(), to)
			}
			return res
		}
	}
}

func (p *SIPPhone) provisional(c *farCall, res *sip.Response) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c == nil || res.StatusCode == 100 {
		return
	}
	c.says = append(c.says, res.StatusCode)
	if len(res.Body()) > 0 {
		p.listen(c, res.Body())
	}
}

// refusalAck acknowledges a refusal (RFC 3261 §17.1.1.3).
func refusalAck(invite *sip.Request, res *sip.Response) *sip.Request {
	ack := sip.NewRequest(sip.ACK, invite.Recipient)
	for _, h := range invite.Headers() {
		switch h.Name() {
		case "Via", "From", "Call-ID", "Max-Forwards":
			ack.AppendHeader(sip.HeaderClone(h))
		}
	}
	ack.AppendHeader(sip.HeaderClone(res.To()))
	ack.AppendHeader(&sip.CSeqHeader{SeqNo: invite.CSeq().SeqNo, MethodName: sip.ACK})
	ack.SetBody(nil)
	return ack
}

// send sends a request; the channel gets its responses. The lock is held.
func (p *SIPPhone) send(req *sip.Request, to netip.AddrPort) <-chan *sip.Response {
	ch := make(chan *sip.Response, 16)
	p.waiting[branch(req)] = ch
	if req.ContentLength() == nil {
		req.SetBody(req.Body())
	}
	p.write(req.String(), to)
	return ch
}

// outside is a request outside of a dialog; the lock is held.
func (p *SIPPhone) outside(method sip.RequestMethod, target, from, to sip.Uri) *sip.Request {
	req := sip.NewRequest(method, target)
	req.AppendHeader(p.via())
	req.AppendHeader(&sip.FromHeader{Address: from, Params: sip.HeaderParams{{K: "tag", V: rand.Text()}}})
	req.AppendHeader(&sip.ToHeader{Address: to})
	callID := sip.CallIDHeader(rand.Text())
	req.AppendHeader(&callID)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: 1, MethodName: method})
	hops := sip.MaxForwardsHeader(70)
	req.AppendHeader(&hops)
	return req
}

func (p *SIPPhone) via() *sip.ViaHeader {
	a := p.Addr()
	return &sip.ViaHeader{
		ProtocolName: "SIP", ProtocolVersion: "2.0", Transport: "UDP", Host: a.Addr().String(), Port: int(a.Port()),
		Params: sip.HeaderParams{{K: "branch", V: sip.GenerateBranch()}, {K: "rport"}},
	}
}

// inDialog is a request within the phone's call; the lock is held.
func (p *SIPPhone) inDialog(c *farCall, method sip.RequestMethod) *sip.Request {
	us, them := c.invite.To().Address, c.invite.From().Address
	if c.out {
		us, them = them, us
	}
	req := sip.NewRequest(method, c.target)
	req.AppendHeader(p.via())
	req.AppendHeader(&sip.FromHeader{Address: us, Params: sip.HeaderParams{{K: "tag", V: c.local}}})
	req.AppendHeader(&sip.ToHeader{Address: them, Params: sip.HeaderParams{{K: "tag", V: c.remote}}})
	callID := *c.invite.CallID()
	req.AppendHeader(&callID)
	c.cseq++
	req.AppendHeader(&sip.CSeqHeader{SeqNo: c.cseq, MethodName: method})
	hops := sip.MaxForwardsHeader(70)
	req.AppendHeader(&hops)
	req.SetBody(nil)
	return req
}

// description is the phone's SDP.
func (p *SIPPhone) description(c *farCall) []byte {
	a := c.media.Addr()
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	add("v=0")
	add("o=phone 1 1 IN IP4 %s", a.Addr())
	add("s=-")
	add("c=IN IP4 %s", a.Addr())
	add("t=0 0")
	codec := codecOf(c.manner)
	switch {
	case c.manner.Foreign:
		add("m=audio %d RTP/AVP 18", a.Port())
		add("a=rtpmap:18 G729/8000")
	case c.manner.NoEvents:
		add("m=audio %d RTP/AVP %d", a.Port(), codec.PayloadType())
		add("a=rtpmap:%d %s/8000", codec.PayloadType(), codec.Name())
	default:
		add("m=audio %d RTP/AVP %d %d", a.Port(), codec.PayloadType(), mediatest.EventPT)
		add("a=rtpmap:%d %s/8000", codec.PayloadType(), codec.Name())
		add("a=rtpmap:%d telephone-event/8000", mediatest.EventPT)
		add("a=fmtp:%d 0-15", mediatest.EventPT)
	}
	add("a=%s", cmp.Or(c.direction, "sendrecv"))
	return []byte(strings.Join(lines, "\r\n") + "\r\n")
}

// soundAddr is where a description wants its sound.
func soundAddr(body []byte) (netip.AddrPort, bool) {
	if len(body) == 0 {
		return netip.AddrPort{}, false
	}
	s, err := sdp.Parse(body)
	if err != nil {
		return netip.AddrPort{}, false
	}
	return s.Addr, true
}
