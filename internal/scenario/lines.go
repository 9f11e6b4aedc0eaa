package scenario

import (
	"sync"

	"github.com/perezvon/perezvon/internal/telephony"
)

// Lines keeps operators without call waiting from being called twice at once:
// between the look whether one is free and the ringing of his phone another
// call may look too. One Lines serves all scenarios of an engine.
type Lines struct {
	mu    sync.Mutex
	taken map[string]bool // extensions that are being called
}

// NewLines makes a Lines on which nobody is called.
func NewLines() *Lines { return &Lines{taken: make(map[string]bool)} }

// take holds the operator's line while he is called; ok is false if he is on
// the phone, or is being called. An operator whose phones are not there is the
// engine's to refuse. free must be called when the call was answered, or not.
func (l *Lines) take(e telephony.Engine, extension string) (free func(), ok bool) {
	if l == nil {
		return func() {}, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.taken[extension] {
		return nil, false
	}
	switch e.DeviceState(extension) {
	case telephony.InUse, telephony.Busy, telephony.Ringing, telephony.OnHold:
		return nil, false
	}
	l.taken[extension] = true
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.taken, extension)
	}, true
}
