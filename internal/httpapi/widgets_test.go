package httpapi_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/perezvon/perezvon/internal/httpapi/httpapitest"
)

func TestWidgetsAreKeptAndChecked(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	sent := map[string]any{
		"name": "site-1", "managers": "8 495 123-45-67^12_101", "greeting": "Привет", "voice_control": false, "client_delay_ms": 0,
		"trunks_client": []string{"main"}, "failover_on": "any", "round_robin": true, "start_within_s": 60,
		"recall_intervals": []any{"5m", 900}, "recall_on": []any{"client_busy", 701},
		"hours":           map[string]any{"timezone": "Europe/Moscow", "week": map[string]any{"mon": []string{"09:00-13:00", "14:00-18:00"}}, "holidays": []string{"01-01"}, "exceptions": map[string]any{"2026-12-31": []string{}}},
		"blacklist":       []string{"+7809*"},
		"rate_per_client": map[string]any{"count": 3, "per": "1h"}, "rate_per_address": map[string]any{"count": 10, "per": 86400},
	}
	a := s.Do("POST", "/api/v1/widgets", sent)
	if a.Status != 201 || a.Header.Get("Location") != "/api/v1/widgets/site-1" {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	want := map[string]any{
		"name": "site-1", "greeting": "Привет", "voice_control": false, "client_delay_ms": 0.0,
		"managers":      []any{map[string]any{"number": "+74951234567", "extension": "12"}, map[string]any{"number": "101"}},
		"trunks_client": []any{"main"}, "failover_on": "any", "round_robin": true, "start_within_s": 60.0,
		"recall_intervals": []any{"5m", "15m"}, "recall_on": []any{"client_busy", "manager_no_answer"},
		"hours":           map[string]any{"timezone": "Europe/Moscow", "week": map[string]any{"mon": []any{"09:00-13:00", "14:00-18:00"}}, "holidays": []any{"01-01"}, "exceptions": map[string]any{"2026-12-31": []any{}}},
		"blacklist":       []any{"+7809*"},
		"rate_per_client": map[string]any{"count": 3.0, "per": "1h"}, "rate_per_address": map[string]any{"count": 10.0, "per": "24h"},
	}
	var got map[string]any
	s.Do("GET", "/api/v1/widgets/site-1", nil).Into(t, &got)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if a := s.Do("PUT", "/api/v1/widgets/site-1", got); a.Status != 200 {
		t.Errorf("what was read cannot be written: %d %s", a.Status, a.Body)
	}
	mustBeProblem(t, s.Do("POST", "/api/v1/widgets", sent), 409)
	mustBeProblem(t, s.Do("GET", "/api/v1/widgets/none", nil), 404)

	for field, value := range map[string]any{
		"client": "+79161234567", "widget": "x", "attempt": 1, "client_ip": "192.0.2.1", "surprise": 1,
		"trunk": "nowhere", "dial_mode": "both", "managers[0].number": "12 34", "managers[0].sip": "404", "greeting": strings.Repeat("я", 501),
		"log_url": "http://10.0.0.1/", "recall_intervals[0]": []any{"soon"}, "recall_on[0]": []any{"busy"},
		"hours.timezone":    map[string]any{"timezone": "Mars", "week": map[string]any{"mon": []string{"09:00-18:00"}}},
		"hours.week.mon[0]": map[string]any{"timezone": "UTC", "week": map[string]any{"mon": []string{"18:00-09:00"}}},
		"hours.week.monday": map[string]any{"timezone": "UTC", "week": map[string]any{"monday": []string{"09:00-18:00"}}},
		"blacklist[0]":      []string{"x"}, "rate_per_client.count": map[string]any{"count": 0, "per": "1h"}, "rate_per_client.per": map[string]any{"count": 1, "per": "always"},
	} {
		name, _, _ := strings.Cut(field, "[")
		name, _, _ = strings.Cut(name, ".")
		switch field {
		case "managers[0].sip":
			value = []any{map[string]any{"sip": value}}
		case "managers[0].number":
			value = []any{map[string]any{"number": value}}
		}
		p := mustBeProblem(t, s.Do("PUT", "/api/v1/widgets/new", map[string]any{name: value}), 422)
		if !slices.Contains(p.locations(), "body."+field) {
			t.Errorf("%s is not named: %v", field, p.locations())
		}
	}
	mustBeProblem(t, s.Do("GET", "/api/v1/widgets/new", nil), 404)
	if a := s.Do("DELETE", "/api/v1/widgets/site-1", nil); a.Status != 204 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

func TestAPacketThroughAWidget(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	if a := s.Do("PUT", "/api/v1/widgets/site", map[string]any{"managers": "101", "greeting": "Через сайт"}); a.Status != 201 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	order := map[string]any{"widget": "site", "client": "+79161234567"}
	var first, second struct {
		ID     string `json:"id"`
		CallID string `json:"call_id"`
		Joined *bool  `json:"joined"`
	}
	s.Do("POST", "/api/v1/callbacks", order).Into(t, &first)
	if p := (<-s.Started).Packet; p.Greeting != "Через сайт" || p.Managers.String() != "101" {
		t.Errorf("%+v", p)
	}
	a := s.Do("POST", "/api/v1/callbacks", order)
	a.Into(t, &second)
	if a.Status != 202 || second.ID != first.ID || second.CallID != first.CallID || first.Joined != nil || second.Joined == nil || !*second.Joined {
		t.Errorf("it was not joined: %+v, then %+v", first, second)
	}
	order["widget"] = "none"
	if p := mustBeProblem(t, s.Do("POST", "/api/v1/callbacks", order), 422); !slices.Contains(p.locations(), "body.widget") {
		t.Error(p.locations())
	}
	order["widget"], order["managers"] = "", nil
	if p := mustBeProblem(t, s.Do("POST", "/api/v1/callbacks", order), 422); !slices.Contains(p.locations(), "body.managers") {
		t.Error(p.locations())
	}
}

// "POST /api/v11/callback → 200 {id, call_id, log_url}: the same, flat strings,
// form or JSON".
func TestTheDoorOfV11(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	form := "managers=74951234567%5E101_79161234567&client=8+916+123-45-67&voice_control=on&client_delay_ms=0&trunks_client=main&dtmf_connect=5&trunk=&attempt=2"
	multi := "--x\r\nContent-Disposition: form-data; name=\"client\"\r\n\r\n89161234567\r\n--x\r\nContent-Disposition: form-data; name=\"managers\"\r\n\r\n101\r\n--x--\r\n"
	for name, tt := range map[string]struct{ kind, body string }{
		"form":            {"application/x-www-form-urlencoded; charset=utf-8", form},
		"form, unsaid":    {"", form},
		"multipart":       {"multipart/form-data; boundary=x", multi},
		"JSON":            {"application/json", `{"managers":"101","client":"89161234567"}`},
		"JSON, unsaid":    {"", ` {"managers":"101","client":"89161234567","ivr_text":null}`},
		"JSON of numbers": {"application/json", `{"managers":"101","client":89161234567,"voice_control":true,"client_delay_ms":0,"attempt":2}`},
	} {
		a := s.Do("POST", "/api/v11/callback", tt.body, "Content-Type", tt.kind)
		var answer map[string]string
		if a.Status != 200 {
			t.Fatalf("%s: %d %s", name, a.Status, a.Body)
		}
		a.Into(t, &answer)
		started := <-s.Started
		if answer["call_id"] != started.CallID || answer["id"] != started.CallbackID || !strings.HasSuffix(answer["log_url"], started.CallID) || len(answer) != 3 {
			t.Errorf("%s: %v", name, answer)
		}
		if started.Packet.Client != "+79161234567" {
			t.Errorf("%s: %+v", name, started.Packet)
		}
		if strings.HasPrefix(name, "form") && (started.Packet.Managers.String() != "+74951234567^101_+79161234567" || !*started.Packet.VoiceControl || *started.Packet.ClientDelayMS != 0 || started.Number != 2) {
			t.Errorf("%s: %+v", name, started)
		}
	}
	s = httpapitest.New(t, httpapitest.Options{})
	for name, tt := range map[string]struct {
		kind, body string
		status     int
		location   string
	}{
		"unknown field":  {"", "client=89161234567&managers=101&color=red", 422, "body.color"},
		"bad number":     {"", "client=89161234567&managers=101&attempt=x", 422, "body.attempt"},
		"bad client":     {"", "client=12&managers=101", 422, "body.client"},
		"no client":      {"", "managers=101", 422, "body.client"},
		"given twice":    {"", "client=89161234567&client=89161234568&managers=101", 422, "body.client"},
		"no form":        {"application/x-www-form-urlencoded", "%zz", 400, "body"},
		"no JSON":        {"application/json", "{", 400, "body"},
		"more than JSON": {"application/json", `{"client":"1"} x`, 400, "body"},
		"a list":         {"application/json", `["client"]`, 422, "body"},
		"nested":         {"application/json", `{"client":{"number":"1"}}`, 422, "body.client"},
		"a file":         {"multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"client\"; filename=\"a\"\r\n\r\n1\r\n--x--\r\n", 422, "body.client"},
		"no boundary":    {"multipart/form-data", multi, 400, "body"},
		"something else": {"text/xml", "<client/>", 415, "header.Content-Type"},
	} {
		p := mustBeProblem(t, s.Do("POST", "/api/v11/callback", tt.body, "Content-Type", tt.kind), tt.status)
		if !slices.Contains(p.locations(), tt.location) {
			t.Errorf("%s: %v", name, p.locations())
		}
	}
	nothingDialled(t, s)
}
