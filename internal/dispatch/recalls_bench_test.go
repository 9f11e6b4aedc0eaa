package dispatch_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/dispatch"
	"github.com/perezvon/perezvon/internal/scenario"
	"github.com/perezvon/perezvon/internal/store"
	"github.com/perezvon/perezvon/internal/store/storetest"
)

// BenchmarkRecallsAmongAMillion measures how late planned attempts begin, and
// how long other writers wait meanwhile, while a million more are planned. One
// pass takes half a minute: -benchtime 1x.
//
// "A million scheduled recalls are held and due ones start within a second."
func BenchmarkRecallsAmongAMillion(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) {
		s := storetest.Open(b)
		million(b, s.SQLite(), `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000) `, "n")
		dueAmongOthers(b, s)
	})
	b.Run("postgres", func(b *testing.B) {
		open, ok := storetest.Postgres(b)
		if !ok {
			return
		}
		s := open(b)
		db, err := sql.Open("pgx", s.Postgres())
		if err != nil {
			b.Fatal(err)
		}
		defer db.Close()
		million(b, db, "", "generate_series(1, 1000000) AS n(i)")
		dueAmongOthers(b, s)
	})
}

// million plans a million attempts for the hours after the next.
func million(b *testing.B, db *sql.DB, with, from string) {
	b.Helper()
	soon := time.Now().Add(time.Hour).UnixMilli()
	if _, err := db.ExecContext(b.Context(), fmt.Sprintf(`%s
		INSERT INTO callbacks (id, account_id, widget, state, client, packet, received, next_attempt_at, created_at)
		SELECT 'planned-' || i, 'default', 'site', 'scheduled', '+79161234567', '{}', '', %d + i * 86, %[2]d FROM %s`, with, soon, from)); err != nil {
		b.Fatal(err)
	}
}

func dueAmongOthers(b *testing.B, s *store.Store) {
	b.Helper()
	const n, apart = 1000, 5 * time.Millisecond
	w := directory.Widget{Name: "site", RecallIntervals: []directory.Duration{directory.Duration(time.Hour)}}
	if err := second(s.PutWidget(b.Context(), mine, w)); err != nil {
		b.Fatal(err)
	}
	r := &starts{store: s, at: make(map[string]time.Time)}
	d := dispatch.New(dispatch.Config{Store: s, Runner: r, Speech: voice{}})
	for b.Loop() {
		due := plan(b, s, n, apart)
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { d.Recall(ctx) })
		var waits []time.Duration
		last := due[len(due)-1].At
		for r.count() < n {
			if time.Now().After(last.Add(time.Minute)) {
				b.Fatal(r.count(), "were started")
			}
			begin := time.Now()
			if err := s.Journal().Flush(ctx); err != nil {
				b.Fatal(err)
			}
			waits = append(waits, time.Since(begin))
			time.Sleep(5 * time.Millisecond) // the pace of other calls
		}
		cancel()
		running.Wait()
		late := make([]time.Duration, n)
		for i, p := range due {
			late[i] = r.at[p.CallbackID].Sub(p.At)
		}
		b.ReportMetric(percentile(late, 50), "ms-late-p50")
		b.ReportMetric(percentile(late, 99), "ms-late-p99")
		b.ReportMetric(float64(slices.Max(late))/1e6, "ms-late-max")
		b.ReportMetric(percentile(waits, 99), "ms-commit-p99")
		b.ReportMetric(float64(slices.Max(waits))/1e6, "ms-commit-max")
		clear(r.at)
	}
	if err := d.Drain(context.Background()); err != nil {
		b.Fatal(err)
	}
}

// plan plans n second attempts, one after another, the first in some seconds.
func plan(b *testing.B, s *store.Store, n int, apart time.Duration) []store.Recall {
	b.Helper()
	var (
		group sync.WaitGroup
		list  = make([]store.Recall, n)
		next  = make(chan int)
		first = time.Now().Add(10 * time.Second)
	)
	for range 64 { // writers share commits
		group.Go(func() {
			for i := range next {
				var err error
				if list[i], err = planOne(s, first.Add(time.Duration(i)*apart)); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	group.Wait()
	if b.Failed() || time.Now().After(first) {
		b.Fatal("planned too slowly")
	}
	return list
}

func planOne(s *store.Store, at time.Time) (store.Recall, error) {
	c := storetest.NewCallback("+79161234567")
	c.Packet.Widget = "site"
	if err := second(s.CreateCallback(c)); err != nil {
		return store.Recall{}, err
	}
	s.Journal().Append(call.Event{CallID: c.CallID, Type: call.Ended, Status: &call.ClientBusy})
	if err := s.Journal().Flush(context.Background()); err != nil {
		return store.Recall{}, err
	}
	planned, err := s.Callback(context.Background(), mine, c.ID)
	if err != nil {
		return store.Recall{}, err
	}
	r := store.Recall{Account: mine, CallbackID: c.ID, At: *planned.NextAttemptAt}
	err = s.MoveRecall(r, at)
	r.At = at
	return r, err
}

// starts is a runner that notes when each callback would dial: when its first
// leg.dialing is stored.
type starts struct {
	store *store.Store

	mu sync.Mutex
	at map[string]time.Time
}

func (r *starts) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.at)
}

func (r *starts) Run(ctx context.Context, a scenario.Attempt) call.Status {
	r.store.Journal().Append(call.Event{CallID: a.CallID, Type: call.Dialing, Leg: "m1"})
	if err := r.store.Journal().Flush(ctx); err != nil {
		return call.Interrupted
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at[a.CallbackID] = time.Now()
	return call.Completed
}
