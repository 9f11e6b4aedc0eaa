package mediatest

import (
	"container/heap"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// Conn is a socket of a Network. Besides stream.Conn it is a net.PacketConn, so
// that SIP can run over the same network. It has one reader at a time.
type Conn struct {
	network *Network
	addr    netip.AddrPort
	wake    chan struct{} // holds a token while something may have changed

	mu       sync.Mutex
	queue    datagrams
	last     map[netip.AddrPort]time.Time // when the newest of a sender is due
	closed   bool
	deadline time.Time
}

var _ net.PacketConn = (*Conn)(nil)

type datagram struct {
	from   netip.AddrPort
	number uint64 // in the order of sending
	due    time.Time
	b      []byte
}

// datagrams is a heap: the next one due first, of those the one sent first.
type datagrams []datagram

func (q datagrams) Len() int { return len(q) }
func (q datagrams) Less(i, j int) bool {
	if q[i].due.Equal(q[j].due) {
		return q[i].number < q[j].number
	}
	return q[i].due.Before(q[j].due)
}
func (q datagrams) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *datagrams) Push(x any)   { *q = append(*q, x.(datagram)) }
func (q *datagrams) Pop() any {
	d := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return d
}

// deliver puts d in the queue, behind the sender's others unless it is held up.
func (c *Conn) deliver(d datagram, late bool, by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(c.queue) >= maxQueue {
		return
	}
	if late {
		d.due = d.due.Add(by)
	} else {
		if last := c.last[d.from]; d.due.Before(last) {
			d.due = last
		}
		c.last[d.from] = d.due
	}
	heap.Push(&c.queue, d)
	c.poke()
}

// poke lets the reader look again.
func (c *Conn) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// ReadFromUDPAddrPort waits for a datagram. It returns net.ErrClosed after
// Close and os.ErrDeadlineExceeded after the read deadline.
func (c *Conn) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	for {
		d, wait, err := c.next()
		if err != nil {
			return 0, netip.AddrPort{}, err
		}
		if wait == 0 {
			return copy(b, d.b), d.from, nil
		}
		c.sleep(wait)
	}
}

// next takes the datagram that is due, or tells how long to wait for a change:
// less than 0: until there is one.
func (c *Conn) next() (d datagram, wait time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.closed {
		return d, 0, net.ErrClosed
	}
	if !c.deadline.IsZero() && !now.Before(c.deadline) {
		return d, 0, os.ErrDeadlineExceeded
	}
	if len(c.queue) > 0 && !now.Before(c.queue[0].due) {
		return heap.Pop(&c.queue).(datagram), 0, nil
	}
	until := c.deadline
	if len(c.queue) > 0 && (until.IsZero() || c.queue[0].due.Before(until)) {
		until = c.queue[0].due
	}
	if until.IsZero() {
		return d, -1, nil
	}
	return d, until.Sub(now), nil
}

func (c *Conn) sleep(wait time.Duration) {
	if wait < 0 {
		<-c.wake
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-c.wake:
	case <-timer.C:
	}
}

// WriteToUDPAddrPort sends a datagram. One that nobody listens for is lost.
func (c *Conn) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	if closed {
		return 0, net.ErrClosed
	}
	c.network.send(c.addr, netip.AddrPortFrom(to.Addr().Unmap(), to.Port()), b)
	return len(b), nil
}

// ReadFrom implements net.PacketConn.
func (c *Conn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.ReadFromUDPAddrPort(b)
	if err != nil {
		return 0, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// WriteTo implements net.PacketConn. The address is a *net.UDPAddr.
func (c *Conn) WriteTo(b []byte, to net.Addr) (int, error) {
	a, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, &net.AddrError{Err: "not a UDP address", Addr: to.String()}
	}
	return c.WriteToUDPAddrPort(b, a.AddrPort())
}

// AddrPort is the socket's own address.
func (c *Conn) AddrPort() netip.AddrPort { return c.addr }

// LocalAddr is a *net.UDPAddr.
func (c *Conn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(c.addr) }

// Close frees the address and ends a read that waits.
func (c *Conn) Close() error {
	c.network.remove(c)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.closed, c.queue = true, nil
	c.poke()
	return nil
}

// SetReadDeadline ends reads that still wait at t; the zero time: never.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	c.poke()
	return nil
}

// SetDeadline is SetReadDeadline: a write does not wait.
func (c *Conn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetWriteDeadline does nothing: a write does not wait.
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }
