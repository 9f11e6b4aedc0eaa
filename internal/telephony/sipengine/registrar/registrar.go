// Package registrar is the location service for operators' phones (RFC 3261
// §10): which phones an extension can be reached at, and for how long.
//
// A phone is reached at the address its REGISTER came from, not at the one it
// claims: behind a NAT only that one leads back, and a registration cannot
// point our calls at a third party.
package registrar

import (
	"cmp"
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
)

// Binding is one phone of an extension.
type Binding struct {
	Extension string
	// Contact is the URI the phone gave, to be the Request-URI of calls to it.
	Contact string
	// Key tells the phones of an extension apart: the instance (RFC 5626) if
	// the phone names one, otherwise what RFC 3261 §19.1.4 compares of the
	// URI.
	Key string
	// Transport (UDP, TCP, TLS) and Source are the way the REGISTER came, and
	// the way to the phone: over UDP through its NAT, otherwise on the
	// connection that it keeps open.
	Transport string
	Source    netip.AddrPort
	CallID    string
	CSeq      uint32
	Expires   time.Time
	UserAgent string
}

// URI is Contact, parsed.
func (b Binding) URI() (sip.Uri, error) {
	var uri sip.Uri
	err := sip.ParseUri(b.Contact, &uri)
	return uri, err
}

// Keeper stores the bindings so that a restart does not lose the phones.
type Keeper interface {
	// Save replaces what is stored.
	Save(ctx context.Context, all []Binding) error
	Load(ctx context.Context) ([]Binding, error)
}

// Config of a Registrar; the zero value works.
type Config struct {
	// Min, Max and Default bound the life of a registration: shorter is
	// refused with 423, longer cut, Default is for phones that ask for none.
	// Defaults 60 s, 1 h and 5 min.
	Min, Max, Default time.Duration
	// Contacts is how many phones one extension may have; one more takes the
	// place of the one not heard of for longest. Default 10.
	Contacts int
	// OnChange is told when the first phone of an extension appears and the
	// last one goes, one call at a time. nil: nobody.
	OnChange func(extension string, registered bool)
	// Keeper is nil if a restart may lose the phones.
	Keeper Keeper
	// Logger takes registrations. Default: none.
	Logger *slog.Logger
}

const (
	// sweepEvery is how often expired bindings are looked for.
	sweepEvery = time.Second
	// saveEvery is how often at most the Keeper is given what changed.
	saveEvery = 5 * time.Second
)

// Registrar keeps the bindings. It is safe for concurrent use.
type Registrar struct {
	config Config
	stop   context.CancelFunc
	done   sync.WaitGroup

	// telling is held while bindings change and OnChange is told of it, so
	// that it hears of the changes in their order; mu only while they change.
	telling sync.Mutex
	mu      sync.Mutex
	phones  map[string][]Binding // by extension, none empty
	changed bool                 // since the last Save
}

