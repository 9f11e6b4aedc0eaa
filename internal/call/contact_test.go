package call_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/perezvon/perezvon/internal/call"
)

var began = time.UnixMilli(1_700_000_000_000).UTC()

// second is so many seconds after the call began: event number n comes then.
func second(n int) time.Time { return began.Add(time.Duration(n) * time.Second) }

func made(direction call.Direction, events ...call.Event) *call.Call {
	c := &call.Call{}
	events = append([]call.Event{{Type: call.Created, CallID: "id", Direction: direction, Number: "+79161234567"}}, events...)
	for i, e := range events {
		e.Seq, e.At = int64(i)+1, second(i)
		c.Apply(e)
	}
	return c
}

func rings(leg, operator string) call.Event {
	return call.Event{Type: call.Dialing, Leg: leg, Role: call.Operator, Operator: operator}
}

func picksUp(leg, operator string) call.Event {
	return call.Event{Type: call.Answered, Leg: leg, Role: call.Operator, Operator: operator}
}

func callsOut(leg, operator string) call.Event {
	return call.Event{Type: call.Arrived, Leg: leg, Role: call.Operator, Operator: operator, Number: operator}
}

func alerts(leg string) call.Event  { return call.Event{Type: call.Ringing, Leg: leg, SIPCode: 180} }
func givenUp(leg string) call.Event { return call.Event{Type: call.DialCancelled, Leg: leg} }
func fails(leg string, code int) call.Event {
	return call.Event{Type: call.DialFailed, Leg: leg, SIPCode: code}
}

func joins(leg, other string) call.Event {
	return call.Event{Type: call.Joined, Leg: leg, Other: other}
}

var (
	clientArrives = call.Event{Type: call.Arrived, Leg: "c1", Role: call.Client, Number: "+79161234567", Trunk: "carrier"}
	clientRings   = call.Event{Type: call.Dialing, Leg: "c1", Role: call.Client, Number: "+79161234567"}
	clientAnswers = call.Event{Type: call.Answered, Leg: "c1", Role: call.Client, Number: "+79161234567"}
	ends          = call.Event{Type: call.Ended, Status: &call.Completed}
	killed        = call.Event{Type: call.Ended, Status: &call.Interrupted}
)

func contact(operator string, at int, outcome call.ContactOutcome) call.Contact {
	return call.Contact{Operator: operator, At: second(at), Outcome: outcome}
}

func passedOver(c call.Contact) call.Contact { c.PassedOver = true; return c }
func outside(c call.Contact) call.Contact    { c.Outside = true; return c }

