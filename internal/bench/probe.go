package bench

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/perezvon/perezvon/internal/media/stream"
)

// probeNet is the system's network, seen through a stopwatch: each RTP packet
// that a bench phone sends carries the time of its sending in its payload, and
// each that arrives tells how long it was under way through the server. The
// sound is spoilt by it, which nobody hears.
type probeNet struct {
	stream.Net
	start time.Time
	now   *atomic.Pointer[turn] // whose packets they are
}

// stamped payloads begin with this mark, so that the server's own prompts are
// told apart from what a phone sent.
const mark = 0x50657265_7a766f6e

// stampAt is where the mark stands: behind the RTP header and some sound.
const stampAt = 12 + 8

const stampLen = 16

func newProbeNet(now *atomic.Pointer[turn]) *probeNet {
	return &probeNet{Net: stream.SystemNet(), start: time.Now(), now: now}
}

func (n *probeNet) ListenUDP(addr netip.AddrPort) (stream.Conn, error) {
	c, err := n.Net.ListenUDP(addr)
	if err != nil {
		return nil, err
	}
	return &probeConn{Conn: c, net: n}, nil
}

// probeConn stamps what it sends and reads the stamps of what it gets.
type probeConn struct {
	stream.Conn
	net *probeNet
	buf [1500]byte // of the one goroutine that plays to the leg
}

func (c *probeConn) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if len(b) < stampAt+stampLen || len(b) > len(c.buf) || isRTCP(b) {
		return c.Conn.WriteToUDPAddrPort(b, to)
	}
	out := c.buf[:copy(c.buf[:], b)]
	binary.BigEndian.PutUint64(out[stampAt:], mark)
	binary.BigEndian.PutUint64(out[stampAt+8:], uint64(time.Since(c.net.start)))
	c.net.now.Load().sent.Add(1)
	return c.Conn.WriteToUDPAddrPort(out, to)
}

func (c *probeConn) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	n, from, err := c.Conn.ReadFromUDPAddrPort(b)
	if err == nil && n >= stampAt+stampLen && !isRTCP(b) && binary.BigEndian.Uint64(b[stampAt:]) == mark {
		sent := time.Duration(binary.BigEndian.Uint64(b[stampAt+8:]))
		t := c.net.now.Load()
		t.heard.Add(1)
		t.relay.add(time.Since(c.net.start) - sent)
	}
	return n, from, err
}

// isRTCP tells by the packet type (RFC 5761 §4).
func isRTCP(b []byte) bool { return b[1] >= 192 && b[1] <= 223 }