// New makes a Registrar.
func New(c Config) *Registrar {
	c.Min = cmp.Or(c.Min, time.Minute)
	c.Max = cmp.Or(c.Max, time.Hour)
	c.Default = cmp.Or(c.Default, 5*time.Minute)
	c.Contacts = cmp.Or(c.Contacts, 10)
	if c.OnChange == nil {
		c.OnChange = func(string, bool) {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Registrar{config: c, stop: func() {}, phones: map[string][]Binding{}}
}

// Start loads what the Keeper has and begins to remove what expires, until Stop
// or the end of ctx. What cannot be loaded is logged and no reason not to
// start: the phones register anew within minutes.
func (r *Registrar) Start(ctx context.Context) {
	if r.config.Keeper != nil {
		kept, err := r.config.Keeper.Load(ctx)
		if err != nil {
			r.config.Logger.Error("the registered phones cannot be loaded", "err", err)
		}
		r.restore(kept)
	}
	ctx, r.stop = context.WithCancel(ctx)
	r.done.Go(func() { r.run(ctx) })
}

// Stop saves and ends what Start began.
func (r *Registrar) Stop() {
	r.stop()
	r.done.Wait()
}

func (r *Registrar) run(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	saved := time.Now()
	for {
		select {
		case now := <-ticker.C:
			r.sweep(now)
			if now.Sub(saved) >= saveEvery {
				saved = now
				r.save(ctx)
			}
		case <-ctx.Done():
			r.save(context.WithoutCancel(ctx))
			return
		}
	}
}

// Registered tells whether an extension has a phone.
func (r *Registrar) Registered(extension string) bool { return len(r.Contacts(extension)) > 0 }

// Contacts are the phones of an extension, the one heard of last first.
func (r *Registrar) Contacts(extension string) []Binding {
	r.mu.Lock()
	defer r.mu.Unlock()
	return alive(r.phones[extension], time.Now())
}

// At tells whether a phone of some extension is registered from that address.
func (r *Registrar) At(source netip.AddrPort) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for _, phones := range r.phones {
		for _, b := range phones {
			if b.Source == source && b.Expires.After(now) {
				return true
			}
		}
	}
	return false
}

// Forget removes a phone that turned out to be gone: its connection is closed.
func (r *Registrar) Forget(b Binding) {
	r.update(b.Extension, func(phones []Binding) []Binding {
		return slices.DeleteFunc(phones, func(p Binding) bool {
			return p.Key == b.Key && p.Source == b.Source && p.Transport == b.Transport
		})
	})
}

// Snapshot is every binding that has not expired, ordered by extension.
func (r *Registrar) Snapshot() []Binding {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []Binding
	now := time.Now()
	for _, phones := range r.phones {
		all = append(all, alive(phones, now)...)
	}
	slices.SortStableFunc(all, func(a, b Binding) int { return cmp.Compare(a.Extension, b.Extension) })
	return all
}

// restore takes the bindings of an earlier life.
func (r *Registrar) restore(kept []Binding) {
	byExtension := map[string][]Binding{}
	for _, b := range kept {
		byExtension[b.Extension] = append(byExtension[b.Extension], b)
	}
	for extension, phones := range byExtension {
		r.update(extension, func([]Binding) []Binding { return alive(phones, time.Now()) })
	}
}

// update changes the phones of an extension and tells OnChange.
func (r *Registrar) update(extension string, change func([]Binding) []Binding) {
	r.telling.Lock()
	defer r.telling.Unlock()
	r.mu.Lock()
	before := len(r.phones[extension]) > 0
	after := change(slices.Clone(r.phones[extension]))
	if len(after) > 0 {
		r.phones[extension] = after
	} else {
		delete(r.phones, extension)
	}
	r.changed = true
	r.mu.Unlock()
	if now := len(after) > 0; now != before {
		r.config.Logger.Info("phone registration", "extension", extension, "registered", now)
		r.config.OnChange(extension, now)
	}
}

// sweep removes what has expired.
func (r *Registrar) sweep(now time.Time) {
	r.mu.Lock()
	var expired []string
	for extension, phones := range r.phones {
		if len(alive(phones, now)) < len(phones) {
			expired = append(expired, extension)
		}
	}
	r.mu.Unlock()
	for _, extension := range expired {
		r.update(extension, func(phones []Binding) []Binding { return alive(phones, now) })
	}
}

func (r *Registrar) save(ctx context.Context) {
	if r.config.Keeper == nil {
		return
	}
	r.mu.Lock()
	changed := r.changed
	r.changed = false
	r.mu.Unlock()
	if !changed {
		return
	}
	if err := r.config.Keeper.Save(ctx, r.Snapshot()); err != nil {
		r.config.Logger.Error("the registered phones cannot be saved", "err", err)
		r.mu.Lock()
		r.changed = true // so that it is tried again
		r.mu.Unlock()
	}
}

// alive is a copy without what has expired.
func alive(phones []Binding, now time.Time) []Binding {
	var left []Binding
	for _, b := range phones {
		if b.Expires.After(now) {
			left = append(left, b)
		}
	}
	return left
}
