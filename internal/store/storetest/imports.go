package storetest

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/store"
)

// foreign is the source of these tests.
const foreign = "freepbx"

func exerciseImport(t *testing.T, s *store.Store) {
	c := newContacts(t, s, "101", "102", "103")
	ctx := t.Context()
	position := func(account, want string) {
		t.Helper()
		got, err := s.ImportPosition(ctx, account, foreign)
		same(t, want, got, err)
	}
	position(Mine, "")
	ago := func(d time.Duration) time.Time { return c.now.Add(-d) }
	fails(t, s.Import(ctx, Mine, foreign, []store.ForeignContact{
		{CallID: "1.1", Operator: "101", Client: "89161234567", Direction: call.Inbound, At: ago(3 * time.Hour), Outcome: call.ContactAnswered},
		{CallID: "1.2", Operator: "102", Client: "anonymous", Direction: call.Inbound, At: ago(time.Minute), Outcome: call.ContactAnswered},
		{CallID: "1.3", Operator: "102", Client: "103", Direction: call.Outbound, At: ago(time.Minute), Outcome: call.ContactAnswered},
	}, "page 1"), nil)
	position(Mine, "page 1")
	position(Theirs, "")
	c.is(client, call.ResponsibleRule{}, "101", "1.1")
	c.is("8 916 123-45-67", call.ResponsibleRule{}, "101", "1.1")

	// Another who picks up passes those over who rang beside him, in whatever
	// batch the records come.
	fails(t, s.Import(ctx, Mine, foreign, []store.ForeignContact{
		{CallID: "2.1", Operator: "103", Client: client, Direction: call.Inbound, At: ago(time.Hour), Outcome: call.ContactNoAnswer},
	}, "page 2"), nil)
	c.is(client, call.ResponsibleRule{}, "103", "2.1")
	fails(t, s.Import(ctx, Mine, foreign, []store.ForeignContact{
		{CallID: "2.1", Operator: "102", Client: client, Direction: call.Inbound, At: ago(2 * time.Hour), Outcome: call.ContactAnswered},
	}, "page 3"), nil)
	c.is(client, call.ResponsibleRule{}, "102", "2.1")

	// A call of the server's own that bears the same name is not touched, and
	// neither is another account's.
	own := c.talks("101", time.Minute)
	fails(t, s.Import(ctx, Mine, foreign, []store.ForeignContact{
		{CallID: own, Operator: "101", Client: "+79990000000", Direction: call.Inbound, At: ago(0), Outcome: call.ContactAnswered},
	}, "page 4"), nil)
	c.is(client, call.ResponsibleRule{}, "101", own)
	c.is("+79990000000", call.ResponsibleRule{}, "", "")
	fails(t, s.Import(ctx, Theirs, foreign, []store.ForeignContact{
		{CallID: "3.1", Operator: "102", Client: client, Direction: call.Inbound, At: ago(0), Outcome: call.ContactAnswered},
	}, "theirs"), nil)
	c.is(client, call.ResponsibleRule{}, "101", own)
	position(Mine, "page 4")
	position(Theirs, "theirs")
}

// exerciseImportOrder: in whatever order, and however often, the records of a
// call come, the same is known in the end.
func exerciseImportOrder(t *testing.T, s *store.Store) {
	c := newContacts(t, s, "101", "102", "103")
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		numbers := [2]string{client, "+79150000000"} // each try has a client of its own
		for i := range numbers {
			numbers[i] = numbers[i][:5] + string(rune('0'+n/1000%10)) + string(rune('0'+n/100%10)) + string(rune('0'+n/10%10)) + string(rune('0'+n%10)) + numbers[i][9:]
		}
		records := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) store.ForeignContact {
			return store.ForeignContact{
				CallID: "x", Direction: call.Inbound,
				Operator: rapid.SampledFrom([]string{"101", "102", "103"}).Draw(rt, "operator"),
				At:       c.now.Add(-time.Duration(rapid.IntRange(1, 5).Draw(rt, "ago")) * time.Minute),
				Outcome:  rapid.SampledFrom(call.ContactOutcomes()).Draw(rt, "outcome"),
			}
		}), 1, 6).Draw(rt, "records")
		order := rapid.Permutation(append(append([]store.ForeignContact{}, records...), records[0])).Draw(rt, "order")
		var found [2]call.Responsible
		for i, list := range [][]store.ForeignContact{records, order} {
			for at := range list {
				list[at].CallID, list[at].Client = numbers[i], numbers[i]
			}
			cut := rapid.IntRange(0, len(list)).Draw(rt, "cut")
			for _, batch := range [][]store.ForeignContact{list[:cut], list[cut:]} {
				if err := s.Import(t.Context(), Mine, foreign, batch, ""); err != nil {
					rt.Fatal(err)
				}
			}
			r, err := s.Responsible(t.Context(), Mine, numbers[i], call.ResponsibleRule{Outcomes: call.ContactOutcomes()})
			if err != nil || !r.Found() {
				rt.Fatal(r, err)
			}
			r.CallID = ""
			found[i] = r
		}
		if found[0] != found[1] {
			rt.Errorf("%+v\nand in another order %+v", found[0], found[1])
		}
	})
}

func exerciseDestinations(t *testing.T, s *store.Store) {
	ctx := t.Context()
	list, err := s.Destinations(ctx, Mine)
	same(t, nil, list, err)
	a, b := store.Destination{Extension: "101", Before: "", After: "operators-alert,s,1"}, store.Destination{Extension: "102", Before: "ext-group,600,1", After: "operators-alert,s,1"}
	fails(t, s.KeepDestinations(ctx, Mine, []store.Destination{b, a}), nil)
	list, err = s.Destinations(ctx, Mine)
	same(t, []store.Destination{a, b}, list, err)
	a.Before = "ivr-1,s,1"
	fails(t, s.KeepDestinations(ctx, Mine, []store.Destination{a}), nil)
	fails(t, s.ForgetDestination(ctx, Theirs, "101"), nil)
	fails(t, s.ForgetDestination(ctx, Mine, "102"), nil)
	list, err = s.Destinations(ctx, Mine)
	same(t, []store.Destination{a}, list, err)
	list, err = s.Destinations(ctx, Theirs)
	same(t, nil, list, err)
}
