package sipengine

import (
	"bytes"
	"net/netip"
	"time"

	"golang.org/x/time/rate"
)

const (
	// sourceRate and sourceBurst bound what one address may send, in messages
	// a second. A phone sends a few; trunks are not bounded.
	sourceRate  = 100
	sourceBurst = 500
	// sourcesMax is how many addresses one generation of a socket remembers:
	// see gate.
	sourcesMax = 8192
)

// filter decides which datagrams are worth parsing. One reader uses it.
type filter struct {
	// trusted tells the addresses that are not bounded (trunks).
	trusted func(netip.AddrPort) bool
	// allowed tells the addresses that are not silenced.
	allowed func(netip.Addr) bool
	sources map[netip.AddrPort]*rate.Limiter
}

func newFilter(trusted func(netip.AddrPort) bool, allowed func(netip.Addr) bool) *filter {
	return &filter{trusted: trusted, allowed: allowed, sources: make(map[netip.AddrPort]*rate.Limiter)}
}

// pass tells whether a datagram goes on to the parser. Who is silenced, sends
// what is not SIP, or sends too much, leaves no trace in memory except, in the
// last case, one limiter.
func (f *filter) pass(from netip.AddrPort, datagram []byte) bool {
	if !looksLikeSIP(datagram) || !f.allowed(from.Addr()) {
		return false
	}
	limiter, known := f.sources[from]
	if !known {
		limiter = rate.NewLimiter(sourceRate, sourceBurst)
		f.sources[from] = limiter
	}
	return limiter.AllowN(time.Now(), 1) || f.trusted(from)
}

// full tells that so many addresses were let in that the socket's memory of
// them is to be given up.
func (f *filter) full() bool { return len(f.sources) >= sourcesMax }

var sipVersion = []byte("SIP/2.0")

// looksLikeSIP reads as much of a datagram as tells a SIP message from the
// noise of the internet: the first line is that of a response or of a request
// (RFC 3261 §7.1, §7.2). Keep-alives (RFC 5626 §3.5.1) are noise here: nobody
// answers them on UDP.
func looksLikeSIP(b []byte) bool {
	line, _, found := bytes.Cut(b, []byte("\r\n"))
	if !found {
		return false
	}
	if rest, is := bytes.CutPrefix(line, sipVersion); is {
		// Status-Line: SIP/2.0 SP 3DIGIT SP Reason-Phrase
		return len(rest) >= 5 && rest[0] == ' ' && '1' <= rest[1] && rest[1] <= '6' &&
			isDigit(rest[2]) && isDigit(rest[3]) && rest[4] == ' '
	}
	// Request-Line: Method SP Request-URI SP SIP/2.0. Methods are upper case
	// (they are compared as they stand) and short.
	method, rest, found := bytes.Cut(line, []byte(" "))
	if !found || len(method) < 3 || len(method) > 16 {
		return false
	}
	for _, c := range method {
		if c < 'A' || c > 'Z' {
			return false
		}
	}
	uri, version, found := bytes.Cut(rest, []byte(" "))
	return found && len(uri) > 4 && bytes.IndexByte(uri, ':') > 0 && bytes.Equal(version, sipVersion)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
