package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/store"
)

// client is who calls in these tests.
const client = "+79161234567"

// contacts of a call, by what the operators' phones did.
type contacts struct {
	t   *testing.T
	s   *store.Store
	now time.Time
}

func newContacts(t *testing.T, s *store.Store, operators ...string) contacts {
	t.Helper()
	for _, extension := range operators {
		if _, err := s.PutOperator(t.Context(), Mine, directory.Operator{Extension: extension}); err != nil {
			t.Fatal(err)
		}
	}
	return contacts{t, s, time.Now().UTC().Truncate(time.Millisecond)}
}

// call stores a call with a client of the account that began so long ago.
func (c contacts) call(account, client string, direction call.Direction, ago time.Duration, events ...call.Event) (id string) {
	c.t.Helper()
	id = call.NewID()
	c.on(id, ago, append([]call.Event{{Type: call.Created, Account: account, Direction: direction, Number: client}}, events...)...)
	return id
}

// on stores events of a call; each but the first is a millisecond after the one
// before.
func (c contacts) on(id string, ago time.Duration, events ...call.Event) {
	c.t.Helper()
	for i := range events {
		events[i].CallID, events[i].At = id, c.now.Add(-ago).Add(time.Duration(i)*time.Millisecond)
	}
	appendAll(c.t, c.s, events...)
}

func rings(leg, operator string) call.Event {
	return call.Event{Type: call.Dialing, Leg: leg, Role: call.Operator, Operator: operator}
}

func picksUp(leg, operator string) call.Event {
	return call.Event{Type: call.Answered, Leg: leg, Role: call.Operator, Operator: operator}
}

func refuses(leg string, code int) call.Event {
	return call.Event{Type: call.DialFailed, Leg: leg, SIPCode: code}
}

// talks is a call in which the operator picked up.
func (c contacts) talks(operator string, ago time.Duration) (id string) {
	c.t.Helper()
	return c.call(Mine, client, call.Inbound, ago, rings("o1", operator), picksUp("o1", operator), call.Event{Type: call.Ended, Status: &call.Completed})
}

// is fails unless the look-up finds that operator by that call.
func (c contacts) is(number string, rule call.ResponsibleRule, operator, callID string) call.Responsible {
	c.t.Helper()
	got, err := c.s.Responsible(c.t.Context(), Mine, number, rule)
	if err != nil {
		c.t.Fatal(err)
	}
	if got.Operator != operator || got.CallID != callID || got.Reason == "" || got.Found() != (operator != "") {
		c.t.Errorf("%s %+v: %+v, want %q by call %q", number, rule, got, operator, callID)
	}
	return got
}

