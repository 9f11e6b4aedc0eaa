package asterisk

import (
	"context"
	"sync"
)

// tasks are the goroutines of an engine. Unlike a sync.WaitGroup it may be
// waited for while tasks still start others: ending a call starts its BYE.
type tasks struct {
	mu       sync.Mutex
	running  int
	draining bool
	drained  chan struct{} // closed when draining and none runs
}

// run starts f, unless the tasks have drained.
func (t *tasks) run(f func()) bool {
	if !t.begin() {
		return false
	}
	go func() {
		defer t.end()
		f()
	}()
	return true
}

// begin counts the calling goroutine in, if it returns true; end counts it out.
func (t *tasks) begin() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.draining && t.running == 0 {
		return false
	}
	t.running++
	return true
}

func (t *tasks) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running--; t.running == 0 && t.draining {
		close(t.drained)
	}
}

// drain waits until no task runs, after which none starts, or until ctx ends.
func (t *tasks) drain(ctx context.Context) error {
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
