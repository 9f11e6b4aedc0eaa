package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/store"
	"github.com/perezvon/perezvon/internal/store/storetest"
)

func TestTheJournalKeepsTheOrderOfEachCallAmongMany(t *testing.T) {
	s := storetest.Open(t)
	const calls, events = 40, 50
	var group sync.WaitGroup
	ids := make([]string, calls)
	for i := range calls {
		group.Go(func() {
			n := storetest.NewCallback("+79161234567")
			ids[i] = n.CallID
			if _, err := s.CreateCallback(n); err != nil {
				t.Error(err)
			}
			for k := range events {
				s.Journal().Append(call.Event{CallID: n.CallID, Type: call.Note, Reason: fmt.Sprint(k)})
				if k%17 == 0 {
					if err := s.Journal().Flush(t.Context()); err != nil {
						t.Error(err)
					}
				}
			}
			if err := s.Journal().Flush(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, id := range ids {
		list, err := s.Events(t.Context(), storetest.Mine, id, 1)
		if err != nil || len(list) != events {
			t.Fatal(len(list), err)
		}
		for k, e := range list {
			if e.Reason != fmt.Sprint(k) || e.Seq != int64(k+2) {
				t.Fatalf("event %d is %+v", k, e)
			}
		}
	}
	if st := s.Journal().Stats(); st.Committed != calls*events || st.Groups >= st.Committed/4 || st.Waiting != 0 {
		t.Errorf("%+v", st)
	}
}

func TestEventsAreStoredWithoutAFlush(t *testing.T) {
	s := storetest.Open(t)
	n := storetest.Create(t, s, "+79161234567")
	stored := s.Journal().Subscribe(t.Context())
	s.Journal().Append(call.Event{CallID: n.CallID, Type: call.Note})
	if e := <-stored; e.Seq != 2 || e.At.IsZero() || e.At.Nanosecond()%1e6 != 0 || e.At.Location() != time.UTC {
		t.Errorf("got %+v", e)
	}
}

// full makes the database refuse to grow, as a full disk does, until the
// result is called.
func full(t *testing.T, s *store.Store) (free func()) {
	t.Helper()
	limit := func(pages int) {
		if _, err := s.SQLite().ExecContext(context.Background(), fmt.Sprintf("PRAGMA max_page_count = %d", pages)); err != nil {
			t.Fatal(err)
		}
	}
	limit(1) // less than there is: what there is
	return func() { limit(1 << 30) }
}

func TestWhileTheDiskIsFullEventsWaitAndNothingIsPromised(t *testing.T) {
	s := storetest.Open(t)
	n := storetest.Create(t, s, "+79161234567")
	free := full(t, s)

	long := strings.Repeat("x", 4000)
	const events = 300
	for i := range events {
		s.Journal().Append(call.Event{CallID: n.CallID, Type: call.Note, Reason: fmt.Sprint(i), Text: long})
	}
	if err := s.Journal().Flush(t.Context()); err == nil {
		t.Fatal("a full disk was not noticed")
	}
	if s.Healthy() == nil {
		t.Error("the store calls itself healthy")
	}
	lost := storetest.NewCallback("+79161234567")
	if _, err := s.CreateCallback(lost); err == nil {
		t.Error("a request was acknowledged")
	}

	free()
	for s.Journal().Flush(t.Context()) != nil {
	}
	if err := s.Healthy(); err != nil {
		t.Error("healthy again:", err)
	}
	list, err := s.Events(t.Context(), storetest.Mine, n.CallID, 1)
	if err != nil || len(list) != events {
		t.Fatal(len(list), err)
	}
	for i, e := range list {
		if e.Seq != int64(i+2) || e.Reason != fmt.Sprint(i) {
			t.Fatalf("event %d is %d %s", i, e.Seq, e.Reason)
		}
	}
	if _, err := s.Callback(t.Context(), storetest.Mine, lost.ID); !errors.Is(err, store.ErrNotFound) {
		t.Error("a request that was refused is there:", err)
	}
}

func TestWaitingEventsAreBoundedButEveryCallEnds(t *testing.T) {
	s := storetest.Open(t)
	n := storetest.Create(t, s, "+79161234567")
	free := full(t, s)
	long := strings.Repeat("x", 4000)
	s.Journal().Append(call.Event{CallID: n.CallID, Type: call.Note, Text: strings.Repeat(long, 100)})
	if s.Journal().Flush(t.Context()) == nil {
		t.Fatal("a full disk was not noticed")
	}
	for range 1<<15 + 1000 {
		s.Journal().Append(call.Event{CallID: n.CallID, Type: call.Note})
	}
	s.Journal().Append(call.Event{CallID: n.CallID, Type: call.Ended, Status: &call.Completed})
	// Up to one group may be in the hands of the writer.
	if st := s.Journal().Stats(); st.Lost < 400 || st.Waiting > 1<<15+600 {
		t.Errorf("%+v", st)
	}
	free()
	for s.Journal().Flush(t.Context()) != nil {
	}
	c, err := s.Call(t.Context(), storetest.Mine, n.CallID)
	if err != nil || c.Status != call.Completed || c.LastSeq != s.Journal().Stats().Committed+1 {
		t.Error(c.Status, c.LastSeq, err)
	}
}

func TestCloseStoresWhatWaits(t *testing.T) {
	dir := t.TempDir()
	s, err := store.Open(t.Context(), store.Options{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	n := storetest.Create(t, s, "+79161234567")
	for range 2000 {
		s.Journal().Append(call.Event{CallID: n.CallID, Type: call.Note})
	}
	events := s.Journal().Subscribe(t.Context())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range events { //nolint:revive // until it is closed
	}
	s.Journal().Append(call.Event{CallID: n.CallID, Type: call.Note})
	if err := s.Journal().Flush(t.Context()); !errors.Is(err, store.ErrClosed) {
		t.Error("flush after close:", err)
	}
	s = storetest.OpenIn(t, store.Options{DataDir: dir})
	if c, err := s.Call(t.Context(), storetest.Mine, n.CallID); err != nil || c.LastSeq != 2001 {
		t.Error(c.LastSeq, err)
	}
}

func TestCloseTellsWhatCouldNotBeStored(t *testing.T) {
	s, err := store.Open(t.Context(), store.Options{DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	n := storetest.Create(t, s, "+79161234567")
	if err := s.SQLite().Close(); err != nil {
		t.Fatal(err)
	}
	s.Journal().Append(call.Event{CallID: n.CallID, Type: call.Note})
	if s.Journal().Flush(t.Context()) == nil {
		t.Error("a closed database took an event")
	}
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), "1 events lost") {
		t.Error("close:", err)
	}
}

func BenchmarkJournalEvents(b *testing.B) {
	s := storetest.Open(b)
	var ids []string
	for range 100 {
		ids = append(ids, storetest.Create(b, s, "+79161234567").CallID)
	}
	b.ResetTimer()
	for i := range b.N {
		s.Journal().Append(call.Event{CallID: ids[i%len(ids)], Type: call.Dialing, Leg: "m1", Role: call.Manager, Number: "+74951234567", Trunk: "carrier"})
		if i%10000 == 9999 {
			if err := s.Journal().Flush(context.Background()); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := s.Journal().Flush(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkAppendFlush(b *testing.B) {
	s := storetest.Open(b)
	n := storetest.Create(b, s, "+79161234567")
	for b.Loop() {
		s.Journal().Append(call.Event{CallID: n.CallID, Type: call.Dialing, Leg: "m1", Role: call.Manager})
		if err := s.Journal().Flush(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}
