package store_test

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/store"
	"github.com/perezvon/perezvon/internal/store/storetest"
)

func TestPeersAreReadBesideTheServerThatHoldsTheFolder(t *testing.T) {
	dir := t.TempDir()
	if _, err := store.LookAtPeers(t.Context(), store.Options{DataDir: dir}, storetest.Mine); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a database: %v", err)
	}
	lookAtPeers(t, storetest.OpenIn(t, store.Options{DataDir: dir}), store.Options{DataDir: dir})
	if open, ok := storetest.Postgres(t); ok {
		held := open(t)
		lookAtPeers(t, held, store.Options{DSN: held.Postgres()})
	}
}

func lookAtPeers(t *testing.T, held *store.Store, o store.Options) {
	t.Helper()
	want := store.Peers{
		Trunks:    []directory.Trunk{{Name: "carrier", Host: "sip.example.org", Password: "secret"}},
		Operators: []directory.Operator{{Extension: "101", Password: "phone's"}},
	}
	if _, err := held.PutTrunk(t.Context(), storetest.Mine, want.Trunks[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := held.PutOperator(t.Context(), storetest.Mine, want.Operators[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := held.PutOperator(t.Context(), "another", directory.Operator{Extension: "102"}); err != nil {
		t.Fatal(err)
	}
	got, err := store.LookAtPeers(t.Context(), o, storetest.Mine)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}
