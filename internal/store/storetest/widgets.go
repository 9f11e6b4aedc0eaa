package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/store"
)

func exerciseWidgets(t *testing.T, s *store.Store) {
	ctx := t.Context()
	want := directory.Widget{
		Name: "site", Packet: callback.Packet{Greeting: "Привет \"'", VoiceControl: new(false)}, RecallOn: []directory.StatusName{},
		RecallIntervals: []directory.Duration{directory.Duration(time.Minute)}, Blacklist: []string{"+7800*"},
		Hours: &directory.Hours{Timezone: "Europe/Moscow", Week: directory.Week{Monday: directory.Spans{"09:00-18:00"}}},
	}
	if created, err := s.PutWidget(ctx, Mine, want); !created || err != nil {
		t.Fatal(created, err)
	}
	want.RoundRobin = true
	if created, err := s.PutWidget(ctx, Mine, want); created || err != nil {
		t.Fatal(created, err)
	}
	got, err := s.Widget(ctx, Mine, "site")
	same(t, want, got, err)
	list, err := s.Widgets(ctx, Mine)
	same(t, []directory.Widget{want}, list, err)
	list, err = s.Widgets(ctx, Theirs)
	same(t, nil, list, err)
	_, err = s.Widget(ctx, Theirs, "site")
	fails(t, err, store.ErrNotFound)
	fails(t, s.DeleteWidget(ctx, Theirs, "site"), store.ErrNotFound)
	fails(t, s.DeleteWidget(ctx, Mine, "site"), nil)
	fails(t, s.DeleteWidget(ctx, Mine, "site"), store.ErrNotFound)
	var bad invalid.Error
	if _, err := s.PutWidget(ctx, Mine, directory.Widget{Name: "a b"}); !errors.As(err, &bad) {
		t.Error("a widget that breaks the rules was stored:", err)
	}
}

// through is a request of the widget, which is stored first.
func through(t *testing.T, s *store.Store, w directory.Widget, client, address string) store.NewCallback {
	t.Helper()
	_, err := s.PutWidget(t.Context(), Mine, w)
	fails(t, err, nil)
	n := NewCallback(client)
	n.Widget, n.Packet.Widget, n.Packet.ClientIP = &w, w.Name, address
	return n
}

// asForeseen creates the callback, which must come to what was foreseen, each
// time: to foresee changes nothing.
func asForeseen(t *testing.T, s *store.Store, n store.NewCallback) store.Answered {
	t.Helper()
	var foreseen [2]store.Answered
	for i := range foreseen {
		var err error
		foreseen[i], err = s.Foresee(t.Context(), n, time.Now())
		fails(t, err, nil)
	}
	a, err := s.CreateCallback(n)
	fails(t, err, nil)
	for _, f := range foreseen {
		if a.Joined { // then they matter no more
			f.Verdict, f.Packet = a.Verdict, a.Packet
		}
		same(t, a, f, nil)
	}
	return a
}

func exerciseRates(t *testing.T, s *store.Store) {
	w := directory.Widget{
		Name:           "site",
		RatePerClient:  &directory.Rate{Count: 2, Per: directory.Duration(time.Hour)},
		RatePerAddress: &directory.Rate{Count: 3, Per: directory.Duration(time.Hour)},
	}
	other := w
	other.Name = "other"
	status := call.Completed
	for i, step := range []struct {
		widget          directory.Widget
		client, address string
		refused         bool
	}{
		{w, "+79160000001", "192.0.2.1", false},
		{w, "+79160000001", "192.0.2.2", false},
		{w, "+79160000001", "192.0.2.3", true},
		{w, "+79160000001", "", true},
		{other, "+79160000001", "192.0.2.1", false}, // each widget counts its own
		{w, "+79160000002", "192.0.2.1", false},
		{w, "+79160000003", "192.0.2.1", false},
		{w, "+79160000004", "192.0.2.1", true},
		{w, "+79160000004", "192.0.2.1", true},
		{w, "+79160000004", "192.0.2.4", false}, // what was refused does not count
		{w, "+79160000005", "", false},          // nobody's address is no address
		{w, "+79160000006", "", false},
		{w, "+79160000007", "", false},
		{w, "+79160000008", "", false},
	} {
		n := through(t, s, step.widget, step.client, step.address)
		a := asForeseen(t, s, n)
		want := call.Status{}
		if step.refused {
			want = call.NotAllowed
		}
		if a.Verdict.Status != want || a.Joined {
			t.Errorf("step %d: %+v", i, a)
		}
		if !step.refused {
			appendAll(t, s, call.Event{CallID: n.CallID, Type: call.Ended, Status: &status})
		}
	}
}

