package telephony

import (
	"context"
	"sync"
	"time"
)

// Digit is one key pressed on a phone.
type Digit struct {
	Key    byte // one of 0123456789*#ABCD
	At     time.Time
	Method string // rfc4733, info, inband
}

// maxDigits bounds the queue: what a person can press before anybody listens.
const maxDigits = 64

// Digits is the queue of keys pressed on a leg. It is filled from the answer
// on, so keys pressed during a prompt are not lost (type-ahead); who does not
// want those drains it. Keys beyond 64 waiting are counted and dropped.
type Digits struct {
	mu      sync.Mutex
	waiting []Digit
	dropped int
	came    chan struct{} // holds a token while something may wait
}

// NewDigits makes an empty queue.
func NewDigits() *Digits { return &Digits{came: make(chan struct{}, 1)} }

// Push adds a key. It never blocks.
func (q *Digits) Push(d Digit) {
	q.mu.Lock()
	if len(q.waiting) < maxDigits {
		q.waiting = append(q.waiting, d)
	} else {
		q.dropped++
	}
	q.mu.Unlock()
	select {
	case q.came <- struct{}{}:
	default:
	}
}

// Next waits for a key, or returns context.Cause(ctx).
func (q *Digits) Next(ctx context.Context) (Digit, error) {
	for {
		if err := context.Cause(ctx); err != nil {
			return Digit{}, err
		}
		// The queue is looked at after every wake-up: a token may be stale.
		q.mu.Lock()
		if len(q.waiting) > 0 {
			d := q.waiting[0]
			q.waiting = append(q.waiting[:0], q.waiting[1:]...)
			q.mu.Unlock()
			return d, nil
		}
		q.mu.Unlock()
		select {
		case <-q.came:
		case <-ctx.Done():
		}
	}
}

// Drain empties the queue and returns what waited.
func (q *Digits) Drain() []Digit {
	q.mu.Lock()
	defer q.mu.Unlock()
	ds := q.waiting
	q.waiting = nil
	return ds
}

// Dropped is how many keys found the queue full.
func (q *Digits) Dropped() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}
