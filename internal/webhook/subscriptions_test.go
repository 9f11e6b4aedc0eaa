package webhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/store"
	"github.com/perezvon/perezvon/internal/store/storetest"
	"github.com/perezvon/perezvon/internal/webhook"
)

// subscribe adds a subscription at the address to the types, separated by spaces.
func subscribe(t testing.TB, w *webhook.Service, account, url, types string) (store.Webhook, string) {
	t.Helper()
	h, secret, err := w.Subscribe(t.Context(), account, directory.Webhook{URL: url, Events: strings.Fields(types)})
	if err != nil {
		t.Fatal(err)
	}
	return h, secret
}

// inbound stores an inbound call of one talk, which began at the moment.
func inbound(t testing.TB, s *store.Store, at time.Time) (id string) {
	t.Helper()
	id = call.NewID()
	after := func(d time.Duration) time.Time { return at.Add(d) }
	add(t, s, id,
		call.Event{At: at, Type: call.Created, Account: storetest.Mine, Direction: call.Inbound, Number: "+79161234567"},
		call.Event{At: after(time.Second), Type: call.Dialing, Leg: "o1", Role: call.Operator, Operator: "101"},
		call.Event{At: after(3 * time.Second), Type: call.Answered, Leg: "o1", Role: call.Operator, Operator: "101"},
		call.Event{At: after(3 * time.Second), Type: call.RecordingStarted},
		call.Event{At: after(3 * time.Second), Type: call.Joined, Leg: "o1", Other: "c1"},
		call.Event{At: after(63500 * time.Millisecond), Type: call.Parted, Leg: "o1", Other: "c1"},
		call.Event{At: after(64 * time.Second), Type: call.Ended, Status: &call.Completed})
	return id
}

// typesOf are the types that came, in order.
func typesOf(t testing.TB, list []got) string {
	t.Helper()
	var types []string
	for _, g := range list {
		var n struct{ Type string }
		if err := json.Unmarshal(g.body, &n); err != nil {
			t.Fatal(err)
		}
		types = append(types, n.Type)
	}
	return strings.Join(types, " ")
}

func TestASubscriptionIsToldTheEventsItNamesOfAllCalls(t *testing.T) {
	subscribed(t, storetest.Open(t))
}

func subscribed(t *testing.T, s *store.Store) {
	r := newReceiver()
	server := httptest.NewServer(r)
	defer server.Close()
	w := webhook.New(webhook.Config{
		Store: s, Client: webhook.NewClient(loopback), Allow: loopback,
		LogURL: func(id string) string { return "https://pbx.example.com/calls/" + id },
		RecordingURL: func(id string, at time.Time) string {
			return fmt.Sprintf("https://pbx.example.com/r/%s?%d", id, at.Unix())
		},
	})
	j := work(t, s, w)
	defer stop(t, j)
	_, secret := subscribe(t, w, storetest.Mine, server.URL+"/mine", "call.* joined")
	subscribe(t, w, storetest.Theirs, server.URL+"/theirs", "*")
	_, _, err := w.Subscribe(t.Context(), storetest.Mine, directory.Webhook{
		URL: server.URL + "/callbacks", Events: []string{"*"}, Directions: []call.Direction{call.Callback},
	})
	if err != nil {
		t.Fatal(err)
	}

	begun := time.Now().UTC().Truncate(time.Millisecond).Add(-time.Minute)
	id := inbound(t, s, begun)
	all := r.waitFor(t, 3)
	add(t, s, id, call.Event{Type: call.RecordingState, Recording: call.RecordingReady, DurationS: 60})
	if types := typesOf(t, all); types != "call.created joined call.ended" {
		t.Fatal(types)
	}
	for _, g := range all {
		if g.path != "/mine" || !verifies(t, g, secret) || g.Get("Content-Type") != "application/json" {
			t.Error(g.path, g.Header)
		}
	}
	at := func(d time.Duration) string { return begun.Add(d).Format("2006-01-02T15:04:05.000Z") }
	expires := begun.Add(64*time.Second + 30*24*time.Hour).Truncate(time.Second)
	sameJSON(t, all[2].body, map[string]any{
		"type": "call.ended", "version": 1.0, "timestamp": at(64 * time.Second),
		"data": map[string]any{
			"event": map[string]any{
				"seq": 7.0, "at": at(64 * time.Second), "call_id": id, "type": "call.ended", "status": map[string]any{"code": 200.0, "slug": "completed"},
			},
			"call": map[string]any{
				"id": id, "direction": "inbound", "callback_id": nil, "status": map[string]any{"code": 200.0, "slug": "completed"},
				"client": "+79161234567", "responsible": "101", "started_at": at(0), "answered_at": at(3 * time.Second), "joined_at": at(3 * time.Second),
				"ended_at": at(64 * time.Second), "duration_s": 64.0, "talk_s": 60.5,
				"stages":     []any{map[string]any{"operator": "101", "from": at(3 * time.Second), "to": at(63500 * time.Millisecond), "outcome": "done"}},
				"recording":  map[string]any{"state": "rendering", "url": fmt.Sprintf("https://pbx.example.com/r/%s?%d", id, expires.Unix()), "expires_at": expires.Format("2006-01-02T15:04:05.000Z"), "duration_s": nil},
				"transcript": map[string]any{"state": "none"}, "log_url": "https://pbx.example.com/calls/" + id,
			},
		},
	})
	var joined struct {
		Data struct {
			Call struct {
				Status   *call.Status
				EndedAt  *string `json:"ended_at"`
				TalkS    float64 `json:"talk_s"`
				Duration float64 `json:"duration_s"`
			}
		}
	}
	if err := json.Unmarshal(all[1].body, &joined); err != nil {
		t.Fatal(err)
	}
	if c := joined.Data.Call; c.Status != nil || c.EndedAt != nil || c.TalkS != 0 || c.Duration != 3 {
		t.Errorf("a live call: %s", all[1].body)
	}
	for _, l := range []struct{ account, lanes string }{{storetest.Mine, "3"}, {storetest.Theirs, "0"}} {
		list, _, err := s.Deliveries(t.Context(), l.account, store.Page{}, store.DeliveryFilter{})
		if err != nil || fmt.Sprint(len(list)) != l.lanes {
			t.Errorf("%s: %d deliveries, %v", l.account, len(list), err)
		}
	}
}

