package sipengine

import (
	"slices"
	"sync"
	"time"
)

// gapWait is how long a request waits for one with a lower CSeq that has not
// come yet. sipgo gives every message a goroutine of its own, so two that
// arrived together may be handed over in either order; what the network itself
// mixed up comes within the same order of time on a healthy path.
const gapWait = 25 * time.Millisecond

// mailbox puts the requests of one dialog into the order of their CSeq and
// lets one at a time be handled (RFC 3261 §12.2.2).
type mailbox struct {
	mu      sync.Mutex
	last    uint32 // the highest CSeq handled; 0: none yet
	busy    bool
	waiting []*ticket // by CSeq
}

type ticket struct {
	cseq uint32
	ripe bool // it has waited for a predecessor long enough
	turn chan struct{}
}

// startAt tells that the dialog began with a request of that CSeq.
func (m *mailbox) startAt(cseq uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last = max(m.last, cseq)
}

// enter waits until it is the turn of the request numbered cseq; leave must be
// called when it has been handled. ok is false for a request that comes after
// a later one was handled: it is to be refused with 500.
func (m *mailbox) enter(cseq uint32) (leave func(), ok bool) {
	m.mu.Lock()
	if cseq <= m.last && m.last != 0 {
		m.mu.Unlock()
		return nil, false
	}
	t := &ticket{cseq: cseq, turn: make(chan struct{})}
	at, _ := slices.BinarySearchFunc(m.waiting, cseq, func(t *ticket, cseq uint32) int { return int(t.cseq) - int(cseq) })
	m.waiting = slices.Insert(m.waiting, at, t)
	m.advance()
	m.mu.Unlock()

	timer := time.AfterFunc(gapWait, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		t.ripe = true
		m.advance()
	})
	<-t.turn
	timer.Stop()
	if t.cseq == 0 {
		return nil, false
	}
	return m.leave, true
}

func (m *mailbox) leave() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.busy = false
	m.advance()
}

// advance gives the turn to the lowest request, if nothing is missing before
// it or it has waited long enough. m.mu is held.
func (m *mailbox) advance() {
	for !m.busy && len(m.waiting) > 0 {
		t := m.waiting[0]
		if t.cseq <= m.last && m.last != 0 {
			// Two transactions with one number: the second is refused.
			t.cseq = 0
			m.waiting = m.waiting[1:]
			close(t.turn)
			continue
		}
		if (m.last == 0 || t.cseq != m.last+1) && !t.ripe {
			return
		}
		m.waiting = m.waiting[1:]
		m.last, m.busy = t.cseq, true
		close(t.turn)
	}
}
