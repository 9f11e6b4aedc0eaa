// Package storetest is the suite that every database must pass, and the store
// that other packages' tests use.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/store"
)

// Accounts of the tests.
const (
	Mine   = directory.DefaultAccount
	Theirs = "other"
)

// Open opens an SQLite store in a folder of the test's and closes it with the
// test.
func Open(t testing.TB) *store.Store {
	t.Helper()
	return OpenIn(t, store.Options{DataDir: t.TempDir()})
}

// OpenIn opens a store and closes it with the test.
func OpenIn(t testing.TB, o store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error("close:", err)
		}
	})
	return s
}

// NewCallback is a request as the tests need it.
func NewCallback(client string) store.NewCallback {
	return store.NewCallback{
		Account: Mine, ID: call.NewID(), CallID: call.NewID(),
		Packet:   callback.Packet{Client: client, Managers: callback.Managers{{Number: "101"}}, Attempt: 1, Language: "ru"},
		Received: []byte(`{"client":"` + client + `"}`),
	}
}

// Create stores a request of the test's account.
func Create(t testing.TB, s *store.Store, client string) store.NewCallback {
	t.Helper()
	n := NewCallback(client)
	if _, err := s.CreateCallback(n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Exercise runs the suite. open gives an empty store each time.
func Exercise(t *testing.T, open func(t *testing.T) *store.Store) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s *store.Store)
	}{
		{"trunks", exerciseTrunks},
		{"operators", exerciseOperators},
		{"widgets", exerciseWidgets},
		{"rates of a widget", exerciseRates},
		{"open callbacks are joined", exerciseJoining},
		{"who joins a planned recall has it made now", exerciseBringingForward},
		{"managers take turns", exerciseTurns},
		{"a verdict ends a call before it begins", exerciseVerdict},
		{"queues", exerciseQueues},
		{"places in queues", exercisePlaces},
		{"routes", exerciseRoutes},
		{"what is named exists and stays", exerciseReferences},
		{"an operator's pause", exercisePauses},
		{"operators' notices", exerciseNotices},
		{"locations", exerciseLocations},
		{"keys", exerciseKeys},
		{"callback", exerciseCallback},
		{"idempotency", exerciseIdempotency},
		{"journal", exerciseJournal},
		{"a refused event does not stop the others", exerciseRefused},
		{"calls are listed newest first, page by page", exercisePages},
		{"calls are filtered", exerciseFilters},
		{"unfinished and queued", exerciseUnfinished},
		{"hook", exerciseHook},
		{"hostile text is found nowhere and breaks nothing", exerciseHostile},
		{"subscribers", exerciseSubscribers},
		{"deliveries", exerciseDeliveries},
		{"integrations", exerciseIntegrations},
		{"transcripts", exerciseTranscripts},
		{"a callback's first event has its follow-up", exerciseFirstEvent},
		{"webhook secrets", exerciseSecrets},
		{"webhooks", exerciseWebhooks},
		{"deliveries are told anew", exerciseReplays},
		{"calls with events in a span", exerciseCallsWithin},
		{"recalls", exerciseRecalls},
		{"what ends recalls", exerciseWhatEndsRecalls},
		{"a first attempt that waits", exerciseWaiting},
		{"callbacks are listed newest first, page by page", exerciseCallbackList},
		{"the responsible manager", exerciseResponsible},
		{"the responsible manager as a step of a route", exerciseResponsibleStep},
		{"operators who are gone are not responsible", exerciseGoneOperators},
		{"rules of responsibility that make no sense", exerciseWrongRules},
		{"operators rung at the same moment", exerciseSameMoment},
		{"contacts of a PBX beside this server", exerciseImport},
		{"records of a call in any order", exerciseImportOrder},
		{"where calls went before", exerciseDestinations},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

func exerciseTrunks(t *testing.T, s *store.Store) {
	ctx := t.Context()
	want := directory.Trunk{Name: "carrier", Host: "sip.example.com", Password: "п'\"", Codecs: []string{"PCMA"}, MaxChannels: 3}
	if created, err := s.PutTrunk(ctx, Mine, want); !created || err != nil {
		t.Fatal(created, err)
	}
	want.Port = 5070
	if created, err := s.PutTrunk(ctx, Mine, want); created || err != nil {
		t.Fatal(created, err)
	}
	got, err := s.Trunk(ctx, Mine, "carrier")
	same(t, want, got, err)
	other := directory.Trunk{Name: "backup", Host: "192.0.2.1"}
	if _, err := s.PutTrunk(ctx, Mine, other); err != nil {
		t.Fatal(err)
	}
	list, err := s.Trunks(ctx, Mine)
	same(t, []directory.Trunk{other, want}, list, err)
	list, err = s.Trunks(ctx, Theirs)
	same(t, nil, list, err)
	_, err = s.Trunk(ctx, Theirs, "carrier")
	fails(t, err, store.ErrNotFound)
	fails(t, s.DeleteTrunk(ctx, Theirs, "carrier"), store.ErrNotFound)
	fails(t, s.DeleteTrunk(ctx, Mine, "carrier"), nil)
	fails(t, s.DeleteTrunk(ctx, Mine, "carrier"), store.ErrNotFound)
	var bad invalid.Error
	if _, err := s.PutTrunk(ctx, Mine, directory.Trunk{Name: "a b"}); !errors.As(err, &bad) {
		t.Error("a trunk that breaks the rules was stored:", err)
	}
}

func exerciseOperators(t *testing.T, s *store.Store) {
	ctx := t.Context()
	want := directory.Operator{Extension: "101", Name: "Анна", Password: "secret", Phones: []string{"+74951234567"}, Paused: true}
	if created, err := s.PutOperator(ctx, Mine, want); !created || err != nil {
		t.Fatal(created, err)
	}
	got, err := s.Operator(ctx, Mine, "101")
	same(t, want, got, err)
	want.Paused = false
	if created, err := s.PutOperator(ctx, Mine, want); created || err != nil {
		t.Fatal(created, err)
	}
	if created, err := s.PutOperator(ctx, Theirs, directory.Operator{Extension: "101"}); !created || err != nil {
		t.Fatal("the extension of another account is another operator:", created, err)
	}
	list, err := s.Operators(ctx, Mine)
	same(t, []directory.Operator{want}, list, err)
	fails(t, s.DeleteOperator(ctx, Mine, "101"), nil)
	_, err = s.Operator(ctx, Mine, "101")
	fails(t, err, store.ErrNotFound)
	fails(t, s.DeleteOperator(ctx, Mine, "101"), store.ErrNotFound)
}

func exerciseKeys(t *testing.T, s *store.Store) {
	ctx := t.Context()
	k := store.Key{
		ID: call.NewID(), Account: Mine, Name: "CRM", Prefix: "pz_abcd", Hash: "00ff", Rights: []string{"calls", "admin"},
		CreatedAt: time.UnixMilli(1_700_000_000_123).UTC(),
	}
	fails(t, s.CreateKey(ctx, k), nil)
	if err := s.CreateKey(ctx, store.Key{ID: call.NewID(), Account: Theirs, Hash: "00ff"}); err == nil {
		t.Error("two keys with one hash were stored")
	}
	got, err := s.KeyByHash(ctx, "00ff")
	same(t, k, got, err)
	_, err = s.KeyByHash(ctx, "00fe")
	fails(t, err, store.ErrNotFound)
	list, err := s.Keys(ctx, Mine)
	same(t, []store.Key{k}, list, err)
	fails(t, s.DeleteKey(ctx, Theirs, k.ID), store.ErrNotFound)
	fails(t, s.DeleteKey(ctx, Mine, k.ID), nil)
	_, err = s.KeyByHash(ctx, "00ff")
	fails(t, err, store.ErrNotFound)
}

func exerciseCallback(t *testing.T, s *store.Store) {
	ctx := t.Context()
	n := NewCallback("+79161234567")
	n.Received = []byte("raw \x00\xff bytes")
	answer, err := s.CreateCallback(n)
	same(t, store.Answered{ID: n.ID, CallID: n.CallID, Packet: n.Packet}, answer, err)

	r, err := s.Callback(ctx, Mine, n.ID)
	same(t, callback.Record{
		ID: n.ID, Account: Mine, State: callback.StateQueued, Client: "+79161234567", Packet: n.Packet,
		Attempts: []callback.Attempt{{Attempt: 1, CallID: n.CallID}}, CreatedAt: r.CreatedAt,
	}, r, err)
	if d := time.Since(r.CreatedAt); d < 0 || d > time.Minute {
		t.Error("created at", r.CreatedAt)
	}
	raw, err := s.Received(ctx, Mine, n.ID)
	same(t, n.Received, raw, err)
	_, err = s.Received(ctx, Theirs, n.ID)
	fails(t, err, store.ErrNotFound)
	_, err = s.Callback(ctx, Theirs, n.ID)
	fails(t, err, store.ErrNotFound)

	c, err := s.Call(ctx, Mine, n.CallID)
	same(t, call.Call{
		ID: n.CallID, Account: Mine, Direction: call.Callback, CallbackID: n.ID, Attempt: 1, Client: "+79161234567",
		StartedAt: r.CreatedAt, Recording: call.RecordingNone, Transcript: call.TranscriptNone, LastSeq: 1, Stages: []call.Stage{},
	}, c, err)

	// The state follows the call's events.
	for _, step := range []struct {
		e    call.Event
		want string
	}{
		{call.Event{Type: call.CallerIDChosen}, callback.StateQueued},
		{call.Event{Type: call.Dialing, Leg: "m1"}, callback.StateRunning},
		{call.Event{Type: call.Ended, Status: &call.ManagerBusy}, callback.StateDone},
	} {
		step.e.CallID = n.CallID
		appendAll(t, s, step.e)
		r, err := s.Callback(ctx, Mine, n.ID)
		same(t, step.want, r.State, err)
	}
	r, err = s.Callback(ctx, Mine, n.ID)
	same(t, []callback.Attempt{{Attempt: 1, CallID: n.CallID, Status: call.ManagerBusy}}, r.Attempts, err)

	// Another call for the same attempt is refused by the database itself.
	again := NewCallback("+79161234567")
	again.ID = n.ID
	if _, err := s.CreateCallback(again); err == nil {
		t.Error("an attempt got a second call")
	}
	for _, status := range []call.Status{call.Cancelled, call.CancelledByManager} {
		n := Create(t, s, "+79161234568")
		appendAll(t, s, call.Event{CallID: n.CallID, Type: call.Ended, Status: &status})
		r, err := s.Callback(ctx, Mine, n.ID)
		same(t, callback.StateCancelled, r.State, err)
	}
}

func exerciseIdempotency(t *testing.T, s *store.Store) {
	ctx := t.Context()
	first := NewCallback("+79161234567")
	first.Key = "key-1"
	_, err := s.Replay(ctx, Mine, first.Key, first.Received)
	fails(t, err, store.ErrNotFound)
	want, err := s.CreateCallback(first)
	fails(t, err, nil)

	again := NewCallback("+79161234567")
	again.Key = "key-1"
	want.Replayed, want.Packet = true, callback.Packet{}
	got, err := s.CreateCallback(again)
	same(t, want, got, err)
	got, err = s.Replay(ctx, Mine, again.Key, again.Received)
	same(t, want, got, err)
	_, err = s.Callback(ctx, Mine, again.ID)
	fails(t, err, store.ErrNotFound)

	again.Received = []byte("another body")
	_, err = s.CreateCallback(again)
	fails(t, err, store.ErrKeyReused)
	_, err = s.Replay(ctx, Mine, again.Key, again.Received)
	fails(t, err, store.ErrKeyReused)

	other := NewCallback("+79161234567")
	other.Account, other.Key, other.Received = Theirs, "key-1", []byte("x")
	got, err = s.CreateCallback(other)
	same(t, store.Answered{ID: other.ID, CallID: other.CallID, Packet: other.Packet}, got, err)
}

func exerciseJournal(t *testing.T, s *store.Store) {
	ctx := t.Context()
	n := Create(t, s, "+79161234567")
	at := time.UnixMilli(1_700_000_000_000).UTC()
	status := call.Completed
	events := []call.Event{
		{Type: call.Dialing, Leg: "m1", Role: call.Manager, Operator: "101"},
		{Type: call.Answered, Leg: "m1", Role: call.Manager, Operator: "101"},
		{Type: call.RecordingStarted},
		{Type: call.PromptStarted, Leg: "m1", Text: "Звонок с сайта \x00 '\"\\"},
		{Type: call.Joined, Leg: "m1", Other: "c1"},
		{Type: call.Ended, Status: &status},
	}
	for i := range events {
		events[i].CallID = n.CallID
		events[i].At = at.Add(time.Duration(i) * time.Second)
		s.Journal().Append(events[i])
		events[i].Seq = int64(i) + 2
	}
	fails(t, s.Journal().Flush(ctx), nil)
	got, err := s.Events(ctx, Mine, n.CallID, 1)
	same(t, events, got, err)
	got, err = s.Events(ctx, Mine, n.CallID, 7)
	same(t, nil, got, err)
	_, err = s.Events(ctx, Theirs, n.CallID, 0)
	fails(t, err, store.ErrNotFound)

	talk := events[5].At
	c, err := s.Call(ctx, Mine, n.CallID)
	want := call.Call{
		ID: n.CallID, Account: Mine, Direction: call.Callback, CallbackID: n.ID, Attempt: 1, Client: "+79161234567",
		Responsible: "101", Status: call.Completed, StartedAt: c.StartedAt, AnsweredAt: events[1].At, JoinedAt: events[4].At,
		EndedAt: events[5].At, Stages: []call.Stage{{Leg: events[4].Leg, Operator: "101", From: events[4].At, To: &talk, Outcome: call.Done}},
		Recording: call.RecordingRendering, Transcript: call.TranscriptNone, LastSeq: 7,
	}
	same(t, want, c, err)
	rendering, err := s.Rendering(ctx)
	same(t, []call.Call{want}, rendering, err)

	// A call that has ended and left the memory takes later events.
	appendAll(t, s, call.Event{CallID: n.CallID, Type: call.RecordingState, Recording: call.RecordingReady, DurationS: 4.25})
	want.Recording, want.RecordingS, want.LastSeq = call.RecordingReady, 4.25, 8
	c, err = s.Call(ctx, Mine, n.CallID)
	same(t, want, c, err)

	// A call ends once.
	appendAll(t, s, call.Event{CallID: n.CallID, Type: call.Ended, Status: &call.Interrupted})
	c, err = s.Call(ctx, Mine, n.CallID)
	same(t, want, c, err)

	// An inbound call begins with its first event.
	id := call.NewID()
	appendAll(t, s, call.Event{CallID: id, Type: call.Created, Account: Mine, Direction: call.Inbound, Number: "+79161112233"})
	c, err = s.Call(ctx, Mine, id)
	same(t, "+79161112233", c.Client, err)
}

func exerciseRefused(t *testing.T, s *store.Store) {
	n := Create(t, s, "+79161234567")
	s.Journal().Append(call.Event{CallID: n.CallID, Type: call.Note, Reason: "before"})
	s.Journal().Append(call.Event{CallID: "no such call", Type: call.Note})
	appendAll(t, s, call.Event{CallID: n.CallID, Type: call.Note, Reason: "after"})
	events, err := s.Events(t.Context(), Mine, n.CallID, 1)
	var got []string
	for _, e := range events {
		got = append(got, fmt.Sprint(e.Seq, e.Reason))
	}
	same(t, []string{"2before", "3after"}, got, err)
	same(t, int64(1), s.Journal().Stats().Lost, s.Healthy())
}

func exercisePages(t *testing.T, s *store.Store) {
	ctx := t.Context()
	var want []string
	for range 7 {
		want = append([]string{Create(t, s, "+79161234567").CallID}, want...)
	}
	theirs := NewCallback("+79161234567")
	theirs.Account = Theirs
	_, err := s.CreateCallback(theirs)
	fails(t, err, nil)
	var (
		got   []string
		sizes []int
		p     = store.Page{Limit: 3}
	)
	for {
		calls, next, err := s.Calls(ctx, Mine, p, store.CallFilter{})
		fails(t, err, nil)
		sizes = append(sizes, len(calls))
		for _, c := range calls {
			got = append(got, c.ID)
		}
		if next == "" {
			break
		}
		p.Cursor = next
	}
	same(t, want, got, nil)
	same(t, []int{3, 3, 1}, sizes, nil)
	for _, p := range []store.Page{{Limit: -1}, {Limit: store.MaxLimit + 1}, {Cursor: "%"}, {Cursor: "aGVsbG8"}} {
		_, _, err := s.Calls(ctx, Mine, p, store.CallFilter{})
		if bad := (invalid.Error{}); !errors.As(err, &bad) {
			t.Errorf("%+v: %v", p, err)
		}
	}
}

func exerciseFilters(t *testing.T, s *store.Store) {
	ctx := t.Context()
	a, b := Create(t, s, "+79161234567"), Create(t, s, "+79161112233")
	appendAll(t, s, call.Event{CallID: a.CallID, Type: call.Ended, Status: &call.ClientBusy})
	c, err := s.Call(ctx, Mine, b.CallID)
	fails(t, err, nil)
	for name, f := range map[string]struct {
		filter store.CallFilter
		want   []string
	}{
		"client":    {store.CallFilter{Client: "+79161234567"}, []string{a.CallID}},
		"callback":  {store.CallFilter{CallbackID: b.ID}, []string{b.CallID}},
		"live":      {store.CallFilter{Live: true}, []string{b.CallID}},
		"direction": {store.CallFilter{Direction: call.Inbound}, nil},
		"since":     {store.CallFilter{Since: c.StartedAt, Client: b.Packet.Client}, []string{b.CallID}},
		"until":     {store.CallFilter{Until: c.StartedAt, Client: b.Packet.Client}, nil},
	} {
		calls, _, err := s.Calls(ctx, Mine, store.Page{}, f.filter)
		var got []string
		for _, c := range calls {
			got = append(got, c.ID)
		}
		t.Log(name)
		same(t, f.want, got, err)
	}
}

func exerciseUnfinished(t *testing.T, s *store.Store) {
	ctx := t.Context()
	queued, running, done := Create(t, s, "+79160000001"), Create(t, s, "+79160000002"), Create(t, s, "+79160000003")
	appendAll(t, s,
		call.Event{CallID: running.CallID, Type: call.Dialing, Leg: "m1"},
		call.Event{CallID: done.CallID, Type: call.Ended, Status: &call.Completed})
	unfinished, err := s.Unfinished(ctx)
	var got []string
	for _, c := range unfinished {
		got = append(got, c.ID)
	}
	same(t, []string{queued.CallID, running.CallID}, got, err)
	orders, err := s.Queued(ctx)
	same(t, []store.Order{{Account: Mine, CallbackID: queued.ID, CallID: queued.CallID, Attempt: 1, Packet: queued.Packet}}, orders, err)
}

func exerciseHook(t *testing.T, s *store.Store) {
	n := Create(t, s, "+79161234567")
	var seen []call.Type
	s.Journal().OnEvent(func(ctx context.Context, tx *store.Tx, c call.Call, e call.Event) error {
		seen = append(seen, e.Type)
		if c.Account != Mine || c.LastSeq != e.Seq {
			t.Errorf("the hook got %+v with %+v", c, e)
		}
		if e.Type == call.Note {
			if _, err := tx.ExecContext(ctx, `DELETE FROM callbacks`); err != nil {
				t.Error(err)
			}
			return errors.New("the follow-up fails")
		}
		_, err := tx.ExecContext(ctx, `UPDATE callbacks SET client = $1 WHERE id = $2`, "from the hook", c.CallbackID)
		return err
	})
	appendAll(t, s,
		call.Event{CallID: n.CallID, Type: call.Note},
		call.Event{CallID: n.CallID, Type: call.Ended, Status: &call.Completed})
	same(t, []call.Type{call.Note, call.Ended}, seen, nil)
	r, err := s.Callback(t.Context(), Mine, n.ID)
	same(t, "from the hook", r.Client, err)
	events, err := s.Events(t.Context(), Mine, n.CallID, 0)
	same(t, 3, len(events), err)
}

func exerciseHostile(t *testing.T, s *store.Store) {
	ctx := t.Context()
	for _, bad := range []string{"\x00", "10\xff", "'; DROP TABLE calls; --", "\xed\xa0\x80"} {
		_, err := s.Call(ctx, Mine, bad)
		fails(t, err, store.ErrNotFound)
		_, err = s.Callback(ctx, Mine, bad)
		fails(t, err, store.ErrNotFound)
		_, err = s.Events(ctx, Mine, bad, 0)
		fails(t, err, store.ErrNotFound)
		_, err = s.Trunk(ctx, Mine, bad)
		fails(t, err, store.ErrNotFound)
		_, err = s.KeyByHash(ctx, bad)
		fails(t, err, store.ErrNotFound)
		_, err = s.Replay(ctx, Mine, bad, nil)
		fails(t, err, store.ErrNotFound)
		fails(t, s.DeleteOperator(ctx, Mine, bad), store.ErrNotFound)
		calls, _, err := s.Calls(ctx, Mine, store.Page{}, store.CallFilter{Client: bad, CallbackID: bad, Direction: call.Direction(bad)})
		same(t, nil, calls, err)
		n := NewCallback("+79161234567")
		n.Key = bad + n.ID
		_, err = s.CreateCallback(n)
		fails(t, err, nil)
		appendAll(t, s, call.Event{CallID: n.CallID, Type: call.Answered, Leg: bad, Operator: bad, Text: bad})
		events, err := s.Events(ctx, Mine, n.CallID, 1)
		same(t, 1, len(events), err)
	}
	same(t, int64(0), s.Journal().Stats().Failures, s.Healthy())
}

func exerciseSubscribers(t *testing.T, s *store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	all, late := s.Journal().Subscribe(ctx), s.Journal().Subscribe(t.Context())
	n := Create(t, s, "+79161234567")
	seq := int64(0)
	for range 4 { // together more than a subscriber may be behind
		for range 500 {
			s.Journal().Append(call.Event{CallID: n.CallID, Type: call.Note})
		}
		for range 500 {
			seq++
			if e := <-all; e.CallID != n.CallID || e.Account != Mine || e.Seq != seq {
				t.Fatalf("got %+v", e)
			}
		}
	}
	if e := <-all; e.Seq != 2001 {
		t.Errorf("the last event is %d", e.Seq)
	}
	cancel()
	if _, open := <-all; open {
		t.Error("the channel is open though its context ended")
	}
	seq = 0
	for e := range late {
		if seq++; e.Seq != seq {
			t.Fatalf("got %d after %d", e.Seq, seq-1)
		}
	}
	same(t, int64(1), s.Journal().Stats().SlowReaders, nil)
}

func appendAll(t testing.TB, s *store.Store, events ...call.Event) {
	t.Helper()
	for _, e := range events {
		s.Journal().Append(e)
	}
	if err := s.Journal().Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func same[T any](t testing.TB, want, got T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, cmpopts.IgnoreUnexported(call.Call{})); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func fails(t testing.TB, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("got error %v, want %v", got, want)
	}
}