// fixture is a store whose subscriptions are sent by the test, in virtual time.
type fixture struct {
	*store.Store
	w *webhook.Service
	r *receiver
}

func newFixture(t *testing.T, answer func(n int, r *http.Request) *http.Response) fixture {
	t.Helper()
	f := fixture{Store: storetest.Open(t), r: newReceiver()}
	f.r.answer = answer
	f.w = newService(t, f.Store, &http.Client{Transport: f.r, Timeout: 15 * time.Second})
	follow(f.Store, f.w)
	return f
}

func laneOf(h store.Webhook, callID string) store.Lane {
	return store.Lane{Account: h.Account, CallID: callID, Kind: h.Kind()}
}

func asked(context.Context, *store.Tx, store.Lane) error { return nil }

func TestADeadReceiverDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(_ int, r *http.Request) *http.Response {
			if r.URL.Host == "dead.example.com" {
				return nil
			}
			return status(200)
		})
		dead, _ := subscribe(t, f.w, storetest.Mine, "https://dead.example.com/dead", "*")
		well, _ := subscribe(t, f.w, storetest.Mine, "https://well.example.com/well", "*")
		id := inbound(t, f.Store, time.Now())
		if wait, more, err := f.w.Send(t.Context(), laneOf(dead, id)); wait < 4*time.Second || !more || err != nil {
			t.Error(wait, more, err)
		}
		if waits := drain(t, f.Store, f.w, laneOf(well, id)); len(waits) != 0 {
			t.Error(waits)
		}
		if types := typesOf(t, f.r.all()[1:]); types != "call.created leg.dialing leg.answered recording.started joined parted call.ended" {
			t.Error(types)
		}
	})
}

func TestBothSecretsSignWhileASubscriptionsIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		h, old := subscribe(t, f.w, storetest.Mine, "https://example.com", "call.ended")
		other, others := subscribe(t, f.w, storetest.Mine, "https://example.com", "call.ended")
		send := func(h store.Webhook) got {
			id := inbound(t, f.Store, time.Now())
			drain(t, f.Store, f.w, laneOf(h, id))
			return f.r.all()[len(f.r.all())-1]
		}
		fresh, err := f.w.RotateSubscription(t.Context(), storetest.Mine, h.ID)
		if err != nil {
			t.Fatal(err)
		}
		g := send(h)
		if n := len(strings.Fields(g.Get("webhook-signature"))); n != 2 || !verifies(t, g, old) || !verifies(t, g, fresh) || verifies(t, g, others) {
			t.Error(n, g.Header)
		}
		if g := send(other); !verifies(t, g, others) || verifies(t, g, fresh) {
			t.Error("the other's", g.Header)
		}
		passed(t, f.Store, fmt.Sprintf(`UPDATE webhook_secrets SET ends_at = ends_at - %d`, webhook.Overlap.Milliseconds()))
		time.Sleep(time.Second)
		if g := send(h); verifies(t, g, old) || !verifies(t, g, fresh) {
			t.Error("a day later", g.Header)
		}
		if _, err := f.w.RotateSubscription(t.Context(), storetest.Theirs, h.ID); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
	})
}

