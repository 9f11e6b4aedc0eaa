package asterisk

import (
	"sync"
	"time"

	"github.com/perezvon/perezvon/internal/telephony/asterisk/ari"
)

// keyPause is the shortest pause between two presses of a key (ITU-T Q.24).
const keyPause = 40 * time.Millisecond

// keys tells keys from what is told of them once more. Asterisk keeps a key back
// that follows too soon on another (AST_MIN_DTMF_GAP), as on a busy network, and
// then reads it again: __ast_read of channel.c tells of it both times. The zero
// value is ready.
type keys struct {
	mu sync.Mutex
	// last is when a key was told, and again when one was told once more, by
	// Asterisk's clock.
	last  map[string]time.Time
	again time.Time
}

// isNew tells whether a key was pressed and not only told again: to press it once
// more takes a pause and as long as it was held. Of several that are kept back
// each waits for the one before.
func (k *keys) isNew(ev ari.Event) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	at := ev.Timestamp.Time
	if since, ok := k.last[ev.Digit]; ok {
		if k.again.After(since) {
			since = k.again
		}
		if at.Sub(since) < time.Duration(ev.DurationMS)*time.Millisecond+keyPause {
			delete(k.last, ev.Digit) // it is told twice and no more
			k.again = at
			return false
		}
	}
	if k.last == nil {
		k.last = make(map[string]time.Time)
	}
	k.last[ev.Digit] = at
	return true
}