func exerciseJoining(t *testing.T, s *store.Store) {
	w := directory.Widget{Name: "site"}
	ask := func(widget directory.Widget, client, key string) store.Answered {
		t.Helper()
		n := through(t, s, widget, client, "")
		if n.Key = key; key == "" {
			return asForeseen(t, s, n)
		}
		a, err := s.CreateCallback(n)
		fails(t, err, nil)
		return a
	}
	first := ask(w, "+79161234567", "")
	joins := func(name string, a store.Answered, callID string) {
		t.Helper()
		if !a.Joined || a.ID != first.ID || a.CallID != callID || a.Replayed {
			t.Errorf("%s: %+v", name, a)
		}
	}
	joins("queued", ask(w, "+79161234567", ""), first.CallID)
	appendAll(t, s, call.Event{CallID: first.CallID, Type: call.Dialing, Leg: "m1"})
	joins("running", ask(w, "+79161234567", "key"), first.CallID)
	again := ask(w, "+79161234567", "key")
	if !again.Replayed || !again.Joined || again.ID != first.ID {
		t.Errorf("the repetition of one that joined: %+v", again)
	}
	if a := ask(w, "+79161234568", ""); a.Joined {
		t.Error("another client joined")
	}
	if a := ask(directory.Widget{Name: "other"}, "+79161234567", ""); a.Joined {
		t.Error("another widget joined")
	}
	appendAll(t, s, call.Event{CallID: first.CallID, Type: call.Ended, Status: &call.Completed})
	if a := ask(w, "+79161234567", ""); a.Joined || a.ID == first.ID {
		t.Errorf("a callback that is over was joined: %+v", a)
	}

	// One that is being cancelled is not open.
	first = ask(w, "+79161234567", "")
	appendAll(t, s, call.Event{CallID: first.CallID, Type: call.Dialing, Leg: "m1"})
	fails(t, s.CancelRecalls(t.Context(), Mine, first.ID), nil)
	if a := ask(w, "+79161234567", ""); a.Joined {
		t.Errorf("a callback that is being cancelled was joined: %+v", a)
	}

	// Of requests that come together, one makes the callback.
	together := through(t, s, w, "+79160000000", "")
	answers := make(chan store.Answered)
	for range 20 {
		go func() {
			n := together
			n.ID, n.CallID = call.NewID(), call.NewID()
			a, err := s.CreateCallback(n)
			if err != nil {
				t.Error(err)
			}
			answers <- a
		}()
	}
	ids, joined := map[string]bool{}, 0
	for range 20 {
		a := <-answers
		ids[a.ID] = true
		if a.Joined {
			joined++
		}
	}
	if len(ids) != 1 || joined != 19 {
		t.Error(len(ids), "callbacks,", joined, "joined")
	}

	gone := through(t, s, directory.Widget{Name: "gone"}, "+79161234567", "")
	fails(t, s.DeleteWidget(t.Context(), Mine, "gone"), nil)
	_, err := s.CreateCallback(gone)
	fails(t, err, store.ErrNotFound)
	_, err = s.Foresee(t.Context(), gone, time.Now())
	fails(t, err, store.ErrNotFound)
}

