package sipengine

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// gate is the UDP socket as sipgo sees it: a net.PacketConn behind our filter.
//
// sipgo's read loop remembers every source address it was handed for as long
// as the loop runs. So the loop does not run for ever: when a gate has let in
// sourcesMax addresses a new gate over the same socket takes over, and the old
// one reports the socket closed, at which its loop forgets everything. Messages
// being answered are not disturbed: an old gate still writes.
type gate struct {
	net.PacketConn
	filter *filter
	// renew starts the next generation's read loop and returns once it reads.
	renew   func()
	reading chan struct{} // closed at the first read
	once    sync.Once
}

// linger is how long a gate that reads no more keeps its loop from ending. A
// message finds the socket for its answer by what the loop remembers, and sipgo
// opens a socket of its own, which nobody would close, if it finds none; so the
// messages just handed over must have found theirs.
const linger = 100 * time.Millisecond

func newGate(conn net.PacketConn, f *filter, renew func()) *gate {
	return &gate{PacketConn: conn, filter: f, renew: renew, reading: make(chan struct{})}
}

// ReadFrom waits for a datagram that passes the filter.
func (g *gate) ReadFrom(p []byte) (int, net.Addr, error) {
	g.once.Do(func() { close(g.reading) })
	if g.filter.full() {
		g.renew()
		time.Sleep(linger)
		return 0, nil, net.ErrClosed
	}
	for {
		n, from, err := g.PacketConn.ReadFrom(p)
		if err != nil {
			time.Sleep(linger)
			return n, from, err
		}
		if g.filter.pass(addrPort(from), p[:n]) {
			return n, from, nil
		}
	}
}

// Close does nothing: the socket belongs to the engine, and sipgo closes what
// it read from.
func (g *gate) Close() error { return nil }

// addrPort is a socket address in comparable form; zero if it is none.
func addrPort(a net.Addr) netip.AddrPort {
	switch a := a.(type) {
	case *net.UDPAddr:
		ap := a.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	case *net.TCPAddr:
		ap := a.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}

// source is where a message came from.
func source(s string) netip.AddrPort {
	ap, err := netip.ParseAddrPort(s)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// doorkeeper is a TCP listener that hangs up on silenced addresses and bounds
// the connections of one address.
type doorkeeper struct {
	net.Listener
	allowed func(netip.Addr) bool

	mu    sync.Mutex
	count map[netip.Addr]int
}

// connectionsPerAddress bounds one address' connections: an office of phones
// behind one address has as many as it has phones.
const connectionsPerAddress = 512

func newDoorkeeper(l net.Listener, allowed func(netip.Addr) bool) *doorkeeper {
	return &doorkeeper{Listener: l, allowed: allowed, count: make(map[netip.Addr]int)}
}

// Accept waits for a connection that is welcome.
func (d *doorkeeper) Accept() (net.Conn, error) {
	for {
		conn, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := addrPort(conn.RemoteAddr()).Addr()
		if !d.allowed(from) || !d.enter(from) {
			_ = conn.Close() // nothing was said yet
			continue
		}
		return &guest{Conn: conn, leave: sync.OnceFunc(func() { d.exit(from) })}, nil
	}
}

func (d *doorkeeper) enter(from netip.Addr) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.count[from] >= connectionsPerAddress {
		return false
	}
	d.count[from]++
	return true
}

func (d *doorkeeper) exit(from netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.count[from]--; d.count[from] <= 0 {
		delete(d.count, from)
	}
}

// guest is a connection that is counted until it is closed.
type guest struct {
	net.Conn
	leave func()
}

func (g *guest) Close() error {
	g.leave()
	return g.Conn.Close()
}
