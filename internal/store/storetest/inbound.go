package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/perezvon/perezvon/internal/acd"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/store"
)

func exerciseQueues(t *testing.T, s *store.Store) {
	ctx := t.Context()
	putOperators(t, s, "101", "102")
	want := directory.NewQueue("1000", "101", "102")
	want.Fallback = directory.Steps{{Announce: &directory.Announce{Text: "Перезвоните '\"позже"}}, {Hangup: &directory.Hangup{Code: 486}}}
	if created, err := s.PutQueue(ctx, Mine, want); !created || err != nil {
		t.Fatal(created, err)
	}
	want.Strategy, want.Weights = directory.StrategyWeighted, map[string]int{"101": 3}
	want.Announce, want.CallbackOffer = &directory.QueueAnnounce{Wait: true}, &directory.CallbackOffer{Key: "1"}
	if created, err := s.PutQueue(ctx, Mine, want); created || err != nil {
		t.Fatal(created, err)
	}
	got, err := s.Queue(ctx, Mine, "1000")
	same(t, want, got, err)
	empty := directory.NewQueue("0999")
	if _, err := s.PutQueue(ctx, Mine, empty); err != nil {
		t.Fatal(err)
	}
	list, err := s.Queues(ctx, Mine)
	same(t, []directory.Queue{empty, want}, list, err)
	list, err = s.Queues(ctx, Theirs)
	same(t, nil, list, err)
	_, err = s.Queue(ctx, Theirs, "1000")
	fails(t, err, store.ErrNotFound)
	fails(t, s.DeleteQueue(ctx, Theirs, "1000"), store.ErrNotFound)
	fails(t, s.DeleteQueue(ctx, Mine, "1000"), nil)
	fails(t, s.DeleteQueue(ctx, Mine, "1000"), store.ErrNotFound)
	_, err = s.PutQueue(ctx, Mine, directory.NewQueue("a b"))
	faulty(t, err, "name")
	_, err = s.PutQueue(ctx, Theirs, directory.NewQueue("1000", "101"))
	faulty(t, err, "members[0]") // the operator is another account's
}

func exercisePlaces(t *testing.T, s *store.Store) {
	ctx := t.Context()
	since := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	one := acd.Kept{ID: "1", Node: "here", Account: Mine, Queue: "1000", Client: "+79161234567", CallID: "call", Priority: 2, Since: since}
	two, elsewhere := one, one
	two.ID, elsewhere.ID, elsewhere.Node = "2", "3", "elsewhere"
	for _, k := range []acd.Kept{one, two, elsewhere} {
		fails(t, s.KeepPlace(ctx, k), nil)
	}
	got, err := s.Places(ctx, Mine, "here")
	same(t, []acd.Kept{one, two}, got, err)
	got, err = s.Places(ctx, Theirs, "here")
	same(t, nil, got, err)
	fails(t, s.GiveUpPlace(ctx, Theirs, "1"), store.ErrNotFound)
	fails(t, s.GiveUpPlace(ctx, Mine, "1"), nil)
	fails(t, s.GiveUpPlace(ctx, Mine, "1"), store.ErrNotFound)
	got, err = s.Places(ctx, Mine, "here")
	same(t, []acd.Kept{two}, got, err)
}

func exerciseRoutes(t *testing.T, s *store.Store) {
	ctx := t.Context()
	putOperators(t, s, "101")
	want := directory.Route{
		Name: "main", Match: directory.Match{Called: "+74950000000,_7495XXXXXXX", Caller: directory.Anonymous}, Priority: 3,
		Hours: &directory.Hours{Timezone: "Europe/Moscow", Week: directory.Week{Monday: directory.Spans{"09:00-18:00"}}},
		Steps: directory.Steps{
			{Responsible: &directory.Responsible{Window: directory.Duration(24 * time.Hour), Policy: directory.ResponsibleLast, RingS: 15}},
			{Operator: &directory.ToOperator{Extension: "101", RingS: 30}},
			{Menu: &directory.Menu{Text: "Ещё раз: звёздочка", Keys: map[string]directory.Steps{"*": {{Route: &directory.ToRoute{Name: "main"}}}}, TimeoutS: 5, Repeats: 3}}, // itself
		},
	}
	if created, err := s.PutRoute(ctx, Mine, want); !created || err != nil {
		t.Fatal(created, err)
	}
	want.Priority = 4
	if created, err := s.PutRoute(ctx, Mine, want); created || err != nil {
		t.Fatal(created, err)
	}
	got, err := s.Route(ctx, Mine, "main")
	same(t, want, got, err)
	list, err := s.Routes(ctx, Mine)
	same(t, []directory.Route{want}, list, err)
	list, err = s.Routes(ctx, Theirs)
	same(t, nil, list, err)
	_, err = s.Route(ctx, Theirs, "main")
	fails(t, err, store.ErrNotFound)
	fails(t, s.DeleteRoute(ctx, Theirs, "main"), store.ErrNotFound)
	fails(t, s.DeleteRoute(ctx, Mine, "main"), nil)
	fails(t, s.DeleteRoute(ctx, Mine, "main"), store.ErrNotFound)
	_, err = s.PutRoute(ctx, Mine, directory.Route{Name: "none"})
	faulty(t, err, "steps")
}

