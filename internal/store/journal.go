package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/perezvon/perezvon/internal/call"
)

const (
	// gather is how long an event may wait for others to be committed with it.
	gather = 10 * time.Millisecond
	// largestGroup bounds what is committed at once, and so how long a request
	// waits for a commit that began before it.
	largestGroup = 512
	// maxWaiting bounds the memory that events take while the disk fails.
	maxWaiting = 1 << 15

	firstPause, longestPause = 20 * time.Millisecond, time.Second // between tries while the disk fails
	beatEvery                = 5 * time.Second                    // signs of life while nothing is written
	commitTimeout            = 10 * time.Second
	triesAtClose             = 5
)

// ErrClosed says that the store was closed.
var ErrClosed = errors.New("store is closed")

// Journal takes the events of calls and commits them in groups. Each event is
// applied to its call (call.Call.Apply) and the call's row is updated in the
// same transaction, so lists and timelines never disagree.
//
// While the database refuses to commit, the events wait and are tried again,
// with pauses from 20 ms to 1 s; whoever asked for a Flush or a write is told
// the error at once, so nobody is dialled on a promise that was not kept.
// Beyond 32,768 waiting events, new ones are lost and counted, except the ends
// of calls: a timeline is then cut short, but no call stays alive for ever.
type Journal struct {
	store *Store

	mu      sync.Mutex
	waiting []change // oldest first
	failure error    // of the last try; nil after a success
	closed  bool
	hook    Hook
	readers map[*reader]struct{}
	stats   JournalStats

	wake    chan struct{} // something waits, or the journal is closed
	hurry   chan struct{} // somebody waits for it
	stopped chan struct{}

	live map[string]*call.Call // as their stored events made them; of the writing goroutine alone
}

// change is one thing to commit: an event, a write, or (neither) a Flush.
type change struct {
	event     call.Event
	write     func(context.Context, *Tx) error
	committed func()     // after the commit, in the writing goroutine
	done      chan error // nil for events; one result
}

func (c *change) isEvent() bool { return c.done == nil }

// Hook stores what must follow from an event in the event's own transaction.
// c is the call with the event applied. If it fails, its part is rolled back and
// the failure logged; the event is stored all the same.
type Hook func(ctx context.Context, tx *Tx, c call.Call, e call.Event) error

// JournalStats counts what the journal did since the start.
type JournalStats struct {
	Waiting     int   // events not yet committed
	Committed   int64 // events
	Groups      int64 // transactions
	Failures    int64 // transactions that failed and are tried again
	Lost        int64 // events that could not be kept
	SlowReaders int64 // subscribers that were dropped
}

func newJournal(s *Store) *Journal {
	j := &Journal{
		store:   s,
		readers: make(map[*reader]struct{}),
		wake:    make(chan struct{}, 1),
		hurry:   make(chan struct{}, 1),
		stopped: make(chan struct{}),
		live:    make(map[string]*call.Call),
	}
	go j.run()
	return j
}

// Append takes one event. It does not wait for the disk: use Flush for that.
// A zero At becomes now. Seq is given when the event is stored, so it is not
// known before a subscriber or a reader sees it. The events of one call are
// stored in the order they were appended. A call ends once: a second call.ended
// is passed over.
func (j *Journal) Append(e call.Event) {
	if e.At.IsZero() {
		e.At = time.Now()
	}
	e.At = e.At.UTC().Truncate(time.Millisecond)
	e.Seq = 0
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed || (len(j.waiting) >= maxWaiting && e.Type != call.Ended) {
		j.stats.Lost++
		if j.stats.Lost == 1 || j.closed {
			j.store.log.Error("event lost", "call", e.CallID, "type", e.Type, "closed", j.closed)
		}
		return
	}
	j.waiting = append(j.waiting, change{event: e})
	signal(j.wake)
}

// Flush returns when everything appended before it is stored, or with the
// error that keeps it from being stored; the events are then tried again
// nevertheless.
func (j *Journal) Flush(ctx context.Context) error {
	done, err := j.enqueue(change{})
	if err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// write commits do, all or nothing, with whatever else waits. It cannot be
// called off: a caller that went away must not leave behind a row that nobody
// answers for. committed, if not nil, runs after the commit, before any event
// of a later commit is published.
func (j *Journal) write(do func(context.Context, *Tx) error, committed func()) error {
	done, err := j.enqueue(change{write: do, committed: committed})
	if err != nil {
		return err
	}
	return <-done
}

func (j *Journal) enqueue(c change) (<-chan error, error) {
	c.done = make(chan error, 1)
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return nil, ErrClosed
	}
	j.waiting = append(j.waiting, c)
	signal(j.wake)
	signal(j.hurry)
	return c.done, nil
}

// OnEvent sets the hook of every event stored from now on. There is one.
func (j *Journal) OnEvent(h Hook) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.hook = h
}

func (j *Journal) onEvent() Hook {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.hook
}

// Healthy is nil while commits succeed, and otherwise the last error. It heals
// by itself: the journal keeps trying.
func (j *Journal) Healthy() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return ErrClosed
	}
	return j.failure
}

// Stats are the journal's counters, for metrics.
func (j *Journal) Stats() JournalStats {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.stats
	for i := range j.waiting {
		if j.waiting[i].isEvent() {
			s.Waiting++
		}
	}
	return s
}

// close commits what waits and ends the writing goroutine. If the database
// fails to the last it returns how much was lost.
func (j *Journal) close() error {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		<-j.stopped
		return nil
	}
	j.closed = true
	j.mu.Unlock()
	signal(j.wake)
	signal(j.hurry)
	<-j.stopped
	j.mu.Lock()
	defer j.mu.Unlock()
	for r := range j.readers {
		j.remove(r)
	}
	if n := len(j.waiting); n > 0 {
		return fmt.Errorf("%d events lost: %w", n, j.failure)
	}
	return nil
}

// signal leaves a token for one who waits or will wait.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
