package sipengine

import (
	"maps"
	"net"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/emiago/sipgo/sip"
)

// What we say of ourselves.
const (
	allow     = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, REGISTER"
	supported = "timer"
	// What operators' phones may besides.
	allowOperator     = allow + ", REFER, SUBSCRIBE"
	supportedOperator = supported + ", replaces, norefersub"

	sdpType = "application/sdp"
)

// allowed and supports are what we say to an operator's phone, or, without an
// operator, to a trunk.
func allowed(operator string) string {
	if operator == "" {
		return allow
	}
	return allowOperator
}

func supports(operator string) string {
	if operator == "" {
		return supported
	}
	return supportedOperator
}

// newParser reads SIP messages. Refer-To is left as it is written: sipgo would
// drop a message whose Refer-To it does not understand, and what the URI says
// besides the address.
func newParser() *sip.Parser {
	headers := maps.Clone(sip.DefaultHeadersParser())
	delete(headers, "refer-to")
	delete(headers, "referred-by")
	return sip.NewParser(sip.WithHeadersParsers(headers))
}

// hop is where a request goes next.
type hop struct {
	transport string // UDP, TCP, TLS
	addr      string // host:port, as the transport layer wants it
	peer      netip.Addr
}

// hopTo is the way to an address.
func hopTo(transport string, peer netip.AddrPort) hop {
	return hop{strings.ToUpper(transport), peer.String(), peer.Addr()}
}

// local is the address that the far end of a hop reaches us at.
func (e *Engine) local(h hop) (ip netip.Addr, port int) {
	port = int(e.udp.Port())
	switch h.transport {
	case "TCP":
		port = int(e.tcp.Port())
	case "TLS":
		port = int(e.tls.Port())
	}
	switch {
	case e.cfg.Advertise.IsValid():
		return e.cfg.Advertise, port
	case !e.udp.Addr().IsUnspecified():
		return e.udp.Addr(), port
	}
	return routeTo(h.peer), port
}

// routeTo is the local address from which the system reaches a peer. Nothing
// is sent.
func routeTo(peer netip.Addr) netip.Addr {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(peer, 9)))
	if err != nil {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}) // no route: nobody will hear it
	}
	defer conn.Close()
	return addrPort(conn.LocalAddr()).Addr()
}

// contact is our Contact for that far end (RFC 3261 §8.1.1.8).
func (e *Engine) contact(user string, h hop) sip.Uri {
	ip, port := e.local(h)
	uri := sip.Uri{Scheme: "sip", User: user, Host: ip.String(), Port: port}
	if t := strings.ToLower(h.transport); t != "udp" {
		uri.UriParams = sip.HeaderParams{{K: "transport", V: t}}
	}
	return uri
}

// prepare makes a request ready for the transport: Via with a fresh branch and
// rport (RFC 3581), Max-Forwards, our name, and the way it goes. What is there
// already stays.
func (e *Engine) prepare(req *sip.Request, h hop) {
	if req.Via() == nil {
		ip, port := e.local(h)
		via := &sip.ViaHeader{ProtocolName: "SIP", ProtocolVersion: "2.0", Transport: h.transport, Host: ip.String(), Port: port}
		via.Params = sip.HeaderParams{{K: "branch", V: sip.GenerateBranchN(16)}, {K: "rport"}}
		req.PrependHeader(via)
	}
	if req.MaxForwards() == nil {
		hops := sip.MaxForwardsHeader(70)
		req.AppendHeader(&hops)
	}
	if req.GetHeader("User-Agent") == nil {
		req.AppendHeader(sip.NewHeader("User-Agent", e.cfg.UserAgent))
	}
	if req.ContentLength() == nil {
		req.SetBody(req.Body())
	}
	req.SetTransport(h.transport)
	req.SetDestination(h.addr)
	if req.Transport() == "UDP" {
		// The socket we listen on, so that what goes out and what comes in use
		// one address, as a NAT wants it.
		req.Laddr = sip.Addr{IP: net.IP(e.udp.Addr().AsSlice()), Port: int(e.udp.Port())}
	}
}

// setSDP gives a message a session description.
func setSDP(m sip.Message, body []byte) {
	t := sip.ContentTypeHeader(sdpType)
	m.AppendHeader(&t)
	m.SetBody(body)
}

// sdpOf is the session description that a message carries, nil if none. A
// multipart body counts as none.
func sdpOf(m interface {
	ContentType() *sip.ContentTypeHeader
	Body() []byte
}) []byte {
	t := m.ContentType()
	if t == nil || len(m.Body()) == 0 {
		return nil
	}
	kind, _, _ := strings.Cut(t.Value(), ";")
	if !strings.EqualFold(strings.TrimSpace(kind), sdpType) {
		return nil
	}
	return m.Body()
}

// tag is the tag parameter of a From or To header, empty if none.
func tag(params sip.HeaderParams) string {
	t, _ := params.Get("tag")
	return t
}

// lists tells whether a header that is a list of tokens (Supported, Require,
// Allow) names a token, in any case.
func lists(m interface {
	GetHeaders(name string) []sip.Header
}, token string, names ...string) bool {
	for _, name := range names {
		for _, t := range tokens(m, name) {
			if strings.EqualFold(t, token) {
				return true
			}
		}
	}
	return false
}

func tokens(m interface {
	GetHeaders(name string) []sip.Header
}, name string) (ts []string) {
	for _, h := range m.GetHeaders(name) {
		for t := range strings.SplitSeq(h.Value(), ",") {
			if t = strings.TrimSpace(t); t != "" {
				ts = append(ts, t)
			}
		}
	}
	return ts
}

// displayName makes a text safe between the quotes of a display name: no
// control characters, quotes and backslashes escaped (RFC 3261 §25.1).
func displayName(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case unicode.IsControl(r) || r == utf8.RuneError:
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// userPart makes a text safe as the user of a SIP URI: what is not unreserved
// there is escaped (RFC 3261 §25.1).
func userPart(s string) string {
	const free = "-_.!~*'()&=+$,;?/"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || strings.IndexByte(free, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		const hex = "0123456789ABCDEF"
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}

// header is the value of the first header with one of these names, or "".
func header(m interface {
	GetHeaders(name string) []sip.Header
}, names ...string) string {
	for _, name := range names {
		if hs := m.GetHeaders(name); len(hs) > 0 {
			return hs[0].Value()
		}
	}
	return ""
}
