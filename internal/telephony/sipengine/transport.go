package sipengine

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

// resolveTimeout bounds a name lookup and a connection made for a request.
const resolveTimeout = 4 * time.Second

// listen opens the sockets and starts their read loops.
func (e *Engine) listen() error {
	udp, tcp, err := e.listenBoth()
	if err != nil {
		return err
	}
	e.sockets = append(e.sockets, udp, tcp)
	e.udp, e.tcp = addrPort(udp.LocalAddr()), addrPort(tcp.Addr())
	if e.cfg.TLSAddr != "" {
		l, err := e.cfg.Net.Listen(e.cfg.TLSAddr)
		if err != nil {
			return fmt.Errorf("listen for SIP over TLS: %w", err)
		}
		e.sockets = append(e.sockets, l)
		e.tls = addrPort(l.Addr())
		e.serve("tls", func() error {
			return e.transport.ServeTLS(tls.NewListener(newDoorkeeper(l, e.auth.Allowed), e.cfg.TLS))
		})
	}
	e.serveUDP(udp)
	e.serve("tcp", func() error { return e.transport.ServeTCP(newDoorkeeper(tcp, e.auth.Allowed)) })
	return nil
}

// listenTries bounds the search for a port that is free for UDP and TCP alike.
const listenTries = 50

// listenBoth opens UDP and TCP at one port. If the system chooses, TCP follows
// UDP, whose port somebody may be using for TCP: then it chooses again.
func (e *Engine) listenBoth() (udp net.PacketConn, tcp net.Listener, err error) {
	host, port, err := net.SplitHostPort(e.cfg.Addr)
	if err != nil {
		return nil, nil, fmt.Errorf("the SIP address: %w", err)
	}
	for range listenTries {
		if udp, err = e.cfg.Net.ListenPacket(e.cfg.Addr); err != nil {
			return nil, nil, fmt.Errorf("listen for SIP over UDP: %w", err)
		}
		chosen := strconv.Itoa(int(addrPort(udp.LocalAddr()).Port()))
		if tcp, err = e.cfg.Net.Listen(net.JoinHostPort(host, chosen)); err == nil {
			return udp, tcp, nil
		}
		_ = udp.Close() // nothing was sent on it
		if port != "0" {
			break
		}
	}
	return nil, nil, fmt.Errorf("listen for SIP over TCP: %w", err)
}

// serveUDP runs a read loop on the socket; see gate. It returns once it reads.
func (e *Engine) serveUDP(conn net.PacketConn) {
	g := newGate(conn, newFilter(e.isTrunk, e.auth.Allowed), func() { e.serveUDP(conn) })
	e.serve("udp", func() error { return e.transport.ServeUDP(g) })
	<-g.reading
}

func (e *Engine) serve(proto string, loop func() error) {
	e.loops.Go(func() {
		if err := loop(); err != nil && !errors.Is(err, net.ErrClosed) {
			e.log.Error("SIP is served no more", "transport", proto, "err", err)
		}
	})
}

func (e *Engine) isTrunk(from netip.AddrPort) bool {
	return e.trunks.MatchSource(from) != nil
}

// begin starts a client transaction. The request must have been prepared.
func (e *Engine) begin(ctx context.Context, req *sip.Request) (sip.ClientTransaction, error) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	if !e.use() {
		return nil, ErrStopped
	}
	defer e.using.RUnlock()
	tx, err := e.transactions.Request(ctx, req)
	if err != nil {
		return nil, err // not the nil *ClientTx as an interface
	}
	return tx, nil
}

// use takes the transport, unless it has been closed: sipgo would open a socket
// anew for a request that finds none.
func (e *Engine) use() bool {
	e.using.RLock()
	select {
	case <-e.gone:
		e.using.RUnlock()
		return false
	default:
		return true
	}
}

