package bitrix24

import (
	"cmp"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/perezvon/perezvon/internal/call"
)

// CallType is the TYPE of telephony.externalCall.register.
type CallType int

// The types of calls.
const (
	Outbound          CallType = 1
	Inbound           CallType = 2
	InboundRedirected CallType = 3 // sent on to a phone outside
	Callback          CallType = 4
)

// What a Step tells.
const (
	DoRegister   = "register"   // the call exists, and rings somebody: his card opens
	DoShow       = "show"       // it rings somebody else, too
	DoHide       = "hide"       // no longer
	DoFinish     = "finish"     // it is over
	DoRecord     = "record"     // its recording is ready
	DoTranscript = "transcript" // what was said is written down
)

// Step is one thing that the portal is told of a call. Operators are named as
// the timeline names them: by extension, or by number. Whose users they are is
// found when the step is sent.
type Step struct {
	Do string `json:"type"`
	// Call is in every step, so that each can register the call if it is not.
	Call Registration `json:"call"`
	// Operator is whose card opens or closes, or who is responsible.
	Operator string `json:"operator,omitempty"`
	// Of finish.
	DurationS int    `json:"duration_s,omitempty"` // of the talk with the client
	Status    string `json:"status,omitempty"`     // STATUS_CODE
	Reason    string `json:"reason,omitempty"`     // why nobody talked
	Comment   string `json:"comment,omitempty"`    // the stages
}

// Registration is what register is told.
type Registration struct {
	ID       string    `json:"id"` // ours: EXTERNAL_CALL_ID
	Type     CallType  `json:"type"`
	Client   string    `json:"client"`
	Operator string    `json:"operator,omitempty"` // the first who is rung, or who calls
	At       time.Time `json:"at"`
	// CallID is the portal's, of a call that it has registered itself: somebody
	// clicked a number there.
	CallID string `json:"call_id,omitempty"`
	// User is who has clicked: the call is his, if nobody had it.
	User int64 `json:"user,omitempty"`
}

// Story makes steps of a call's events: the call is registered when it first
// rings somebody of ours, cards open and close as it goes on, and it is finished
// once, whatever happened in between. The zero Story is one of a call of which
// nothing is known yet.
type Story struct {
	registration *Registration
	clicked      Order             // what the portal has asked for, of calls that it has registered itself
	legs         map[string]string // leg → operator whose card it has opened
}

// Clicked says that the portal has registered the call itself.
func (s *Story) Clicked(o Order) { s.clicked = o }

// Next takes the next event and gives the step that follows from it, if any. c
// is the call with the event applied.
//
// Internal calls are no matter of the CRM. Neither is a call without a client's
// number, nor one that was refused before anybody was called (711), unless the
// portal has registered it itself.
func (s *Story) Next(c call.Call, e call.Event) (Step, bool) {
	if c.Direction == call.Internal || !strings.ContainsAny(c.Client, "0123456789") {
		return Step{}, false
	}
	switch e.Type {
	case call.Dialing, call.Arrived, call.Merged:
		if who := cmp.Or(e.Operator, e.Number); e.Role != call.Client && e.Role != "" && who != "" {
			return s.rings(c, e, who)
		}
	case call.DialFailed, call.DialCancelled, call.LegEnded:
		return s.leaves(e.Leg)
	case call.Ended:
		if s.registration == nil && c.Status == call.NotAllowed && s.clicked.CallID == "" {
			return Step{}, false
		}
		s.register(c, e, c.Responsible)
		return s.finish(c, e), true
	case call.RecordingState:
		if s.registration != nil && c.Recording == call.RecordingReady {
			return s.step(DoRecord, ""), true
		}
	case call.Transcribed:
		if s.registration != nil && e.Segments > 0 {
			return s.step(DoTranscript, ""), true
		}
	}
	return Step{}, false
}

func (s *Story) step(do, operator string) Step {
	return Step{Do: do, Call: *s.registration, Operator: operator}
}

