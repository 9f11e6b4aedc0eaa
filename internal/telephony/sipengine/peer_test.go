package sipengine

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/mediatest"
	"github.com/perezvon/perezvon/internal/media/sdp"
	"github.com/perezvon/perezvon/internal/media/stream"
	"github.com/perezvon/perezvon/internal/telephony"
)

// The addresses of the virtual world: the engine, a carrier, and strangers.
var (
	engineAddr = netip.MustParseAddrPort("10.0.0.1:5060")
	peerAddr   = netip.MustParseAddrPort("10.0.0.2:5060")
)

// memoryNet opens SIP sockets on a virtual network; nobody connects by TCP.
type memoryNet struct{ *mediatest.Network }

func (n memoryNet) ListenPacket(addr string) (net.PacketConn, error) {
	return n.Network.Listen(netip.MustParseAddrPort(addr))
}

func (memoryNet) Listen(addr string) (net.Listener, error) {
	return &deafListener{addr: netip.MustParseAddrPort(addr), closed: make(chan struct{})}, nil
}

type deafListener struct {
	addr   netip.AddrPort
	closed chan struct{}
}

func (l *deafListener) Accept() (net.Conn, error) {
	<-l.closed
	return nil, net.ErrClosed
}
func (l *deafListener) Close() error   { close(l.closed); return nil }
func (l *deafListener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }

// world is an engine in virtual time. It must be used within synctest.Test.
type world struct {
	*testing.T
	network *mediatest.Network
	people  *people
	config  Config
	engine  *Engine
	calls   chan telephony.Leg // what came in; Handler holds each until it ends
}

// newWorld starts an engine with one trunk, "carrier", at peerAddr.
func newWorld(t *testing.T, change ...func(*Config, *people)) *world {
	w := &world{T: t, network: mediatest.NewNetwork(), calls: make(chan telephony.Leg, 8)}
	w.people = &people{
		trunks:    []directory.Trunk{{Name: "carrier", Host: peerAddr.Addr().String(), Port: 5060, Codecs: []string{"PCMA", "PCMU"}}},
		operators: map[string]directory.Operator{"101": {Extension: "101", Password: "secret"}},
	}
	c := Config{
		Addr: engineAddr.String(), Net: memoryNet{w.network}, Directory: w.people,
		Ports:  stream.NewPorts(w.network, engineAddr.Addr(), 0, 0),
		Logger: logger(t),
		Handler: func(ctx context.Context, l telephony.Leg) {
			w.calls <- l
			<-ctx.Done()
		},
	}
	for _, f := range change {
		f(&c, w.people)
	}
	w.config = c
	w.start()
	return w
}

// start starts an engine as the world is configured; it is stopped with the test.
func (w *world) start() {
	t := w.T
	e, err := New(w.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.engine = e
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*time.Minute)
		defer cancel()
		if err := e.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		if n := len(e.subs.all) + len(e.subs.byDialog) + len(e.subs.watching) + len(e.subs.held); n > 0 {
			t.Errorf("%d subscriptions are left", n)
		}
		if len(e.legs)+len(e.dialogs) > 0 {
			t.Errorf("%d legs and %d dialogs are left", len(e.legs), len(e.dialogs))
		}
	})
}

// dialled is what Dial came to.
type dialled struct {
	leg telephony.Leg
	err error
	at  time.Duration // after the order
}

// dial orders a call through the carrier.
func (w *world) dial(ctx context.Context, change ...func(*telephony.Dial)) <-chan dialled {
	d := telephony.Dial{Leg: "c1", Trunk: "carrier", Number: "+74951234567", CallerID: "+74957654321", Timeout: 15 * time.Second}
	for _, f := range change {
		f(&d)
	}
	done := make(chan dialled, 1)
	began := time.Now()
	go func() {
		l, err := w.engine.Dial(ctx, d)
		done <- dialled{l, err, time.Since(began)}
	}()
	return done
}

