package httpapi

import (
	"math"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/perezvon/perezvon/internal/call"
)

// Time is a moment in answers: RFC 3339 with milliseconds in UTC.
type Time time.Time

const timeLayout = "2006-01-02T15:04:05.000Z"

// MarshalText writes the moment.
func (t Time) MarshalText() ([]byte, error) {
	return []byte(time.Time(t).UTC().Format(timeLayout)), nil
}

// Schema implements huma.SchemaProvider.
func (Time) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "date-time", Examples: []any{"2026-11-21T09:30:00.125Z"}}
}

// outcome is a call's status, null while the call lives.
type outcome call.Status

// Schema implements huma.SchemaProvider: huma would make it a reference, which
// cannot be null.
func (outcome) Schema(r huma.Registry) *huma.Schema {
	s := huma.SchemaFromType(r, reflect.TypeFor[call.Status]())
	s.Nullable = true
	return s
}

func outcomeOrNull(s call.Status) *outcome {
	if s.IsZero() {
		return nil
	}
	return (*outcome)(&s)
}

// timeOrNull is nil for a moment that never came.
func timeOrNull(t time.Time) *Time {
	if t.IsZero() {
		return nil
	}
	return (*Time)(&t)
}

// list is the answer of every list.
type list[T any] struct {
	Items []T     `json:"items" nullable:"false"`
	Next  *string `json:"next_cursor" doc:"Pass it as cursor for the next page; null on the last"`
}

func listOf[From, To any](items []From, next string, show func(From) To) list[To] {
	l := list[To]{Items: make([]To, len(items))}
	for i, item := range items {
		l.Items[i] = show(item)
	}
	if next != "" {
		l.Next = &next
	}
	return l
}

// PageInput is what every list takes. (Inputs that others embed are exported,
// or huma does not see their fields.)
type PageInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many at most"`
	Cursor string `query:"cursor" maxLength:"200" doc:"next_cursor of the page before"`
}

// output is a JSON answer.
type output[T any] struct{ Body T }

// callView is a call as the contract shows it.
type callView struct {
	ID          string         `json:"id"`
	Direction   call.Direction `json:"direction" enum:"inbound,outbound,callback,internal"`
	Status      *outcome       `json:"status" doc:"null while the call lives"`
	Client      string         `json:"client" doc:"E.164"`
	Responsible string         `json:"responsible" doc:"The last who picked up: an operator's extension, or the number of a manager outside"`
	StartedAt   Time           `json:"started_at"`
	AnsweredAt  *Time          `json:"answered_at" nullable:"true" doc:"The first answer of anybody"`
	EndedAt     *Time          `json:"ended_at" nullable:"true"`
	DurationS   float64        `json:"duration_s" doc:"From the start to the end, or to now"`
	TalkS       float64        `json:"talk_s" doc:"The client and somebody heard each other"`
	Stages      []stageView    `json:"stages" nullable:"false"`
	Recording   recordingView  `json:"recording"`
	Transcript  transcriptView `json:"transcript"`
}

// transcriptView is what was said. Lists show the state alone.
type transcriptView struct {
	State    string         `json:"state" enum:"none,waiting,ready,failed" doc:"none: not wanted, or nobody talked"`
	Segments []call.Segment `json:"segments,omitempty" doc:"In the order of their beginnings; of a single call only"`
}

type stageView struct {
	Operator string       `json:"operator" doc:"Extension, or the number of a manager outside"`
	From     Time         `json:"from"`
	To       *Time        `json:"to" nullable:"true" doc:"null while the stage lasts"`
	Outcome  call.Outcome `json:"outcome" enum:"talking,done,transferred"`
}

type recordingView struct {
	State     string   `json:"state" enum:"none,recording,rendering,ready,failed"`
	URL       *string  `json:"url" doc:"Where it is to be had, with a key, once it is ready"`
	DurationS *float64 `json:"duration_s"`
}

// view shows a call as it is now.
func (a *API) view(c call.Call) callView {
	now := time.Now()
	v := callView{
		ID: c.ID, Direction: c.Direction, Status: outcomeOrNull(c.Status), Client: c.Client, Responsible: c.Responsible,
		StartedAt: Time(c.StartedAt), AnsweredAt: timeOrNull(c.AnsweredAt), EndedAt: timeOrNull(c.EndedAt),
		DurationS: seconds(c.Duration(now)), TalkS: seconds(c.Talk(now)),
		Stages:    make([]stageView, len(c.Stages)),
		Recording: recordingView{State: c.Recording}, Transcript: transcriptView{State: c.Transcript},
	}
	if v.Transcript.State == "" {
		v.Transcript.State = call.TranscriptNone
	}
	if v.Recording.State == "" {
		v.Recording.State = call.RecordingNone
	}
	for i, s := range c.Stages {
		v.Stages[i] = stageView{Operator: s.Operator, From: Time(s.From), Outcome: s.Outcome}
		if s.To != nil {
			v.Stages[i].To = timeOrNull(*s.To)
		}
	}
	if c.Recording == call.RecordingReady {
		url, length := a.c.PublicURL+"/api/v1/calls/"+c.ID+"/recording", c.RecordingS
		v.Recording.URL, v.Recording.DurationS = &url, &length
	}
	return v
}

// seconds rounds to the millisecond.
func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*1000) / 1000 }

// eventView is an event with its time in the API's form.
type eventView struct {
	call.Event
	At   Time  `json:"at"`
	Next *Time `json:"next_attempt_at,omitempty" doc:"When the callback's next attempt is planned"`
}

func viewEvent(e call.Event) eventView {
	return eventView{Event: e, At: Time(e.At), Next: (*Time)(e.NextAttemptAt)}
}