// What names something else is stored once that exists, and it stays while it
// is named.
func exerciseReferences(t *testing.T, s *store.Store) {
	ctx := t.Context()
	queue := directory.NewQueue("1000", "101")
	queue.Fallback = directory.Steps{{Route: &directory.ToRoute{Name: "night"}}}
	queue.CallbackOffer = &directory.CallbackOffer{Key: "1", Widget: "site"}
	_, err := s.PutQueue(ctx, Mine, queue)
	faulty(t, err, "members[0]", "callback_offer.widget", "fallback[0].route")
	route := directory.Route{Name: "main", Match: directory.Match{Trunk: "carrier"}, Steps: directory.Steps{
		{Menu: &directory.Menu{Text: "a", TimeoutS: 5, Repeats: 1, Keys: map[string]directory.Steps{"1": {{Queue: &directory.ToQueue{Name: "1000"}}}}}},
		{Number: &directory.ToNumber{Number: "+74951234567", RingS: 45, Trunk: "carrier"}},
		{CallbackOffer: &directory.CallbackOffer{Key: "1", Widget: "site"}},
		{Operator: &directory.ToOperator{Extension: "101", RingS: 15}},
	}}
	_, err = s.PutRoute(ctx, Mine, route)
	faulty(t, err, "match.trunk", `steps[0].menu.keys["1"][0].queue`, "steps[1].number.trunk", "steps[2].callback_offer.widget", "steps[3].operator")
	_, err = s.PutOperator(ctx, Mine, directory.Operator{Extension: "101", Trunks: []string{"carrier"}})
	faulty(t, err, "trunks[0]")

	_, err = s.PutTrunk(ctx, Mine, directory.Trunk{Name: "carrier", Host: "sip.example.com"})
	fails(t, err, nil)
	_, err = s.PutOperator(ctx, Mine, directory.Operator{Extension: "101", Trunks: []string{"carrier"}})
	fails(t, err, nil)
	_, err = s.PutWidget(ctx, Mine, directory.Widget{Name: "site", Packet: callback.Packet{Managers: callback.Managers{{Number: "101"}}, TrunksClient: []string{"carrier"}}})
	fails(t, err, nil)
	_, err = s.PutRoute(ctx, Mine, directory.Route{Name: "night", Steps: directory.Steps{{Hangup: &directory.Hangup{}}}})
	fails(t, err, nil)
	_, err = s.PutQueue(ctx, Mine, queue)
	fails(t, err, nil)
	_, err = s.PutRoute(ctx, Mine, route)
	fails(t, err, nil)

	used := func(err error, by ...string) {
		t.Helper()
		var e *store.ReferencedError
		if !errors.As(err, &e) || !slices.Equal(e.By, by) {
			t.Errorf("got %v, want %v", err, by)
		}
	}
	fails(t, s.DeleteTrunk(ctx, Theirs, "carrier"), store.ErrNotFound)
	used(s.DeleteTrunk(ctx, Mine, "carrier"), "operator 101", "widget site", "route main")
	used(s.DeleteOperator(ctx, Mine, "101"), "widget site", "queue 1000", "route main")
	used(s.DeleteWidget(ctx, Mine, "site"), "queue 1000", "route main")
	used(s.DeleteQueue(ctx, Mine, "1000"), "route main")
	used(s.DeleteRoute(ctx, Mine, "night"), "queue 1000")
	fails(t, s.DeleteRoute(ctx, Mine, "main"), nil)
	fails(t, s.DeleteQueue(ctx, Mine, "1000"), nil)
	fails(t, s.DeleteRoute(ctx, Mine, "night"), nil)
	fails(t, s.DeleteWidget(ctx, Mine, "site"), nil)
	fails(t, s.DeleteOperator(ctx, Mine, "101"), nil)
	fails(t, s.DeleteTrunk(ctx, Mine, "carrier"), nil)
}

func exercisePauses(t *testing.T, s *store.Store) {
	ctx := t.Context()
	want := directory.Operator{Extension: "101", Name: "Анна", Password: "secret", Phones: []string{"+74951234567"}, Outbound: directory.OutboundAny}
	for _, account := range []string{Mine, Theirs} {
		_, err := s.PutOperator(ctx, account, want)
		fails(t, err, nil)
	}
	for _, paused := range []bool{true, true, false} {
		fails(t, s.SetPaused(ctx, Mine, "101", paused), nil)
		want.Paused = paused
		got, err := s.Operator(ctx, Mine, "101")
		same(t, want, got, err)
		theirs, err := s.Operator(ctx, Theirs, "101")
		same(t, false, theirs.Paused, err)
	}
	fails(t, s.SetPaused(ctx, Mine, "10\x002", true), store.ErrNotFound)
}

func putOperators(t *testing.T, s *store.Store, extensions ...string) {
	t.Helper()
	for _, extension := range extensions {
		if _, err := s.PutOperator(t.Context(), Mine, directory.Operator{Extension: extension}); err != nil {
			t.Fatal(err)
		}
	}
}

// faulty checks that the error names these fields, and no others.
func faulty(t *testing.T, err error, fields ...string) {
	t.Helper()
	var bad invalid.Error
	if !errors.As(err, &bad) {
		t.Fatal(fmt.Sprint("it was stored, or: ", err))
	}
	var got []string
	for _, f := range bad {
		got = append(got, f.Path)
	}
	if d := cmp.Diff(fields, got); d != "" {
		t.Error(d)
	}
}