// A recall that is planned is open; a request that joins it has it made now.
func exerciseBringingForward(t *testing.T, s *store.Store) {
	hour := directory.Duration(time.Hour)
	w := directory.Widget{Name: "site", RecallIntervals: []directory.Duration{hour, hour, hour}, RatePerClient: &directory.Rate{Count: 3, Per: hour}}
	planned := func(client string) store.NewCallback {
		t.Helper()
		n := through(t, s, w, client, "")
		_, err := s.CreateCallback(n)
		fails(t, err, nil)
		appendAll(t, s, call.Event{CallID: n.CallID, Type: call.Ended, Status: &call.ClientBusy})
		return n
	}
	asks := func(client string, change func(*store.NewCallback)) (store.NewCallback, store.Answered, callback.Record) {
		t.Helper()
		n := through(t, s, w, client, "")
		change(&n)
		a, err := s.CreateCallback(n)
		fails(t, err, nil)
		r, err := s.Callback(t.Context(), Mine, a.ID)
		fails(t, err, nil)
		return n, a, r
	}
	asIs := func(*store.NewCallback) {}

	const client = "+79161234567"
	first := planned(client)
	n, a, r := asks(client, func(n *store.NewCallback) { n.Key = "key" })
	if !a.Joined || a.ID != first.ID || a.CallID != n.CallID || a.Recall == nil || a.Recall.CallID != n.CallID || a.Recall.Attempt != 2 || a.Recall.Packet.Client != client {
		t.Fatalf("%+v, recall %+v", a, a.Recall)
	}
	same(t, []callback.Attempt{{Attempt: 1, CallID: first.CallID, Status: call.ClientBusy}, {Attempt: 2, CallID: n.CallID}}, r.Attempts, nil)
	same(t, callback.StateQueued, r.State, nil)
	queued, err := s.Queued(t.Context()) // it is this node's
	same(t, 1, len(queued), err)
	n.ID, n.CallID = call.NewID(), call.NewID()
	again, err := s.CreateCallback(n)
	if err != nil || !again.Replayed || again.CallID != a.CallID || again.Recall != nil {
		t.Errorf("the repetition is answered by %+v, %v", again, err)
	}
	if _, b, _ := asks(client, asIs); !b.Joined || b.Recall != nil || b.CallID != a.CallID {
		t.Errorf("while it is being made: %+v", b)
	}
	// It was carried out, so it counts: the third is the last.
	appendAll(t, s, call.Event{CallID: a.CallID, Type: call.Ended, Status: &call.ClientBusy})
	if _, a, _ = asks(client, asIs); a.Recall == nil || a.Recall.Attempt != 3 {
		t.Fatalf("%+v", a)
	}
	appendAll(t, s, call.Event{CallID: a.CallID, Type: call.Ended, Status: &call.ClientBusy})
	for what, ask := range map[string]struct {
		client string
		change func(*store.NewCallback)
	}{
		"a rate is used up":    {client, asIs},
		"the widget is closed": {planned("+79160000001").Packet.Client, func(n *store.NewCallback) { n.StartAt = time.Now().Add(time.Minute) }},
		"it would be too late": {planned("+79160000002").Packet.Client, func(n *store.NewCallback) { n.Verdict = store.Verdict{Status: call.Expired} }},
	} {
		if _, a, r := asks(ask.client, ask.change); !a.Joined || a.Recall != nil || r.State != callback.StateScheduled || time.Until(*r.NextAttemptAt) < time.Minute {
			t.Errorf("%s: %+v, %s for %v", what, a, r.State, r.NextAttemptAt)
		}
	}

	// A first attempt that waits has its call: it is due from now on.
	waits, _, _ := asks("+79160000003", func(n *store.NewCallback) { n.StartAt = time.Now().Add(time.Hour) })
	_, a, r = asks("+79160000003", asIs)
	if a.ID != waits.ID || a.CallID != waits.CallID || !a.Joined || a.Recall != nil || r.NextAttemptAt == nil || time.Until(*r.NextAttemptAt) > 0 {
		t.Errorf("%+v, %s for %v", a, r.State, r.NextAttemptAt)
	}

	// Of requests that come together, one has it made.
	together := planned("+79160000004")
	answers := make(chan store.Answered)
	for range 10 {
		go func() {
			n := together
			n.ID, n.CallID = call.NewID(), call.NewID()
			a, err := s.CreateCallback(n)
			if err != nil {
				t.Error(err)
			}
			answers <- a
		}()
	}
	made := 0
	for range 10 {
		if a := <-answers; a.Recall != nil {
			made++
		}
	}
	same(t, 1, made, nil)
}

func exerciseTurns(t *testing.T, s *store.Store) {
	w := directory.Widget{Name: "site", RoundRobin: true}
	for i, want := range []string{"101_102_103", "102_103_101", "103_101_102", "101_102_103"} {
		n := through(t, s, w, fmt.Sprintf("+7916000000%d", i), "") // changing the widget does not change whose turn it is
		n.RoundRobin = true
		n.Packet.Managers = callback.Managers{{Number: "101"}, {Number: "102"}, {Number: "103"}}
		a := asForeseen(t, s, n)
		same(t, want, a.Packet.Managers.String(), nil)
		r, err := s.Callback(t.Context(), Mine, n.ID)
		same(t, want, r.Packet.Managers.String(), err)
		joined, err := s.CreateCallback(n) // takes no turn
		same(t, true, joined.Joined, err)
	}
}

func exerciseVerdict(t *testing.T, s *store.Store) {
	events := s.Journal().Subscribe(t.Context())
	n := NewCallback("+79161234567")
	n.Verdict, n.StartAt = store.Verdict{Status: call.NotAllowed, Reason: "on the blacklist"}, time.Now().Add(time.Hour)
	a, err := s.CreateCallback(n)
	same(t, n.Verdict, a.Verdict, err)
	r, err := s.Callback(t.Context(), Mine, n.ID)
	same(t, callback.StateDone, r.State, err)
	same(t, []callback.Attempt{{Attempt: 1, CallID: n.CallID, Status: call.NotAllowed}}, r.Attempts, nil)
	if r.NextAttemptAt != nil {
		t.Error("it is planned for", r.NextAttemptAt)
	}
	log, err := s.Events(t.Context(), Mine, n.CallID, 0)
	fails(t, err, nil)
	for i, typ := range []call.Type{call.Created, call.Ended} {
		e := <-events
		if i >= len(log) || log[i].Type != typ || log[i].Seq != int64(i)+1 || e.Type != typ || e.Account != Mine {
			t.Fatalf("%+v; told %+v", log, e)
		}
	}
	same(t, "on the blacklist", log[1].Reason, nil)
	left, err := s.Unfinished(t.Context())
	same(t, 0, len(left), err)
}
