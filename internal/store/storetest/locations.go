package storetest

import (
	"errors"
	"testing"

	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/numbering"
	"github.com/perezvon/perezvon/internal/store"
)

func exerciseLocations(t *testing.T, s *store.Store) {
	ctx := t.Context()
	tree := func(account string) *numbering.Tree {
		t.Helper()
		tree, err := s.LocationTree(ctx, account)
		if err != nil {
			t.Fatal(err)
		}
		return tree
	}
	put := func(want bool, l numbering.Location) {
		t.Helper()
		if created, err := s.PutLocation(ctx, Mine, l); created != want || err != nil {
			t.Fatalf("created %v, want %v: %v", created, want, err)
		}
	}
	number := func(account, id string) string {
		l, ok := tree(account).Location(id)
		if !ok {
			return "none"
		}
		return l.Number
	}

	shipped := tree(Mine)
	if got, want := len(shipped.Locations()), len(numbering.Shipped()); got != want {
		t.Errorf("%d locations at first, want the %d that ship", got, want)
	}
	if tree(Mine) != shipped {
		t.Error("the tree is built anew though nothing has changed")
	}
	put(false, numbering.Location{ID: "ru", Number: "+74951110000"})
	put(true, numbering.Location{ID: "capital", Parent: "ru", Name: numbering.Name{RU: "Столица"}, Prefixes: []string{"7495", "7496"}})
	put(true, numbering.Location{ID: "ring", Parent: "capital", Name: numbering.Name{EN: "Ring"}, Number: "+74951110001"})
	put(false, numbering.Location{ID: "capital", Parent: "ru", Name: numbering.Name{RU: "Столица"}, Number: "+74951110002", Prefixes: []string{"7495"}})
	put(false, numbering.Location{ID: "ru-mos", Prefixes: []string{}})
	for id, want := range map[string]string{"ru": "+74951110000", "capital": "+74951110002", "ring": "+74951110001", "kz": "", "nowhere": "none"} {
		if got := number(Mine, id); got != want {
			t.Errorf("the number of %s is %s, want %s", id, got, want)
		}
	}
	if l, _ := tree(Mine).Location("ru-mos"); len(l.Prefixes) != 0 {
		t.Errorf("an empty list takes away what ships, also after it was stored: %v", l.Prefixes)
	}
	if number(Theirs, "ru") != "" || number(Theirs, "capital") != "none" {
		t.Error("another account has our locations")
	}

	for _, bad := range []struct {
		l    numbering.Location
		path string
	}{
		{numbering.Location{ID: "capital", Parent: "ring", Name: numbering.Name{EN: "x"}}, "parent"},
		{numbering.Location{ID: "de", Number: "office"}, "number"},
		{numbering.Location{ID: "other", Parent: "ru", Name: numbering.Name{EN: "x"}, Prefixes: []string{"7499", "7495"}}, "prefixes[1]"},
		{numbering.Location{ID: "Новая", Parent: "ru", Name: numbering.Name{EN: "x"}}, "id"},
	} {
		_, err := s.PutLocation(ctx, Mine, bad.l)
		var fields invalid.Error
		if !errors.As(err, &fields) || fields[0].Path != bad.path && fields[len(fields)-1].Path != bad.path {
			t.Errorf("%+v: %v, want a fault of %s", bad.l, err, bad.path)
		}
	}

	var fields invalid.Error
	if err := s.DeleteLocation(ctx, Mine, "capital"); !errors.As(err, &fields) {
		t.Errorf("a location with another in it was removed: %v", err)
	}
	fails(t, s.DeleteLocation(ctx, Mine, "ring"), nil)
	fails(t, s.DeleteLocation(ctx, Mine, "capital"), nil)
	fails(t, s.DeleteLocation(ctx, Mine, "capital"), store.ErrNotFound)
	fails(t, s.DeleteLocation(ctx, Theirs, "capital"), store.ErrNotFound)
	fails(t, s.DeleteLocation(ctx, Mine, "ru"), nil)
	fails(t, s.DeleteLocation(ctx, Mine, "ru"), nil) // as shipped already
	if number(Mine, "ru") != "" || number(Mine, "capital") != "none" {
		t.Error("removed locations are still there")
	}
}
