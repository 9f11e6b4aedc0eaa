package trunk

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"
)

const (
	// resolveEvery is how often a trunk's name is looked up again.
	resolveEvery = time.Minute
	// resolveTimeout is how long one look-up may take.
	resolveTimeout = 10 * time.Second
)

// resolved is the addresses of the trunk's host as last looked up.
func (t *Trunk) resolved() []netip.AddrPort {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.addresses
}

// At tells whether an address is the trunk's own, port and all.
func (t *Trunk) At(source netip.AddrPort) bool { return slices.Contains(t.resolved(), source) }

// resolveLoop keeps the addresses of a host that is a name.
func (t *Trunk) resolveLoop(ctx context.Context) {
	if _, err := netip.ParseAddr(t.Host); err == nil {
		return // the table has it already
	}
	for {
		if found := t.resolve(ctx); len(found) > 0 {
			t.mu.Lock()
			changed := !slices.Equal(t.addresses, found)
			t.addresses = found
			t.mu.Unlock()
			if changed {
				t.log.Info("trunk resolved", "host", t.Host, "addresses", found)
			}
		}
		if !sleep(ctx, resolveEvery) {
			return
		}
	}
}

// resolve looks up the host: without a port its SRV records (RFC 3263 §4.2),
// and always its addresses. What cannot be looked up is left as it was: a
// name server that is down for a minute does not make calls strangers'.
func (t *Trunk) resolve(ctx context.Context) []netip.AddrPort {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	r := t.table.config.Resolver
	var found []netip.AddrPort
	add := func(host string, port uint16) {
		addresses, err := r.LookupNetIP(ctx, "ip", host)
		if err != nil {
			t.log.Debug("trunk address not found", "host", host, "err", err)
			return
		}
		for _, a := range addresses {
			if ap := netip.AddrPortFrom(a.Unmap(), port); !slices.Contains(found, ap) {
				found = append(found, ap)
			}
		}
	}
	if t.Port == 0 {
		service, proto := "sip", t.transport()
		if proto == "tls" {
			service, proto = "sips", "tcp"
		}
		// No such records is the usual case.
		if _, records, err := r.LookupSRV(ctx, service, proto, t.Host); err == nil {
			for _, rec := range records {
				add(strings.TrimSuffix(rec.Target, "."), rec.Port)
			}
		}
	}
	add(t.Host, t.port())
	slices.SortFunc(found, netip.AddrPort.Compare)
	return found
}
