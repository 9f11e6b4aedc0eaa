package webhook

import (
	"math"
	"time"

	"github.com/perezvon/perezvon/internal/call"
)

// linkTime is how long the recording's link in a status opens without a key.
const linkTime = 30 * 24 * time.Hour

// stamp is a time as all of the outward contract writes it.
const stamp = "2006-01-02T15:04:05.000Z"

// logMessage goes to log_url.
type logMessage struct {
	Type      string `json:"type"` // "log"
	CallID    string `json:"call_id"`
	ID        string `json:"id"` // of the callback
	Attempt   int    `json:"attempt"`
	Client    string `json:"client"`
	StartedAt string `json:"started_at"`
	LogURL    string `json:"log_url"`
}

func (s *Service) log(c call.Call) logMessage {
	return logMessage{
		Type: KindLog, CallID: c.ID, ID: c.CallbackID, Attempt: c.Attempt, Client: c.Client,
		StartedAt: c.StartedAt.UTC().Format(stamp), LogURL: s.config.LogURL(c.ID),
	}
}

// eventMessage goes to events_url: the event as the log shows it, and the
// callback it belongs to.
type eventMessage struct {
	ID string `json:"id"` // of the callback
	At string `json:"at"` // takes the place of Event's: always three digits
	call.Event
}

func event(c call.Call, e call.Event) eventMessage {
	return eventMessage{Event: e, At: e.At.UTC().Format(stamp), ID: c.CallbackID}
}

// statusMessage goes to status_url.
type statusMessage struct {
	Type    string `json:"type"` // "status"
	CallID  string `json:"call_id"`
	ID      string `json:"id"` // of the callback
	Attempt int    `json:"attempt"`
	// Revision is 1 at the end of the call and grows when the same result is
	// told again because it is settled what became of the recording.
	Revision int         `json:"revision"`
	Status   call.Status `json:"status"`
	Reason   string      `json:"reason,omitempty"`
	Client   string      `json:"client"`
	// Manager is who of the managers answered: extension or number.
	Manager        *string `json:"manager"`
	ClientAnswered bool    `json:"client_answered"`

	StartedAt  string  `json:"started_at"`
	AnsweredAt *string `json:"answered_at"` // the first answer of anybody
	JoinedAt   *string `json:"joined_at"`   // manager and client hear each other
	EndedAt    string  `json:"ended_at"`
	DurationS  float64 `json:"duration_s"`
	// ManagerWaitS is from the manager's answer until he is joined to the
	// client or the call ends; 0 if no manager answered.
	ManagerWaitS float64 `json:"manager_wait_s"`
	TalkS        float64 `json:"talk_s"`
	// NextAttemptAt is when the next attempt is planned, as the end of this one
	// decided it. nil: none is.
	NextAttemptAt *string `json:"next_attempt_at"`

	Dials     []dial    `json:"dials"`
	Recording recording `json:"recording"`
	LogURL    string    `json:"log_url"`
}

