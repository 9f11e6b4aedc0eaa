package webhook

import (
	"math/rand/v2"
	"sync"
	"time"
)

const (
	// maxAtHost is how many requests one receiver gets at once.
	maxAtHost = 16
	// maxAtSlowHost is the same for one whose last answer took slow or never
	// came: a few of those would otherwise take all senders.
	maxAtSlowHost = 2
	slow          = 5 * time.Second
)

// hosts keeps receivers from taking more than their share of the senders. The
// zero value is ready.
type hosts struct {
	mu   sync.Mutex
	busy map[string]*host
}

type host struct {
	now  int // requests under way
	slow bool
}

// enter takes a place at the host; leave gives it back. If there is none, wait
// is when to ask again.
func (h *hosts) enter(name string) (leave func(), wait time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.busy == nil {
		h.busy = make(map[string]*host)
	}
	at := h.busy[name]
	if at == nil {
		at = &host{}
		h.busy[name] = at
	}
	limit := maxAtHost
	if at.slow {
		limit = maxAtSlowHost
	}
	if at.now >= limit {
		return nil, time.Second + rand.N(2*time.Second)
	}
	at.now++
	begin := time.Now()
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		at.now--
		if at.slow = time.Since(begin) >= slow; at.now == 0 && !at.slow {
			delete(h.busy, name)
		}
	}, 0
}
