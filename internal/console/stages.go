package console

import (
	"time"

	"github.com/perezvon/perezvon/internal/call"
)

// part is a stage of a call as people read it.
type part struct {
	Number   int // from 1
	Operator string
	Since    time.Duration // the start of the call
	Length   time.Duration
	Outcome  string
	// Sound and Until are where it is in the recording, in seconds; Audible
	// tells that it is ready.
	Sound, Until float64
	Audible      bool
}

func parts(c call.Call, events []call.Event, now time.Time, l lang) []part {
	var begin, sound time.Time
	for _, e := range events {
		if begin.IsZero() {
			begin = e.At
		}
		if e.Type == call.RecordingStarted && sound.IsZero() {
			sound = e.At
		}
	}
	all := make([]part, len(c.Stages))
	for i, s := range c.Stages {
		to := now
		if s.To != nil {
			to = *s.To
		}
		p := part{Number: i + 1, Operator: s.Operator, Since: s.From.Sub(begin), Length: to.Sub(s.From), Outcome: l.text("outcome." + string(s.Outcome))}
		if c.Recording == call.RecordingReady && !sound.IsZero() {
			p.Sound = max(0, s.From.Sub(sound).Seconds())
			p.Until = min(c.RecordingS, to.Sub(sound).Seconds())
			p.Audible = p.Until > p.Sound
		}
		all[i] = p
	}
	return all
}
