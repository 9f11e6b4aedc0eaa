package telephony

import (
	"context"
	"sync"
)

// Queue is what a phone did and nobody has read yet. It never blocks who puts
// in, and holds as much as a person can do before anybody listens: what finds
// it full is counted and dropped.
type Queue[T any] struct {
	limit   int
	mu      sync.Mutex
	waiting []T
	dropped int
	came    chan struct{} // holds a token while something may wait
	notices notices
}

// NewQueue makes an empty queue that holds up to limit.
func NewQueue[T any](limit int) *Queue[T] {
	return &Queue[T]{limit: limit, came: make(chan struct{}, 1)}
}

// Push adds v. It never blocks.
func (q *Queue[T]) Push(v T) {
	q.mu.Lock()
	if len(q.waiting) < q.limit {
		q.waiting = append(q.waiting, v)
	} else {
		q.dropped++
	}
	told := q.notices.take()
	q.mu.Unlock()
	select {
	case q.came <- struct{}{}:
	default:
	}
	told.call()
}

// WhenReady calls f once, as soon as something waits in the queue, perhaps at
// once: so nobody needs to stand in Next for what mostly never comes. f must not
// wait; it runs in the goroutine of who puts in. stop forgets f if it was not
// called yet.
func (q *Queue[T]) WhenReady(f func()) (stop func()) {
	q.mu.Lock()
	if len(q.waiting) > 0 {
		q.mu.Unlock()
		f()
		return func() {}
	}
	defer q.mu.Unlock()
	notice := q.notices.add(f)
	return func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.notices.remove(notice)
	}
}

// Next waits for the oldest, or returns context.Cause(ctx).
func (q *Queue[T]) Next(ctx context.Context) (T, error) {
	for {
		if err := context.Cause(ctx); err != nil {
			var none T
			return none, err
		}
		// The queue is looked at after every wake-up: a token may be stale.
		q.mu.Lock()
		if len(q.waiting) > 0 {
			v := q.waiting[0]
			q.waiting = append(q.waiting[:0], q.waiting[1:]...)
			q.mu.Unlock()
			return v, nil
		}
		q.mu.Unlock()
		select {
		case <-q.came:
		case <-ctx.Done():
		}
	}
}

// Drain empties the queue and returns what waited.
func (q *Queue[T]) Drain() []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.waiting
	q.waiting = nil
	return all
}

// Dropped is how many found the queue full.
func (q *Queue[T]) Dropped() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}
