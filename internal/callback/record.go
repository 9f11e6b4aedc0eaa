package callback

import (
	"time"

	"github.com/perezvon/perezvon/internal/call"
)

// States of a callback, in the order they are passed.
const (
	StateQueued    = "queued"    // accepted, its first attempt has not started
	StateRunning   = "running"   // an attempt is on the phone
	StateScheduled = "scheduled" // a recall is planned
	StateDone      = "done"      // nothing more will happen
	StateCancelled = "cancelled" // through the API or the console, or by the manager's key
)

// Record is a callback as it is kept: the order and what came of it.
type Record struct {
	ID      string
	Account string
	State   string // one of the State… constants
	Client  string // E.164
	Packet  Packet // normalised
	// Attempts are in the order they were made; the last may be alive.
	Attempts      []Attempt
	NextAttemptAt *time.Time // of the planned recall, if State is scheduled
	CreatedAt     time.Time
}

// Attempt is one call of a callback.
type Attempt struct {
	Attempt int    `json:"attempt"` // from 1
	CallID  string `json:"call_id"`
	// Status is zero while the call lives.
	Status call.Status `json:"status"`
}
