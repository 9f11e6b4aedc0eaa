package call

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Who talks with whom, and what is under way, is read from the timeline alone.
func TestStandingOf(t *testing.T) {
	in := Event{Type: Arrived, Leg: "in", Role: Client, Number: "+7916", Trunk: "city", SIPCallID: "a"}
	o1 := Event{Type: Dialing, Leg: "o1", Role: Operator, Operator: "101"}
	talk := []Event{
		in, o1, {Type: Answered, Leg: "o1", Role: Operator, Operator: "101", SIPCallID: "b"},
		{Type: Answered, Leg: "in", Role: Client, SIPCallID: "a"}, {Type: RecordingStarted}, {Type: Joined, Leg: "o1", Other: "in"},
	}
	asks := []Event{
		{Type: TransferStarted, Leg: "o1", Operator: "101", Number: "102", Action: "attended"},
		{Type: Dialing, Leg: "o2", Role: Colleague, Operator: "102"}, {Type: Answered, Leg: "o2", Role: Colleague, Operator: "102", SIPCallID: "c"},
	}
	more := func(lists ...[]Event) (all []Event) {
		for _, l := range lists {
			all = append(all, l...)
		}
		return all
	}
	type stand struct {
		Legs                                    string
		Left, Right, Newest, Third, To, Returns string
	}
	for _, tt := range []struct {
		name   string
		events []Event
		want   stand
	}{
		{"rings", []Event{in, o1}, stand{Legs: "in(a) o1"}},
		{"talks", talk, stand{Legs: "in(a)+ o1(b)+", Left: "in", Right: "o1", Newest: "o1"}},
		{"holds", more(talk, []Event{{Type: Held, Leg: "o1"}}), stand{Legs: "in(a)+ o1(b)+held", Left: "in", Right: "o1", Newest: "o1"}},
		{"consults", more(talk, asks), stand{Legs: "in(a)+ o1(b)+ o2(c)+", Left: "in", Right: "o1", Newest: "o1", To: "102"}},
		{
			"consulted in vain", more(talk, asks, []Event{{Type: LegEnded, Leg: "o2"}, {Type: TransferFailed, Leg: "o1"}}),
			stand{Legs: "in(a)+ o1(b)+", Left: "in", Right: "o1", Newest: "o1"},
		},
		{
			"passed on", more(talk, asks, []Event{
				{Type: LegEnded, Leg: "o1"}, {Type: TransferDone, Leg: "o2", Action: "attended"}, {Type: Parted, Leg: "o1", Other: "in"}, {Type: Joined, Leg: "o2", Other: "in"},
			}),
			stand{Legs: "in(a)+ o2(c)+", Left: "in", Right: "o2", Newest: "o2"},
		},
		{
			"three talk", more(talk, asks, []Event{{Type: TransferDone, Leg: "o2", Action: "three_way"}, {Type: Joined, Leg: "o2", Other: "in"}}),
			stand{Legs: "in(a)+ o1(b)+ o2(c)+", Left: "in", Right: "o1", Newest: "o1", Third: "o2"},
		},
		{
			"the first of three left", more(talk, asks, []Event{
				{Type: TransferDone, Leg: "o2", Action: "three_way"}, {Type: Joined, Leg: "o2", Other: "in"}, {Type: Parted, Leg: "o1", Other: "in"}, {Type: LegEnded, Leg: "o1"},
			}),
			stand{Legs: "in(a)+ o2(c)+", Left: "in", Right: "o2", Newest: "o2"},
		},
		{
			"given back", more(talk, []Event{
				{Type: TransferStarted, Leg: "o1", Number: "102", Action: "blind"}, {Type: Parted, Leg: "o1", Other: "in"}, {Type: LegEnded, Leg: "o1"},
				{Type: TransferFailed, Leg: "o1"}, {Type: TransferReturned, Leg: "o1"}, {Type: Dialing, Leg: "o3", Role: Operator, Operator: "101"},
			}),
			stand{Legs: "in(a)+ o3", Left: "in", Right: "o1", Returns: "o1"},
		},
		{"went to another call", more(talk, []Event{{Type: Merged, Leg: "in", OtherCall: "x"}}), stand{Legs: "o1(b)+", Left: "in", Right: "o1", Newest: "o1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := StandingOf(tt.events)
			got := stand{Left: s.Left, Right: s.Right, Newest: s.Newest, Third: s.Third, To: s.Transfer.Number, Returns: s.Returning}
			for i, l := range s.Legs {
				if i > 0 {
					got.Legs += " "
				}
				got.Legs += l.Leg
				if l.SIPCallID != "" {
					got.Legs += "(" + l.SIPCallID + ")"
				}
				if l.Answered {
					got.Legs += "+"
				}
				if l.Held {
					got.Legs += "held"
				}
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}
