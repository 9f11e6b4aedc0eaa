package stream

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"
)

// rest is how long a pair of ports is left alone after a call, so that what
// the old phone still sends does not reach a new call.
const rest = 5 * time.Second

// Ports is the pool of port pairs that streams are opened on, and the one
// clock that sends their RTCP reports.
type Ports struct {
	net Net
	ip  netip.Addr
	any bool // the network chooses the ports

	mu      sync.Mutex
	free    []freePair // the longest unused first
	streams map[*Stream]struct{}
	reports *time.Timer // runs while there are streams
	past    Totals      // of streams that are closed
}

type freePair struct {
	port  int // even
	since time.Time
}

// pair is the two sockets of a stream.
type pair struct {
	port      int
	rtp, rtcp Conn
}

func (p pair) close() {
	// A socket that cannot be closed cannot be helped either.
	_ = p.rtp.Close()
	_ = p.rtcp.Close()
}

// NewPorts makes a pool of the pairs that lie within low…high, both included:
// RTP on an even port, RTCP on the odd one above (RFC 3550 §11). With low 0 the
// network chooses the ports. ip is the address the sockets are bound to.
func NewPorts(n Net, ip netip.Addr, low, high int) *Ports {
	p := &Ports{net: n, ip: ip, any: low == 0, streams: make(map[*Stream]struct{})}
	if p.any {
		return p
	}
	for port := low + low%2; port+1 <= high; port += 2 {
		p.free = append(p.free, freePair{port: port})
	}
	// A restarted server does not begin with the ports of its last calls.
	if n := len(p.free); n > 0 {
		k := rand.IntN(n)
		p.free = append(p.free[k:n:n], p.free[:k]...)
	}
	return p
}

// take binds the pair that has been unused for longest. The error wraps
// ErrNoPorts.
func (p *Ports) take() (pair, error) {
	if p.any {
		return p.takeAny()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var cause error
	now := time.Now()
	for range len(p.free) {
		f := p.free[0]
		if !f.since.IsZero() && now.Sub(f.since) < rest {
			break // the others have rested even less
		}
		p.free = p.free[1:]
		pr, err := p.bind(f.port)
		if err == nil {
			return pr, nil
		}
		cause = err // another program's port: look again later
		p.free = append(p.free, freePair{port: f.port, since: now})
	}
	if cause != nil {
		return pair{}, fmt.Errorf("%w: %w", ErrNoPorts, cause)
	}
	return pair{}, ErrNoPorts
}

func (p *Ports) bind(port int) (pair, error) {
	rtp, err := p.net.ListenUDP(netip.AddrPortFrom(p.ip, uint16(port)))
	if err != nil {
		return pair{}, err
	}
	rtcp, err := p.net.ListenUDP(netip.AddrPortFrom(p.ip, uint16(port+1)))
	if err != nil {
		_ = rtp.Close()
		return pair{}, err
	}
	return pair{port: port, rtp: rtp, rtcp: rtcp}, nil
}

// takeAny lets the network choose a port until it is even and the next is free.
func (p *Ports) takeAny() (pair, error) {
	var cause error
	for range 100 {
		rtp, err := p.net.ListenUDP(netip.AddrPortFrom(p.ip, 0))
		if err != nil {
			return pair{}, fmt.Errorf("%w: %w", ErrNoPorts, err)
		}
		port := portOf(rtp)
		if port%2 != 0 {
			_ = rtp.Close()
			continue
		}
		rtcp, err := p.net.ListenUDP(netip.AddrPortFrom(p.ip, uint16(port+1)))
		if err == nil {
			return pair{port: port, rtp: rtp, rtcp: rtcp}, nil
		}
		cause = err
		_ = rtp.Close()
	}
	return pair{}, fmt.Errorf("%w: %w", ErrNoPorts, cause)
}

func portOf(c Conn) int {
	if a, ok := c.LocalAddr().(*net.UDPAddr); ok {
		return a.Port
	}
	return 0
}

// give takes a closed pair back; it rests before it is used again.
func (p *Ports) give(pr pair) {
	if p.any {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, freePair{port: pr.port, since: time.Now()})
}

// add lets s be visited by the reports' clock, remove ends that.
func (p *Ports) add(s *Stream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.streams[s] = struct{}{}
	if len(p.streams) == 1 {
		p.reports = time.AfterFunc(reportTick, p.report)
	}
}

func (p *Ports) remove(s *Stream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.past = p.past.plus(s.Stats())
	delete(p.streams, s)
	if len(p.streams) == 0 {
		p.reports.Stop()
	}
}