// register notes what the call is registered as; false if it is.
func (s *Story) register(c call.Call, e call.Event, who string) bool {
	if s.registration != nil {
		return false
	}
	r := Registration{ID: c.ID, Client: c.Client, Operator: who, At: c.StartedAt}
	switch c.Direction {
	case call.Outbound:
		r.Type = Outbound
	case call.Callback:
		r.Type = Callback
		if c.Attempt <= 1 {
			r.CallID, r.User = s.clicked.CallID, s.clicked.User
		}
	default:
		r.Type = Inbound
		if e.Type == call.Dialing && e.Trunk != "" {
			r.Type = InboundRedirected
		}
	}
	s.registration, s.legs = &r, make(map[string]string)
	return true
}

func (s *Story) rings(c call.Call, e call.Event, who string) (Step, bool) {
	first := s.register(c, e, who)
	open := s.has(who)
	s.legs[e.Leg] = who
	switch {
	case first && s.registration.CallID != "":
		return Step{}, false // the portal has opened the card itself
	case first:
		return s.step(DoRegister, who), true
	case open: // another phone or trunk of the same operator
		return Step{}, false
	}
	return s.step(DoShow, who), true
}

// leaves closes the operator's card when the last of his phones is out.
func (s *Story) leaves(leg string) (Step, bool) {
	who, ok := s.legs[leg]
	delete(s.legs, leg)
	if !ok || s.has(who) {
		return Step{}, false
	}
	return s.step(DoHide, who), true
}

func (s *Story) has(who string) bool {
	for _, other := range s.legs {
		if other == who {
			return true
		}
	}
	return false
}

func (s *Story) finish(c call.Call, e call.Event) Step {
	f := s.step(DoFinish, c.Responsible)
	if talk := c.Talk(e.At); talk > 0 {
		f.DurationS = max(1, int(math.Round(talk.Seconds())))
		f.Status = "200"
	} else {
		f.Status = cmp.Or(statusCodes[c.Status], "OTHER")
		f.Reason = c.Status.Slug
		if e.Reason != "" {
			f.Reason += ": " + e.Reason
		}
	}
	f.Comment = comment(c)
	return f
}

// statusCodes are the STATUS_CODE of calls on which nobody talked. To the CRM a
// call that failed on our side is a missed one: the client is to be called.
var statusCodes = map[call.Status]string{
	call.Completed:            "304",
	call.ClientUnknown:        "404",
	call.ClientNoAnswer:       "304",
	call.ClientUnavailable:    "480",
	call.ClientBusy:           "486",
	call.ClientTrunkFailure:   "503",
	call.ClientDeclined:       "603",
	call.ManagerNoAnswer:      "304",
	call.ManagerBusy:          "304",
	call.ManagerDeclined:      "304",
	call.ManagerTrunkFailure:  "503",
	call.ManagerHungUp:        "603-S",
	call.RepeatLimit:          "304",
	call.CancelledByManager:   "603-S",
	call.RescheduledByManager: "603-S",
	call.Cancelled:            "603-S",
	call.NotAllowed:           "403",
	call.Interrupted:          "OTHER",
	call.Expired:              "304",
	call.NoAnswer:             "304",
	call.Busy:                 "486",
	call.Declined:             "603",
	call.Unavailable:          "480",
	call.Abandoned:            "304",
	call.NoRoute:              "404",
	call.TrunkFailure:         "503",
	call.CallbackRequested:    "304",
	call.Announced:            "OTHER",
}

// comment lists the stages, a line each: from when to when of the call, with
// whom, and whether he passed the client on. Empty without stages.
func comment(c call.Call) string {
	lines := make([]string, len(c.Stages))
	for i, stage := range c.Stages {
		end := c.EndedAt
		if stage.To != nil {
			end = *stage.To
		}
		lines[i] = fmt.Sprintf("%s–%s %s", clock(stage.From.Sub(c.StartedAt)), clock(end.Sub(c.StartedAt)), stage.Operator)
		if stage.Outcome == call.Transferred {
			lines[i] += " →"
		}
	}
	return strings.Join(lines, "\n")
}

// clock is a length as 1:02:03 or 2:03.
func clock(d time.Duration) string {
	s := int(d.Round(time.Second).Seconds())
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}
