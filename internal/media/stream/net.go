package stream

import (
	"net"
	"net/netip"
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

// SystemNet is the network of the machine.
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
	return c, nil
}
