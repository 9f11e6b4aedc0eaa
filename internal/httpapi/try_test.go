package httpapi_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/dryrun"
	"github.com/perezvon/perezvon/internal/httpapi/httpapitest"
)

// bubble plays what is tried in this process, or fails.
type bubble struct {
	t     *testing.T
	fails error
}

func (b *bubble) Run(_ context.Context, s dryrun.Scene) (events []call.Event, err error) {
	if b.fails != nil {
		return nil, b.fails
	}
	synctest.Test(b.t, func(t *testing.T) { events, err = dryrun.Play(t.Context(), s) })
	return events, err
}

type trial struct {
	Status    call.Status `json:"status"`
	StartsAt  *string     `json:"starts_at"`
	NextAt    *string     `json:"next_attempt_at"`
	DurationS float64     `json:"duration_s"`
	TalkS     float64     `json:"talk_s"`
	CallerIDs []struct {
		Leg, Role, Number, Operator, Trunk, Reason string

		CallerID string `json:"caller_id"`
	} `json:"caller_ids"`
	Open *struct {
		ID     string `json:"id"`
		CallID string `json:"call_id"`
	} `json:"open_callback"`
	Estimated []string     `json:"estimated_texts"`
	Events    []call.Event `json:"events"`
}

// "POST /api/v1/widgets/{name}/try".
func TestAWidgetIsTried(t *testing.T) {
	b := &bubble{t: t}
	s := httpapitest.New(t, httpapitest.Options{Trials: b})
	if a := s.Do("PUT", "/api/v1/widgets/site", map[string]any{"managers": "101", "recall_intervals": []any{"5m"}, "dtmf_cancel": "0"}); a.Status != 201 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	try := func(body map[string]any) (got trial) {
		t.Helper()
		a := s.Do("POST", "/api/v1/widgets/site/try", body)
		if a.Status != 200 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		a.Into(t, &got)
		return got
	}
	packet := map[string]any{"client": "8 916 123-45-67"}

	got := try(map[string]any{"packet": packet, "at": "2026-11-23T12:00:00+03:00"})
	// 3 s to the answer, 1 s of greeting, 3 s of pause, 1 s, 3 s to the client's
	// answer, a minute of talk; no key may be pressed after it but cancel, for 15 s.
	if got.Status != call.Completed || got.StartsAt == nil || *got.StartsAt != "2026-11-23T09:00:00.000Z" || got.NextAt != nil || got.TalkS != 60 || got.DurationS != 86 || got.Open != nil {
		t.Errorf("%+v", got)
	}
	for i, e := range got.Events {
		if e.Seq != int64(i+1) {
			t.Errorf("event %d: %+v", i, e)
		}
	}
	if len(got.Events) < 15 || got.Events[len(got.Events)-1].Type != call.Ended {
		t.Errorf("%+v", got.Events)
	}
	if n := len(got.CallerIDs); n != 2 || got.CallerIDs[0].Leg != "m1" || got.CallerIDs[0].Operator != "101" || got.CallerIDs[0].CallerID != "+79161234567" ||
		got.CallerIDs[0].Reason == "" || got.CallerIDs[1].Leg != "c1" || got.CallerIDs[1].Trunk != "main" || got.CallerIDs[1].Reason == "" {
		t.Errorf("%+v", got.CallerIDs)
	}

	got = try(map[string]any{"packet": packet, "client": map[string]any{"answer": "busy"}, "at": "2026-11-23T09:00:00Z"})
	if got.Status != call.ClientBusy || got.NextAt == nil || *got.NextAt != "2026-11-23T09:05:08.000Z" || got.TalkS != 0 {
		t.Errorf("%+v", got)
	}
	got = try(map[string]any{"packet": packet, "manager": []any{map[string]any{"after_s": 1, "keys": []any{map[string]any{"key": "0", "after_s": 0.5}}}}})
	if got.Status != call.CancelledByManager || got.NextAt != nil || got.DurationS != 1.5 {
		t.Errorf("%+v", got)
	}
	var none struct{ Items []any }
	for _, path := range []string{"/api/v1/calls", "/api/v1/callbacks"} {
		if s.Do("GET", path, nil).Into(t, &none); len(none.Items) != 0 {
			t.Errorf("%s: %v", path, none.Items)
		}
	}
	nothingDialled(t, s)

	// A client with an open callback.
	var open struct {
		ID     string `json:"id"`
		CallID string `json:"call_id"`
	}
	s.Do("POST", "/api/v1/callbacks", map[string]any{"widget": "site", "client": "+79161234567"}).Into(t, &open)
	got = try(map[string]any{"packet": packet})
	if got.Open == nil || cmp.Diff(open.ID, got.Open.ID) != "" || got.Open.CallID != open.CallID {
		t.Errorf("%+v", got.Open)
	}
}

