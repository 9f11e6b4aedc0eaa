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
	q.mu.Unlock()
	select {
	case q.came <- struct{}{}:
	default:
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
