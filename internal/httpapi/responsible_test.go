package httpapi_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/httpapi/httpapitest"
)

func TestWhoIsResponsibleIsToldWithTheReason(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	if _, err := s.Store.PutOperator(t.Context(), directory.DefaultAccount, directory.Operator{Extension: "102"}); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	talks := func(operator string, ago time.Duration) (id string) {
		id = call.NewID()
		s.Append(
			call.Event{CallID: id, At: now.Add(-ago), Type: call.Created, Account: directory.DefaultAccount, Direction: call.Inbound, Number: "+79161234567"},
			call.Event{CallID: id, At: now.Add(-ago), Type: call.Dialing, Leg: "o1", Role: call.Operator, Operator: operator},
			call.Event{CallID: id, At: now.Add(-ago), Type: call.Answered, Leg: "o1", Role: call.Operator, Operator: operator},
			call.Event{CallID: id, At: now.Add(-ago), Type: call.Ended, Status: &call.Completed},
		)
		return id
	}
	old, newer := talks("101", 30*time.Hour), talks("102", time.Hour)
	for _, tt := range []struct {
		query            url.Values
		operator, callID string
		policy, reason   string
	}{
		{url.Values{"number": {"+79161234567"}}, "102", newer, "last", "102 has the last contact with the client: inbound, answered at "},
		{url.Values{"number": {"8 (916) 123-45-67"}, "window": {"48h"}, "policy": {"first"}}, "101", old, "first", "101 has the first contact"},
		{url.Values{"number": {"9161234567"}, "policy": {"first"}}, "102", newer, "first", ""},
		{url.Values{"number": {"9161234567"}, "window": {"30m"}}, "", "", "last", "no operator has been in touch with the client within 30m"},
		{url.Values{"number": {"+19161234567"}}, "", "", "last", "no operator"}, // another country's
		{url.Values{"number": {"123456789"}}, "", "", "last", "ten digits"},
		{url.Values{"number": {"anonymous"}}, "", "", "last", "ten digits"},
		{url.Values{"number": {""}}, "", "", "last", "no number"},
		{nil, "", "", "last", "no number"},
	} {
		a := s.Do("GET", "/api/v1/responsible?"+tt.query.Encode(), nil)
		var got map[string]any
		a.Into(t, &got)
		want := func(s string) any {
			if s == "" {
				return nil
			}
			return s
		}
		reason, _ := got["reason"].(string)
		if a.Status != 200 || len(got) != 4 || got["operator"] != want(tt.operator) || got["call_id"] != want(tt.callID) ||
			got["policy"] != tt.policy || !strings.Contains(reason, tt.reason) || reason == "" {
			t.Errorf("%v: %d %s", tt.query, a.Status, a.Body)
		}
	}
	for field, query := range map[string]string{
		"window": "number=9161234567&window=yesterday", "policy": "number=9161234567&policy=best", "number": "number=" + strings.Repeat("9", 129),
	} {
		a := s.Do("GET", "/api/v1/responsible?"+query, nil)
		if mustBeProblem(t, a, 422); !strings.Contains(string(a.Body), `"location":"query.`+field+`"`) {
			t.Errorf("%s is not named: %s", field, a.Body)
		}
	}
	for _, window := range []string{"-24h", "0", "87601h"} {
		mustBeProblem(t, s.Do("GET", "/api/v1/responsible?number=9161234567&window="+window, nil), 422)
	}
}
