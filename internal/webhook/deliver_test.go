package webhook_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/jobs"
	"github.com/perezvon/perezvon/internal/store"
	"github.com/perezvon/perezvon/internal/store/storetest"
	"github.com/perezvon/perezvon/internal/webhook"
)

func stop(t *testing.T, j *jobs.Service) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := j.Stop(ctx); err != nil {
		t.Error("stop:", err)
	}
}

// waitFor waits until the receiver has n requests.
func (r *receiver) waitFor(t *testing.T, n int) []got {
	t.Helper()
	timeout := time.After(2 * time.Minute)
	for {
		if all := r.all(); len(all) >= n {
			return all
		}
		select {
		case <-r.came:
		case <-timeout:
			t.Fatalf("%d requests came, want %d", len(r.all()), n)
		}
	}
}

// talk is a callback whose first trunk to the client fails.
func talk(at time.Time) []call.Event {
	after := func(s float64) time.Time { return at.Add(time.Duration(s * float64(time.Second))) }
	return []call.Event{
		{At: after(0.1), Type: call.Dialing, Leg: "m1", Role: call.Manager, Operator: "101", CallerID: "+74950000000", TimeoutMS: 30000},
		{At: after(4), Type: call.Answered, Leg: "m1", Role: call.Manager, Operator: "101", Codec: "PCMA", ElapsedMS: 3900},
		{At: after(4), Type: call.RecordingStarted},
		{At: after(10), Type: call.Dialing, Leg: "c1", Role: call.Client, Number: "+79161234567", Trunk: "spare", CallerID: "+74950000000", TimeoutMS: 45000},
		{At: after(10.25), Type: call.DialFailed, Leg: "c1", Role: call.Client, Trunk: "spare", SIPCode: 503, Reason: "Service Unavailable", ElapsedMS: 250},
		{At: after(10.25), Type: call.Dialing, Leg: "c2", Role: call.Client, Number: "+79161234567", Trunk: "main", CallerID: "+74950000000", TimeoutMS: 45000},
		{At: after(16.5), Type: call.Answered, Leg: "c2", Role: call.Client, Number: "+79161234567", Codec: "PCMA", ElapsedMS: 6250},
		{At: after(16.5), Type: call.Joined, Leg: "m1", Other: "c2"},
		{At: after(76.625), Type: call.Parted, Leg: "m1", Other: "c2"},
		{At: after(77), Type: call.Ended, Status: &call.Completed},
	}
}

func TestBackendsAreToldTheLogEachEventAndTheResult(t *testing.T) {
	told(t, storetest.Open(t))
}