// failedFor lets the subscription have failed for so long.
func (f fixture) failedFor(t *testing.T, d time.Duration) {
	t.Helper()
	passed(t, f.Store, fmt.Sprintf(`UPDATE webhooks SET failing_since = %d WHERE failing_since IS NOT NULL`, time.Now().Add(-d).UnixMilli()))
}

func (f fixture) hook(t *testing.T, id string) store.Webhook {
	t.Helper()
	h, err := f.w.Subscription(t.Context(), storetest.Mine, id)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestAfterFiveDaysOfFailuresASubscriptionIsDisabledAndSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := status(503)
		f := newFixture(t, func(int, *http.Request) *http.Response { return answer })
		h, _ := subscribe(t, f.w, storetest.Mine, "https://example.com", "*")
		send := func() string {
			id := inbound(t, f.Store, time.Now())
			if _, _, err := f.w.Send(t.Context(), laneOf(h, id)); err != nil {
				t.Fatal(err)
			}
			return id
		}
		send()
		f.failedFor(t, webhook.PatienceDays*24*time.Hour-time.Minute)
		send()
		if h := f.hook(t, h.ID); !h.On() || h.FailingSince.IsZero() {
			t.Errorf("almost five days: %+v", h)
		}
		answer = status(422) // it lives, but wants none of it
		send()
		f.failedFor(t, webhook.PatienceDays*24*time.Hour+time.Minute)
		send()
		if h := f.hook(t, h.ID); !h.On() {
			t.Errorf("a receiver that judges bodies lives: %+v", h)
		}
		answer = status(200)
		send()
		if h := f.hook(t, h.ID); !h.FailingSince.IsZero() {
			t.Errorf("after a success: %+v", h)
		}
		answer = nil
		send()
		f.failedFor(t, webhook.PatienceDays*24*time.Hour)
		send()
		if h := f.hook(t, h.ID); h.On() || !strings.Contains(h.DisabledReason, "nothing has got through since") || !strings.Contains(h.DisabledReason, "connection refused") {
			t.Errorf("after five days: %+v", h)
		}
		waiting, _, err := f.Deliveries(t.Context(), storetest.Mine, store.Page{}, store.DeliveryFilter{State: store.DeliveryWaiting})
		if len(waiting) != 0 || err != nil {
			t.Errorf("%d wait, %v", len(waiting), err)
		}
		before := len(f.r.all())
		id := send()
		if all := list(t, f.Store, laneOf(h, id)); len(all) != 0 || len(f.r.all()) != before {
			t.Errorf("it is still told: %+v", all)
		}
		on := h.Webhook
		if _, err := f.w.ChangeSubscription(t.Context(), storetest.Mine, h.ID, on); err != nil {
			t.Fatal(err)
		}
		if h := f.hook(t, h.ID); !h.On() || h.DisabledReason != "" || !h.FailingSince.IsZero() {
			t.Errorf("enabled again: %+v", h)
		}
	})
}

func TestAReceiverThatIsGoneIsDisabledAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		s, r := storetest.Open(t), newReceiver()
		r.answer = func(int, *http.Request) *http.Response { return status(410) }
		w := webhook.New(webhook.Config{
			Store: s, Client: &http.Client{Transport: r}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
			LogURL: func(string) string { return "" }, RecordingURL: func(string, time.Time) string { return "" },
		})
		follow(s, w)
		h, _ := subscribe(t, w, storetest.Mine, "https://example.com/?key=secret", "*")
		id := inbound(t, s, time.Now())
		drain(t, s, w, laneOf(h, id))
		now, err := w.Subscription(t.Context(), storetest.Mine, h.ID)
		if err != nil || now.On() || now.DisabledReason != "the receiver has answered 410 Gone" || len(r.all()) != 1 {
			t.Errorf("%d requests, %+v, %v", len(r.all()), now, err)
		}
		if text := log.String(); !strings.Contains(text, "webhook disabled") || !strings.Contains(text, h.ID) || strings.Contains(text, "secret") {
			t.Error(text)
		}
		// Enabled again it gets what it missed.
		if _, err := w.ChangeSubscription(t.Context(), storetest.Mine, h.ID, h.Webhook); err != nil {
			t.Fatal(err)
		}
		r.answer = nil
		n, next, err := w.ReplaySpan(t.Context(), storetest.Mine, h.ID, webhook.Span{From: time.Now().Add(-time.Hour), Until: time.Now().Add(time.Hour), Missing: true}, asked)
		if n != 7 || next != "" || err != nil {
			t.Error(n, next, err)
		}
		drain(t, s, w, laneOf(h, id))
		if types := typesOf(t, r.all()[1:]); types != "call.created leg.dialing leg.answered recording.started joined parted call.ended" {
			t.Error(types)
		}
	})
}

func TestAChangeIsSeenByTheNextEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		h, _ := subscribe(t, f.w, storetest.Mine, "https://old.example.com", "call.created")
		id := inbound(t, f.Store, time.Now())
		changed := h.Webhook
		changed.URL, changed.Events = "https://new.example.com/new", []string{"note"}
		if _, err := f.w.ChangeSubscription(t.Context(), storetest.Mine, h.ID, changed); err != nil {
			t.Fatal(err)
		}
		add(t, f.Store, id, call.Event{Type: call.Note})
		drain(t, f.Store, f.w, laneOf(h, id))
		if all := f.r.all(); typesOf(t, all) != "call.created note" || all[0].path != "/new" {
			t.Errorf("%+v", all)
		}
		if err := f.w.Unsubscribe(t.Context(), storetest.Mine, h.ID); err != nil {
			t.Fatal(err)
		}
		add(t, f.Store, id, call.Event{Type: call.Note})
		if all := list(t, f.Store, laneOf(h, id)); len(all) != 2 {
			t.Errorf("told after the end: %+v", all)
		}
	})
}

// What was stored just before a subscription ended is not sent after it.
func TestNothingIsSentToASubscriptionThatHasEnded(t *testing.T) {
	for _, end := range []string{`DELETE FROM webhooks`, `UPDATE webhooks SET enabled = 0`} {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, nil)
			h, _ := subscribe(t, f.w, storetest.Mine, "https://example.com", "*")
			id := inbound(t, f.Store, time.Now())
			passed(t, f.Store, end)
			drain(t, f.Store, f.w, laneOf(h, id))
			all := list(t, f.Store, laneOf(h, id))
			if len(f.r.all()) != 0 || states(all) != "dead dead dead dead dead dead dead" || !strings.HasPrefix(all[6].LastError, "not sent: ") {
				t.Errorf("%s: %d requests, %+v", end, len(f.r.all()), all)
			}
		})
	}
}

func TestATestTellsWhatTheReceiverAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(n int, r *http.Request) *http.Response {
			switch n {
			case 1:
				return status(204)
			case 2:
				return status(401)
			case 3:
				<-r.Context().Done() // its answer comes too late
				return status(200)
			}
			return nil
		})
		off := false
		h, secret, err := f.w.Subscribe(t.Context(), storetest.Mine, directory.Webhook{URL: "https://example.com/t", Events: []string{"*"}, Enabled: &off})
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []webhook.Tested{
			{Delivered: true, Status: 204}, {Status: 401, Error: "401 Unauthorized"}, {Error: "no answer in time", Elapsed: 15 * time.Second},
			{Error: "dial tcp 192.0.2.1:80: connection refused"},
		} {
			got, err := f.w.Test(t.Context(), storetest.Mine, h.ID)
			if err != nil || got != want {
				t.Errorf("%+v, %v; want %+v", got, err, want)
			}
		}
		g := f.r.all()[0]
		if !verifies(t, g, secret) || g.path != "/t" {
			t.Error(g.Header)
		}
		sameJSON(t, g.body, map[string]any{
			"type": "webhook.test", "version": 1.0, "timestamp": g.at.UTC().Format("2006-01-02T15:04:05.000Z"), "data": map[string]any{"webhook": h.ID},
		})
		if _, err := f.w.Test(t.Context(), storetest.Theirs, h.ID); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
	})
}

