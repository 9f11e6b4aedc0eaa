package stream

import (
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// Net is where sockets come from: the system's, or a virtual network in tests.
type Net interface {
	// ListenUDP opens a socket at addr; port 0 lets the network choose.
	ListenUDP(addr netip.AddrPort) (Conn, error)
}

// Conn is what a stream needs of a UDP socket; *net.UDPConn is one.
type Conn interface {
	// ReadFromUDPAddrPort waits for a datagram. After Close it returns
	// net.ErrClosed.
	ReadFromUDPAddrPort(b []byte) (n int, from netip.AddrPort, err error)
	// WriteToUDPAddrPort sends a datagram and keeps nothing of b.
	WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error)
	LocalAddr() net.Addr
	Close() error
}

type systemNet struct{}

// expedited is the mark of telephony's packets (DSCP EF, RFC 3246) as a type of
// service.
const expedited = 46 << 2

// SystemNet is the network of the machine. What it sends is marked as expedited
// (DSCP EF) where the system allows that.
func SystemNet() Net { return systemNet{} }

func (systemNet) ListenUDP(addr netip.AddrPort) (Conn, error) {
	network := "udp4"
	if addr.Addr().Is6() {
		network = "udp6"
	}
	c, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return nil, err // a nil *net.UDPConn must not become a non-nil Conn
	}
	// Without the mark it works as well, unless the network is full.
	if addr.Addr().Is6() {
		_ = ipv6.NewConn(c).SetTrafficClass(expedited)
	} else {
		_ = ipv4.NewConn(c).SetTOS(expedited)
	}
	return c, nil
}
