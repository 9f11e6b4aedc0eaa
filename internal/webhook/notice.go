package webhook

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/perezvon/perezvon/internal/call"
)

// noticeVersion is that of the bodies that subscriptions get. It grows when a
// field changes its meaning or goes, not when one is added.
const noticeVersion = 1

// notice goes to subscriptions, in the form that Standard Webhooks advises.
type notice struct {
	Type      string     `json:"type"` // of the event
	Version   int        `json:"version"`
	Timestamp string     `json:"timestamp"` // of the event
	Data      noticeData `json:"data"`
}

type noticeData struct {
	Event noticeEvent `json:"event"`
	Call  summary     `json:"call"`
}

// noticeEvent is the event as the log shows it.
type noticeEvent struct {
	At   string  `json:"at"`                        // in place of Event's: always three digits
	Next *string `json:"next_attempt_at,omitempty"` // the same
	call.Event
}

// summary is the call as it was right after the event. The names are those of
// GET /api/v1/calls/{id}.
type summary struct {
	ID          string         `json:"id"`
	Direction   call.Direction `json:"direction"`
	CallbackID  *string        `json:"callback_id"` // null: it is no callback
	Attempt     int            `json:"attempt,omitempty"`
	Status      *call.Status   `json:"status"` // null while it lives
	Client      string         `json:"client"`
	Responsible string         `json:"responsible"`
	StartedAt   string         `json:"started_at"`
	AnsweredAt  *string        `json:"answered_at"`
	JoinedAt    *string        `json:"joined_at"`
	EndedAt     *string        `json:"ended_at"`
	DurationS   float64        `json:"duration_s"`
	TalkS       float64        `json:"talk_s"`
	Stages      []stage        `json:"stages"`
	Recording   recording      `json:"recording"`
	Transcript  transcript     `json:"transcript"`
	LogURL      string         `json:"log_url"`
}

type stage struct {
	Operator string       `json:"operator"`
	From     string       `json:"from"`
	To       *string      `json:"to"` // null while it lasts
	Outcome  call.Outcome `json:"outcome"`
}

type transcript struct {
	State string `json:"state"`
}

func (s *Service) notice(c call.Call, e call.Event) notice {
	n := notice{
		Type: string(e.Type), Version: noticeVersion, Timestamp: e.At.UTC().Format(stamp),
		Data: noticeData{Event: noticeEvent{Event: e, At: e.At.UTC().Format(stamp)}, Call: s.summary(c, e.At)},
	}
	if e.NextAttemptAt != nil {
		n.Data.Event.Next = stampOrNull(*e.NextAttemptAt)
	}
	return n
}

// summary is the call at a moment.
func (s *Service) summary(c call.Call, now time.Time) summary {
	m := summary{
		ID: c.ID, Direction: c.Direction, Attempt: c.Attempt, Client: c.Client, Responsible: c.Responsible,
		StartedAt: c.StartedAt.UTC().Format(stamp), AnsweredAt: stampOrNull(c.AnsweredAt), JoinedAt: stampOrNull(c.JoinedAt), EndedAt: stampOrNull(c.EndedAt),
		DurationS: seconds(c.Duration(now)), TalkS: seconds(c.Talk(now)), Stages: make([]stage, len(c.Stages)),
		Recording: s.recording(c), Transcript: transcript{c.Transcript}, LogURL: s.config.LogURL(c.ID),
	}
	if c.CallbackID != "" {
		m.CallbackID = &c.CallbackID
	}
	if !c.Status.IsZero() {
		m.Status = &c.Status
	}
	for i, part := range c.Stages {
		m.Stages[i] = stage{Operator: part.Operator, From: part.From.UTC().Format(stamp), Outcome: part.Outcome}
		if part.To != nil {
			m.Stages[i].To = stampOrNull(*part.To)
		}
	}
	return m
}

// encode writes a body. People read these too.
func encode(message any) ([]byte, error) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(message)
	return bytes.TrimSuffix(body.Bytes(), []byte("\n")), err
}
