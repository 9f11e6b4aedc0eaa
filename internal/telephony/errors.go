package telephony

import (
	"errors"
	"fmt"
	"time"
)

// ErrReplaced is what Leg.Play returns when another Play took the leg over.
var ErrReplaced = errors.New("another sound took over")

// ErrElsewhere is the cause to end a Dial with when somebody else has answered
// the call: the phone is told so and shows no missed call (RFC 3326, cause 200).
var ErrElsewhere = errors.New("answered elsewhere")

// ErrCannotListen is what Leg.Listen returns where the phone system does not let
// legs be heard while they last.
var ErrCannotListen = errors.New("this phone system does not let calls be listened to")

// Phase is how far a dial had come when it failed.
type Phase string

// The phases of dialling.
const (
	// PhaseSetup: nothing was sent: no such trunk, its channels are full, it
	// is known to be down, the operator has no registered phone.
	PhaseSetup Phase = "setup"
	// PhaseTrying: no provisional answer beyond 100 came.
	PhaseTrying Phase = "trying"
	// PhaseProgress: 181…183, but not ringing.
	PhaseProgress Phase = "progress"
	// PhaseRinging: a phone rang.
	PhaseRinging Phase = "ringing"
)

// DialError tells why a call did not come about. Always used as a pointer.
type DialError struct {
	// Code is the SIP status of the refusal. An engine fills it also where
	// none came: 408 nobody answered in time, 503 the transport failed or the
	// trunk is down or full, 480 no phone is registered, 404 no such trunk or
	// operator, 487 we gave up, 488 no common codec.
	Code int
	// Q850 is the cause from a Reason header (RFC 3326), 0 if none.
	Q850   int
	Reason string
	Trunk  string
	Phase  Phase
	// Elapsed is the time from the order to the failure.
	Elapsed time.Duration
	// Err is what lies beneath, e.g. context.Cause or a socket's error.
	Err error
}

func (e *DialError) Error() string {
	s := fmt.Sprintf("dial: %d %s (%s)", e.Code, e.Reason, e.Phase)
	if e.Trunk != "" {
		s += " on trunk " + e.Trunk
	}
	return s
}

func (e *DialError) Unwrap() error { return e.Err }

// Who ended a leg.
const (
	ByFar     = "far"     // the phone or its network sent the end
	ByUs      = "us"      // Leg.Hangup
	ByNetwork = "network" // media died, the session timer ran out, the transport failed
)

// HangupError is the cause a leg's context ends with. Always used as a pointer.
type HangupError struct {
	Leg  string
	By   string // one of the By… constants
	Code int    // SIP status, if the leg ended before its answer
	Q850 int    // cause from a Reason header, 0 if none
	// Reason is in words, for the timeline: "BYE", "no media for 30s".
	Reason string
}

func (e *HangupError) Error() string {
	return fmt.Sprintf("leg %s ended by %s: %s", e.Leg, e.By, e.Reason)
}
