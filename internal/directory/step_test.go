package directory_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/invalid"
)

func route(steps ...directory.Step) directory.Route {
	return directory.Route{Name: "main", Match: directory.Match{Called: "+74950000000"}, Steps: steps}
}

var toQueue = directory.Step{Queue: &directory.ToQueue{Name: "1000"}}

func TestTheStepsOfTheContractAreRead(t *testing.T) {
	var got directory.Route
	if err := json.Unmarshal([]byte(`{
		"name": "main", "match": {"called": "+74950000000", "trunk": "carrier", "caller": "_7916."},
		"hours": {"timezone": "Europe/Moscow", "week": {"mon": ["09:00-18:00"]}},
		"steps": [
			{"responsible": {"window": "30d", "policy": "first", "ring_s": 20, "source": "crm", "crm_timeout_ms": 700}}, {"responsible": {}},
			{"queue": "1000"}, {"operator": "101"}, {"operator": {"extension": "102", "ring_s": 5}},
			{"number": "8 495 123-45-67"}, {"number": {"number": "+74951234568", "trunk": "carrier"}},
			{"announce": {"text": "Здравствуйте"}},
			{"menu": {"text": "Нажмите один", "keys": {"1": [{"queue": "1000"}], "*": {"route": "night"}, "2": "operator:101"}}},
			{"callback_offer": {"widget": "site"}}, "queue:1000", {"hangup": {}}
		]}`), &got); err != nil {
		t.Fatal(err)
	}
	got, err := got.Normalize("RU")
	if err != nil {
		t.Fatal(err)
	}
	day := directory.Duration(24 * time.Hour)
	want := directory.Route{
		Name: "main", Match: directory.Match{Called: "+74950000000", Trunk: "carrier", Caller: "_7916."},
		Hours: &directory.Hours{Timezone: "Europe/Moscow", Week: directory.Week{Monday: directory.Spans{"09:00-18:00"}}},
		Steps: directory.Steps{
			{Responsible: &directory.Responsible{Window: 30 * day, Policy: "first", RingS: 20, Source: "crm", CRMTimeoutMS: 700}},
			{Responsible: &directory.Responsible{Window: day, Policy: "last", RingS: 15}},
			toQueue, {Operator: &directory.ToOperator{Extension: "101", RingS: 30}}, {Operator: &directory.ToOperator{Extension: "102", RingS: 5}},
			{Number: &directory.ToNumber{Number: "+74951234567", RingS: 45}},
			{Number: &directory.ToNumber{Number: "+74951234568", RingS: 45, Trunk: "carrier"}},
			{Announce: &directory.Announce{Text: "Здравствуйте"}},
			{Menu: &directory.Menu{Text: "Нажмите один", TimeoutS: 5, Repeats: 3, Keys: map[string]directory.Steps{
				"1": {toQueue}, "*": {{Route: &directory.ToRoute{Name: "night"}}}, "2": {{Operator: &directory.ToOperator{Extension: "101", RingS: 30}}},
			}}},
			{CallbackOffer: &directory.CallbackOffer{Key: "1", Widget: "site"}}, toQueue, {Hangup: &directory.Hangup{}},
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	b, err := json.Marshal(got.Steps[2:6])
	if want := `[{"queue":"1000"},{"operator":"101"},{"operator":{"extension":"102","ring_s":5}},{"number":"+74951234567"}]`; string(b) != want || err != nil {
		t.Error(string(b), err)
	}
	wantRefs := []directory.Reference{
		{Path: "match.trunk", Kind: directory.KindTrunk, Name: "carrier"},
		{Path: "steps[2].queue", Kind: directory.KindQueue, Name: "1000"},
		{Path: "steps[3].operator", Kind: directory.KindOperator, Name: "101"},
		{Path: "steps[4].operator", Kind: directory.KindOperator, Name: "102"},
		{Path: "steps[6].number.trunk", Kind: directory.KindTrunk, Name: "carrier"},
		{Path: `steps[8].menu.keys["*"][0].route`, Kind: directory.KindRoute, Name: "night"},
		{Path: `steps[8].menu.keys["1"][0].queue`, Kind: directory.KindQueue, Name: "1000"},
		{Path: `steps[8].menu.keys["2"][0].operator`, Kind: directory.KindOperator, Name: "101"},
		{Path: "steps[9].callback_offer.widget", Kind: directory.KindWidget, Name: "site"},
		{Path: "steps[10].queue", Kind: directory.KindQueue, Name: "1000"},
	}
	if d := cmp.Diff(wantRefs, got.References()); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestAFallbackMayBeWrittenShort(t *testing.T) {
	for text, want := range map[string]directory.Steps{
		`"hangup"`:             {{Hangup: &directory.Hangup{}}},
		`"route:night"`:        {{Route: &directory.ToRoute{Name: "night"}}},
		`"queue:1000"`:         {toQueue},
		`"operator:101"`:       {{Operator: &directory.ToOperator{Extension: "101", RingS: 30}}},
		`"number:84951234567"`: {{Number: &directory.ToNumber{Number: "+74951234567", RingS: 45}}},
		`{"queue": "1000"}`:    {toQueue},
		`["hangup"]`:           {{Hangup: &directory.Hangup{}}},
		`null`:                 nil,
	} {
		var q directory.Queue
		if err := json.Unmarshal([]byte(`{"name": "sales", "members": ["101"], "fallback": `+text+`}`), &q); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		q, err := q.Normalize("RU")
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		wantQueue := directory.NewQueue("sales", "101")
		wantQueue.Fallback = want
		if d := cmp.Diff(wantQueue, q); d != "" {
			t.Errorf("%s: -want +got:\n%s", text, d)
		}
	}
}

// What does not even fit is named by its path, however deep.
func TestWhatDoesNotFitIsNamedByPath(t *testing.T) {
	for steps, want := range map[string]string{
		`[{"queue": 1000}]`: "steps[0].queue",
		`[{"queue": "1"}, {"menu": {"text": "a", "keys": {"1": [{"queue": {"name": 7}}]}}}]`: `steps[1].menu.keys["1"][0].queue.name`,
		`[{"menu": {"keys": {"1": [{"surprise": 1}]}}}]`:                                     `steps[0].menu.keys["1"][0].surprise`,
		`[{"menu": {"keys": []}}]`:                                                           "steps[0].menu.keys",
		`[{"menu": {"timeout_s": "5"}}]`:                                                     "steps[0].menu.timeout_s",
		`[{"operator": {"extensions": "101"}}]`:                                              "steps[0].operator.extensions",
		`[{"number": ["+7"]}]`:                                                               "steps[0].number",
		`[{"responsible": {"outcomes": "busy"}}]`:                                            "steps[0].responsible.outcomes",
		`[{"responsible": {"crm_timeout_ms": "1s"}}]`:                                        "steps[0].responsible.crm_timeout_ms",
		`[{"responsible": {"ring_s": 1.5}}]`:                                                 "steps[0].responsible.ring_s",
		`[{"announce": "text"}]`:                                                             "steps[0].announce",
		`[{"hangup": {"cause": 17}}]`:                                                        "steps[0].hangup.cause",
		`[{"callback_offer": true}]`:                                                         "steps[0].callback_offer",
		`["voicemail:101"]`:                                                                  "steps[0]",
		`["queue:"]`:                                                                         "steps[0]",
		`[7]`:                                                                                "steps[0]",
		`7`:                                                                                  "steps",
	} {
		var r directory.Route
		names(t, json.Unmarshal([]byte(`{"name": "main", "steps": `+steps+`}`), &r), want)
	}
	var r directory.Route
	names(t, json.Unmarshal([]byte(`{"match": {"called": 7}}`), &r), "match.called")
	var q directory.Queue
	names(t, json.Unmarshal([]byte(`{"members": "101"}`), &q), "members")
}

func TestARouteThatBreaksARuleIsNamedByField(t *testing.T) {
	menu := func(keys map[string]directory.Steps) directory.Step {
		return directory.Step{Menu: &directory.Menu{Text: "a", Keys: keys, TimeoutS: 5, Repeats: 3}}
	}
	deep := toQueue
	for range 5 {
		deep = menu(map[string]directory.Steps{"1": {deep}})
	}
	one := func(s directory.Step) func(*directory.Route) { return func(r *directory.Route) { r.Steps[1] = s } }
	day := directory.Duration(24 * time.Hour)
	for _, tt := range []struct {
		want   string
		change func(*directory.Route)
	}{
		{"", func(*directory.Route) {}},
		{"", func(r *directory.Route) { r.Match.Called = "8 (495) 123-45-67, 101,_7495XXXXXXX, SIP-user_1" }},
		{"name", func(r *directory.Route) { r.Name = "a b" }},
		{"match.called", func(r *directory.Route) { r.Match.Called = "+7495;000" }},
		{"match.called", func(r *directory.Route) { r.Match.Called = "_7[5-1]" }},
		{"match.called", func(r *directory.Route) { r.Match.Called = "101,,102" }},
		{"match.called", func(r *directory.Route) { r.Match.Called = "101,101" }},
		{"match.called", func(r *directory.Route) { r.Match.Called = strings.Repeat("1", 1001) }},
		{"match.caller", func(r *directory.Route) { r.Match.Caller = "a@b" }},
		{"match.trunk", func(r *directory.Route) { r.Match.Trunk = "a b" }},
		{"hours.timezone", func(r *directory.Route) { r.Hours = office("Mars") }},
		{"priority", func(r *directory.Route) { r.Priority = -1 }},
		{"", func(r *directory.Route) { r.Language, r.Voice, r.Transcribe = "en", "male", true }},
		{"language", func(r *directory.Route) { r.Language = "English" }},
		{"voice", func(r *directory.Route) { r.Voice = "-v" }},
		{"steps", func(r *directory.Route) { r.Steps = nil }},
		{"steps", func(r *directory.Route) { r.Steps = slices.Repeat(directory.Steps{toQueue}, 51) }},
		{"steps[1]", one(directory.Step{})},
		{"steps[1]", one(directory.Step{Queue: toQueue.Queue, Hangup: &directory.Hangup{}})},
		{"steps[1].queue", one(directory.Step{Queue: &directory.ToQueue{Name: "a b"}})},
		{"steps[1].queue.priority", one(directory.Step{Queue: &directory.ToQueue{Name: "a", Priority: 1001}})},
		{"steps[1].operator", one(directory.Step{Operator: &directory.ToOperator{Extension: "x", RingS: 5}})},
		{"steps[1].operator.ring_s", one(directory.Step{Operator: &directory.ToOperator{Extension: "101"}})},
		{"steps[1].number", one(directory.Step{Number: &directory.ToNumber{Number: "84951234567", RingS: 5}})},
		{"steps[1].number", one(directory.Step{Number: &directory.ToNumber{Number: "${EXTEN}", RingS: 5}})},
		{"steps[1].number.trunk", one(directory.Step{Number: &directory.ToNumber{Number: "+74951234567", RingS: 5, Trunk: "a b"}})},
		{"steps[1].announce.text", one(directory.Step{Announce: &directory.Announce{Text: " "}})},
		{"steps[1].announce.text", one(directory.Step{Announce: &directory.Announce{Text: strings.Repeat("я", 2001)}})},
		{"steps[1].menu.text", one(directory.Step{Menu: &directory.Menu{Keys: map[string]directory.Steps{"1": {toQueue}}, TimeoutS: 5, Repeats: 3}})},
		{"steps[1].menu.keys", one(menu(nil))},
		{`steps[1].menu.keys["10"]`, one(menu(map[string]directory.Steps{"10": {toQueue}}))},
		{`steps[1].menu.keys["1"]`, one(menu(map[string]directory.Steps{"1": {}}))},
		{`steps[1].menu.keys["1"][0].queue`, one(menu(map[string]directory.Steps{"1": {{Queue: &directory.ToQueue{}}}}))},
		{`steps[1].menu.keys["1"][0].menu.keys["1"][0].menu.keys["1"][0].menu.keys["1"][0].menu`, one(deep)},
		{"steps[1].menu.timeout_s", one(directory.Step{Menu: &directory.Menu{Text: "a", Keys: map[string]directory.Steps{"1": {toQueue}}, Repeats: 3}})},
		{"steps[1].menu.repeats", one(directory.Step{Menu: &directory.Menu{Text: "a", Keys: map[string]directory.Steps{"1": {toQueue}}, TimeoutS: 3}})},
		{"steps[1].callback_offer.widget", one(directory.Step{CallbackOffer: &directory.CallbackOffer{Key: "1"}})},
		{"steps[1].callback_offer.key", one(directory.Step{CallbackOffer: &directory.CallbackOffer{Key: "11", Widget: "site"}})},
		{"steps[1].callback_offer.after_s", one(directory.Step{CallbackOffer: &directory.CallbackOffer{Key: "1", Widget: "site", AfterS: 1}})},
		{"steps[1].route", one(directory.Step{Route: &directory.ToRoute{}})},
		{"steps[1].hangup.code", one(directory.Step{Hangup: &directory.Hangup{Code: 200}})},
		{"steps[1].responsible.window", one(directory.Step{Responsible: &directory.Responsible{Policy: "last", RingS: 15}})},
		{"steps[1].responsible.policy", one(directory.Step{Responsible: &directory.Responsible{Window: day, RingS: 15}})},
		{"steps[1].responsible.ring_s", one(directory.Step{Responsible: &directory.Responsible{Window: day, Policy: "last"}})},
		{"steps[1].responsible.source", one(directory.Step{Responsible: &directory.Responsible{Window: day, Policy: "last", RingS: 15, Source: "sales"}})},
		{"steps[1].responsible.crm_timeout_ms", one(directory.Step{Responsible: &directory.Responsible{Window: day, Policy: "last", RingS: 15, CRMTimeoutMS: 500}})},
		{"steps[1].responsible.crm_timeout_ms", one(directory.Step{Responsible: &directory.Responsible{Window: day, Policy: "last", RingS: 15, Source: "crm", CRMTimeoutMS: 99}})},
		{"steps[1].responsible.crm_timeout_ms", one(directory.Step{Responsible: &directory.Responsible{Window: day, Policy: "last", RingS: 15, Source: "crm", CRMTimeoutMS: 10001}})},
		{"steps[1].responsible.outcomes", one(directory.Step{Responsible: &directory.Responsible{Window: day, Policy: "last", RingS: 15, Outcomes: []string{}}})},
		{"steps[1].responsible.outcomes[1]", one(directory.Step{Responsible: &directory.Responsible{Window: day, Policy: "last", RingS: 15, Outcomes: []string{"busy", "busy"}}})},
	} {
		r := route(toQueue, toQueue)
		tt.change(&r)
		names(t, r.Validate(), tt.want)
	}
}

func TestAQueueThatBreaksARuleIsNamedByField(t *testing.T) {
	for want, change := range map[string]func(*directory.Queue){
		"":                          func(*directory.Queue) {},
		"name":                      func(q *directory.Queue) { q.Name = "" },
		"members":                   func(q *directory.Queue) { q.Members, q.Weights = manyMembers(), nil },
		"members[0]":                func(q *directory.Queue) { q.Members[0] = "anna" },
		"members[2]":                func(q *directory.Queue) { q.Members = append(q.Members, "102") },
		"strategy":                  func(q *directory.Queue) { q.Strategy = "ringall" },
		"ring_s":                    func(q *directory.Queue) { q.RingS = 0 },
		"retry_s":                   func(q *directory.Queue) { q.RetryS = -1 },
		"wrapup_s":                  func(q *directory.Queue) { q.WrapupS = 3601 },
		"max_wait_s":                func(q *directory.Queue) { q.MaxWaitS = -1 },
		"max_length":                func(q *directory.Queue) { q.MaxLength = -1 },
		"priority":                  func(q *directory.Queue) { q.Priority = 1001 },
		"auto_pause_after":          func(q *directory.Queue) { q.AutoPauseAfter = 101 },
		"weights.102":               func(q *directory.Queue) { q.Weights["102"] = 0 },
		"weights.103":               func(q *directory.Queue) { q.Weights["103"] = 1 },
		"announce.text":             func(q *directory.Queue) { q.Announce.Text = "a\x00" },
		"announce.position_every_s": func(q *directory.Queue) { q.Announce.PositionEveryS = 9 },
		"callback_offer.key":        func(q *directory.Queue) { q.CallbackOffer.Key = "" },
		"callback_offer.after_s":    func(q *directory.Queue) { q.CallbackOffer.AfterS = 3601 },
		"callback_offer.widget":     func(q *directory.Queue) { q.CallbackOffer.Widget = "?" },
		"fallback[0].operator":      func(q *directory.Queue) { q.Fallback = directory.Steps{{Operator: &directory.ToOperator{RingS: 15}}} },
		"fallback[0].callback_offer.after_s": func(q *directory.Queue) {
			q.Fallback = directory.Steps{{CallbackOffer: &directory.CallbackOffer{Key: "1", Widget: "site", AfterS: 5}}}
		},
	} {
		q := directory.NewQueue("1000", "101", "102")
		q.Strategy, q.Weights = directory.StrategyWeighted, map[string]int{"102": 3}
		q.Announce, q.CallbackOffer = &directory.QueueAnnounce{Position: true, PositionEveryS: 30}, &directory.CallbackOffer{Key: "1", AfterS: 60}
		change(&q)
		names(t, q.Validate(), want)
	}
	q := directory.NewQueue("1000", "101", "102")
	q.Weights = map[string]int{"102": 3}
	if q.Weight("101") != 1 || q.Weight("102") != 3 {
		t.Error("weights", q.Weight("101"), q.Weight("102"))
	}
}

func manyMembers() []string {
	list := make([]string, 1001)
	for i := range list {
		list[i] = string([]byte{'1', byte('0' + i/1000), byte('0' + i/100%10), byte('0' + i/10%10), byte('0' + i%10)})
	}
	return list
}

// anySteps draws steps that keep the rules.
func anySteps(t *rapid.T, depth int) directory.Steps {
	word := rapid.StringMatching(`[A-Za-z0-9_-]{1,10}`)
	text := rapid.StringMatching(`[a-zа-я"\\<>&]{1,20}`)
	key := rapid.StringMatching(`[0-9*#]`)
	ring := rapid.IntRange(1, 300)
	steps := make(directory.Steps, rapid.IntRange(1, 4).Draw(t, "steps"))
	for i := range steps {
		s := &steps[i]
		switch rapid.IntRange(0, 8).Draw(t, "kind") {
		case 0:
			s.Responsible = &directory.Responsible{
				Window: directory.Duration(time.Duration(rapid.IntRange(1, 1e8).Draw(t, "window")) * time.Second), RingS: ring.Draw(t, "ring"),
				Policy:   rapid.SampledFrom([]string{"last", "first"}).Draw(t, "policy"),
				Outcomes: rapid.SampledFrom([][]string{nil, {"busy"}, {"answered", "no_answer"}}).Draw(t, "outcomes"),
				Source:   rapid.SampledFrom([]call.ResponsibleSource{"", call.SourceCalls, call.SourceCRM}).Draw(t, "source"),
			}
			if s.Responsible.Source == "crm" {
				s.Responsible.CRMTimeoutMS = rapid.SampledFrom([]int{0, 100, 2500, 10000}).Draw(t, "timeout")
			}
		case 1:
			s.Queue = &directory.ToQueue{Name: word.Draw(t, "queue"), Priority: rapid.IntRange(0, 3).Draw(t, "priority")}
		case 2:
			s.Operator = &directory.ToOperator{Extension: rapid.StringMatching(`[0-9]{2,10}`).Draw(t, "extension"), RingS: ring.Draw(t, "ring")}
		case 3:
			s.Number = &directory.ToNumber{Number: "+7495123" + rapid.StringMatching(`[0-9]{4}`).Draw(t, "number"), RingS: rapid.SampledFrom([]int{45, 7}).Draw(t, "ring"), Trunk: rapid.SampledFrom([]string{"", "a"}).Draw(t, "trunk")}
		case 4:
			s.Announce = &directory.Announce{Text: text.Draw(t, "text")}
		case 5:
			if depth == 4 {
				s.Hangup = &directory.Hangup{}
				break
			}
			s.Menu = &directory.Menu{Text: text.Draw(t, "text"), TimeoutS: rapid.IntRange(1, 60).Draw(t, "timeout"), Repeats: rapid.IntRange(1, 10).Draw(t, "repeats"), Keys: map[string]directory.Steps{}}
			for range rapid.IntRange(1, 2).Draw(t, "keys") {
				s.Menu.Keys[key.Draw(t, "key")] = anySteps(t, depth+1)
			}
		case 6:
			s.CallbackOffer = &directory.CallbackOffer{Text: text.Draw(t, "text"), Key: key.Draw(t, "key"), Widget: word.Draw(t, "widget")}
		case 7:
			s.Route = &directory.ToRoute{Name: word.Draw(t, "route")}
		case 8:
			s.Hangup = &directory.Hangup{Code: rapid.SampledFrom([]int{0, 400, 486, 699}).Draw(t, "code")}
		}
	}
	return steps
}

func TestStepsSurviveJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := route(anySteps(t, 0)...)
		q := directory.NewQueue("1000", "101")
		q.Fallback = r.Steps
		if err := errors.Join(r.Validate(), q.Validate()); err != nil {
			t.Fatal(err)
		}
		survives(t, r)
		survives(t, q)
	})
}

func survives[T any](t *rapid.T, v T) {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var back T
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	if d := cmp.Diff(v, back); d != "" {
		t.Fatalf("%s: %s", b, d)
	}
}

func FuzzRouteJSON(f *testing.F) {
	f.Add([]byte(`{"name":"main","match":{"called":"_7495XXXXXXX"},"steps":[{"menu":{"text":"a","keys":{"1":"queue:1000","2":[{"hangup":{}}]}}}]}`))
	f.Add([]byte(`{"steps":"hangup"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r directory.Route
		err := json.Unmarshal(b, &r)
		var syntax *json.SyntaxError
		var bad invalid.Error
		switch {
		case errors.As(err, &syntax):
			return
		case err != nil:
			if !errors.As(err, &bad) || len(bad) == 0 {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		normal, err := r.Normalize("RU")
		if err != nil {
			return
		}
		if err := normal.Validate(); err != nil {
			t.Fatalf("normal, and not valid: %v", err)
		}
		again, err := json.Marshal(normal)
		if err != nil {
			t.Fatal(err)
		}
		var back directory.Route
		if err := json.Unmarshal(again, &back); err != nil {
			t.Fatalf("%s: %v", again, err)
		}
	})
}