// peer is the far end: a SIP socket whose messages the test reads and writes,
// and a telephone's sound.
type peer struct {
	w     *world
	addr  netip.AddrPort
	conn  *mediatest.Conn
	phone *mediatest.Phone
	in    chan sip.Message
	tag   string
	seq   int
	// once tells that retransmissions are not shown to the test.
	seen map[string]bool
}

// peerAt opens a far end that speaks A-law and sends a tone once it has been
// told where to (see hear).
func (w *world) peerAt(addr netip.AddrPort, freq float64) *peer {
	w.Helper()
	conn, err := w.network.Listen(addr)
	if err != nil {
		w.Fatal(err)
	}
	p := &peer{w: w, addr: addr, conn: conn, in: make(chan sip.Message, 256), tag: "far", seen: map[string]bool{}}
	p.phone = mediatest.NewPhone(w.T, w.network, addr.Addr(), media.PCMA, freq)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 65536)
		for {
			n, _, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			m, err := sip.ParseMessage(buf[:n])
			if err != nil {
				w.Errorf("the engine sent what cannot be read: %v\n%s", err, buf[:n])
				continue
			}
			p.in <- m
		}
	}()
	w.Cleanup(func() {
		// After the engine's own: cleanups run in reverse.
		_ = conn.Close()
		<-done
	})
	return p
}

// carrier is the far end of the trunk.
func (w *world) carrier(freq float64) *peer { return w.peerAt(peerAddr, freq) }

// next is the next message that is not a retransmission.
func (p *peer) next(within time.Duration) sip.Message {
	p.w.Helper()
	limit := time.After(within)
	for {
		select {
		case m := <-p.in:
			key := m.String()
			if p.seen[key] {
				continue
			}
			p.seen[key] = true
			return m
		case <-limit:
			return nil
		}
	}
}

// request waits for a request.
func (p *peer) request(method sip.RequestMethod) *sip.Request {
	p.w.Helper()
	switch m := p.next(2 * time.Minute).(type) {
	case *sip.Request:
		if m.Method == method {
			return m
		}
		p.w.Fatalf("got %s, want %s", m.StartLine(), method)
	case *sip.Response:
		p.w.Fatalf("got %s to %s, want a %s", m.StartLine(), m.CSeq().Value(), method)
	default:
		p.w.Fatalf("nothing came, want %s", method)
	}
	return nil
}

// response waits for a response; 100 is passed over.
func (p *peer) response(code int, method sip.RequestMethod) *sip.Response {
	p.w.Helper()
	for {
		switch m := p.next(2 * time.Minute).(type) {
		case *sip.Response:
			if m.StatusCode == 100 && code != 100 {
				continue
			}
			if m.StatusCode == code && m.CSeq().MethodName == method {
				return m
			}
			p.w.Fatalf("got %s to %s, want %d to %s", m.StartLine(), m.CSeq().Value(), code, method)
		case *sip.Request:
			p.w.Fatalf("got %s, want %d to %s", m.StartLine(), code, method)
		default:
			p.w.Fatalf("nothing came, want %d to %s", code, method)
		}
	}
}

// silence fails the test if anything new comes within d.
func (p *peer) silence(d time.Duration) {
	p.w.Helper()
	if m := p.next(d); m != nil {
		p.w.Fatalf("got\n%s\nwant nothing", m)
	}
}

// send sends a raw message, lines separated by \n.
func (p *peer) send(lines string) {
	head, body, _ := strings.Cut(strings.TrimLeft(lines, "\n"), "\n\n")
	body = strings.ReplaceAll(body, "\n", "\r\n")
	raw := strings.ReplaceAll(strings.TrimSpace(head), "\n", "\r\n") + fmt.Sprintf("\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	if _, err := p.conn.WriteTo([]byte(raw), net.UDPAddrFromAddrPort(engineAddr)); err != nil {
		p.w.Fatal(err)
	}
}