func told(t *testing.T, s *store.Store) {
	r := newReceiver()
	server := httptest.NewServer(r)
	defer server.Close()
	w := newService(t, s, webhook.NewClient(loopback))
	j := work(t, s, w)
	defer stop(t, j)

	n := create(t, s, server.URL)
	c, err := s.Call(t.Context(), storetest.Mine, n.CallID)
	if err != nil {
		t.Fatal(err)
	}
	// log_url and the first event are told before anything else has happened.
	r.waitFor(t, 2)
	events := talk(c.StartedAt)
	add(t, s, n.CallID, events...)
	r.waitFor(t, 2+len(events)+1)
	add(t, s, n.CallID, call.Event{Type: call.RecordingState, Recording: call.RecordingReady, DurationS: 60.125})
	all := r.waitFor(t, 2+len(events)+1+2)

	byPath := make(map[string][]got)
	for _, g := range all {
		byPath[g.path] = append(byPath[g.path], g)
		secrets, err := w.Secrets(t.Context(), storetest.Mine)
		if err != nil || !verifies(t, g, secrets[0].Secret) || g.Get("Content-Type") != "application/json" {
			t.Error(g.Header, err)
		}
	}
	started := c.StartedAt.Format("2006-01-02T15:04:05.000Z")
	at := func(d time.Duration) string { return c.StartedAt.Add(d).Format("2006-01-02T15:04:05.000Z") }
	logURL := "https://pbx.example.com/calls/" + n.CallID
	sameJSON(t, byPath["/log"][0].body, map[string]any{
		"type": "log", "call_id": n.CallID, "id": n.ID, "attempt": 1.0, "client": "+79161234567", "started_at": started, "log_url": logURL,
	})
	if len(byPath["/log"]) != 1 || len(byPath["/events"]) != len(events)+2 || len(byPath["/status"]) != 2 {
		t.Errorf("%d of log, %d events, %d of status", len(byPath["/log"]), len(byPath["/events"]), len(byPath["/status"]))
	}
	for i, g := range byPath["/events"] {
		if g.seq(t) != int64(i+1) {
			t.Errorf("event %d came as number %d", g.seq(t), i+1)
		}
	}
	sameJSON(t, byPath["/events"][5].body, map[string]any{
		"seq": 6.0, "at": at(10250 * time.Millisecond), "call_id": n.CallID, "id": n.ID, "type": "leg.failed", "leg": "c1", "role": "client", "trunk": "spare",
		"sip_code": 503.0, "reason": "Service Unavailable", "elapsed_ms": 250.0,
	})
	expires := c.StartedAt.Add(77*time.Second + 30*24*time.Hour).Truncate(time.Second)
	want := map[string]any{
		"type": "status", "call_id": n.CallID, "id": n.ID, "attempt": 1.0, "revision": 1.0,
		"status": map[string]any{"code": 200.0, "slug": "completed"}, "client": "+79161234567", "manager": "101", "client_answered": true,
		"started_at": started, "answered_at": at(4 * time.Second), "joined_at": at(16500 * time.Millisecond), "ended_at": at(77 * time.Second),
		"duration_s": 77.0, "manager_wait_s": 12.5, "talk_s": 60.125, "next_attempt_at": nil,
		"dials": []any{
			map[string]any{"leg": "m1", "role": "manager", "operator": "101", "caller_id": "+74950000000", "outcome": "answered", "elapsed_ms": 3900.0},
			map[string]any{"leg": "c1", "role": "client", "number": "+79161234567", "trunk": "spare", "caller_id": "+74950000000", "outcome": "failed", "sip_code": 503.0, "reason": "Service Unavailable", "elapsed_ms": 250.0},
			map[string]any{"leg": "c2", "role": "client", "number": "+79161234567", "trunk": "main", "caller_id": "+74950000000", "outcome": "answered", "elapsed_ms": 6250.0},
		},
		"recording": map[string]any{
			"state": "rendering", "url": fmt.Sprintf("https://pbx.example.com/r/%s?expires=%d", n.CallID, expires.Unix()),
			"expires_at": expires.Format("2006-01-02T15:04:05.000Z"), "duration_s": nil,
		},
		"log_url": logURL,
	}
	sameJSON(t, byPath["/status"][0].body, want)
	want["revision"] = 2.0
	recording := want["recording"].(map[string]any)
	recording["state"], recording["duration_s"] = "ready", 60.125
	sameJSON(t, byPath["/status"][1].body, want)
}

func sameJSON(t *testing.T, body []byte, want map[string]any) {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestACallThatReachedNobodyIsToldWithoutTimesAndRecording(t *testing.T) {
	s := storetest.Open(t)
	r := newReceiver()
	w := newService(t, s, &http.Client{Transport: r})
	follow(s, w)
	n := create(t, s, "https://example.com")
	add(t, s, n.CallID,
		call.Event{Type: call.Dialing, Leg: "m1", Role: call.Manager, Number: "+74951234567", Trunk: "main"},
		call.Event{Type: call.Ended, Status: &call.Interrupted, Reason: "the server died during the call"})
	drain(t, s, w, lane(n, webhook.KindStatus))
	var m map[string]any
	if err := json.Unmarshal(r.all()[0].body, &m); err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string]any{
		"status": map[string]any{"code": 712.0, "slug": "interrupted"}, "reason": "the server died during the call",
		"manager": nil, "client_answered": false, "answered_at": nil, "joined_at": nil, "manager_wait_s": 0.0, "talk_s": 0.0,
		"dials":     []any{map[string]any{"leg": "m1", "role": "manager", "number": "+74951234567", "trunk": "main", "outcome": "interrupted", "elapsed_ms": 0.0}},
		"recording": map[string]any{"state": "none", "url": nil, "expires_at": nil, "duration_s": nil},
	} {
		if d := cmp.Diff(want, m[field]); d != "" {
			t.Errorf("%s: -want +got:\n%s", field, d)
		}
	}
}

