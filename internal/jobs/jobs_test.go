package jobs_test

import (
	"context"
	"io/fs"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/jobs"
	"github.com/perezvon/perezvon/internal/store"
	"github.com/perezvon/perezvon/internal/store/storetest"
)

type renderFunc = func(context.Context, string) (time.Duration, error)

func start(t *testing.T, s *store.Store, render renderFunc) *jobs.Service {
	t.Helper()
	j, err := jobs.New(t.Context(), jobs.Config{Store: s, Render: render, Poll: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return j
}

func stop(t *testing.T, j *jobs.Service) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := j.Stop(ctx); err != nil {
		t.Error("stop:", err)
	}
}

// recorded stores a call that was recorded and has ended.
func recorded(t *testing.T, s *store.Store) string {
	t.Helper()
	n := storetest.Create(t, s, "+79161234567")
	s.Journal().Append(call.Event{CallID: n.CallID, Type: call.RecordingStarted})
	s.Journal().Append(call.Event{CallID: n.CallID, Type: call.Ended, Status: &call.Completed})
	if err := s.Journal().Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	return n.CallID
}

// outcome waits for the recording event of the call.
func outcome(t *testing.T, events <-chan call.Event, id string) call.Event {
	t.Helper()
	timeout := time.After(2 * time.Minute)
	for {
		select {
		case e := <-events:
			if e.CallID == id && e.Type == call.RecordingState {
				return e
			}
		case <-timeout:
			t.Fatal("no recording event")
		}
	}
}

func TestARecordingIsRenderedAfterTheCallAndTriedAgain(t *testing.T) {
	triedAgain(t, storetest.Open(t))
}

func TestPostgreSQL(t *testing.T) {
	if open, ok := storetest.Postgres(t); ok {
		t.Run("tried again", func(t *testing.T) { triedAgain(t, open(t)) })
		t.Run("taken back", func(t *testing.T) { takenBack(t, open(t)) })
	}
}

func triedAgain(t *testing.T, s *store.Store) {
	events := s.Journal().Subscribe(t.Context())
	var tries atomic.Int32
	j := start(t, s, func(_ context.Context, id string) (time.Duration, error) {
		if tries.Add(1) == 1 {
			panic("a bad tape")
		}
		return 4250 * time.Millisecond, nil
	})
	defer stop(t, j)
	id := recorded(t, s)
	if e := outcome(t, events, id); e.Recording != call.RecordingReady || e.DurationS != 4.25 {
		t.Errorf("got %+v", e)
	}
	if n := tries.Load(); n != 2 {
		t.Errorf("rendered %d times", n)
	}
	c, err := s.Call(t.Context(), storetest.Mine, id)
	if err != nil || c.Recording != call.RecordingReady || c.RecordingS != 4.25 {
		t.Error(c.Recording, c.RecordingS, err)
	}
}

// The tape goes only when the recording is known to be ready; a call on which
// nobody was heard has no recording, and is not tried again.
func TestTheTapeGoesOnceTheRecordingIsReady(t *testing.T) {
	s := storetest.Open(t)
	events := s.Journal().Subscribe(t.Context())
	var nothing atomic.Bool
	discarded := make(chan string, 2)
	j, err := jobs.New(t.Context(), jobs.Config{
		Store: s, Poll: 100 * time.Millisecond,
		Render: func(context.Context, string) (time.Duration, error) {
			if nothing.Load() {
				return 0, jobs.ErrNothingRecorded
			}
			return time.Second, nil
		},
		Discard: func(id string) error {
			if c, err := s.Call(t.Context(), storetest.Mine, id); err != nil || c.Recording != call.RecordingReady {
				t.Errorf("discarded in state %q, %v", c.Recording, err)
			}
			discarded <- id
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer stop(t, j)
	id := recorded(t, s)
	if e := outcome(t, events, id); e.Recording != call.RecordingReady {
		t.Errorf("got %+v", e)
	}
	if got := <-discarded; got != id {
		t.Errorf("discarded %s, want %s", got, id)
	}
	nothing.Store(true)
	id = recorded(t, s)
	if e := outcome(t, events, id); e.Recording != call.RecordingNone || e.Reason == "" {
		t.Errorf("got %+v", e)
	}
	if len(discarded) > 0 {
		t.Error("a tape without a recording was discarded")
	}
}

func TestACallWithoutARecordingIsNotRendered(t *testing.T) {
	s := storetest.Open(t)
	events := s.Journal().Subscribe(t.Context())
	first := make(chan string, 2)
	j := start(t, s, func(_ context.Context, id string) (time.Duration, error) {
		first <- id
		return time.Second, nil
	})
	defer stop(t, j)
	n := storetest.Create(t, s, "+79161234567")
	s.Journal().Append(call.Event{CallID: n.CallID, Type: call.Ended, Status: &call.ManagerBusy})
	id := recorded(t, s)
	outcome(t, events, id)
	if got := <-first; got != id || len(first) != 0 {
		t.Error("the call that was not recorded was rendered")
	}
}

func TestWhatAKilledProcessWasRenderingIsRenderedByTheNext(t *testing.T) {
	takenBack(t, storetest.Open(t))
}

func takenBack(t *testing.T, s *store.Store) {
	id := recorded(t, s) // without jobs: a job that was never inserted
	begun := make(chan struct{})
	hangs := start(t, s, func(ctx context.Context, _ string) (time.Duration, error) {
		close(begun)
		<-ctx.Done()
		return 0, context.Cause(ctx)
	})
	<-begun
	// The next process finds the job as running and takes it back; the first
	// one is not asked.
	events := s.Journal().Subscribe(t.Context())
	next := start(t, s, func(context.Context, string) (time.Duration, error) { return time.Second, nil })
	if e := outcome(t, events, id); e.Recording != call.RecordingReady {
		t.Errorf("got %+v", e)
	}
	stop(t, next)
	at, cancel := context.WithCancel(context.Background())
	cancel()
	if err := hangs.Stop(at); err != nil {
		t.Error(err)
	}
}

func TestARenderingIsCalledOffAtTheStopAndDoneLater(t *testing.T) {
	s := storetest.Open(t)
	begun := make(chan struct{})
	j := start(t, s, func(ctx context.Context, _ string) (time.Duration, error) {
		close(begun)
		<-ctx.Done()
		return 0, context.Cause(ctx)
	})
	id := recorded(t, s)
	<-begun
	at, cancel := context.WithCancel(context.Background())
	cancel()
	if err := j.Stop(at); err != nil {
		t.Fatal(err)
	}
	events := s.Journal().Subscribe(t.Context())
	j = start(t, s, func(context.Context, string) (time.Duration, error) { return time.Second, nil })
	defer stop(t, j)
	if e := outcome(t, events, id); e.Recording != call.RecordingReady {
		t.Errorf("got %+v", e)
	}
}

func TestARenderingThatNeverSucceedsIsTold(t *testing.T) {
	s := storetest.Open(t)
	events := s.Journal().Subscribe(t.Context())
	j := start(t, s, func(context.Context, string) (time.Duration, error) { return 0, fs.ErrNotExist })
	defer stop(t, j)
	id := recorded(t, s)
	// The tries before the last are made to be over.
	for {
		if _, err := s.SQLite().ExecContext(t.Context(),
			`UPDATE river_job SET attempt = max_attempts - 1, scheduled_at = '2000-01-01' WHERE attempt < max_attempts - 1`); err != nil {
			t.Fatal(err)
		}
		select {
		case e := <-events:
			if e.CallID == id && e.Type == call.RecordingState {
				if e.Recording != call.RecordingFailed || e.Reason == "" {
					t.Errorf("got %+v", e)
				}
				return
			}
		case <-time.After(50 * time.Millisecond):
		}
	}
}
