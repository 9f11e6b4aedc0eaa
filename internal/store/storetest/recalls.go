package storetest

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/store"
)

// site stores a widget that calls again after 5 and 15 minutes, and makes a
// request through it.
func site(t testing.TB, s *store.Store) store.NewCallback {
	t.Helper()
	w := directory.Widget{Name: "site", RecallIntervals: []directory.Duration{
		directory.Duration(5 * time.Minute), directory.Duration(15 * time.Minute),
	}}
	if _, err := s.PutWidget(t.Context(), Mine, w); err != nil {
		t.Fatal(err)
	}
	n := NewCallback("+79161234567")
	n.Packet.Widget = w.Name
	if _, err := s.CreateCallback(n); err != nil {
		t.Fatal(err)
	}
	return n
}

func record(t testing.TB, s *store.Store, id string) callback.Record {
	t.Helper()
	r, err := s.Callback(t.Context(), Mine, id)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// planned is the callback's next attempt, which must be in about that time.
func planned(t testing.TB, s *store.Store, id string, in time.Duration) store.Recall {
	t.Helper()
	r := record(t, s, id)
	if r.State != callback.StateScheduled || r.NextAttemptAt == nil || (time.Until(*r.NextAttemptAt)-in).Abs() > 20*time.Second {
		t.Fatalf("%s, next attempt at %v; want one in %v", r.State, r.NextAttemptAt, in)
	}
	return store.Recall{Account: Mine, CallbackID: id, At: *r.NextAttemptAt}
}

func exerciseRecalls(t *testing.T, s *store.Store) {
	ctx := t.Context()
	n := site(t, s)
	appendAll(t, s,
		call.Event{CallID: n.CallID, Type: call.Dialing, Leg: "m1"},
		call.Event{CallID: n.CallID, Type: call.Ended, Status: &call.ManagerBusy})
	first := planned(t, s, n.ID, 5*time.Minute)
	events, err := s.Events(ctx, Mine, n.CallID, 2)
	same(t, []call.Event{{Seq: 3, At: events[0].At, CallID: n.CallID, Type: call.Ended, Status: &call.ManagerBusy, NextAttemptAt: &first.At}}, events, err)

	// It is due at its time, not before.
	due, err := s.DueRecalls(ctx, first.At.Add(-time.Millisecond), 10)
	same(t, nil, due, err)
	due, err = s.DueRecalls(ctx, first.At, 10)
	first.Widget = "site"
	same(t, []store.Recall{first}, due, err)

	// Whoever moves it makes what was known of it stale.
	later := first.At.Add(time.Hour)
	fails(t, s.MoveRecall(first, later), nil)
	fails(t, s.MoveRecall(first, later), store.ErrNotScheduled)
	_, err = s.StartRecall(first, call.NewID())
	fails(t, err, store.ErrNotScheduled)
	first.At = later
	theirs := first
	theirs.Account = Theirs
	_, err = s.StartRecall(theirs, call.NewID())
	fails(t, err, store.ErrNotScheduled)

	// Of many who start it, one does.
	order := startOne(t, s, first)
	same(t, store.Order{Account: Mine, CallbackID: n.ID, CallID: order.CallID, Attempt: 2, Packet: n.Packet}, order, nil)
	r := record(t, s, n.ID)
	same(t, callback.Record{
		ID: n.ID, Account: Mine, State: callback.StateQueued, Client: n.Packet.Client, Packet: n.Packet, CreatedAt: r.CreatedAt,
		Attempts: []callback.Attempt{{Attempt: 1, CallID: n.CallID, Status: call.ManagerBusy}, {Attempt: 2, CallID: order.CallID}},
	}, r, nil)
	events, err = s.Events(ctx, Mine, order.CallID, 0)
	same(t, []call.Event{{
		Seq: 1, At: events[0].At, CallID: order.CallID, Type: call.Created, Direction: call.Callback, CallbackID: n.ID,
		Widget: "site", Attempt: 2, Number: n.Packet.Client,
	}}, events, err)
	orders, err := s.Queued(ctx)
	same(t, []store.Order{order}, orders, err)

	// The second attempt is interrupted, the third is the last.
	appendAll(t, s,
		call.Event{CallID: order.CallID, Type: call.Dialing, Leg: "m1"},
		call.Event{CallID: order.CallID, Type: call.Ended, Status: &call.Interrupted})
	order = startOne(t, s, planned(t, s, n.ID, 15*time.Minute))
	same(t, 3, order.Attempt, nil)
	appendAll(t, s, call.Event{CallID: order.CallID, Type: call.Ended, Status: &call.ClientNoAnswer})
	same(t, callback.StateDone, record(t, s, n.ID).State, nil)
}

// startOne lets ten start the attempt at once.
func startOne(t testing.TB, s *store.Store, r store.Recall) store.Order {
	t.Helper()
	var (
		group  sync.WaitGroup
		orders [10]store.Order
		errs   [10]error
	)
	for i := range orders {
		group.Go(func() { orders[i], errs[i] = s.StartRecall(r, call.NewID()) })
	}
	group.Wait()
	won := slices.Index(errs[:], nil)
	for i, err := range errs {
		if i != won && !errors.Is(err, store.ErrNotScheduled) {
			t.Errorf("a second one started it: %v", err)
		}
	}
	if won < 0 {
		t.Fatal("nobody started it:", errs)
	}
	return orders[won]
}

func exerciseWhatEndsRecalls(t *testing.T, s *store.Store) {
	ctx := t.Context()
	for _, c := range []struct {
		name  string
		end   call.Event
		state string
	}{
		{"completed", call.Event{Status: &call.Completed}, callback.StateDone},
		{"the manager's reschedule key", call.Event{Status: &call.RescheduledByManager, Reschedule: true}, callback.StateScheduled},
		{"the reschedule key after the talk", call.Event{Status: &call.Completed, Reschedule: true}, callback.StateScheduled},
		{"the manager's cancel key", call.Event{Status: &call.CancelledByManager, CancelRecalls: true}, callback.StateCancelled},
		{"the cancel-recalls key", call.Event{Status: &call.ClientBusy, CancelRecalls: true}, callback.StateDone},
		{"the API", call.Event{Status: &call.Cancelled}, callback.StateCancelled},
	} {
		n := site(t, s)
		c.end.CallID, c.end.Type = n.CallID, call.Ended
		appendAll(t, s, c.end)
		t.Log(c.name)
		same(t, c.state, record(t, s, n.ID).State, nil)
	}

	// Without a widget nobody says when.
	for _, end := range []call.Event{{Status: &call.ClientBusy}, {Status: &call.RescheduledByManager, Reschedule: true}} {
		n := Create(t, s, "+79161234567")
		end.CallID, end.Type = n.CallID, call.Ended
		appendAll(t, s, end)
		same(t, callback.StateDone, record(t, s, n.ID).State, nil)
	}

	// Cancelled while it is planned: nobody starts it.
	n := site(t, s)
	appendAll(t, s, call.Event{CallID: n.CallID, Type: call.Ended, Status: &call.ClientBusy})
	r := planned(t, s, n.ID, 5*time.Minute)
	fails(t, s.CancelRecalls(ctx, Theirs, n.ID), store.ErrNotFound)
	fails(t, s.CancelRecalls(ctx, Mine, n.ID), nil)
	fails(t, s.CancelRecalls(ctx, Mine, n.ID), nil)
	_, err := s.StartRecall(r, call.NewID())
	fails(t, err, store.ErrNotScheduled)
	same(t, callback.StateCancelled, record(t, s, n.ID).State, nil)

	// Cancelled in the moment in which the call ends by itself: nothing is planned.
	n = site(t, s)
	fails(t, s.CancelRecalls(ctx, Mine, n.ID), nil)
	orders, err := s.Queued(ctx)
	same(t, true, orders[0].Cancelled, err)
	appendAll(t, s, call.Event{CallID: n.CallID, Type: call.Ended, Status: &call.ClientBusy})
	same(t, callback.StateCancelled, record(t, s, n.ID).State, nil)

	// The widget is gone.
	n = site(t, s)
	fails(t, s.DeleteWidget(ctx, Mine, "site"), nil)
	appendAll(t, s, call.Event{CallID: n.CallID, Type: call.Ended, Status: &call.ClientBusy})
	same(t, callback.StateDone, record(t, s, n.ID).State, nil)
}

func exerciseWaiting(t *testing.T, s *store.Store) {
	ctx := t.Context()
	at := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
	wait := func() store.NewCallback {
		n := NewCallback("+79161234567")
		n.StartAt = at
		if _, err := s.CreateCallback(n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	n := wait()
	r := record(t, s, n.ID)
	same(t, callback.StateScheduled, r.State, nil)
	same(t, at, *r.NextAttemptAt, nil)
	// The next process does not take it for one that died with the last.
	unfinished, err := s.Unfinished(ctx)
	same(t, nil, unfinished, err)
	due, err := s.DueRecalls(ctx, at, 10)
	same(t, []store.Recall{{Account: Mine, CallbackID: n.ID, At: at, CallID: n.CallID}}, due, err)
	order, err := s.StartRecall(due[0], n.CallID)
	same(t, store.Order{Account: Mine, CallbackID: n.ID, CallID: n.CallID, Attempt: 1, Packet: n.Packet}, order, err)
	same(t, []callback.Attempt{{Attempt: 1, CallID: n.CallID}}, record(t, s, n.ID).Attempts, nil)
	orders, err := s.Queued(ctx)
	same(t, []store.Order{order}, orders, err)

	n = wait()
	appendAll(t, s, call.Event{CallID: n.CallID, Type: call.Ended, Status: &call.Cancelled})
	_, err = s.StartRecall(store.Recall{Account: Mine, CallbackID: n.ID, At: at, CallID: n.CallID}, n.CallID)
	fails(t, err, store.ErrNotScheduled)
	same(t, callback.StateCancelled, record(t, s, n.ID).State, nil)
}

func exerciseCallbackList(t *testing.T, s *store.Store) {
	ctx := t.Context()
	var want []string
	for range 7 {
		want = append([]string{Create(t, s, "+79161234567").ID}, want...)
	}
	n := site(t, s)
	appendAll(t, s, call.Event{CallID: n.CallID, Type: call.Ended, Status: &call.ClientBusy})
	list, next, err := s.Callbacks(ctx, Mine, store.Page{}, store.CallbackFilter{State: callback.StateScheduled})
	same(t, "", next, err)
	same(t, []callback.Record{record(t, s, n.ID)}, list, nil)
	same(t, 1, len(list[0].Attempts), nil)
	list, _, err = s.Callbacks(ctx, Theirs, store.Page{}, store.CallbackFilter{})
	same(t, nil, list, err)
	var got []string
	for p := (store.Page{Limit: 3}); ; {
		list, next, err := s.Callbacks(ctx, Mine, p, store.CallbackFilter{State: callback.StateQueued})
		fails(t, err, nil)
		for _, r := range list {
			got = append(got, r.ID)
		}
		if p.Cursor = next; next == "" {
			break
		}
	}
	same(t, want, got, nil)
}