// status_url knows whether, and when, the callback is tried again.
func TestTheResultTellsWhenTheNextAttemptIsPlanned(t *testing.T) {
	s := storetest.Open(t)
	r := newReceiver()
	w := newService(t, s, &http.Client{Transport: r})
	follow(s, w)
	if _, err := s.PutWidget(t.Context(), storetest.Mine, directory.Widget{Name: "site", RecallIntervals: []directory.Duration{directory.Duration(time.Hour)}}); err != nil {
		t.Fatal(err)
	}
	n := storetest.NewCallback("+79161234567")
	n.Packet.Widget, n.Packet.StatusURL = "site", "https://example.com/status"
	if _, err := s.CreateCallback(n); err != nil {
		t.Fatal(err)
	}
	add(t, s, n.CallID, call.Event{Type: call.Ended, Status: &call.ClientBusy})
	drain(t, s, w, lane(n, webhook.KindStatus))
	planned, err := s.Callback(t.Context(), storetest.Mine, n.ID)
	if err != nil || planned.NextAttemptAt == nil {
		t.Fatal(planned, err)
	}
	var m struct {
		NextAttemptAt string `json:"next_attempt_at"`
	}
	if err := json.Unmarshal(r.all()[0].body, &m); err != nil {
		t.Fatal(err)
	}
	if want := planned.NextAttemptAt.Format("2006-01-02T15:04:05.000Z"); m.NextAttemptAt != want {
		t.Errorf("told %q, planned for %s", m.NextAttemptAt, want)
	}
}

func TestTheResultIsToldAgainWhateverBecameOfTheRecording(t *testing.T) {
	s := storetest.Open(t)
	r := newReceiver()
	w := newService(t, s, &http.Client{Transport: r})
	follow(s, w)
	for _, state := range []string{call.RecordingReady, call.RecordingFailed, call.RecordingNone} {
		n := create(t, s, "https://example.com")
		add(t, s, n.CallID, talk(time.Now())...)
		add(t, s, n.CallID, call.Event{Type: call.RecordingState, Recording: state})
		drain(t, s, w, lane(n, webhook.KindStatus))
		var m struct {
			Revision  int
			Recording struct {
				State string
				URL   *string
			}
		}
		all := r.all()
		if err := json.Unmarshal(all[len(all)-1].body, &m); err != nil {
			t.Fatal(err)
		}
		if m.Revision != 2 || m.Recording.State != state || (m.Recording.URL != nil) != (state == call.RecordingReady) {
			t.Errorf("%s: %+v", state, m)
		}
	}
}