// sdp is the far end's description; direction is sendrecv unless given.
func (p *peer) sdp(direction ...string) string {
	d := "sendrecv"
	if len(direction) > 0 {
		d = direction[0]
	}
	return fmt.Sprintf("v=0\no=far 1 1 IN IP4 %[1]s\ns=-\nc=IN IP4 %[1]s\nt=0 0\nm=audio %[2]d RTP/AVP 8 101\na=rtpmap:8 PCMA/8000\na=rtpmap:101 telephone-event/8000\na=%[3]s\n",
		p.addr.Addr(), p.phone.Addr().Port(), d)
}

// reply answers a request: extra holds header lines, body a description.
func (p *peer) reply(req *sip.Request, code int, extra, body string) {
	p.replyAs(p.tag, req, code, extra, body)
}

func (p *peer) replyAs(tag string, req *sip.Request, code int, extra, body string) {
	var b strings.Builder
	fmt.Fprintf(&b, "SIP/2.0 %d Because\n", code)
	for _, h := range req.GetHeaders("Via") {
		fmt.Fprintf(&b, "Via: %s\n", h.Value())
	}
	for _, h := range req.GetHeaders("Record-Route") {
		fmt.Fprintf(&b, "Record-Route: %s\n", h.Value())
	}
	to := req.To().Value()
	if !strings.Contains(to, "tag=") && code > 100 {
		to += ";tag=" + tag
	}
	fmt.Fprintf(&b, "From: %s\nTo: %s\nCall-ID: %s\nCSeq: %s\n", req.From().Value(), to, req.CallID().Value(), req.CSeq().Value())
	if code < 300 && req.IsInvite() {
		fmt.Fprintf(&b, "Contact: <sip:far@%s>\n", p.addr)
	}
	if extra != "" {
		b.WriteString(strings.TrimSpace(extra) + "\n")
	}
	if body != "" {
		b.WriteString("Content-Type: application/sdp\n")
	}
	p.send(b.String() + "\n" + body)
}

// session is a call that stands, from the peer's side.
type session struct {
	*peer
	callID, local, remote, target string
}

// answers takes the next INVITE and answers it with the peer's description.
func (p *peer) answers() *session {
	p.w.Helper()
	req := p.request(sip.INVITE)
	p.reply(req, 200, "", p.sdp())
	p.request(sip.ACK)
	return p.sessionOf(req)
}

// sessionOf is the called side's view.
func (p *peer) sessionOf(invite *sip.Request) *session {
	return &session{
		peer: p, callID: invite.CallID().Value(), local: invite.To().Value() + ";tag=" + p.tag, remote: invite.From().Value(),
		target: invite.Contact().Address.String(),
	}
}

// invite is the text of an INVITE from the peer, without a body.
func (p *peer) invite(extra string) string {
	p.seq = 1
	return fmt.Sprintf("INVITE sip:74950000000@%[1]s SIP/2.0\nVia: SIP/2.0/UDP %[2]s;branch=z9hG4bKin1;rport\nMax-Forwards: 70\n"+
		"From: \"Client\" <sip:+79161234567@%[2]s>;tag=%[3]s\nTo: <sip:74950000000@%[1]s>\nCall-ID: in-1\nCSeq: 1 INVITE\nContact: <sip:far@%[2]s>\n%[4]s",
		engineAddr, p.addr, p.tag, extra)
}

const sdpHeader = "Content-Type: application/sdp\n"

// calls calls the engine and returns the leg that came of it.
func (p *peer) calls(extra string) telephony.Leg {
	p.w.Helper()
	p.send(p.invite(extra+sdpHeader) + "\n" + p.sdp())
	return p.leg()
}

// leg waits for the leg of a call in.
func (p *peer) leg() telephony.Leg {
	p.w.Helper()
	select {
	case l := <-p.w.calls:
		return l
	case <-time.After(time.Minute):
		p.w.Fatal("no call came in")
		return nil
	}
}

