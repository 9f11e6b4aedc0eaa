package sipengine

import (
	"context"
	"iter"
	"sync"

	"github.com/perezvon/perezvon/internal/telephony"
)

// DeviceState tells what the phones of an operator are doing: talking goes
// before ringing, and only who talks to nobody else is on hold. Who has dialled
// and waits for the answer is in use.
func (e *Engine) DeviceState(extension string) telephony.DeviceState {
	e.mu.Lock()
	defer e.mu.Unlock()
	var ringing, held, talking bool
	for l := range e.legs {
		if l.operator != extension {
			continue
		}
		switch {
		case !l.answered() && !l.inbound():
			ringing = true
		case l.onHold():
			held = true
		default:
			talking = true
		}
	}
	switch {
	case talking:
		return telephony.InUse
	case ringing:
		return telephony.Ringing
	case held:
		return telephony.OnHold
	case e.phones.Registered(extension):
		return telephony.NotInUse
	}
	return telephony.Unavailable
}

// DeviceStates tells, until ctx ends, what the phones of the operators are
// doing: first of everybody whose state is not Unavailable, and then of whoever
// it changes for. Nothing is lost to a reader that is slow, but states that
// passed meanwhile: it is always told the newest. The engine never waits for it.
func (e *Engine) DeviceStates(ctx context.Context) iter.Seq2[string, telephony.DeviceState] {
	return func(yield func(string, telephony.DeviceState) bool) {
		l := e.changes.listen()
		defer e.changes.leave(l)
		known := make(map[string]telephony.DeviceState)
		for _, extension := range e.present() {
			known[extension] = e.DeviceState(extension)
			if known[extension] != telephony.Unavailable && !yield(extension, known[extension]) {
				return
			}
		}
		for {
			changed := e.changes.next(ctx, l)
			if changed == nil {
				return
			}
			for _, extension := range changed {
				state := e.DeviceState(extension)
				before, was := known[extension]
				if !was {
					before = telephony.Unavailable
				}
				if known[extension] = state; state == telephony.Unavailable {
					delete(known, extension)
				}
				if state != before && !yield(extension, state) {
					return
				}
			}
		}
	}
}

// present are the extensions that have a phone or a call, each once.
func (e *Engine) present() (extensions []string) {
	seen := make(map[string]bool)
	add := func(extension string) {
		if extension != "" && !seen[extension] {
			seen[extension] = true
			extensions = append(extensions, extension)
		}
	}
	for _, b := range e.phones.Snapshot() {
		add(b.Extension)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for l := range e.legs {
		add(l.operator)
	}
	return extensions
}

// changes tells listeners of whom something has changed. It only collects, so
// that it may be told under any lock.
type changes struct {
	mu        sync.Mutex
	listeners map[*listening]struct{}
}

// listening is one listener: whom it has not heard of since it last looked.
type listening struct {
	pending map[string]struct{}
	came    chan struct{} // holds a token while something may be pending
}

func (c *changes) listen() *listening {
	l := &listening{pending: make(map[string]struct{}), came: make(chan struct{}, 1)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listeners == nil {
		c.listeners = make(map[*listening]struct{})
	}
	c.listeners[l] = struct{}{}
	return l
}

func (c *changes) leave(l *listening) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.listeners, l)
}

// tell notes that something has changed for an operator.
func (c *changes) tell(extension string) {
	if extension == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for l := range c.listeners {
		l.pending[extension] = struct{}{}
		select {
		case l.came <- struct{}{}:
		default:
		}
	}
}

// next waits for changes; nil: ctx has ended.
func (c *changes) next(ctx context.Context, l *listening) []string {
	for ctx.Err() == nil {
		c.mu.Lock()
		var changed []string
		for extension := range l.pending {
			changed = append(changed, extension)
		}
		clear(l.pending)
		c.mu.Unlock()
		if changed != nil {
			return changed
		}
		select {
		case <-l.came:
		case <-ctx.Done():
		}
	}
	return nil
}
