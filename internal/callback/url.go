package callback

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

const maxURL = 2048

// inside are the networks of no concern to the world, beside those that
// netip.Addr knows: "this" network, shared address space (RFC 6598), and the
// IPv6 forms that carry an IPv4 address inside (RFC 6052, RFC 3056).
var inside = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("2002::/16"),
}

func (c *check) url(path, s string) {
	if s == "" {
		return
	}
	if len(s) > maxURL {
		c.bad.Add(path, "longer than 2048 bytes")
		return
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		c.bad.Add(path, "not a URL")
	case u.Scheme != "http" && u.Scheme != "https":
		c.bad.Add(path, "want http:// or https://")
	case u.User != nil:
		c.bad.Add(path, "may not hold a user or a password")
	case u.Hostname() == "":
		c.bad.Add(path, "has no host")
	case !c.outside(u.Hostname()):
		c.bad.Add(path, "points inside the server's own network")
	}
}

// outside tells that the host, as it is written, is not plainly one of the
// server's own network.
func (c *check) outside(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		host = "127.0.0.1"
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		ip = ip.WithZone("").Unmap()
		return c.allowed(ip) || !private(ip)
	}
	// Whatever ends in a number is an IPv4 address to a resolver ("127.1",
	// "0x7f.1", "2130706433"), and nobody writes it so with a good intent.
	last := host[strings.LastIndexByte(host, '.')+1:]
	return last != "" && (last[0] < '0' || last[0] > '9')
}

func (c *check) allowed(ip netip.Addr) bool {
	return slices.ContainsFunc(c.allow, func(p netip.Prefix) bool { return p.Contains(ip) })
}

func private(ip netip.Addr) bool {
	return ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() ||
		slices.ContainsFunc(inside, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// CheckURL applies the rules of a packet's addresses to another address that
// is to be told things: http or https, no password in it, not plainly inside
// the server's own network unless allow lists that. What is wrong is an
// invalid.Error that names path.
func CheckURL(path, address string, allow ...netip.Prefix) error {
	c := check{allow: allow}
	if c.url(path, address); address == "" {
		c.bad.Add(path, "is needed")
	}
	return c.bad.Err()
}