func TestOnlyWhoIsNamedIsTold(t *testing.T) {
	s := storetest.Open(t)
	w := newService(t, s, http.DefaultClient)
	follow(s, w)
	silent := storetest.Create(t, s, "+79161234567")
	add(t, s, silent.CallID, talk(time.Now())...)
	inbound := call.NewID()
	add(t, s, inbound, call.Event{Type: call.Created, Account: storetest.Mine, Direction: call.Inbound}, call.Event{Type: call.Ended, Status: &call.Completed})
	n := storetest.NewCallback("+79161234567")
	n.Packet.StatusURL = "https://example.com/"
	if _, err := s.CreateCallback(n); err != nil {
		t.Fatal(err)
	}
	add(t, s, n.CallID, call.Event{Type: call.Ended, Status: &call.ManagerBusy})
	all, _, err := s.Deliveries(t.Context(), storetest.Mine, store.Page{}, store.DeliveryFilter{})
	if err != nil || len(all) != 1 || all[0].Kind != webhook.KindStatus || all[0].CallID != n.CallID {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestASlowReceiverDelaysNeitherItsCallNorTheDeliveriesOfOthers(t *testing.T) {
	s := storetest.Open(t)
	hang := make(chan struct{})
	asleep := newReceiver()
	asleep.answer = func(_ int, r *http.Request) *http.Response {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
		return nil
	}
	slow, awake := httptest.NewServer(asleep), newReceiver()
	defer slow.Close()
	defer close(hang)
	quick := httptest.NewServer(awake)
	defer quick.Close()
	w := newService(t, s, webhook.NewClient(loopback))
	j := work(t, s, w)
	defer func() {
		cancelled, cancel := context.WithCancel(context.Background())
		cancel()
		if err := j.Stop(cancelled); err != nil {
			t.Error(err)
		}
	}()
	for range 40 {
		n := create(t, s, slow.URL)
		add(t, s, n.CallID, call.Event{Type: call.Ended, Status: &call.ManagerBusy})
	}
	asleep.waitFor(t, 1)
	n := create(t, s, quick.URL)
	add(t, s, n.CallID, talk(time.Now())...)
	awake.waitFor(t, 13)
	// All this while nothing came back from the slow one.
	done, _, err := s.Deliveries(t.Context(), storetest.Mine, store.Page{}, store.DeliveryFilter{State: store.DeliveryDone})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range done {
		if d.CallID != n.CallID {
			t.Errorf("the slow receiver has taken %+v", d)
		}
	}
}

// meets is a Service to which an event comes at the worst moment: a job has
// just been told that nothing waits.
type meets struct {
	*webhook.Service

	add func(store.Lane)
}

func (m *meets) Send(ctx context.Context, l store.Lane) (time.Duration, bool, error) {
	wait, more, err := m.Service.Send(ctx, l)
	if !more && err == nil {
		m.add(l)
	}
	return wait, more, err
}

func TestAnEventThatMeetsTheEndOfItsJobIsTold(t *testing.T) {
	met(t, storetest.Open(t))
}

func met(t *testing.T, s *store.Store) {
	r := newReceiver()
	server := httptest.NewServer(r)
	defer server.Close()
	var added atomic.Int32
	m := &meets{Service: newService(t, s, webhook.NewClient(loopback)), add: func(l store.Lane) {
		if added.Add(1) <= 3 {
			add(t, s, l.CallID, call.Event{Type: call.Note})
		}
	}}
	j := work(t, s, m)
	defer stop(t, j)
	n := storetest.NewCallback("+79161234567")
	n.Packet.EventsURL = server.URL
	if _, err := s.CreateCallback(n); err != nil {
		t.Fatal(err)
	}
	for i, g := range r.waitFor(t, 4) {
		if g.seq(t) != int64(i+1) {
			t.Errorf("event %d came as number %d", g.seq(t), i+1)
		}
	}
}

func TestTheEventsOfManyCallsComeOnceAndInOrder(t *testing.T) {
	many(t, storetest.Open(t))
}

// many appends events at moments when the lane's job is about to end.
func many(t *testing.T, s *store.Store) {
	r := newReceiver()
	server := httptest.NewServer(r)
	defer server.Close()
	w := newService(t, s, webhook.NewClient(loopback))
	j := work(t, s, w)
	defer stop(t, j)
	const calls, events = 4, 30
	var writers sync.WaitGroup
	for range calls {
		n := create(t, s, server.URL)
		writers.Go(func() {
			for range events {
				s.Journal().Append(call.Event{CallID: n.CallID, Type: call.Note})
				select {
				case <-r.came: // one has just been delivered: its job asks whether there is more
				case <-time.After(time.Second):
				}
			}
		})
	}
	writers.Wait()
	all := r.waitFor(t, calls*(events+2))
	last := make(map[string]int64)
	for _, g := range all {
		if g.path != "/events" {
			continue
		}
		var e call.Event
		if err := json.Unmarshal(g.body, &e); err != nil || e.Seq != last[e.CallID]+1 {
			t.Fatalf("%d after %d, %v", e.Seq, last[e.CallID], err)
		}
		last[e.CallID] = e.Seq
	}
	if len(all) != calls*(events+2) {
		t.Errorf("%d requests, want %d", len(all), calls*(events+2))
	}
}

func TestARetryByHandDoesNotWaitForTheNextTry(t *testing.T) {
	hastened(t, storetest.Open(t))
}

func hastened(t *testing.T, s *store.Store) {
	r := newReceiver()
	r.answer = func(n int, _ *http.Request) *http.Response {
		if n == 1 {
			return status(503, "Retry-After", "3600")
		}
		return nil
	}
	server := httptest.NewServer(r)
	defer server.Close()
	w := newService(t, s, webhook.NewClient(loopback))
	j := work(t, s, w)
	defer stop(t, j)
	n := storetest.NewCallback("+79161234567")
	n.Packet.EventsURL = server.URL
	if _, err := s.CreateCallback(n); err != nil {
		t.Fatal(err)
	}
	add(t, s, n.CallID, call.Event{Type: call.Note})
	first := until(t, s, n, func(d store.Delivery) bool { return d.Seq == 1 && d.Tries == 1 })
	second := until(t, s, n, func(d store.Delivery) bool { return d.Seq == 2 })
	if d := time.Until(first.NextTryAt); d < 59*time.Minute || second.Tries != 0 {
		t.Errorf("next try in %v, %+v", d, second)
	}
	// The second waits behind the first: both are tried.
	if _, err := j.RetryDelivery(t.Context(), storetest.Mine, second.ID); err != nil {
		t.Fatal(err)
	}
	all := r.waitFor(t, 3)
	if all[1].seq(t) != 1 || all[2].seq(t) != 2 || all[1].Get("webhook-id") != first.ID {
		t.Error("the order is", all[1].seq(t), all[2].seq(t))
	}
	until(t, s, n, func(d store.Delivery) bool { return d.Seq == 2 && d.State == store.DeliveryDone })
	// What was delivered may be asked for again.
	if _, err := j.RetryDelivery(t.Context(), storetest.Mine, first.ID); err != nil {
		t.Fatal(err)
	}
	if g := r.waitFor(t, 4)[3]; g.Get("webhook-id") != first.ID {
		t.Error("another was sent")
	}
	if _, err := j.RetryDelivery(t.Context(), storetest.Theirs, first.ID); err == nil {
		t.Error("another account may retry it")
	}
	until(t, s, n, func(d store.Delivery) bool { return d.Seq == 1 && d.State == store.DeliveryDone })
}

// until polls the store for a delivery of the call: there is nobody to tell us.
func until(t *testing.T, s *store.Store, n store.NewCallback, is func(store.Delivery) bool) store.Delivery {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); {
		all, _, err := s.Deliveries(t.Context(), storetest.Mine, store.Page{}, store.DeliveryFilter{CallID: n.CallID})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range all {
			if is(d) {
				return d
			}
		}
		<-time.After(20 * time.Millisecond)
	}
	t.Fatal("the delivery does not become what it should")
	return store.Delivery{}
}

func TestPostgreSQL(t *testing.T) {
	if open, ok := storetest.Postgres(t); ok {
		t.Run("told", func(t *testing.T) { told(t, open(t)) })
		t.Run("subscribed", func(t *testing.T) { subscribed(t, open(t)) })
		t.Run("many", func(t *testing.T) { many(t, open(t)) })
		t.Run("met", func(t *testing.T) { met(t, open(t)) })
		t.Run("hastened", func(t *testing.T) { hastened(t, open(t)) })
	}
}
