package call

import "time"

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
		c.Client, c.StartedAt, c.Recording = e.Number, e.At, RecordingNone
	case Arrived:
		if e.Role == Operator { // who calls out answers for the call
			c.has(e.Leg, e.Operator)
			c.Responsible = e.Operator
		}
	case Answered:
		c.answered(e)
	case RecordingStarted:
		c.Recording = RecordingRunning
	case Joined:
		if c.JoinedAt.IsZero() {
			c.JoinedAt = e.At
		}
		c.Stages = append(c.Stages, Stage{Operator: c.operatorOf(e), From: e.At, Outcome: Talking})
	case Parted:
		c.endStage(e.At, Done)
	case Ended:
		c.endStage(e.At, Done)
		c.EndedAt = e.At
		if e.Status != nil {
			c.Status = *e.Status
		}
		if c.Recording == RecordingRunning {
			c.Recording = RecordingRendering
		}
	case RecordingState:
		c.Recording = e.Recording
		if e.DurationS > 0 {
			c.RecordingS = e.DurationS
		}
	}
	c.contact(e)
}

func (c *Call) answered(e Event) {
	if c.AnsweredAt.IsZero() {
		c.AnsweredAt = e.At
	}
	if e.Role == Client {
		return
	}
	who := e.Operator
	if who == "" {
		who = e.Number
	}
	c.Responsible = who
	c.has(e.Leg, who)
}

// has notes whose a leg is.
func (c *Call) has(leg, who string) {
	if c.operators == nil {
		c.operators = make(map[string]string)
	}
	c.operators[leg] = who
}

// operatorOf names the operator of a Joined event by either of its legs.
func (c *Call) operatorOf(e Event) string {
	for _, leg := range []string{e.Leg, e.Other} {
		if who, ok := c.operators[leg]; ok {
			return who
		}
	}
	return c.Responsible
}

func (c *Call) endStage(at time.Time, how Outcome) {
	if n := len(c.Stages); n > 0 && c.Stages[n-1].To == nil {
		c.Stages[n-1].To = &at
		c.Stages[n-1].Outcome = how
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
// stages.
func (c *Call) Talk(now time.Time) time.Duration {
	var sum time.Duration
	for _, s := range c.Stages {
		end := now
		if s.To != nil {
			end = *s.To
		}
		sum += end.Sub(s.From)
	}
	return sum
}