// transact sends a request that is not an INVITE, and waits for its final
// response.
func (e *Engine) transact(ctx context.Context, req *sip.Request) (*sip.Response, error) {
	tx, err := e.begin(ctx, req)
	if err != nil {
		return nil, err
	}
	defer tx.Terminate()
	for {
		select {
		case res := <-tx.Responses():
			if !res.IsProvisional() {
				return res, nil
			}
		case <-tx.Done():
			return nil, outcome(tx)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// outcome is why a transaction is over. One that was closed with the engine
// may not have noted it yet.
func outcome(tx sip.ClientTransaction) error {
	return cmp.Or(tx.Err(), sip.ErrTransactionTerminated)
}

// write sends a message that has no transaction: an ACK of a 2xx.
func (e *Engine) write(m sip.Message) {
	if !e.use() {
		return
	}
	defer e.using.RUnlock()
	if err := e.transport.WriteMsg(m); err != nil {
		e.log.Warn("a SIP message could not be sent", "err", err)
	}
}

// client sends the trunks' own requests (REGISTER, OPTIONS).
type client struct{ e *Engine }

// Do sends a request and waits for its final response.
func (c client) Do(ctx context.Context, req *sip.Request) (*sip.Response, error) {
	h, err := c.e.resolve(ctx, req.Recipient, req.Transport())
	if err != nil {
		return nil, err
	}
	c.e.prepare(req, h)
	return c.e.transact(ctx, req)
}

// trunkContact is where a carrier reaches us.
func (e *Engine) trunkContact(transport, host string) sip.Uri {
	h, err := e.resolve(e.life, sip.Uri{Host: host}, transport)
	if err != nil {
		h = hop{transport: strings.ToUpper(transport), peer: netip.IPv4Unspecified()}
	}
	return e.contact("", h)
}

// resolve finds the next hop to a URI (RFC 3263): an address stands for
// itself; a name without a port has SRV records, or its addresses. The lookup
// is bounded by resolveTimeout. Over TLS the name stays in the hop, because the
// certificate is to prove it.
func (e *Engine) resolve(ctx context.Context, uri sip.Uri, transport string) (hop, error) {
	transport = strings.ToUpper(transport)
	if t, ok := uri.UriParams.Get("transport"); ok && t != "" {
		transport = strings.ToUpper(t)
	}
	host := strings.Trim(uri.Host, "[]")
	port := uint16(cmp.Or(uri.Port, sip.DefaultPort(transport)))
	if ip, err := netip.ParseAddr(host); err == nil {
		return hopTo(transport, netip.AddrPortFrom(ip, port)), nil
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	if uri.Port == 0 {
		host, port = lookupSRV(ctx, transport, host, port)
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return hop{}, fmt.Errorf("resolve %s: %w", host, err)
	}
	ip := ips[0]
	for _, candidate := range ips {
		if candidate.Unmap().Is4() == e.udp.Addr().Is4() {
			ip = candidate
			break
		}
	}
	h := hopTo(transport, netip.AddrPortFrom(ip.Unmap(), port))
	if transport == "TLS" {
		h.addr = net.JoinHostPort(host, strconv.Itoa(int(port)))
	}
	return h, nil
}

// lookupSRV gives the first of a name's servers, or the name itself.
func lookupSRV(ctx context.Context, transport, host string, port uint16) (string, uint16) {
	service, proto := "sip", strings.ToLower(transport)
	if transport == "TLS" {
		service, proto = "sips", "tcp"
	}
	_, records, err := net.DefaultResolver.LookupSRV(ctx, service, proto, host)
	if err != nil || len(records) == 0 {
		return host, port // no such records is the usual case
	}
	return strings.TrimSuffix(records[0].Target, "."), records[0].Port
}

// quiet makes a library's log a matter of debugging: what it calls an error is
// mostly what strangers send us.
func quiet(log *slog.Logger) *slog.Logger { return slog.New(demoted{log.Handler()}) }

type demoted struct{ slog.Handler }

func (d demoted) Enabled(ctx context.Context, _ slog.Level) bool {
	return d.Handler.Enabled(ctx, slog.LevelDebug)
}

func (d demoted) Handle(ctx context.Context, r slog.Record) error {
	r.Level = slog.LevelDebug
	return d.Handler.Handle(ctx, r)
}

func (d demoted) WithAttrs(as []slog.Attr) slog.Handler { return demoted{d.Handler.WithAttrs(as)} }
func (d demoted) WithGroup(name string) slog.Handler    { return demoted{d.Handler.WithGroup(name)} }