func TestAnOperatorHasOneContactOnACallWithWhatBecameOfIt(t *testing.T) {
	const (
		answered, noAnswer = call.ContactAnswered, call.ContactNoAnswer
		busy, failed       = call.ContactBusy, call.ContactFailed
	)
	tests := []struct {
		name      string
		direction call.Direction
		events    []call.Event
		want      []call.Contact
	}{
		{"nobody was rung", call.Inbound, []call.Event{ends}, nil},
		{"he answers", call.Inbound, []call.Event{clientArrives, rings("o1", "101"), picksUp("o1", "101"), clientAnswers, joins("o1", "c1"), ends}, []call.Contact{contact("101", 3, answered)}},
		{"he still rings", call.Inbound, []call.Event{rings("o1", "101"), alerts("o1")}, nil},
		{"he does not answer", call.Inbound, []call.Event{rings("o1", "101"), alerts("o1"), fails("o1", 408)}, []call.Contact{contact("101", 1, noAnswer)}},
		{"the client leaves while he rings", call.Inbound, []call.Event{rings("o1", "101"), givenUp("o1"), ends}, []call.Contact{contact("101", 1, noAnswer)}},
		{"he is busy", call.Inbound, []call.Event{rings("o1", "101"), fails("o1", 486)}, []call.Contact{contact("101", 1, busy)}},
		{"he declines", call.Inbound, []call.Event{rings("o1", "101"), alerts("o1"), fails("o1", 603)}, []call.Contact{contact("101", 1, busy)}},
		{"his phone is not there", call.Inbound, []call.Event{rings("o1", "101"), fails("o1", 480)}, []call.Contact{contact("101", 1, failed)}},
		{"a cause tells more than the status", call.Inbound, []call.Event{rings("o1", "101"), {Type: call.DialFailed, Leg: "o1", SIPCode: 503, Q850: 17}}, []call.Contact{contact("101", 1, busy)}},
		{"the server died while he rang", call.Inbound, []call.Event{rings("o1", "101"), alerts("o1"), killed}, []call.Contact{contact("101", 1, noAnswer)}},
		{
			"all of a queue ring and one answers", call.Inbound,
			[]call.Event{rings("o1", "101"), rings("o2", "102"), picksUp("o2", "102"), givenUp("o1"), ends},
			[]call.Contact{contact("102", 3, answered), passedOver(contact("101", 1, noAnswer))},
		},
		{
			"the second answers", call.Inbound,
			[]call.Event{rings("o1", "101"), alerts("o1"), fails("o1", 408), rings("o2", "102"), picksUp("o2", "102"), ends},
			[]call.Contact{passedOver(contact("101", 1, noAnswer)), contact("102", 5, answered)},
		},
		{
			"he is rung again", call.Inbound,
			[]call.Event{rings("o1", "101"), alerts("o1"), fails("o1", 408), rings("o2", "101"), fails("o2", 486), ends},
			[]call.Contact{contact("101", 4, busy)},
		},
		{
			"his desk phone is not there, his mobile rings", call.Inbound,
			[]call.Event{rings("o1", "101"), rings("o1b", "101"), alerts("o1b"), fails("o1b", 408), fails("o1", 480), ends},
			[]call.Contact{contact("101", 2, noAnswer)},
		},
		{
			"transferred: both answered, the second later", call.Inbound,
			[]call.Event{rings("o1", "101"), picksUp("o1", "101"), joins("c1", "o1"), rings("o2", "102"), picksUp("o2", "102"), joins("o2", "c1"), ends},
			[]call.Contact{contact("101", 2, answered), contact("102", 5, answered)},
		},
		{
			"the transfer's goal does not answer", call.Inbound,
			[]call.Event{rings("o1", "101"), picksUp("o1", "101"), joins("c1", "o1"), rings("o2", "102"), alerts("o2"), fails("o2", 408), ends},
			[]call.Contact{contact("101", 2, answered), passedOver(contact("102", 4, noAnswer))},
		},
		{
			"he asks another and comes back to the client", call.Inbound,
			[]call.Event{rings("o1", "101"), picksUp("o1", "101"), joins("c1", "o1"), rings("o2", "102"), picksUp("o2", "102"), joins("o1", "o2"), joins("o1", "c1"), ends},
			[]call.Contact{contact("101", 7, answered), contact("102", 5, answered)},
		},
		{
			"a number outside", call.Inbound,
			[]call.Event{{Type: call.Dialing, Leg: "o1", Role: call.Operator, Number: "+74951112233"}, {Type: call.Answered, Leg: "o1", Role: call.Operator, Number: "+74951112233"}, ends},
			[]call.Contact{outside(contact("+74951112233", 2, answered))},
		},
		{"a callback: both answer", call.Callback, []call.Event{rings("m1", "101"), picksUp("m1", "101"), clientRings, clientAnswers, joins("m1", "c1"), ends}, []call.Contact{contact("101", 2, answered)}},
		{"a callback: the manager answers, the client is busy", call.Callback, []call.Event{rings("m1", "101"), picksUp("m1", "101"), clientRings, fails("c1", 486), ends}, []call.Contact{contact("101", 2, busy)}},
		{"a callback: the client is given up", call.Callback, []call.Event{rings("m1", "101"), picksUp("m1", "101"), clientRings, givenUp("c1"), ends}, []call.Contact{contact("101", 2, noAnswer)}},
		{"a callback: the client's trunk fails, the next one reaches him", call.Callback, []call.Event{rings("m1", "101"), picksUp("m1", "101"), clientRings, fails("c1", 503), clientRings, clientAnswers, ends}, []call.Contact{contact("101", 2, answered)}},
		{"a callback: the manager cancels before the client rings", call.Callback, []call.Event{rings("m1", "101"), picksUp("m1", "101"), ends}, []call.Contact{contact("101", 2, noAnswer)}},
		{"a callback: the server died while the client rang", call.Callback, []call.Event{rings("m1", "101"), picksUp("m1", "101"), clientRings, killed}, []call.Contact{contact("101", 2, noAnswer)}},
		{"a call out: the client answers", call.Outbound, []call.Event{callsOut("o1", "101"), clientRings, clientAnswers, picksUp("o1", "101"), joins("o1", "c1"), ends}, []call.Contact{contact("101", 4, answered)}},
		{"a call out: it has just begun", call.Outbound, []call.Event{callsOut("o1", "101"), clientRings}, []call.Contact{contact("101", 1, noAnswer)}},
		{"a call out: the client does not answer", call.Outbound, []call.Event{callsOut("o1", "101"), clientRings, alerts("c1"), fails("c1", 408), ends}, []call.Contact{contact("101", 1, noAnswer)}},
		{"a call out: the client is busy", call.Outbound, []call.Event{callsOut("o1", "101"), clientRings, fails("c1", 486), ends}, []call.Contact{contact("101", 1, busy)}},
		{"a call out: the operator gives up", call.Outbound, []call.Event{callsOut("o1", "101"), clientRings, givenUp("c1"), ends}, []call.Contact{contact("101", 1, noAnswer)}},
		{"a call out: no such number", call.Outbound, []call.Event{callsOut("o1", "101"), clientRings, fails("c1", 404), ends}, []call.Contact{contact("101", 1, failed)}},
		{
			"a call out, transferred", call.Outbound,
			[]call.Event{callsOut("o1", "101"), clientRings, clientAnswers, picksUp("o1", "101"), joins("o1", "c1"), rings("o2", "102"), picksUp("o2", "102"), joins("o2", "c1"), ends},
			[]call.Contact{contact("101", 4, answered), contact("102", 7, answered)},
		},
		{"operators among themselves", call.Internal, []call.Event{callsOut("o1", "101"), rings("o2", "102"), picksUp("o2", "102"), ends}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := made(tt.direction, tt.events...).Contacts()
			byOperator := cmpopts.SortSlices(func(a, b call.Contact) bool { return a.Operator < b.Operator })
			if d := cmp.Diff(tt.want, got, byOperator, cmpopts.IgnoreFields(call.Contact{}, "LastSeq"), cmpopts.EquateEmpty()); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

// What the store writes is what LastSeq says has changed: whoever keeps the
// contacts that are newer than what he has seen has them all as they are.
func TestContactsThatChangedAreKnownByTheirSeq(t *testing.T) {
	legs := []string{"o1", "o2", "o3", "c1"}
	rapid.Check(t, func(t *rapid.T) {
		c, kept, seen := &call.Call{}, map[string]call.Contact{}, int64(0)
		c.Apply(call.Event{Seq: 1, Type: call.Created, Direction: rapid.SampledFrom([]call.Direction{call.Inbound, call.Outbound, call.Callback}).Draw(t, "direction")})
		last := rapid.Int64Range(2, 30).Draw(t, "events")
		for seq := int64(2); seq <= last; seq++ {
			e := call.Event{
				Seq: seq, At: second(int(seq)), Leg: rapid.SampledFrom(legs).Draw(t, "leg"), Other: rapid.SampledFrom(legs).Draw(t, "other"),
				Type:     rapid.SampledFrom([]call.Type{call.Dialing, call.Ringing, call.Arrived, call.Answered, call.DialFailed, call.DialCancelled, call.Joined, call.LegEnded}).Draw(t, "type"),
				SIPCode:  rapid.SampledFrom([]int{0, 408, 480, 486, 503}).Draw(t, "code"),
				Operator: rapid.SampledFrom([]string{"101", "102", "103"}).Draw(t, "operator"),
				Role:     call.Operator,
			}
			if e.Leg == "c1" {
				e.Role, e.Operator = call.Client, ""
			}
			c.Apply(e)
			if !rapid.Bool().Draw(t, "commit") {
				continue
			}
			for _, one := range c.Contacts() {
				if one.LastSeq > seen {
					kept[one.Operator] = one
				}
			}
			seen = seq
			for _, one := range c.Contacts() {
				if kept[one.Operator] != one {
					t.Fatalf("kept %+v, is %+v", kept[one.Operator], one)
				}
			}
		}
	})
}
