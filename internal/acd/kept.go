package acd

import "time"

// Kept is the place of a caller who did not want to wait on the line. It is
// stored until he is called, and he comes back to the queue with it.
type Kept struct {
	ID string `json:"id"`
	// Node is the server in whose memory the queue is.
	Node    string `json:"node"`
	Account string `json:"account"`
	Queue   string `json:"queue"`
	Client  string `json:"client"` // E.164
	Name    string `json:"name,omitempty"`
	// CallID is the call in which he asked for it.
	CallID   string    `json:"call_id"`
	Priority int       `json:"priority,omitempty"`
	Since    time.Time `json:"since"`
}

// KeptFor is how long a place is kept. Who asked yesterday does not expect the
// call any more.
const KeptFor = 24 * time.Hour
