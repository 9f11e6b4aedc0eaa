package call

import (
	"cmp"
	"time"
)

// Apply changes the call by one event. Events must come in the order of their
// Seq; one that was applied already changes nothing.
func (c *Call) Apply(e Event) {
	if e.Seq <= c.LastSeq {
		return
	}
	c.LastSeq = e.Seq
	switch e.Type {
	case Created:
		c.ID, c.Direction, c.CallbackID, c.Attempt = e.CallID, e.Direction, e.CallbackID, e.Attempt
		c.Client, c.StartedAt, c.Recording, c.Transcript = e.Number, e.At, RecordingNone, TranscriptNone
	case Arrived:
		if e.Role == Operator { // who calls out answers for the call
			c.has(e.Leg, e.Operator)
			c.Responsible = e.Operator
		}
	case Answered:
		c.answered(e)
	case RecordingStarted:
		c.Recording = RecordingRunning
		if e.Transcribe {
			c.Transcript = TranscriptWaiting
		}
	case Merged:
		c.has(e.Leg, cmp.Or(e.Operator, e.Number))
	case Joined:
		c.joined(e)
	case Parted:
		c.parted(e)
	case Ended:
		for i := range c.Stages {
			c.Stages[i].end(e.At, Done)
		}
		c.EndedAt = e.At
		if e.Status != nil {
			c.Status = *e.Status
		}
		if c.Recording == RecordingRunning {
			c.Recording = RecordingRendering
		}
		if len(c.Stages) == 0 {
			c.Transcript = TranscriptNone // nobody talked
		}
	case RecordingState:
		c.Recording = e.Recording
		if e.DurationS > 0 {
			c.RecordingS = e.DurationS
		}
		c.withoutRecording(e.Recording)
	case Transcribed:
		c.Transcript = TranscriptReady
	case NotTranscribed:
		c.Transcript = TranscriptFailed
	}
	c.contact(e)
}

// withoutRecording: what was not recorded cannot be written down.
func (c *Call) withoutRecording(state string) {
	if c.Transcript != TranscriptWaiting {
		return
	}
	switch state {
	case RecordingNone:
		c.Transcript = TranscriptNone
	case RecordingFailed:
		c.Transcript = TranscriptFailed
	}
}

// answered makes who picked up first responsible. Later, who picks up is only
// once he is joined with the client: a consulted colleague may never be.
func (c *Call) answered(e Event) {
	if c.AnsweredAt.IsZero() {
		c.AnsweredAt = e.At
	}
	if e.Role == Client {
		return
	}
	who := cmp.Or(e.Operator, e.Number)
	c.has(e.Leg, who)
	if c.JoinedAt.IsZero() && e.Role != Colleague {
		c.Responsible = who
	}
}

// has notes whose a leg is.
func (c *Call) has(leg, who string) {
	if c.operators == nil {
		c.operators = make(map[string]string)
	}
	c.operators[leg] = who
}

// joined begins a stage. Whose it is, is responsible from now on.
func (c *Call) joined(e Event) {
	if c.JoinedAt.IsZero() {
		c.JoinedAt = e.At
	}
	leg, who := e.Leg, c.Responsible
	for _, l := range []string{e.Leg, e.Other} {
		if operator, ok := c.operators[l]; ok {
			leg, who = l, operator
			break
		}
	}
	c.Responsible = who
	c.Stages = append(c.Stages, Stage{Operator: who, Leg: leg, From: e.At, Outcome: Talking})
}

// parted ends the stage of the leg.
func (c *Call) parted(e Event) {
	for i := range c.Stages {
		if s := &c.Stages[i]; s.Leg == e.Leg || s.Leg == e.Other || s.Leg == "" {
			s.end(e.At, cmp.Or(e.Outcome, Done))
		}
	}
}

// end ends the stage, if it has not ended.
func (s *Stage) end(at time.Time, how Outcome) {
	if s.To == nil {
		s.To, s.Outcome = &at, how
	}
}

// Duration is the time from the start of the call to its end, or to now while
// it lives.
func (c *Call) Duration(now time.Time) time.Duration {
	if c.EndedAt.IsZero() {
		return now.Sub(c.StartedAt)
	}
	return c.EndedAt.Sub(c.StartedAt)
}

// Talk is the time the client and somebody heard each other: the sum of the
// stages, what several had of it at once counted once.
func (c *Call) Talk(now time.Time) time.Duration {
	var sum time.Duration
	var counted time.Time // up to here; stages are in the order of their beginnings
	for _, s := range c.Stages {
		from, end := s.From, now
		if s.To != nil {
			end = *s.To
		}
		if from.Before(counted) {
			from = counted
		}
		if end.After(from) {
			sum += end.Sub(from)
			counted = end
		}
	}
	return sum
}
