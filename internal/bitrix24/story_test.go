package bitrix24_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/perezvon/perezvon/internal/bitrix24"
	"github.com/perezvon/perezvon/internal/call"
)

// none: the portal has not asked for the call.
var none bitrix24.Order

// tell makes the steps of a timeline, in a line each.
func tell(events []call.Event, clicked bitrix24.Order) (lines []string, steps []bitrix24.Step) {
	var s bitrix24.Story
	s.Clicked(clicked)
	var c call.Call
	for i, e := range events {
		e.CallID, e.Seq = "call-1", int64(i+1)
		c.Apply(e)
		if step, ok := s.Next(c, e); ok {
			steps = append(steps, step)
			lines = append(lines, strings.TrimSpace(step.Do+" "+step.Operator))
		}
	}
	return lines, steps
}

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// «if the client called and only the fifth operator answered, in the CRM you see
// one call»; «the responsible is the last operator who picked up».
func TestOneCallIsToldThroughItsTransfers(t *testing.T) {
	lines, steps := tell(talk(noon), none)
	want := []string{"register 101", "show 103", "hide 103", "hide 101", "show 102", "hide 102", "finish 102", "record"}
	if d := cmp.Diff(want, lines); d != "" {
		t.Fatalf("-want +got:\n%s", d)
	}
	call := bitrix24.Registration{ID: "call-1", Type: bitrix24.Inbound, Client: client, Operator: anna, At: noon}
	for _, s := range steps {
		if d := cmp.Diff(call, s.Call); d != "" {
			t.Errorf("%s: %s", s.Do, d)
		}
	}
	f := steps[6]
	if f.DurationS != 60 || f.Status != "200" || f.Reason != "" || f.Comment != "0:05–0:25 101 →\n0:30–1:10 102" {
		t.Errorf("%+v", f)
	}
}

func TestTypesOfCalls(t *testing.T) {
	dial := call.Event{Type: call.Dialing, Leg: "m1", Role: call.Manager, Operator: anna}
	outside := call.Event{Type: call.Dialing, Leg: "o1", Role: call.Operator, Number: "+79990000001", Trunk: "main"}
	for name, test := range map[string]struct {
		direction call.Direction
		second    call.Event
		want      bitrix24.CallType
	}{
		"callback":                         {call.Callback, dial, bitrix24.Callback},
		"inbound":                          {call.Inbound, rings(noon, "o1", anna), bitrix24.Inbound},
		"inbound, sent to a phone outside": {call.Inbound, outside, bitrix24.InboundRedirected},
		"outbound":                         {call.Outbound, call.Event{Type: call.Arrived, Leg: "o1", Role: call.Operator, Operator: anna}, bitrix24.Outbound},
		"inbound, nobody rung":             {call.Inbound, ended(noon, call.Abandoned, ""), bitrix24.Inbound},
	} {
		_, steps := tell([]call.Event{created(noon, test.direction), test.second}, none)
		if len(steps) != 1 || steps[0].Call.Type != test.want {
			t.Errorf("%s: %+v", name, steps)
		}
	}
}

func TestInternalAndRefusedCallsAreNoMatterOfTheCRM(t *testing.T) {
	internal := talk(noon)
	internal[0].Direction = call.Internal
	anonymous := talk(noon)
	anonymous[0].Number = "anonymous"
	for name, events := range map[string][]call.Event{
		"internal": internal, "without a number": anonymous,
		"not allowed": {created(noon, call.Callback), ended(noon, call.NotAllowed, "on the blacklist")},
	} {
		if lines, _ := tell(events, none); len(lines) > 0 {
			t.Errorf("%s: %q", name, lines)
		}
	}
}

func TestACallThatReachedNobodyIsAMissedOne(t *testing.T) {
	_, steps := tell([]call.Event{created(noon, call.Inbound), rings(noon, "o1", anna), ended(noon.Add(20*time.Second), call.NoAnswer, "nobody picked up")}, none)
	if f := steps[1]; f.Status != "304" || f.DurationS != 0 || f.Reason != "no_answer: nobody picked up" || f.Operator != "" || f.Comment != "" {
		t.Errorf("%+v", f)
	}
}

// The portal documents a table of codes, no other may be sent.
func TestEveryOutcomeHasACode(t *testing.T) {
	known := " 200 304 603 603-S 403 404 486 484 503 480 402 423 OTHER "
	for _, status := range call.Statuses() {
		_, steps := tell([]call.Event{created(noon, call.Inbound), rings(noon, "o1", anna), ended(noon, status, "")}, none)
		if f := steps[len(steps)-1]; f.Do != bitrix24.DoFinish || !strings.Contains(known, " "+f.Status+" ") || f.Status == "200" {
			t.Errorf("%s: %+v", status, f)
		}
	}
}

// Somebody clicked a number in the portal, which has registered the call itself
// and opened the card; a second attempt is a call of its own.
func TestAClickedCallIsNotRegisteredAgain(t *testing.T) {
	events := []call.Event{
		created(noon, call.Callback),
		{Type: call.Dialing, Leg: "m1", Role: call.Manager, Operator: anna},
		ended(noon, call.ManagerNoAnswer, ""),
	}
	clicked := bitrix24.Order{CallID: "externalCall.1", User: annaID}
	lines, steps := tell(events, clicked)
	if d := cmp.Diff([]string{"finish"}, lines); d != "" || steps[0].Call.CallID != "externalCall.1" || steps[0].Call.User != annaID {
		t.Errorf("%s %+v", d, steps)
	}
	events[0].Attempt = 2
	if lines, steps = tell(events, clicked); fmt.Sprint(lines) != "[register 101 finish]" || steps[0].Call.CallID != "" {
		t.Errorf("%v %+v", lines, steps)
	}
}

// Several phones of one operator are one card.
func TestPhonesOfOneOperatorShareACard(t *testing.T) {
	lines, _ := tell([]call.Event{
		created(noon, call.Inbound), rings(noon, "o1", anna), rings(noon, "o2", anna),
		{Type: call.DialFailed, Leg: "o1", Role: call.Operator}, {Type: call.DialFailed, Leg: "o2", Role: call.Operator}, rings(noon, "o3", boris),
	}, none)
	if d := cmp.Diff([]string{"register 101", "hide 101", "show 102"}, lines); d != "" {
		t.Error(d)
	}
}