// picked answers a leg that came in and returns the peer's session, the ACK
// sent.
func (p *peer) picked(l telephony.Leg) *session {
	p.w.Helper()
	if err := l.Answer(p.w.Context()); err != nil {
		p.w.Fatalf("answer: %v", err)
	}
	return p.acked(p.response(200, sip.INVITE), "")
}

func (p *peer) acked(res *sip.Response, body string) *session {
	s := &session{peer: p, callID: res.CallID().Value(), local: res.From().Value(), remote: res.To().Value(), target: res.Contact().Address.String()}
	s.ack(int(res.CSeq().SeqNo), body)
	return s
}

// request is the text of a request in the session. cseq 0: the next one.
func (s *session) inDialog(method string, cseq int, extra, body string) {
	if cseq == 0 {
		s.seq = max(s.seq, 1) + 1
		cseq = s.seq
	}
	s.seq = max(s.seq, cseq)
	if body != "" && !strings.Contains(extra, "Content-Type") {
		extra += sdpHeader
	}
	s.send(fmt.Sprintf("%s %s SIP/2.0\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%s%d;rport\nMax-Forwards: 70\nFrom: %s\nTo: %s\nCall-ID: %s\nCSeq: %d %s\nContact: <sip:far@%s>\n%s\n%s",
		method, s.target, s.addr, method, cseq, s.local, s.remote, s.callID, cseq, method, s.addr, extra, body))
}

func (s *session) ack(cseq int, body string) { s.inDialog("ACK", cseq, "", body) }

// bye hangs up.
func (s *session) bye(extra string) {
	s.w.Helper()
	s.inDialog("BYE", 0, extra, "")
	s.response(200, sip.BYE)
}

// hear lets the peer's telephone speak to where the engine wants it.
func (p *peer) hear(l telephony.Leg) {
	p.phone.Call(netip.AddrPortFrom(engineAddr.Addr(), uint16(l.(*leg).stream.LocalPort())))
}

// ended waits for the end of a leg and checks who ended it.
func ended(t *testing.T, l telephony.Leg, by string) *telephony.HangupError {
	t.Helper()
	<-l.Context().Done()
	cause, ok := context.Cause(l.Context()).(*telephony.HangupError) //nolint:errorlint // the documented type
	if !ok || cause.By != by {
		t.Fatalf("the leg ended with %v, want by %s", context.Cause(l.Context()), by)
	}
	return cause
}

// failed takes the end of a Dial that must have failed.
func failed(t *testing.T, done <-chan dialled, code int, phase telephony.Phase) (*telephony.DialError, time.Duration) {
	t.Helper()
	got := <-done
	err, ok := got.err.(*telephony.DialError) //nolint:errorlint // the documented type
	if !ok || err.Code != code || err.Phase != phase {
		t.Fatalf("dial: %v, %v; want %d in phase %s", got.leg, got.err, code, cmp.Or(phase, "none"))
	}
	return err, got.at
}

// succeeded takes the leg of a Dial.
func succeeded(t *testing.T, done <-chan dialled) telephony.Leg {
	t.Helper()
	got := <-done
	if got.err != nil {
		t.Fatalf("dial: %v", got.err)
	}
	return got.leg
}

// mediaAddr is where a description wants its RTP.
func mediaAddr(t *testing.T, body string) netip.AddrPort {
	t.Helper()
	s, err := sdp.Parse([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return s.Addr
}

// requestWithin waits longer than request does.
func (p *peer) requestWithin(method sip.RequestMethod, within time.Duration) *sip.Request {
	p.w.Helper()
	m, ok := p.next(within).(*sip.Request)
	if !ok || m.Method != method {
		p.w.Fatalf("got %v, want %s", m, method)
	}
	return m
}

func netipAddrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// reasonHeader is a message with nothing but a Reason.
type reasonHeader string

func (h reasonHeader) GetHeaders(name string) []sip.Header {
	return []sip.Header{sip.NewHeader(name, string(h))}
}
