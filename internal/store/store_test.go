package store_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/store"
	"github.com/perezvon/perezvon/internal/store/storetest"
)

func TestSQLite(t *testing.T) {
	storetest.Exercise(t, func(t *testing.T) *store.Store { return storetest.Open(t) })
}

func TestPostgreSQL(t *testing.T) {
	if open, ok := storetest.Postgres(t); ok {
		storetest.Exercise(t, func(t *testing.T) *store.Store { return open(t) })
		t.Run("lost connections", func(t *testing.T) { loseConnections(t, open(t)) })
	}
}

func loseConnections(t *testing.T, s *store.Store) {
	server, err := sql.Open("pgx", s.Postgres())
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	n := storetest.Create(t, s, "+79161234567")
	const events = 200
	for i := range events {
		s.Journal().Append(call.Event{CallID: n.CallID, Type: call.Note, Reason: fmt.Sprint(i)})
		if i%20 != 0 {
			continue
		}
		if _, err := server.ExecContext(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid()`); err != nil {
			t.Fatal(err)
		}
	}
	for s.Journal().Flush(t.Context()) != nil {
	}
	list, err := s.Events(t.Context(), storetest.Mine, n.CallID, 1)
	if err != nil || len(list) != events {
		t.Fatal(len(list), err)
	}
	for i, e := range list {
		if e.Reason != fmt.Sprint(i) || e.Seq != int64(i+2) {
			t.Fatalf("event %d is %d %s", i, e.Seq, e.Reason)
		}
	}
	t.Logf("%+v", s.Journal().Stats())
}

func TestADataFolderIsUsedByOneProcess(t *testing.T) {
	dir := t.TempDir()
	first, err := store.Open(t.Context(), store.Options{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	_, err = store.Open(t.Context(), store.Options{DataDir: dir})
	var inUse *store.InUseError
	if !errors.As(err, &inUse) || inUse.PID != strconv.Itoa(os.Getpid()) || !strings.Contains(err.Error(), dir) {
		t.Errorf("the second got %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := store.Open(t.Context(), store.Options{DataDir: dir})
	if err != nil {
		t.Fatal("after the first has closed:", err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}

func TestTheNextProcessKnowsWhenTheLastOneWasAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		first, err := store.Open(t.Context(), store.Options{DataDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if at := first.LastSeen(); !at.IsZero() {
			t.Error("before the first process there was one at", at)
		}
		time.Sleep(time.Hour) // with nothing to do
		died := time.Now()
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		second, err := store.Open(t.Context(), store.Options{DataDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if d := died.Sub(second.LastSeen()); d < 0 || d > 5*time.Second {
			t.Error("last seen before its end:", d)
		}
		if err := second.Close(); err != nil {
			t.Error(err)
		}
	})
}
