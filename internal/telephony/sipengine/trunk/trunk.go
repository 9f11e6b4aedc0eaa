// Package trunk keeps the routes to carriers: registration there, their
// health, how many calls run through each, whom an incoming call is from by
// its source address, and how a request is addressed to a carrier.
package trunk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/telephony"
)

// State is what is known of a trunk at a moment.
type State struct {
	Name string `json:"name"`
	// Registers: it is to register with the carrier; Asked: it is asked for
	// its health. Without these the two below say nothing.
	Registers bool `json:"registers"`
	Asked     bool `json:"asked"`
	// Registered: the carrier took our registration and it has not run out.
	// Always false for a trunk that does not register.
	Registered bool `json:"registered"`
	// Healthy: it answers OPTIONS. Always true for a trunk that is not asked.
	Healthy bool `json:"healthy"`
	// LastError is why it is not registered or not healthy, empty if all is well.
	LastError string `json:"last_error,omitempty"`
	// Channels is how many calls run through it now.
	Channels int `json:"channels"`
}

// Trunk is one route, as Table runs it. It is safe for concurrent use.
type Trunk struct {
	directory.Trunk
	table *Table
	log   *slog.Logger

	// channels outlive a change of the settings: the calls do, too.
	channels *channels

	cancel context.CancelFunc // ends its loops
	done   sync.WaitGroup     // its loops

	mu         sync.Mutex
	registered bool
	missed     int // OPTIONS in a row without an answer
	regError   string
	optError   string
	addresses  []netip.AddrPort // of Host
}

// channels counts the calls through a trunk.
type channels struct {
	mu   sync.Mutex
	used int
}

// Acquire takes a channel for a call out; release gives it back (once, however
// often it is called). It fails with 503 in PhaseSetup when all channels are
// busy or the trunk is down, so that nothing is sent in vain.
func (t *Trunk) Acquire() (release func(), err *telephony.DialError) {
	if !t.Healthy() {
		return nil, t.refusal("the trunk does not answer OPTIONS")
	}
	if !t.channels.take(t.MaxChannels) {
		return nil, t.refusal(fmt.Sprintf("all %d channels are busy", t.MaxChannels))
	}
	return sync.OnceFunc(t.channels.give), nil
}

// Occupy counts a call in, which the carrier sent: it takes a channel even
// beyond the limit, because refusing is not ours to do.
func (t *Trunk) Occupy() (release func()) {
	t.channels.take(0)
	return sync.OnceFunc(t.channels.give)
}

func (t *Trunk) refusal(reason string) *telephony.DialError {
	return &telephony.DialError{Code: sip.StatusServiceUnavailable, Reason: reason, Trunk: t.Name, Phase: telephony.PhaseSetup}
}

func (c *channels) take(limit int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if limit > 0 && c.used >= limit {
		return false
	}
	c.used++
	return true
}

func (c *channels) give() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used--
}

// Healthy tells whether the trunk may be dialled.
func (t *Trunk) Healthy() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.missed < missesDown
}

// inWords is an error as an administrator reads it.
func inWords(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	return err.Error()
}

// State is what is known of the trunk now.
func (t *Trunk) State() State {
	t.channels.mu.Lock()
	used := t.channels.used
	t.channels.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	s := State{Name: t.Name, Registers: t.Register, Asked: t.OptionsS > 0, Registered: t.registered, Healthy: t.missed < missesDown, Channels: used}
	if t.missed > 0 {
		s.LastError = t.optError
	}
	if t.regError != "" {
		s.LastError = t.regError
	}
	return s
}

// start begins the trunk's loops, after those of the trunk it replaces have
// ended (prev, nil if there is none).
func (t *Trunk) start(ctx context.Context, prev *Trunk) {
	ctx, t.cancel = context.WithCancel(ctx)
	wait := func() {
		if prev != nil {
			prev.done.Wait()
		}
	}
	t.done.Go(func() {
		wait()
		t.resolveLoop(ctx)
	})
	if t.Register && t.Username != "" {
		t.done.Go(func() {
			wait()
			t.registerLoop(ctx)
		})
	}
	if t.OptionsS > 0 {
		t.done.Go(func() {
			wait()
			t.healthLoop(ctx)
		})
	}
}

// sleep waits; false: the trunk is stopped.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