func TestAReplayHasAnIDOfItsOwnAndTheSameBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		h, _ := subscribe(t, f.w, storetest.Mine, "https://example.com/hook", "call.ended")
		id := inbound(t, f.Store, time.Now())
		l := laneOf(h, id)
		drain(t, f.Store, f.w, l)
		first := list(t, f.Store, l)[0]
		again, err := f.w.Replay(t.Context(), storetest.Mine, first.ID, asked)
		if err != nil || again.State != store.DeliveryWaiting || again.Copy != 1 {
			t.Fatalf("%+v, %v", again, err)
		}
		drain(t, f.Store, f.w, l)
		all := f.r.all()
		if len(all) != 2 || string(all[0].body) != string(all[1].body) || all[0].Get("webhook-id") == all[1].Get("webhook-id") {
			t.Errorf("%+v", all)
		}
		if states(list(t, f.Store, l)) != "delivered delivered" {
			t.Error("the log lost the first")
		}
		// What a packet's address was told can be replayed too.
		n := create(t, f.Store, "https://example.com")
		drain(t, f.Store, f.w, lane(n, webhook.KindLog))
		if _, err := f.w.Replay(t.Context(), storetest.Mine, list(t, f.Store, lane(n, webhook.KindLog))[0].ID, asked); err != nil {
			t.Error(err)
		}
		drain(t, f.Store, f.w, lane(n, webhook.KindLog))
		if all := f.r.all(); len(all) != 4 || all[2].path != "/log" || all[3].path != "/log" {
			t.Errorf("%d requests", len(all))
		}
		// A CRM would do it twice.
		crm := store.Delivery{Lane: store.Lane{Account: storetest.Mine, CallID: id, Kind: "crm"}, ID: call.NewID(), Seq: 1, CreatedAt: time.Now()}
		if _, err := f.ReplayDeliveries(t.Context(), []store.Delivery{crm}, false, asked); err != nil {
			t.Fatal(err)
		}
		off := h.Webhook
		off.Enabled = new(bool)
		if _, err := f.w.ChangeSubscription(t.Context(), storetest.Mine, h.ID, off); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			account, id string
			want        error
		}{
			{storetest.Mine, crm.ID, webhook.ErrNotReplayable}, {storetest.Theirs, first.ID, store.ErrNotFound}, {storetest.Mine, first.ID, webhook.ErrDisabled},
		} {
			if _, err := f.w.Replay(t.Context(), tt.account, tt.id, asked); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		}
	})
}

func TestASpanOfTimeIsReplayedAlsoWhatWasBeforeTheSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		at := time.Now().Add(-time.Hour)
		var calls []string
		for i := range 3 {
			calls = append(calls, inbound(t, f.Store, at.Add(time.Duration(i)*10*time.Minute)))
		}
		h, _ := subscribe(t, f.w, storetest.Mine, "https://example.com", "call.*")
		replay := func(from, until time.Duration, missing bool) int {
			t.Helper()
			n, next, err := f.w.ReplaySpan(t.Context(), storetest.Mine, h.ID, webhook.Span{From: at.Add(from), Until: at.Add(until), Missing: missing}, asked)
			if err != nil || next != "" {
				t.Fatal(next, err)
			}
			return n
		}
		// From the end of the first call to before the end of the last.
		if n := replay(64*time.Second, 20*time.Minute+64*time.Second, false); n != 4 {
			t.Errorf("%d events, want 4", n)
		}
		for _, id := range calls {
			drain(t, f.Store, f.w, laneOf(h, id))
		}
		if types := typesOf(t, f.r.all()); types != "call.ended call.created call.ended call.created" {
			t.Error(types)
		}
		if n := replay(0, time.Hour, true); n != 2 {
			t.Errorf("%d were missing, want 2", n)
		}
		if n := replay(0, time.Hour, false); n != 6 {
			t.Errorf("%d in all, want 6", n)
		}
		// A body of then, made now, is that of then.
		live := inbound(t, f.Store, time.Now())
		if n := replay(59*time.Minute, 2*time.Hour, false); n != 2 {
			t.Errorf("%d of the live one, want 2", n)
		}
		all := list(t, f.Store, laneOf(h, live))
		if len(all) != 4 || string(all[0].Body) != string(all[2].Body) && string(all[0].Body) != string(all[1].Body) {
			t.Errorf("%d, %s\n%s", len(all), all[0].Body, all[1].Body)
		}

		for field, span := range map[string]webhook.Span{
			"from": {Until: at}, "until": {From: at, Until: at}, "cursor": {From: at, Until: at.Add(1), Cursor: "?"},
		} {
			var fields invalid.Error
			_, _, err := f.w.ReplaySpan(t.Context(), storetest.Mine, h.ID, span, asked)
			if !errors.As(err, &fields) || !slices.ContainsFunc(fields, func(f invalid.Field) bool { return f.Path == field }) {
				t.Errorf("%s: %v", field, err)
			}
		}
		if _, _, err := f.w.ReplaySpan(t.Context(), storetest.Theirs, h.ID, webhook.Span{From: at, Until: at.Add(1)}, asked); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
	})
}