func exerciseResponsible(t *testing.T, s *store.Store) {
	c := newContacts(t, s, "101", "102", "103")
	var (
		last, first   = call.ResponsibleRule{}, call.ResponsibleRule{Policy: call.PolicyFirst}
		twoDays       = call.ResponsibleRule{Window: 48 * time.Hour, Policy: call.PolicyFirst}
		everFirst     = call.ResponsibleRule{Window: call.Ever, Policy: call.PolicyFirst}
		onlyAnswered  = call.ResponsibleRule{Outcomes: []call.ContactOutcome{call.ContactAnswered}}
		onlyBusy      = call.ResponsibleRule{Outcomes: []call.ContactOutcome{call.ContactBusy}}
		alsoFailed    = call.ResponsibleRule{Outcomes: call.ContactOutcomes()}
		wideOpen      = call.ResponsibleRule{Outside: true}
		foreigner     = "+499161234567"
		clientRings   = call.Event{Type: call.Dialing, Leg: "c1", Role: call.Client, Number: client}
		clientAnswers = call.Event{Type: call.Answered, Leg: "c1", Role: call.Client, Number: client}
	)
	r := c.is(client, last, "", "")
	same(t, "no operator has been in touch with the client within 24h", r.Reason, nil)

	ancient, old := c.talks("103", 100*24*time.Hour), c.talks("101", 30*time.Hour)
	c.is(client, last, "", "") // the day is over
	c.is(client, twoDays, "101", old)
	c.is(client, everFirst, "103", ancient)

	// The newest call counts, or the oldest; who called whom does not matter.
	callsOut := call.Event{Type: call.Arrived, Leg: "o1", Role: call.Operator, Operator: "101", Number: "101"}
	called := c.call(Mine, client, call.Outbound, 3*time.Hour, callsOut, clientRings, clientAnswers)
	c.is(client, last, "101", called)
	wasCalled := c.talks("102", 2*time.Hour)
	r = c.is(client, last, "102", wasCalled)
	if want := "102 has the last contact with the client: inbound, answered at " + c.now.Add(-2*time.Hour).Format("2006-01-02T15:04:05Z"); r.Reason != want {
		t.Error(r.Reason, "want", want)
	}
	same(t, call.Responsible{Operator: "102", CallID: wasCalled, At: c.now.Add(2*time.Millisecond - 2*time.Hour), Outcome: call.ContactAnswered, Source: call.SourceCalls, Reason: r.Reason}, r, nil)
	c.is(client, first, "101", called)

	// The last ten digits; E.164 where both sides have it.
	for _, number := range []string{"9161234567", "89161234567", "79161234567", "8 (916) 123-45-67", "tel:+7-916-123-45-67"} {
		c.is(number, last, "102", wasCalled)
	}
	c.is(foreigner, last, "", "")
	bare := c.call(Mine, "00499161234567", call.Inbound, 90*time.Minute, rings("o1", "103"), picksUp("o1", "103"))
	c.is(foreigner, last, "103", bare) // he did not show his country then

	// No number, a word, fewer than ten digits: no look-up.
	for _, number := range []string{"", " ", "anonymous", "101", "916123456", "x9161234567", "'; DROP TABLE contacts; --"} {
		c.call(Mine, number, call.Inbound, time.Minute, rings("o1", "101"), picksUp("o1", "101"))
		c.is(number, last, "", "")
	}
	got, err := s.Responsible(t.Context(), Theirs, client, last)
	same(t, call.Responsible{Reason: "no operator has been in touch with the client within 24h"}, got, err)

	// Answered, not answered and busy count; what a setting says else.
	missed := c.call(Mine, client, call.Inbound, 60*time.Minute, rings("o1", "101"), call.Event{Type: call.Ringing, Leg: "o1"}, refuses("o1", 408))
	c.is(client, last, "101", missed)
	c.is(client, onlyAnswered, "103", bare)
	busy := c.call(Mine, client, call.Inbound, 50*time.Minute, rings("o1", "103"), refuses("o1", 486))
	c.is(client, last, "103", busy)
	c.is(client, onlyBusy, "103", busy)
	failed := c.call(Mine, client, call.Inbound, 40*time.Minute, rings("o1", "102"), refuses("o1", 503))
	c.is(client, last, "103", busy)
	c.is(client, alsoFailed, "102", failed)

	// Of those who rang together it is who picked up; the others are passed over.
	together := c.call(Mine, client, call.Inbound, 30*time.Minute, rings("o1", "101"), rings("o2", "102"), rings("o3", "103"),
		picksUp("o2", "102"), call.Event{Type: call.DialCancelled, Leg: "o3"}, call.Event{Type: call.DialCancelled, Leg: "o1"})
	c.is(client, last, "102", together)
	c.is(client, call.ResponsibleRule{Outcomes: []call.ContactOutcome{call.ContactNoAnswer}}, "101", missed)

	// A contact follows its call, commit by commit, also after it has left the memory.
	live := c.call(Mine, client, call.Inbound, 20*time.Minute, rings("o1", "101"))
	c.is(client, last, "102", together) // it is not known yet what becomes of it
	c.on(live, 19*time.Minute, refuses("o1", 486), rings("o2", "103"), picksUp("o2", "103"))
	c.is(client, last, "103", live)
	c.on(live, 18*time.Minute, rings("o3", "101"), picksUp("o3", "101"))
	c.is(client, last, "101", live)
	c.on(live, 17*time.Minute, call.Event{Type: call.Ended, Status: &call.Completed})
	c.on(live, 16*time.Minute, call.Event{Type: call.RecordingState, Recording: call.RecordingReady})
	c.is(client, last, "101", live)
	c.is(client, onlyBusy, "103", busy)

	// A call that the server did not survive.
	lost := c.call(Mine, client, call.Inbound, 15*time.Minute, rings("o1", "102"), call.Event{Type: call.Ringing, Leg: "o1"})
	c.on(lost, 10*time.Minute, call.Event{Type: call.Ended, Status: &call.Interrupted})
	c.is(client, last, "102", lost)

	// A manager outside is passed by, unless he is asked for.
	mobile := call.Event{Type: call.Answered, Leg: "m1", Role: call.Manager, Number: "+74951112233"}
	out := c.call(Mine, client, call.Callback, 5*time.Minute, mobile, clientRings, clientAnswers)
	c.is(client, last, "102", lost)
	c.is(client, wideOpen, "+74951112233", out)
}

