package trunk

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/emiago/sipgo/sip"

	"github.com/perezvon/perezvon/internal/directory"
)

// Client sends a request and waits for its final response. The request lacks
// what belongs to the way it takes: Via, Max-Forwards.
type Client interface {
	Do(ctx context.Context, req *sip.Request) (*sip.Response, error)
}

// Resolver looks up addresses: a *net.Resolver.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
}

// Config is what a Table needs. Client and Contact must be set.
type Config struct {
	Client Client
	// Contact is where a carrier at host reaches us over a transport (udp,
	// tcp, tls); the trunk puts its user name into it.
	Contact func(transport, host string) sip.Uri
	// Resolver finds the addresses that calls from a trunk come from. Default
	// net.DefaultResolver.
	Resolver Resolver
	// Logger takes what happens to the trunks. Default: none.
	Logger *slog.Logger
}

// Table is all trunks. It is safe for concurrent use.
type Table struct {
	config Config

	// reloading is held while the set of trunks changes, mu only for a glance.
	reloading sync.Mutex
	mu        sync.Mutex
	ctx       context.Context // between Start and Stop, otherwise nil
	trunks    map[string]*Trunk
}

// NewTable makes a Table without trunks.
func NewTable(c Config) *Table {
	if c.Resolver == nil {
		c.Resolver = net.DefaultResolver
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Table{config: c, trunks: map[string]*Trunk{}}
}

// Start begins to register and to check health; ctx's values are kept, its end
// is not awaited: Stop ends what Start began.
func (tb *Table) Start(ctx context.Context) {
	tb.reloading.Lock()
	defer tb.reloading.Unlock()
	tb.mu.Lock()
	defer tb.mu.Unlock()
	if tb.ctx != nil {
		return
	}
	tb.ctx = context.WithoutCancel(ctx)
	for _, t := range tb.trunks {
		t.start(tb.ctx, nil)
	}
}

// Stop takes the registrations back and waits until all loops have ended.
func (tb *Table) Stop() {
	tb.reloading.Lock()
	defer tb.reloading.Unlock()
	tb.mu.Lock()
	running := tb.ctx != nil
	tb.ctx = nil
	all := tb.sorted()
	tb.mu.Unlock()
	if !running {
		return
	}
	for _, t := range all {
		t.cancel()
	}
	for _, t := range all {
		t.done.Wait()
	}
}

// Reload makes these the trunks. What did not change runs on, with what is
// known of its registration and health; a trunk that changed keeps the count
// of its calls. It does not wait for the network, but for trunks that are
// gone: their registration is taken back first.
func (tb *Table) Reload(trunks []directory.Trunk) {
	tb.reloading.Lock()
	defer tb.reloading.Unlock()
	next := make(map[string]*Trunk, len(trunks))
	var gone []*Trunk

	tb.mu.Lock()
	for _, d := range trunks {
		old := tb.trunks[d.Name]
		if old != nil && reflect.DeepEqual(old.Trunk, d) {
			next[d.Name] = old
			continue
		}
		t := &Trunk{Trunk: d, table: tb, log: tb.config.Logger.With("trunk", d.Name), channels: &channels{}}
		if a, err := netip.ParseAddr(d.Host); err == nil {
			t.addresses = []netip.AddrPort{netip.AddrPortFrom(a.Unmap(), t.port())}
		}
		if old != nil {
			t.channels = old.channels
			if len(t.addresses) == 0 && old.Host == t.Host && old.port() == t.port() {
				t.addresses = old.resolved() // until it is looked up again
			}
		}
		next[d.Name] = t
		if tb.ctx != nil {
			if old != nil {
				old.cancel()
			}
			t.start(tb.ctx, old)
		}
	}
	for name, old := range tb.trunks {
		if next[name] == nil && tb.ctx != nil {
			old.cancel()
			gone = append(gone, old)
		}
	}
	tb.trunks = next
	tb.mu.Unlock()

	for _, t := range gone {
		t.done.Wait()
	}
}

// Get finds a trunk by its name; nil if there is none.
func (tb *Table) Get(name string) *Trunk {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	return tb.trunks[name]
}

// MatchSource finds the trunk that a request from this address comes from; nil
// if none does. The address with the trunk's port is its own. So is its
// address with any port, because carriers send from many, but not on this
// machine itself, where everybody shares the address.
func (tb *Table) MatchSource(source netip.AddrPort) *Trunk {
	source = netip.AddrPortFrom(source.Addr().Unmap(), source.Port())
	tb.mu.Lock()
	defer tb.mu.Unlock()
	all := tb.sorted()
	for _, t := range all {
		if t.At(source) {
			return t
		}
	}
	if source.Addr().IsLoopback() {
		return nil
	}
	for _, t := range all {
		if slices.ContainsFunc(t.resolved(), func(a netip.AddrPort) bool { return a.Addr() == source.Addr() }) {
			return t
		}
	}
	return nil
}

// MatchUser finds the trunk whose account has this user name: an incoming
// call's Request-URI has it, as our registration put it there; nil if none.
// It only tells trunks of one source apart: anybody can write a user name.
func (tb *Table) MatchUser(user string) *Trunk {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	for _, t := range tb.sorted() {
		if user != "" && t.Username == user {
			return t
		}
	}
	return nil
}

// States are those of all trunks, by name.
func (tb *Table) States() []State {
	tb.mu.Lock()
	all := tb.sorted()
	tb.mu.Unlock()
	states := make([]State, 0, len(all))
	for _, t := range all {
		states = append(states, t.State())
	}
	return states
}

// sorted is all trunks by name; mu is held.
func (tb *Table) sorted() []*Trunk {
	all := make([]*Trunk, 0, len(tb.trunks))
	for _, t := range tb.trunks {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b *Trunk) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// transport is udp, tcp or tls.
func (t *Trunk) transport() string {
	return strings.ToLower(cmp.Or(t.Transport, "udp"))
}

// port is that of the carrier.
func (t *Trunk) port() uint16 {
	switch {
	case t.Port != 0:
		return uint16(t.Port)
	case t.transport() == "tls":
		return 5061
	}
	return 5060
}
