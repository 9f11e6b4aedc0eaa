package call

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// The responsible is the last who picked up and got the client; each stretch of
// talk is a stage.
func TestStagesAndTheResponsibleFollowTheTransfers(t *testing.T) {
	begin := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	at := func(s int) time.Time { return begin.Add(time.Duration(s) * time.Second) }
	answered := func(s int, leg string, role Role, operator string) Event {
		return Event{At: at(s), Type: Answered, Leg: leg, Role: role, Operator: operator}
	}
	joined := func(s int, leg string) Event { return Event{At: at(s), Type: Joined, Leg: leg, Other: "c1"} }
	parted := func(s int, leg string, how Outcome) Event {
		return Event{At: at(s), Type: Parted, Leg: leg, Other: "c1", Outcome: how}
	}
	for name, tt := range map[string]struct {
		events      []Event
		stages      []string
		responsible string
		talk        int
	}{
		"who answered first, before any talk": {[]Event{answered(0, "o1", Operator, "101")}, nil, "101", 0},
		"a consulted colleague who never had the client": {
			[]Event{answered(0, "o1", Operator, "101"), joined(0, "o1"), answered(5, "o2", Colleague, "102"), parted(9, "o1", Done)},
			[]string{"101 0-9 done"}, "101", 9,
		},
		"a colleague who got the client": {
			[]Event{
				answered(0, "o1", Operator, "101"), joined(0, "o1"), answered(5, "o2", Colleague, "102"),
				parted(8, "o1", Transferred), joined(8, "o2"), parted(20, "o2", ""),
			},
			[]string{"101 0-8 transferred", "102 8-20 done"}, "102", 20,
		},
		"who picked up and lost the client before": {
			[]Event{answered(0, "o1", Operator, "101"), joined(0, "o1"), parted(5, "o1", Transferred), answered(9, "o2", Operator, "102")},
			[]string{"101 0-5 transferred"}, "101", 5,
		},
		"three at once are counted once": {
			[]Event{
				answered(0, "o1", Operator, "101"), joined(0, "o1"), answered(5, "o2", Colleague, "102"), joined(10, "o2"),
				parted(15, "o1", Transferred), parted(30, "o2", ""),
			},
			[]string{"101 0-15 transferred", "102 10-30 done"}, "102", 30,
		},
		"a leg that came from another call": {
			[]Event{
				answered(0, "o1", Operator, "101"), joined(0, "o1"), {At: at(9), Type: Merged, Leg: "o2", Operator: "102"},
				parted(9, "o1", Transferred), joined(9, "o2"), {At: at(12), Type: Ended, Status: &Completed},
			},
			[]string{"101 0-9 transferred", "102 9-12 done"}, "102", 12,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var c Call
			for i, e := range tt.events {
				e.Seq = int64(i + 1)
				c.Apply(e)
			}
			var stages []string
			for _, s := range c.Stages {
				stages = append(stages, fmt.Sprintf("%s %v-%v %s", s.Operator, s.From.Sub(begin).Seconds(), s.To.Sub(begin).Seconds(), s.Outcome))
			}
			if !slices.Equal(stages, tt.stages) || c.Responsible != tt.responsible || c.Talk(at(99)) != time.Duration(tt.talk)*time.Second {
				t.Errorf("stages %v, responsible %s, talk %v; want %v, %s, %d s", stages, c.Responsible, c.Talk(at(99)), tt.stages, tt.responsible, tt.talk)
			}
		})
	}
}