// exerciseResponsibleStep: what a route's step asks for.
func exerciseResponsibleStep(t *testing.T, s *store.Store) {
	c := newContacts(t, s, "101", "102")
	c.talks("101", 3*time.Hour)
	c.talks("102", time.Hour)
	c.call(Mine, client, call.Inbound, time.Minute, rings("o1", "101"), refuses("o1", 486))
	for _, tt := range []struct{ step, extension, why string }{
		{`{}`, "101", "101 has the last contact with the client: inbound, busy at "},
		{`{"outcomes": ["answered"]}`, "102", "102 has the last contact with the client: inbound, answered at "},
		{`{"policy": "first"}`, "101", "101 has the first contact with the client: inbound, answered at "},
		{`{"policy": "first", "outcomes": ["answered"], "window": "2h"}`, "102", ""},
		{`{"window": "30s"}`, "", "no operator has been in touch with the client within 30s"},
	} {
		var step directory.Responsible
		fails(t, json.Unmarshal([]byte(tt.step), &step), nil)
		r, err := s.Responsible(t.Context(), Mine, client, step.Rule())
		if err != nil || r.Operator != tt.extension || !strings.HasPrefix(r.Reason, tt.why) || r.Reason == "" {
			t.Errorf("%s: %+v, %v", tt.step, r, err)
		}
	}
}

func exerciseGoneOperators(t *testing.T, s *store.Store) {
	c := newContacts(t, s, "101", "102", "103")
	older := c.talks("101", 3*time.Hour)
	c.talks("102", 2*time.Hour)
	c.talks("103", time.Hour)
	c.talks("102", time.Minute)
	fails(t, s.DeleteOperator(t.Context(), Mine, "102"), nil)
	fails(t, s.DeleteOperator(t.Context(), Mine, "103"), nil)
	c.is(client, call.ResponsibleRule{}, "101", older)
	fails(t, s.DeleteOperator(t.Context(), Mine, "101"), nil)
	r := c.is(client, call.ResponsibleRule{}, "", "")
	same(t, "who has been in touch with the client within 24h is no operator any more: 101, 102, 103", r.Reason, nil)

	// It gives up after some.
	newContacts(t, s, "101")
	for i := range 30 {
		c.talks("103", time.Second*time.Duration(i))
	}
	c.is(client, call.ResponsibleRule{}, "", "")
	c.is(client, call.ResponsibleRule{Policy: call.PolicyFirst}, "101", older)
}

func exerciseWrongRules(t *testing.T, s *store.Store) {
	for field, rule := range map[string]call.ResponsibleRule{
		"window":      {Window: -time.Hour},
		"policy":      {Policy: "best"},
		"outcomes[1]": {Outcomes: []call.ContactOutcome{call.ContactBusy, "bored"}},
		"outcomes":    {Outcomes: append(call.ContactOutcomes(), call.ContactBusy)},
	} {
		_, err := s.Responsible(t.Context(), Mine, client, rule)
		var bad invalid.Error
		if !errors.As(err, &bad) || len(bad) != 1 || bad[0].Path != field {
			t.Errorf("%+v: %v", rule, err)
		}
	}
}

// exerciseSameMoment: of operators who were rung in the same instant, in vain,
// it is always the same one.
func exerciseSameMoment(t *testing.T, s *store.Store) {
	c := newContacts(t, s, "101", "102", "103")
	var events []call.Event
	for i, operator := range []string{"102", "103", "101"} {
		events = append(events, rings(fmt.Sprint("o", i), operator), call.Event{Type: call.DialCancelled, Leg: fmt.Sprint("o", i)})
	}
	id := call.NewID()
	for i, e := range append([]call.Event{{Type: call.Created, Account: Mine, Direction: call.Inbound, Number: client}}, events...) {
		e.CallID, e.At = id, c.now.Add(-time.Minute)
		s.Journal().Append(e)
		if i%2 == 0 {
			fails(t, s.Journal().Flush(t.Context()), nil)
		}
	}
	fails(t, s.Journal().Flush(t.Context()), nil)
	c.is(client, call.ResponsibleRule{}, "103", id)
	c.is(client, call.ResponsibleRule{Policy: call.PolicyFirst}, "101", id)
}
