package digestauth

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// firstBan is how long the first silence lasts; each one doubles it.
	firstBan = time.Minute
	maxBan   = time.Hour
	// forgiven is how long after its last failure a source starts afresh.
	forgiven = 2 * time.Hour
)

// guard counts per source address and falls silent toward those that guess.
type guard struct {
	limit  int
	window time.Duration

	mu      sync.Mutex
	sources *lru[netip.Addr, *suspect]
}

type suspect struct {
	count int
	since time.Time // when the window that count belongs to began
	ban   time.Duration
	until time.Time // banned until then
	last  time.Time // the last failure
}

func newGuard(limit int, window time.Duration, room int) *guard {
	return &guard{limit: limit, window: window, sources: newLRU[netip.Addr, *suspect](room)}
}

// key is what counts as one source: an IPv4 address or an IPv6 /64, which one
// household has.
func key(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

// count adds an event of a source and reports whether it is over the limit
// of the window.
func (g *guard) count(now time.Time, source netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.suspect(now, source)
	return s.count > g.limit
}

// fail adds a failure of a source, and bans it at the limit.
func (g *guard) fail(now time.Time, source netip.Addr) (ban time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.suspect(now, source)
	if s.count < g.limit {
		return 0
	}
	s.count = 0
	s.ban = min(max(firstBan, 2*s.ban), maxBan)
	s.until = now.Add(s.ban)
	return s.ban
}

// suspect finds or makes the entry of a source with one event more in it.
func (g *guard) suspect(now time.Time, source netip.Addr) *suspect {
	k := key(source)
	s, ok := g.sources.get(k)
	if ok && now.Sub(s.last) > forgiven {
		g.sources.remove(k)
		ok = false
	}
	if !ok {
		s = &suspect{since: now}
		g.sources.put(k, s)
	}
	if now.Sub(s.since) >= g.window {
		s.count, s.since = 0, now
	}
	s.count++
	s.last = now
	return s
}

// clear forgets the count of a source that has shown it belongs here. A ban's
// length is not forgotten: one good account does not buy guesses at others.
func (g *guard) clear(source netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s, ok := g.sources.get(key(source)); ok {
		s.count = 0
	}
}

func (g *guard) banned(now time.Time, source netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	s, ok := g.sources.get(key(source))
	return ok && now.Before(s.until)
}
