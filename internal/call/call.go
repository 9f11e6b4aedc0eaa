// Package call says what a call is: its identity, its stages, its outcome and
// the events of its timeline. It does no I/O and knows no phone system.
//
// A Call is never written by hand. It is what its events make of it: Apply is
// the one place where an event changes a call, used when an event is stored,
// when a live call is shown and when a dead server's calls are accounted for.
package call

import (
	"time"

	"github.com/google/uuid"
)

// Direction says who called whom.
type Direction string

// The directions of a call.
const (
	Inbound  Direction = "inbound"
	Outbound Direction = "outbound"
	Callback Direction = "callback"
	Internal Direction = "internal"
)

// Outcome is how a stage ended.
type Outcome string

// The outcomes of a stage.
const (
	Talking     Outcome = "talking"     // still going on
	Done        Outcome = "done"        // talked until somebody hung up
	Transferred Outcome = "transferred" // the operator passed the client on
)

// Stage is one stretch of talk between the client and one operator, with the
// times in it when the client was on hold. Stages overlap where several
// operators talk with the client at once.
type Stage struct {
	Leg      string     `json:"leg,omitempty" doc:"The operator's leg"`
	Operator string     `json:"operator" doc:"Extension, or the number of a manager outside"`
	From     time.Time  `json:"from"`
	To       *time.Time `json:"to,omitempty" doc:"Absent while the stage lasts"`
	Outcome  Outcome    `json:"outcome"`
}

// Recording states, in the order they are passed.
const (
	RecordingNone      = "none"
	RecordingRunning   = "recording"
	RecordingRendering = "rendering"
	RecordingReady     = "ready"
	RecordingFailed    = "failed"
)

// Transcript states.
const (
	TranscriptNone    = "none"    // not wanted, or there was no conversation
	TranscriptWaiting = "waiting" // it is made once the recording is ready
	TranscriptReady   = "ready"
	TranscriptFailed  = "failed"
)

// Segment is something that was said on a call, written down.
type Segment struct {
	Speaker Speaker `json:"speaker" enum:"client,operator"`
	FromS   float64 `json:"from_s" doc:"Seconds from the beginning of the recording"`
	ToS     float64 `json:"to_s"`
	Text    string  `json:"text"`
}

// Speaker is who says a segment: each has a channel of the recording.
type Speaker string

// The speakers.
const (
	ClientSpeaks   Speaker = "client"
	OperatorSpeaks Speaker = "operator" // whoever talks with the client: operator or manager
)

// Call is one call of one client, however many legs and operators it passes.
type Call struct {
	ID         string
	Account    string
	Direction  Direction
	CallbackID string // of callbacks: the request this is an attempt of
	Attempt    int
	Client     string // E.164
	// Responsible is the last operator (extension, or number of a manager
	// outside) who picked up and got the client.
	Responsible string
	Status      Status // zero while the call lives
	StartedAt   time.Time
	// AnsweredAt is the first answer of anybody, JoinedAt the first moment
	// the client and somebody heard each other; zero if it never came.
	AnsweredAt, JoinedAt, EndedAt time.Time
	Stages                        []Stage
	Recording                     string  // one of the Recording… states
	RecordingS                    float64 // length of the finished recording, seconds
	Transcript                    string  // one of the Transcript… states
	LastSeq                       int64   // of the newest event applied

	operators map[string]string // leg → operator or number, of answered legs
	parties   parties
}

// NewID makes an identifier for a call or a request: unique, and ordered by
// the time of its making (UUID version 7, RFC 9562 §5.7).
func NewID() string { return uuid.Must(uuid.NewV7()).String() }

// MadeAt is when an identifier was made, to the millisecond; the zero time if
// it was not made by NewID.
func MadeAt(id string) time.Time {
	u, err := uuid.Parse(id)
	if err != nil || u.Version() != 7 {
		return time.Time{}
	}
	sec, nsec := u.Time().UnixTime()
	return time.Unix(sec, nsec)
}