// dial is one try to reach somebody.
type dial struct {
	Leg       string    `json:"leg"`
	Role      call.Role `json:"role"`
	Operator  string    `json:"operator,omitempty"`
	Number    string    `json:"number,omitempty"`
	Trunk     string    `json:"trunk,omitempty"` // none: a phone registered here
	CallerID  string    `json:"caller_id,omitempty"`
	Outcome   string    `json:"outcome"` // one of the outcomes below
	SIPCode   int       `json:"sip_code,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	ElapsedMS int64     `json:"elapsed_ms"`
}

// How a dial ended.
const (
	dialAnswered    = "answered"
	dialFailed      = "failed"
	dialCancelled   = "cancelled"
	dialInterrupted = "interrupted" // the server died
)

type recording struct {
	State string `json:"state"`
	// URL answers 409 with Retry-After until State is ready.
	URL       *string  `json:"url"`
	ExpiresAt *string  `json:"expires_at"`
	DurationS *float64 `json:"duration_s"`
}

// status is the result of a call that has ended with that timeline.
func (s *Service) status(c call.Call, timeline []call.Event) statusMessage {
	m := statusMessage{
		Type: KindStatus, CallID: c.ID, ID: c.CallbackID, Attempt: c.Attempt, Status: c.Status, Client: c.Client,
		StartedAt: c.StartedAt.UTC().Format(stamp), AnsweredAt: stampOrNull(c.AnsweredAt), JoinedAt: stampOrNull(c.JoinedAt),
		EndedAt: c.EndedAt.UTC().Format(stamp), DurationS: seconds(c.Duration(c.EndedAt)), TalkS: seconds(c.Talk(c.EndedAt)),
		Dials: []dial{}, Recording: s.recording(c), LogURL: s.config.LogURL(c.ID),
	}
	var managerAt time.Time
	legs := make(map[string]int) // into m.Dials
	for _, e := range timeline {
		i, dialled := legs[e.Leg]
		switch e.Type {
		case call.Dialing:
			legs[e.Leg] = len(m.Dials)
			m.Dials = append(m.Dials, dial{
				Leg: e.Leg, Role: e.Role, Operator: e.Operator, Number: e.Number, Trunk: e.Trunk, CallerID: e.CallerID,
				Outcome: dialInterrupted,
			})
		case call.Answered:
			if e.Role == call.Client {
				m.ClientAnswered = true
			} else if m.Manager == nil {
				who := e.Operator
				if who == "" {
					who = e.Number
				}
				m.Manager, managerAt = &who, e.At
			}
			if dialled {
				m.Dials[i].Outcome, m.Dials[i].ElapsedMS = dialAnswered, e.ElapsedMS
			}
		case call.DialFailed, call.DialCancelled:
			if dialled {
				d := &m.Dials[i]
				d.Outcome, d.SIPCode, d.Reason, d.ElapsedMS = dialFailed, e.SIPCode, e.Reason, e.ElapsedMS
				if e.Type == call.DialCancelled {
					d.Outcome = dialCancelled
				}
			}
		case call.Ended:
			m.Reason = e.Reason
			if e.NextAttemptAt != nil {
				m.NextAttemptAt = stampOrNull(*e.NextAttemptAt)
			}
		}
		if isResult(e) {
			m.Revision++
		}
	}
	if !managerAt.IsZero() {
		until := c.JoinedAt
		if until.IsZero() {
			until = c.EndedAt
		}
		m.ManagerWaitS = seconds(until.Sub(managerAt))
	}
	return m
}

func (s *Service) recording(c call.Call) recording {
	r := recording{State: c.Recording}
	switch c.Recording {
	case call.RecordingReady:
		r.DurationS = &c.RecordingS
		fallthrough
	case call.RecordingRendering:
		expires := c.EndedAt.Add(linkTime).Truncate(time.Second)
		url, until := s.config.RecordingURL(c.ID, expires), expires.UTC().Format(stamp)
		r.URL, r.ExpiresAt = &url, &until
	}
	return r
}

// transcriptMessage goes to status_url once it is settled what became of a
// transcript that was wanted.
type transcriptMessage struct {
	Type     string         `json:"type"` // "transcript"
	CallID   string         `json:"call_id"`
	ID       string         `json:"id"` // of the callback
	Attempt  int            `json:"attempt"`
	Client   string         `json:"client"`
	State    string         `json:"state"` // ready, failed
	Reason   string         `json:"reason,omitempty"`
	Segments []call.Segment `json:"segments"`
	LogURL   string         `json:"log_url"`
}

func (s *Service) transcript(c call.Call, e call.Event, segments []call.Segment) transcriptMessage {
	m := transcriptMessage{
		Type: KindTranscript, CallID: c.ID, ID: c.CallbackID, Attempt: c.Attempt, Client: c.Client,
		State: c.Transcript, Reason: e.Reason, Segments: []call.Segment{}, LogURL: s.config.LogURL(c.ID),
	}
	if e.Type == call.Transcribed && segments != nil {
		m.Segments = segments
	}
	return m
}

func stampOrNull(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := t.UTC().Format(stamp)
	return &s
}

// seconds rounds to the millisecond.
func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*1000) / 1000 }
