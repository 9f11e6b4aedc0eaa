package httpapitest

import (
	"fmt"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/media/tone"
)

// PassedOn stores a call that three operators (101 to 103) had one after
// another, ten seconds each, and its recording: the client 500 Hz, the
// operators 700, 1000 and 1300.
func (s *Server) PassedOn(rate int) (id string) {
	s.t.Helper()
	at := time.Now().Add(-time.Hour)
	id = s.NewCall(at)
	began := at.Add(time.Second)
	events := []call.Event{
		{At: began, Type: call.Answered, Leg: "c1", Role: call.Client, Number: "+79161234567"},
		{At: began, Type: call.RecordingStarted},
	}
	for i := range 3 {
		leg, from := fmt.Sprint("m", i+1), began.Add(time.Duration(10*i)*time.Second)
		events = append(events,
			call.Event{At: from, Type: call.Answered, Leg: leg, Role: call.Manager, Operator: fmt.Sprint(101 + i)},
			call.Event{At: from, Type: call.Joined, Leg: leg, Other: "c1"},
			call.Event{At: from.Add(10 * time.Second), Type: call.Parted, Leg: leg, Other: "c1"},
			call.Event{At: from.Add(10 * time.Second), Type: call.LegEnded, Leg: leg, By: "far"})
	}
	events = append(events, call.Event{At: began.Add(30 * time.Second), Type: call.Ended, Status: &call.Completed})
	for i := range events {
		events[i].CallID = id
	}
	s.Append(events...)
	s.Record(id) // for its peaks
	left := tone.Sine(500, RecordingLength, rate, 8000).Samples
	var right []int16
	for _, freq := range []float64{700, 1000, 1300} {
		right = append(right, tone.Sine(freq, 10*time.Second, rate, 8000).Samples...)
	}
	s.Sound(id, "recording.wav", rate, left, right)
	return id
}
