package sipengine

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/media/stream"
	"github.com/perezvon/perezvon/internal/telephony"
)

// tcpCarrier is a carrier on a real TCP port.
type tcpCarrier struct {
	*testing.T
	addr netip.AddrPort
	in   chan tcpMessage
}

type tcpMessage struct {
	*sip.Request
	conn net.Conn
}

func newTCPCarrier(t *testing.T) *tcpCarrier {
	l, err := systemNet{}.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	c := &tcpCarrier{t, addrPort(l.Addr()), make(chan tcpMessage, 16)}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
			go c.read(conn)
		}
	}()
	return c
}

func (c *tcpCarrier) read(conn net.Conn) {
	r := bufio.NewReader(conn)
	for {
		var head strings.Builder
		length := 0
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			head.WriteString(line)
			_, _ = fmt.Sscanf(line, "Content-Length: %d", &length)
			if line == "\r\n" && head.Len() > 2 {
				break
			}
		}
		body := make([]byte, length)
		if _, err := io.ReadFull(r, body); err != nil {
			return
		}
		m, err := sip.ParseMessage([]byte(head.String() + string(body)))
		if req, ok := m.(*sip.Request); err == nil && ok {
			c.in <- tcpMessage{req, conn}
		}
	}
}

// next waits for a request.
func (c *tcpCarrier) next(method sip.RequestMethod) tcpMessage {
	c.Helper()
	select {
	case m := <-c.in:
		if m.Method != method {
			c.Fatalf("got %s, want %s", m.StartLine(), method)
		}
		return m
	case <-time.After(30 * time.Second):
		c.Fatalf("no %s came", method)
		return tcpMessage{}
	}
}

// reply answers a request on a connection, the one it came by or a later one.
func (c *tcpCarrier) reply(conn net.Conn, req tcpMessage, code int, body string) {
	c.Helper()
	res := sip.NewResponseFromRequest(req.Request, code, "Because", nil)
	res.To().Params.Add("tag", "far")
	if body != "" {
		res.AppendHeader(&sip.ContactHeader{Address: sip.Uri{Scheme: "sip", Host: c.addr.Addr().String(), Port: int(c.addr.Port()), UriParams: sip.HeaderParams{{K: "transport", V: "tcp"}}}})
		setSDP(res, []byte(strings.ReplaceAll(body, "\n", "\r\n")))
	}
	if _, err := io.WriteString(conn, res.String()); err != nil {
		c.Fatal(err)
	}
}

// engine starts an engine that knows the carrier; kill leaves its ledger to the next.
func (c *tcpCarrier) engine(addr, ledger string) (e *Engine, kill func()) {
	c.Helper()
	e, err := New(Config{
		Addr: addr, Ledger: ledger, Logger: logger(c.T),
		Ports: stream.NewPorts(stream.SystemNet(), netip.MustParseAddr("127.0.0.1"), 0, 0),
		Directory: &people{trunks: []directory.Trunk{{
			Name: "carrier", Host: c.addr.Addr().String(), Port: int(c.addr.Port()), Transport: "tcp", Codecs: []string{"PCMA"},
		}}},
	})
	if err != nil {
		c.Fatal(err)
	}
	if err := e.Start(c.Context()); err != nil {
		c.Fatal(err)
	}
	kill = func() {
		e.close() // nothing more is said or noted
		_ = e.Stop(context.WithoutCancel(c.Context()))
	}
	c.Cleanup(kill)
	return e, kill
}

func TestOverTCPTheNewEngineEndsCallsOnANewConnection(t *testing.T) {
	c := newTCPCarrier(t)
	ledger := filepath.Join(t.TempDir(), "calls.jsonl")
	e, kill := c.engine("127.0.0.1:0", ledger)
	order := telephony.Dial{Leg: "c1", Trunk: "carrier", Number: "+74951234567"}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()

	answered := make(chan error, 1)
	go func() {
		_, err := e.Dial(ctx, order)
		answered <- err
	}()
	first := c.next(sip.INVITE)
	c.reply(first.conn, first, 200, "v=0\no=- 1 1 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 40000 RTP/AVP 8\n")
	c.next(sip.ACK)
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = e.Dial(ctx, order) }()
	second := c.next(sip.INVITE)
	c.reply(second.conn, second, 180, "")
	kill()

	e, _ = c.engine(e.Addr().String(), ledger)
	var bye, stop tcpMessage
	for range 2 { // in any order
		switch m := <-c.in; m.Method {
		case sip.BYE:
			bye = m
		case sip.CANCEL:
			stop = m
		default:
			t.Fatalf("got %s", m.StartLine())
		}
	}
	if bye.Request == nil || stop.Request == nil {
		t.Fatal("not one BYE and one CANCEL")
	}
	sameCall(t, bye.Request, first.Request)
	matches(t, stop.Request, second.Request)
	if bye.conn == first.conn || stop.conn == second.conn {
		t.Error("the connection outlived the process")
	}
	c.reply(bye.conn, bye, 200, "")
	c.reply(stop.conn, stop, 200, "")
	c.reply(stop.conn, second, 487, "")
	matches(t, c.next(sip.ACK).Request, second.Request)
	if err := e.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if _, left := opened(t, ledger); left != nil {
		t.Errorf("still noted: %v", left)
	}
}
