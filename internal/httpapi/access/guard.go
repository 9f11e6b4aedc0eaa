package access

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Guard's refusals.
var (
	ErrUnknownKey = errors.New("the key is not known")
	// ErrTooMany means that the address sent too many wrong keys and must
	// wait for RetryAfter.
	ErrTooMany = errors.New("too many wrong keys from this address")
)

// RetryAfter is when an address that sent too many wrong keys may send the
// next one.
const RetryAfter = 6 * time.Second

const (
	wrongAtOnce = 10   // wrong keys an address may send in a row
	addresses   = 4096 // remembered, of keys known to be good likewise
)

// Lookup finds the identity of a key by its Hash; ErrUnknownKey if there is
// none.
type Lookup func(ctx context.Context, hash string) (Identity, error)

// Guard checks keys. Addresses that send wrong ones are slowed down, without
// harm to those who send good keys from the same address (a proxy's).
type Guard struct {
	lookup Lookup

	mu    sync.Mutex
	wrong map[netip.Addr]*rate.Limiter
	good  map[string]struct{} // hashes that were good
}

// NewGuard makes a guard on the keys that lookup finds.
func NewGuard(lookup Lookup) *Guard {
	return &Guard{lookup: lookup, wrong: make(map[netip.Addr]*rate.Limiter), good: make(map[string]struct{})}
}

// Check tells whose key it is. The error is ErrUnknownKey, ErrTooMany or the
// lookup's.
func (g *Guard) Check(ctx context.Context, from netip.Addr, key string) (Identity, error) {
	return g.CheckHash(ctx, from, Hash(key))
}

// CheckHash is Check for who has only the hash: a session.
func (g *Guard) CheckHash(ctx context.Context, from netip.Addr, hash string) (Identity, error) {
	if g.blocked(from, hash) {
		return Identity{}, ErrTooMany
	}
	id, err := g.lookup(ctx, hash)
	switch {
	case errors.Is(err, ErrUnknownKey):
		g.failed(from, hash)
		return Identity{}, ErrUnknownKey
	case err != nil:
		return Identity{}, fmt.Errorf("look up the key: %w", err)
	}
	g.succeeded(hash)
	return id, nil
}

// blocked tells that the address has used up its wrong keys and this one is
// not known to be good; then the store is not even asked.
func (g *Guard) blocked(from netip.Addr, hash string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, ok := g.good[hash]; ok {
		return false
	}
	l := g.wrong[from]
	return l != nil && l.Tokens() < 1
}

func (g *Guard) failed(from netip.Addr, hash string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.good, hash)
	l := g.wrong[from]
	if l == nil {
		makeRoom(g.wrong)
		l = rate.NewLimiter(rate.Every(RetryAfter), wrongAtOnce)
		g.wrong[from] = l
	}
	l.Allow()
}

func (g *Guard) succeeded(hash string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, ok := g.good[hash]; !ok {
		makeRoom(g.good)
		g.good[hash] = struct{}{}
	}
}

// makeRoom forgets any one entry of a full map: who fills it with other
// addresses gains ten tries for each address he owns, no more.
func makeRoom[K comparable, V any](m map[K]V) {
	if len(m) < addresses {
		return
	}
	for k := range m {
		delete(m, k)
		return
	}
}
