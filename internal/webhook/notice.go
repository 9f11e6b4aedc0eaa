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

// Notice goes to subscriptions, in the form that Standard Webhooks advises. It is
// exported for the document of the API.
type Notice struct {
	Type      string     `json:"type" doc:"Of the event"`
	Version   int        `json:"version" doc:"Of this form. It grows when a field changes its meaning or goes, not when one is added"`
	Timestamp string     `json:"timestamp" format:"date-time" doc:"Of the event"`
	Data      NoticeData `json:"data"`
}

// NoticeData is what a Notice tells.
type NoticeData struct {
	Event NoticeEvent `json:"event"`
	Call  NoticeCall  `json:"call" doc:"The call as it was right after the event"`
}

// NoticeEvent is the event as the log shows it.
type NoticeEvent struct {
	// In place of Event's: always three digits.
	At   string  `json:"at" format:"date-time"`
	Next *string `json:"next_attempt_at,omitempty" format:"date-time" doc:"When the callback's next attempt is planned"`
	call.Event
}

// NoticeCall is the call as it was right after the event. The names are those of
// GET /api/v1/calls/{id}.
type NoticeCall struct {
	ID          string           `json:"id"`
	Direction   call.Direction   `json:"direction" enum:"inbound,outbound,callback,internal"`
	CallbackID  *string          `json:"callback_id" doc:"The order it is an attempt of; null if it is no callback"`
	Attempt     int              `json:"attempt,omitempty"`
	Status      *NoticeStatus    `json:"status" doc:"null while the call lives"`
	Client      string           `json:"client" doc:"E.164"`
	Responsible string           `json:"responsible" doc:"The last who picked up: an operator's extension, or the number of a manager outside"`
	StartedAt   string           `json:"started_at" format:"date-time"`
	AnsweredAt  *string          `json:"answered_at" format:"date-time" doc:"The first answer of anybody"`
	JoinedAt    *string          `json:"joined_at" format:"date-time" doc:"The client and somebody hear each other for the first time"`
	EndedAt     *string          `json:"ended_at" format:"date-time"`
	DurationS   float64          `json:"duration_s" doc:"From the start to the end, or to the event"`
	TalkS       float64          `json:"talk_s" doc:"The client and somebody heard each other"`
	Stages      []NoticeStage    `json:"stages" nullable:"false"`
	Recording   NoticeRecording  `json:"recording"`
	Transcript  NoticeTranscript `json:"transcript"`
	LogURL      string           `json:"log_url"`
}

// NoticeStatus is how a call ended.
type NoticeStatus struct {
	Code int    `json:"code"`
	Slug string `json:"slug"`
}

// NoticeStage is a stretch of talk.
type NoticeStage struct {
	Operator string       `json:"operator" doc:"Extension, or the number of a manager outside"`
	From     string       `json:"from" format:"date-time"`
	To       *string      `json:"to" format:"date-time" doc:"null while the stage lasts"`
	Outcome  call.Outcome `json:"outcome" enum:"talking,done,transferred"`
}

// NoticeRecording is what became of the recording so far.
type NoticeRecording struct {
	State     string   `json:"state" enum:"none,recording,rendering,ready,failed"`
	URL       *string  `json:"url" doc:"Opens without a key until expires_at. Answers 409 with Retry-After until state is ready"`
	ExpiresAt *string  `json:"expires_at" format:"date-time"`
	DurationS *float64 `json:"duration_s"`
}

// NoticeTranscript is what became of the transcript so far.
type NoticeTranscript struct {
	State string `json:"state" enum:"none,waiting,ready,failed"`
}

func (s *Service) notice(c call.Call, e call.Event) Notice {
	n := Notice{
		Type: string(e.Type), Version: noticeVersion, Timestamp: e.At.UTC().Format(stamp),
		Data: NoticeData{Event: NoticeEvent{Event: e, At: e.At.UTC().Format(stamp)}, Call: s.summary(c, e.At)},
	}
	if e.NextAttemptAt != nil {
		n.Data.Event.Next = stampOrNull(*e.NextAttemptAt)
	}
	return n
}

// summary is the call at a moment.
func (s *Service) summary(c call.Call, now time.Time) NoticeCall {
	m := NoticeCall{
		ID: c.ID, Direction: c.Direction, Attempt: c.Attempt, Client: c.Client, Responsible: c.Responsible,
		StartedAt: c.StartedAt.UTC().Format(stamp), AnsweredAt: stampOrNull(c.AnsweredAt), JoinedAt: stampOrNull(c.JoinedAt), EndedAt: stampOrNull(c.EndedAt),
		DurationS: seconds(c.Duration(now)), TalkS: seconds(c.Talk(now)), Stages: make([]NoticeStage, len(c.Stages)),
		Recording: NoticeRecording(s.recording(c)), Transcript: NoticeTranscript{c.Transcript}, LogURL: s.config.LogURL(c.ID),
	}
	if m.Recording.State == "" {
		m.Recording.State = call.RecordingNone
	}
	if m.Transcript.State == "" {
		m.Transcript.State = call.TranscriptNone
	}
	if c.CallbackID != "" {
		m.CallbackID = &c.CallbackID
	}
	if !c.Status.IsZero() {
		m.Status = &NoticeStatus{c.Status.Code, c.Status.Slug}
	}
	for i, part := range c.Stages {
		m.Stages[i] = NoticeStage{Operator: part.Operator, From: part.From.UTC().Format(stamp), Outcome: part.Outcome}
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
