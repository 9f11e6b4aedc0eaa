package httpapi_test

import (
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/bitrix24/bitrixtest"
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
		if a.Status != 200 || len(got) != 5 || got["source"] != want(source(tt.operator)) || got["operator"] != want(tt.operator) || got["call_id"] != want(tt.callID) ||
			got["policy"] != tt.policy || !strings.Contains(reason, tt.reason) || reason == "" {
			t.Errorf("%v: %d %s", tt.query, a.Status, a.Body)
		}
	}
	for field, query := range map[string]string{
		"source": "number=9161234567&source=sales", "crm_timeout_ms": "number=9161234567&source=crm&crm_timeout_ms=99",
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

// source is who has named the operator, where the CRM is not asked.
func source(operator string) string {
	if operator == "" {
		return ""
	}
	return string(call.SourceCalls)
}

func TestTheCRMIsAskedWhoIsResponsible(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{OutboundAllow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	ask := func() (got map[string]any) {
		s.Do("GET", "/api/v1/responsible?source=crm&crm_timeout_ms=10000&number=%2B79161234567", nil).Into(t, &got)
		return got
	}
	if got := ask(); got["operator"] != nil || got["source"] != nil || got["reason"] != "the CRM does not say: the account is not connected with Bitrix24; no operator has been in touch with the client within 24h" {
		t.Errorf("%v", got)
	}
	portal := bitrixtest.New("", bitrixtest.User{ID: 11, Extension: "101"})
	served := httptest.NewServer(portal)
	t.Cleanup(served.Close)
	if a := s.Do("PUT", "/api/v1/integrations/bitrix24", map[string]any{"webhook_url": served.URL + bitrixtest.WebhookPath}); a.Status != 200 && a.Status != 201 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	portal.Knows("+79161234567", bitrixtest.Object{Type: "CONTACT", ID: 797, Responsible: 11})
	got := ask()
	if got["operator"] != "101" || got["source"] != "crm" || got["call_id"] != nil || got["reason"] != "101 is responsible for the client in Bitrix24 (CONTACT 797)" {
		t.Errorf("%v", got)
	}
}
