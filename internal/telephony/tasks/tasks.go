// Package tasks is the goroutines of a phone system: every engine starts them
// by it and waits for them at its end.
package tasks

import (
	"context"
	"sync"
)

// Group is the goroutines of an engine. Unlike a sync.WaitGroup it may be
// waited for while tasks still start others: ending a call starts its BYE.
type Group struct {
	mu       sync.Mutex
	running  int
	draining bool
	drained  chan struct{} // closed when draining and none runs
}

// New makes a group in which nothing runs.
func New() *Group { return &Group{drained: make(chan struct{})} }

// Run starts f, unless the tasks have drained.
func (t *Group) Run(f func()) bool {
	if !t.Begin() {
		return false
	}
	go func() {
		defer t.End()
		f()
	}()
	return true
}

// Begin counts the calling goroutine in, if it returns true; End counts it out.
func (t *Group) Begin() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.draining && t.running == 0 {
		return false
	}
	t.running++
	return true
}

// End counts out what Begin counted in.
func (t *Group) End() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running--; t.running == 0 && t.draining {
		close(t.drained)
	}
}

// Drained is closed when the group has drained: nothing runs, and nothing starts
// any more.
func (t *Group) Drained() <-chan struct{} { return t.drained }

// Drain waits until no task runs, after which none starts, or until ctx ends.
func (t *Group) Drain(ctx context.Context) error {
	t.mu.Lock()
	if !t.draining {
		t.draining = true
		if t.running == 0 {
			close(t.drained)
		}
	}
	t.mu.Unlock()
	select {
	case <-t.drained:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
