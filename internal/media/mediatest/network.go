// Package mediatest is what the media path is tested with: a virtual UDP
// network that loses, delays and reorders, phones that send a tone of their own
// and tell what they hear, and meters for level and gaps. All of it works in
// the virtual time of testing/synctest, and the phones on real sockets too.
package mediatest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/perezvon/perezvon/internal/media/stream"
)

// maxQueue is how many datagrams may wait at a socket; more are dropped, as by
// a full receive buffer.
const maxQueue = 4096

// Link is how well a network carries datagrams. The zero value is perfect:
// nothing is lost and everything arrives at once.
type Link struct {
	Loss   float64       // share that never arrives, 0…1
	Delay  time.Duration // of every datagram
	Jitter time.Duration // further delay by chance, 0…Jitter; the order is kept
	// Reorder is the share of datagrams that arrive late by ReorderBy, behind
	// those sent after them.
	Reorder   float64
	ReorderBy time.Duration
}

// Network is a virtual UDP network; it implements stream.Net. Chance in it is
// the same in every run.
type Network struct {
	mu     sync.Mutex
	conns  map[netip.AddrPort]*Conn
	port   uint16 // the last one the network chose
	link   Link
	links  map[netip.AddrPort]Link // by sender
	chance *rand.Rand
	number uint64 // of the last datagram
}

// NewNetwork makes a perfect network without sockets.
func NewNetwork() *Network {
	return &Network{
		conns:  make(map[netip.AddrPort]*Conn),
		links:  make(map[netip.AddrPort]Link),
		port:   20000,
		chance: rand.New(rand.NewPCG(1, 2)),
	}
}

// SetLink changes how datagrams travel from now on, except for those of senders
// with a link of their own.
func (n *Network) SetLink(l Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.link = l
}

// SetLinkFrom changes how the datagrams of one sender travel from now on.
func (n *Network) SetLinkFrom(from netip.AddrPort, l Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.links[from] = l
}

// ListenUDP implements stream.Net.
func (n *Network) ListenUDP(addr netip.AddrPort) (stream.Conn, error) {
	c, err := n.Listen(addr)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Listen opens a socket; port 0 lets the network choose. The address must be
// a host's, not the unspecified one. It fails if the port is taken.
func (n *Network) Listen(addr netip.AddrPort) (*Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !addr.Addr().IsValid() || addr.Addr().IsUnspecified() {
		return nil, fmt.Errorf("mediatest: %v is no address to listen at", addr)
	}
	if addr.Port() == 0 {
		for {
			n.port++
			addr = netip.AddrPortFrom(addr.Addr(), n.port)
			if n.port >= 1024 && n.conns[addr] == nil {
				break
			}
		}
	}
	if n.conns[addr] != nil {
		return nil, &net.OpError{Op: "listen", Net: "udp", Addr: net.UDPAddrFromAddrPort(addr), Err: syscall.EADDRINUSE}
	}
	c := &Conn{network: n, addr: addr, wake: make(chan struct{}, 1), last: make(map[netip.AddrPort]time.Time)}
	n.conns[addr] = c
	return c, nil
}

// send carries b to its receiver, if there is one and it does not get lost.
func (n *Network) send(from, to netip.AddrPort, b []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l, ok := n.links[from]
	if !ok {
		l = n.link
	}
	c := n.conns[to]
	if c == nil || l.Loss > 0 && n.chance.Float64() < l.Loss {
		return
	}
	n.number++
	d := datagram{from: from, number: n.number, due: time.Now().Add(l.Delay), b: append([]byte(nil), b...)}
	if l.Jitter > 0 {
		d.due = d.due.Add(time.Duration(n.chance.Int64N(int64(l.Jitter))))
	}
	late := l.Reorder > 0 && n.chance.Float64() < l.Reorder
	c.deliver(d, late, l.ReorderBy)
}

func (n *Network) remove(c *Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conns[c.addr] == c {
		delete(n.conns, c.addr)
	}
}