func TestATrialThatIsWrongIsAnswered(t *testing.T) {
	b := &bubble{t: t}
	s := httpapitest.New(t, httpapitest.Options{Trials: b})
	if a := s.Do("PUT", "/api/v1/widgets/site", map[string]any{"managers": "101"}); a.Status != 201 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	good := map[string]any{"client": "+79161234567"}
	with := func(more map[string]any) map[string]any {
		p := map[string]any{"client": "+79161234567"}
		for k, v := range more {
			p[k] = v
		}
		return map[string]any{"packet": p}
	}
	for location, body := range map[string]map[string]any{
		"body.packet.client":             {},
		"body.packet.color":              with(map[string]any{"color": "red"}),
		"body.packet.attempt":            with(map[string]any{"attempt": "x"}),
		"body.packet.widget":             with(map[string]any{"widget": "other"}),
		"body.packet.managers[0].number": with(map[string]any{"managers": "12 34"}),
		"body.packet.managers[1]":        with(map[string]any{"managers": "101_"}),
		"body.packet.trunk":              with(map[string]any{"trunk": "nowhere"}),
		"body.packet":                    {"packet": "client"},
		"body.color":                     {"packet": good, "color": "red"},
		"body.manager[0].answer":         {"packet": good, "manager": []any{map[string]any{"answer": "sleeps"}}},
		"body.manager[0].keys[0].key":    {"packet": good, "manager": []any{map[string]any{"keys": []any{map[string]any{"key": "12", "after_s": 1}}}}},
		"body.manager[1]":                {"packet": good, "manager": []any{map[string]any{}, map[string]any{}}},
		"body.client.hangs_up_after_s":   {"packet": good, "client": map[string]any{"hangs_up_after_s": -1}},
		"body.client.keys":               {"packet": good, "client": map[string]any{"answer": "busy", "keys": []any{map[string]any{"key": "1", "after_s": 1}}}},
		"body.trunks_down[0]":            {"packet": good, "trunks_down": []any{"nowhere"}},
		"body.at":                        {"packet": good, "at": "noon"},
	} {
		if p := mustBeProblem(t, s.Do("POST", "/api/v1/widgets/site/try", body), 422); !slices.Contains(p.locations(), location) {
			t.Errorf("%s is not named: %v", location, p.locations())
		}
	}
	mustBeProblem(t, s.Do("POST", "/api/v1/widgets/none/try", map[string]any{"packet": good}), 404)
	b.fails = dryrun.ErrBusy
	if a := s.Do("POST", "/api/v1/widgets/site/try", map[string]any{"packet": good}); a.Header.Get("Retry-After") == "" {
		t.Error("a busy server does not say when to come back")
	} else {
		mustBeProblem(t, a, 503)
	}
	b.fails = errors.New("it crashed")
	mustBeProblem(t, s.Do("POST", "/api/v1/widgets/site/try", map[string]any{"packet": good}), 500)
	nothingDialled(t, s)
}
