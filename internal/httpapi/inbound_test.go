package httpapi_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/perezvon/perezvon/internal/httpapi/httpapitest"
)

// "the same for /queues/{name}".
func TestQueuesAreKeptAndChecked(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	a := s.Do("POST", "/api/v1/queues", map[string]any{"name": "1000", "members": []string{"101"}})
	if a.Status != 201 || a.Header.Get("Location") != "/api/v1/queues/1000" {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	want := map[string]any{
		"name": "1000", "members": []any{"101"}, "strategy": "ring_all", "ring_s": 15.0, "retry_s": 5.0, "wrapup_s": 0.0, "max_wait_s": 300.0, "max_length": 0.0,
	}
	var got map[string]any
	s.Do("GET", "/api/v1/queues/1000", nil).Into(t, &got)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("the defaults: -want +got:\n%s", d)
	}
	if a := s.Do("PUT", "/api/v1/widgets/site", map[string]any{"managers": "101"}); a.Status != 201 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	sent := map[string]any{
		"members": []string{"101"}, "strategy": "weighted", "ring_s": 20, "retry_s": 0, "wrapup_s": 10, "max_wait_s": 0, "max_length": 5,
		"fallback": []any{map[string]any{"announce": map[string]any{"text": "Все заняты"}}, "number:84951234567", "hangup"},
		"weights":  map[string]any{"101": 2}, "priority": 3, "announce": map[string]any{"position": true, "position_every_s": 30, "text": "Ждите"},
		"callback_offer": map[string]any{"widget": "site", "after_s": 60}, "auto_pause_after": 3, "join_empty": true,
	}
	if a := s.Do("PUT", "/api/v1/queues/1000", sent); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	want = map[string]any{
		"name": "1000", "members": []any{"101"}, "strategy": "weighted", "ring_s": 20.0, "retry_s": 0.0, "wrapup_s": 10.0, "max_wait_s": 0.0, "max_length": 5.0,
		"fallback": []any{map[string]any{"announce": map[string]any{"text": "Все заняты"}}, map[string]any{"number": "+74951234567"}, map[string]any{"hangup": map[string]any{}}},
		"weights":  map[string]any{"101": 2.0}, "priority": 3.0, "announce": map[string]any{"position": true, "position_every_s": 30.0, "text": "Ждите"},
		"callback_offer": map[string]any{"key": "1", "widget": "site", "after_s": 60.0}, "auto_pause_after": 3.0, "join_empty": true,
	}
	got = nil
	s.Do("GET", "/api/v1/queues/1000", nil).Into(t, &got)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if a := s.Do("PUT", "/api/v1/queues/1000", got); a.Status != 200 {
		t.Errorf("what was read cannot be written: %d %s", a.Status, a.Body)
	}
	for field, body := range map[string]map[string]any{
		"surprise":                {"surprise": 1},
		"name":                    {"name": "another"},
		"strategy":                {"strategy": "ringall"},
		"ring_s":                  {"ring_s": 0},
		"members":                 {"members": "101"},
		"members[1]":              {"members": []string{"101", "404"}},
		"weights.102":             {"weights": map[string]any{"102": 1}},
		"callback_offer.key":      {"callback_offer": map[string]any{"key": "12"}},
		"callback_offer.widget":   {"callback_offer": map[string]any{"widget": "none"}},
		"announce.every":          {"announce": map[string]any{"every": 1}},
		"fallback[0].queue":       {"fallback": "queue:2000"},
		"fallback":                {"fallback": "voicemail"},
		"fallback.operator.ring":  {"fallback": map[string]any{"operator": map[string]any{"extension": "101", "ring": 5}}},
		"fallback[1].hangup.code": {"fallback": []any{"hangup", map[string]any{"hangup": map[string]any{"code": 200}}}},
	} {
		p := mustBeProblem(t, s.Do("PUT", "/api/v1/queues/new", body), 422)
		if !slices.Equal(p.locations(), []string{"body." + field}) {
			t.Errorf("%s: named is %v", field, p.locations())
		}
	}
	mustBeProblem(t, s.Do("GET", "/api/v1/queues/new", nil), 404)
	p := mustBeProblem(t, s.Do("DELETE", "/api/v1/operators/101", nil), 409)
	if !strings.Contains(p.Detail, "widget site, queue 1000") {
		t.Error(p.Detail)
	}
	if a := s.Do("DELETE", "/api/v1/queues/1000", nil); a.Status != 204 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// "the same for /routes/{name}": the steps as the contract writes them.
func TestRoutesAreKeptAndChecked(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	for path, body := range map[string]any{"/api/v1/queues/1000": map[string]any{"members": []string{"101"}}, "/api/v1/widgets/site": map[string]any{"managers": "101"}} {
		if a := s.Do("PUT", path, body); a.Status != 201 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	}
	sent := map[string]any{
		"name": "main", "match": map[string]any{"called": "+74950000000, _7495XXXXXXX", "trunk": "main", "caller": "anonymous"}, "priority": 2.0,
		"hours": map[string]any{"timezone": "Europe/Moscow", "week": map[string]any{"mon": []any{"09:00-18:00"}}},
		"steps": []any{
			map[string]any{"responsible": map[string]any{"window": "24h", "policy": "last", "ring_s": 15.0}},
			map[string]any{"responsible": map[string]any{"window": "24h", "policy": "last", "ring_s": 15.0, "source": "crm", "crm_timeout_ms": 500.0}},
			map[string]any{"queue": "1000"}, map[string]any{"operator": "101"}, map[string]any{"number": "+74951234567"},
			map[string]any{"announce": map[string]any{"text": "Здравствуйте"}},
			map[string]any{"menu": map[string]any{"text": "Нажмите", "timeout_s": 5.0, "repeats": 3.0, "keys": map[string]any{
				"1": []any{map[string]any{"queue": map[string]any{"name": "1000", "priority": 5.0}}}, "*": []any{map[string]any{"route": "main"}},
			}}},
			map[string]any{"callback_offer": map[string]any{"text": "Перезвоним", "key": "2", "widget": "site"}},
			map[string]any{"hangup": map[string]any{}},
		},
	}
	a := s.Do("POST", "/api/v1/routes", sent)
	if a.Status != 201 || a.Header.Get("Location") != "/api/v1/routes/main" {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	var got map[string]any
	s.Do("GET", "/api/v1/routes/main", nil).Into(t, &got)
	if d := cmp.Diff(sent, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if a := s.Do("PUT", "/api/v1/routes/main", got); a.Status != 200 {
		t.Errorf("what was read cannot be written: %d %s", a.Status, a.Body)
	}
	var list struct{ Items []map[string]any }
	s.Do("GET", "/api/v1/routes", nil).Into(t, &list)
	if d := cmp.Diff([]map[string]any{sent}, list.Items); d != "" {
		t.Error(d)
	}

	steps := func(list ...any) map[string]any { return map[string]any{"steps": list} }
	menu := func(key string, step any) map[string]any {
		return steps(map[string]any{"menu": map[string]any{"text": "a", "keys": map[string]any{key: step}}})
	}
	for field, body := range map[string]map[string]any{
		"steps":                            {"match": map[string]any{}},
		"surprise":                         {"steps": "hangup", "surprise": 1},
		"match.called":                     {"steps": "hangup", "match": map[string]any{"called": "_7[9-0]"}},
		"match.color":                      {"steps": "hangup", "match": map[string]any{"color": "red"}},
		"match.trunk":                      {"steps": "hangup", "match": map[string]any{"trunk": "main,other"}},
		"hours.week.mon[0]":                {"steps": "hangup", "hours": map[string]any{"timezone": "UTC", "week": map[string]any{"mon": []string{"9-18"}}}},
		"priority":                         {"steps": "hangup", "priority": -1},
		"steps[0]":                         steps(map[string]any{}),
		"steps[1]":                         steps("hangup", map[string]any{"queue": "1000", "hangup": map[string]any{}}),
		"steps[0].voicemail":               steps(map[string]any{"voicemail": "101"}),
		"steps[0].queue":                   steps(map[string]any{"queue": "2000"}),
		"steps[0].operator":                steps(map[string]any{"operator": map[string]any{"extension": "404"}}),
		"steps[0].route":                   steps("route:none"),
		"steps[0].number":                  steps("number:12"),
		"steps[0].number.trunk":            steps(map[string]any{"number": map[string]any{"number": "+74951234567", "trunk": "none"}}),
		`steps[0].menu.keys["1"][0].queue`: menu("1", "queue:2000"),
		`steps[0].menu.keys["x"]`:          menu("x", "hangup"),
		"steps[0].callback_offer.widget":   steps(map[string]any{"callback_offer": map[string]any{"widget": "none"}}),
		"steps[0].responsible.window":      steps(map[string]any{"responsible": map[string]any{"window": "a day"}}),
		"steps[0].responsible.source":      steps(map[string]any{"responsible": map[string]any{"source": "sales"}}),
		"steps[0].responsible.outcomes[0]": steps(map[string]any{"responsible": map[string]any{"outcomes": []string{"ANSWERED"}}}),
	} {
		p := mustBeProblem(t, s.Do("PUT", "/api/v1/routes/new", body), 422)
		if !slices.Equal(p.locations(), []string{"body." + field}) {
			t.Errorf("%s: named is %v", field, p.locations())
		}
	}
	mustBeProblem(t, s.Do("GET", "/api/v1/routes/new", nil), 404)
	for path, by := range map[string]string{"trunks/main": "route main", "queues/1000": "route main", "widgets/site": "route main"} {
		if p := mustBeProblem(t, s.Do("DELETE", "/api/v1/"+path, nil), 409); !strings.Contains(p.Detail, by) {
			t.Errorf("%s: %s", path, p.Detail)
		}
	}
	if a := s.Do("DELETE", "/api/v1/routes/main", nil); a.Status != 204 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}
