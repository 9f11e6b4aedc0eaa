package jobs_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/jobs"
	"github.com/perezvon/perezvon/internal/store"
	"github.com/perezvon/perezvon/internal/store/storetest"
)

type transcribeFunc = func(context.Context, call.Call) ([]call.Segment, error)

func startTranscribing(t *testing.T, s *store.Store, transcribe transcribeFunc) *jobs.Service {
	t.Helper()
	j, err := jobs.New(t.Context(), jobs.Config{
		Store: s, Transcribe: transcribe, Poll: 100 * time.Millisecond,
		Render: func(context.Context, string) (time.Duration, error) { return time.Second, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return j
}

// talked stores a call in which people talked and of which a transcript is
// wanted.
func talked(t *testing.T, s *store.Store, wanted bool) string {
	t.Helper()
	n := storetest.Create(t, s, "+79161234567")
	for _, e := range []call.Event{
		{Type: call.RecordingStarted, Transcribe: wanted}, {Type: call.Joined, Leg: "m1", Other: "c1"},
		{Type: call.Ended, Status: &call.Completed},
	} {
		e.CallID = n.CallID
		s.Journal().Append(e)
	}
	if err := s.Journal().Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	return n.CallID
}

// becomes waits for an event of the call, and lets no try wait for its time.
func becomes(t *testing.T, s *store.Store, events <-chan call.Event, id string, types ...call.Type) call.Event {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(2 * time.Minute)
	for {
		select {
		case e := <-events:
			for _, typ := range types {
				if e.CallID == id && e.Type == typ {
					return e
				}
			}
		case <-tick.C:
			// The pauses between tries are made to be over.
			if _, err := s.SQLite().ExecContext(t.Context(), `UPDATE river_job SET scheduled_at = '2000-01-01' WHERE state = 'retryable'`); err != nil {
				t.Fatal(err)
			}
		case <-timeout:
			t.Fatal("no event")
		}
	}
}

var said = []call.Segment{{Speaker: call.ClientSpeaks, FromS: 0.5, ToS: 1, Text: "Алло?"}}

func TestARecordingIsWrittenDownAfterItsRenderingAndTriedAgain(t *testing.T) {
	s := storetest.Open(t)
	events := s.Journal().Subscribe(t.Context())
	var tries atomic.Int32
	j := startTranscribing(t, s, func(_ context.Context, c call.Call) ([]call.Segment, error) {
		if c.Recording != call.RecordingReady {
			t.Errorf("the recording is %s", c.Recording)
		}
		switch tries.Add(1) {
		case 1:
			panic("a bad recogniser")
		case 2:
			return nil, errors.New("out of order")
		}
		return said, nil
	})
	defer stop(t, j)
	id := talked(t, s, true)
	if e := becomes(t, s, events, id, call.Transcribed, call.NotTranscribed); e.Type != call.Transcribed || e.Segments != 1 {
		t.Errorf("got %+v", e)
	}
	if n := tries.Load(); n != 3 {
		t.Errorf("tried %d times", n)
	}
	c, err := s.Call(t.Context(), storetest.Mine, id)
	got, err2 := s.Transcript(t.Context(), storetest.Mine, id)
	if d := cmp.Diff(said, got); d != "" || c.Transcript != call.TranscriptReady || err != nil || err2 != nil {
		t.Error(d, c.Transcript, err, err2)
	}
}

func TestATranscriptThatNeverSucceedsIsTold(t *testing.T) {
	s := storetest.Open(t)
	events := s.Journal().Subscribe(t.Context())
	var tries atomic.Int32
	j := startTranscribing(t, s, func(context.Context, call.Call) ([]call.Segment, error) {
		tries.Add(1)
		return said, errors.New("recogniser vosk: connection refused")
	})
	defer stop(t, j)
	id := talked(t, s, true)
	e := becomes(t, s, events, id, call.Transcribed, call.NotTranscribed)
	if e.Type != call.NotTranscribed || e.Reason != "recogniser vosk: connection refused" || tries.Load() != 6 {
		t.Errorf("after %d tries: %+v", tries.Load(), e)
	}
	if got, err := s.Transcript(t.Context(), storetest.Mine, id); got != nil || err != nil {
		t.Errorf("kept %v, %v", got, err)
	}
}

func TestACallThatWantsNoTranscriptGetsNone(t *testing.T) {
	s := storetest.Open(t)
	events := s.Journal().Subscribe(t.Context())
	first := make(chan string, 2)
	j := startTranscribing(t, s, func(_ context.Context, c call.Call) ([]call.Segment, error) {
		first <- c.ID
		return said, nil
	})
	defer stop(t, j)
	talked(t, s, false)
	id := talked(t, s, true)
	becomes(t, s, events, id, call.Transcribed)
	if got := <-first; got != id || len(first) != 0 {
		t.Error("the call that wants none was written down")
	}
}

// A call that waits is written down by the next start, whatever became of its
// job: also one that ended while there was no recogniser.
func TestACallThatWaitsIsWrittenDownAfterARestart(t *testing.T) {
	takenUp(t, storetest.Open(t))
}

func TestTranscriptsOnPostgreSQL(t *testing.T) {
	if open, ok := storetest.Postgres(t); ok {
		takenUp(t, open(t))
	}
}

func takenUp(t *testing.T, s *store.Store) {
	events := s.Journal().Subscribe(t.Context())
	j := start(t, s, func(context.Context, string) (time.Duration, error) { return time.Second, nil })
	id := talked(t, s, true)
	if e := outcome(t, events, id); e.Recording != call.RecordingReady {
		t.Fatalf("%+v", e)
	}
	stop(t, j)
	j = startTranscribing(t, s, func(context.Context, call.Call) ([]call.Segment, error) { return said, nil })
	defer stop(t, j)
	timeout := time.After(2 * time.Minute)
	for {
		select {
		case e := <-events:
			if e.CallID == id && e.Type == call.Transcribed {
				return
			}
		case <-timeout:
			t.Fatal("no transcript")
		}
	}
}
