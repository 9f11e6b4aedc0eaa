package sipengine

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/media/stream"
	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/sipengine/registrar"
)

// Config is what an Engine needs. Addr, Ports and Directory must be set.
type Config struct {
	// Addr is where SIP is spoken over UDP and TCP, host:port with an IP
	// literal as host; port 0 lets the system choose (see Engine.Addr).
	Addr string
	// TLSAddr is where SIP is spoken over TLS; empty: nowhere. TLS must then
	// hold a certificate. TLS is also what the engine shows and trusts when it
	// calls out over TLS; nil: the system's roots.
	TLSAddr string
	TLS     *tls.Config
	// Advertise is the address that Via, Contact and SDP name, for a server
	// behind a NAT that forwards the ports. Zero: the address that is listened
	// on, or, where that is 0.0.0.0, the one that routes to the peer.
	Advertise netip.Addr
	// Ports gives the RTP sockets.
	Ports *stream.Ports
	// Net opens the SIP sockets. nil: the system's.
	Net Net
	// Directory knows trunks and operators.
	Directory Directory
	// Phones keeps the registered phones over a restart, e.g. a registrar.File.
	// nil: a restart forgets them until they register anew.
	Phones registrar.Keeper
	// Ledger is the path of a file that tells the next engine which calls this
	// one could not end, because its process was killed: it cancels those that
	// rang and hangs up those that stood. The directory must exist. Empty:
	// after a crash the phones are left to their own timers.
	Ledger string
	// Handler takes calls that come in, each in a goroutine of its own. ctx
	// ends with the leg. When Handler returns the leg is ended: refused with
	// 603 if it was not answered. nil: calls in are refused with 480.
	Handler func(ctx context.Context, leg telephony.Leg)
	// MediaTimeout ends a leg that was answered, is not on hold, and from
	// which neither RTP nor RTCP was heard for so long. 0: never.
	MediaTimeout time.Duration
	// TryingTimeout is how long a call out waits for the first word of the far
	// end, before it counts as dead and another trunk may be tried. Default 5 s.
	TryingTimeout time.Duration
	// SessionExpires is the session interval offered (RFC 4028 §4). Default
	// 1800 s; below 90 s is 90 s.
	SessionExpires time.Duration
	// UserAgent names the program to the far end. Default "perezvon".
	UserAgent string
	// Realm is the realm of digest authentication. Default "perezvon".
	Realm string
	// Logger takes the facts. Default: none.
	Logger *slog.Logger
}

// Net opens sockets, so that tests can have them in memory.
type Net interface {
	// ListenPacket opens a UDP socket.
	ListenPacket(addr string) (net.PacketConn, error)
	// Listen opens a TCP listener.
	Listen(addr string) (net.Listener, error)
}

// Directory is what the engine asks of what an administrator set.
type Directory interface {
	// Trunks are all trunks.
	Trunks(ctx context.Context) ([]directory.Trunk, error)
	// Operator finds an operator by extension. Any error is taken to mean
	// that there is none with a password.
	Operator(ctx context.Context, extension string) (directory.Operator, error)
}

const (
	defaultTryingTimeout  = 5 * time.Second
	defaultRingTimeout    = 120 * time.Second
	defaultSessionExpires = 1800 * time.Second
	minSessionExpires     = 90 * time.Second // RFC 4028 §4: not lower
)

func (c Config) withDefaults() Config {
	if c.Net == nil {
		c.Net = systemNet{}
	}
	if c.TryingTimeout <= 0 {
		c.TryingTimeout = defaultTryingTimeout
	}
	if c.SessionExpires <= 0 {
		c.SessionExpires = defaultSessionExpires
	}
	c.SessionExpires = max(c.SessionExpires, minSessionExpires)
	if c.UserAgent == "" {
		c.UserAgent = "perezvon"
	}
	if c.Realm == "" {
		c.Realm = "perezvon"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.TLS == nil {
		c.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return c
}

type systemNet struct{}

func (systemNet) ListenPacket(addr string) (net.PacketConn, error) {
	return new(net.ListenConfig).ListenPacket(context.Background(), network("udp", addr), addr)
}

func (systemNet) Listen(addr string) (net.Listener, error) {
	return new(net.ListenConfig).Listen(context.Background(), network("tcp", addr), addr)
}

// network keeps an IPv4 address an IPv4 socket: sipgo finds a socket by the
// text of its local address, and 0.0.0.0 on a dual-stack socket reads [::].
func network(proto, addr string) string {
	if ap, err := netip.ParseAddrPort(addr); err == nil && ap.Addr().Is4() {
		return proto + "4"
	}
	return proto
}
