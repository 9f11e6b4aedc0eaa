package asterisk

import (
	"context"
	"iter"
	"slices"
	"sync"

	"github.com/perezvon/perezvon/internal/telephony"
)

// DeviceState tells what the phones of an operator are doing.
func (e *Engine) DeviceState(extension string) telephony.DeviceState {
	ctx, cancel := context.WithTimeout(e.life, tidying)
	defer cancel()
	state, err := e.ari.Device(ctx, technology+extension)
	if err != nil {
		e.log.Warn("Asterisk does not tell what a phone does", "operator", extension, "err", err)
		return telephony.Unavailable
	}
	calls, held := e.talks(extension)
	switch s := telephony.DeviceState(state); s {
	case telephony.NotInUse:
		if calls > 0 {
			return telephony.InUse // to Asterisk a phone that calls is in use when it is answered
		}
		return s
	case telephony.InUse:
		if calls > 0 && calls == held {
			return telephony.OnHold // to Asterisk a phone is on hold when others hold it
		}
		return s
	case telephony.Ringing, telephony.Busy, telephony.OnHold:
		return s
	case "RINGINUSE":
		return telephony.InUse
	}
	return telephony.Unavailable
}

// talks counts the calls that an operator's phones make or have taken, and those
// of them that they hold.
func (e *Engine) talks(extension string) (all, held int) {
	for _, l := range e.legs() {
		l.mu.Lock()
		counts := l.info.Operator == extension && (l.info.Inbound || l.answered)
		l.mu.Unlock()
		if counts {
			all++
			if l.held.On() {
				held++
			}
		}
	}
	return all, held
}

// DeviceStates tells, until ctx ends, what the phones of the operators are
// doing: first of everybody whose state is not Unavailable, and then of whoever
// it may have changed for. A slow reader is told the newest, not what passed
// meanwhile.
func (e *Engine) DeviceStates(ctx context.Context) iter.Seq2[string, telephony.DeviceState] {
	return func(yield func(string, telephony.DeviceState) bool) {
		w := e.states.watch()
		defer e.states.leave(w)
		names, err := e.ari.Endpoints(ctx, "PJSIP")
		if err != nil && ctx.Err() == nil {
			e.log.Warn("Asterisk does not tell its endpoints", "err", err)
		}
		known := make(map[string]telephony.DeviceState)
		for {
			for _, extension := range names {
				state, before := e.DeviceState(extension), telephony.Unavailable
				if s, ok := known[extension]; ok {
					before = s
				}
				known[extension] = state
				if ctx.Err() != nil || state != before && !yield(extension, state) {
					return
				}
			}
			if names = e.states.next(ctx, w); names == nil {
				return
			}
		}
	}
}

// states tells watchers whose phones do something else. The zero value is ready.
type states struct {
	mu       sync.Mutex
	watchers []*watcher
}

// watcher is somebody who is told.
type watcher struct {
	changed []string      // guarded by states.mu
	came    chan struct{} // holds a token while something may wait
}

func (s *states) watch() *watcher {
	w := &watcher{came: make(chan struct{}, 1)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watchers = append(s.watchers, w)
	return w
}

func (s *states) leave(w *watcher) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watchers = slices.DeleteFunc(s.watchers, func(x *watcher) bool { return x == w })
}

// tell notes that the state of an operator's phones may have changed.
func (s *states) tell(extension string) {
	if extension == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.watchers {
		if !slices.Contains(w.changed, extension) {
			w.changed = append(w.changed, extension)
		}
		select {
		case w.came <- struct{}{}:
		default:
		}
	}
}

// next waits for changes; nil: ctx has ended.
func (s *states) next(ctx context.Context, w *watcher) []string {
	for {
		s.mu.Lock()
		changed := w.changed
		w.changed = nil
		s.mu.Unlock()
		if len(changed) > 0 {
			return changed
		}
		select {
		case <-w.came:
		case <-ctx.Done():
			return nil
		}
	}
}
