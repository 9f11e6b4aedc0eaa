package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/riverqueue/river"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/store"
)

const (
	transcribeQueue = "transcribe"
	// transcribers mostly wait for the recogniser.
	transcribers = 4
	// transcribeAttempts with the pauses of NextRetry are some three quarters of
	// an hour, in which an administrator may mend a recogniser.
	transcribeAttempts = 6
	transcribeTimeout  = time.Hour
)

// TranscribeRecording asks for the transcript of a call. There is one for a
// call.
type TranscribeRecording struct {
	Account string `json:"account"`
	CallID  string `json:"call_id" river:"unique"`
}

// Kind is River's name for the job.
func (TranscribeRecording) Kind() string { return "transcribe_recording" }

// InsertOpts is how River keeps the job.
func (TranscribeRecording) InsertOpts() river.InsertOpts {
	return river.InsertOpts{
		Queue: transcribeQueue, MaxAttempts: transcribeAttempts,
		UniqueOpts: river.UniqueOpts{ByArgs: true},
	}
}

// transcriber works TranscribeRecording: the outcome is the transcript and the
// event that says so or, after the last try, the event that says why there is
// none.
type transcriber struct {
	river.WorkerDefaults[TranscribeRecording]

	log   *slog.Logger
	store *store.Store
	write func(ctx context.Context, c call.Call) ([]call.Segment, error)
}

// Timeout is that of a long conversation with a slow recogniser.
func (*transcriber) Timeout(*river.Job[TranscribeRecording]) time.Duration { return transcribeTimeout }

// NextRetry waits 10 s, 40 s, 160 s, 11 min, 43 min.
func (*transcriber) NextRetry(job *river.Job[TranscribeRecording]) time.Time {
	return time.Now().Add(10 * time.Second << (2 * (job.Attempt - 1)))
}

func (w *transcriber) Work(ctx context.Context, job *river.Job[TranscribeRecording]) error {
	id := job.Args.CallID
	c, err := w.store.Call(ctx, job.Args.Account, id)
	if errors.Is(err, store.ErrNotFound) {
		return river.JobCancel(err)
	}
	if err != nil {
		return err
	}
	if c.Transcript != call.TranscriptWaiting {
		return nil // a try before this one ended after its outcome was stored
	}
	e := call.Event{CallID: id, Type: call.Transcribed}
	segments, err := w.safely(ctx, c)
	if err == nil {
		err = w.store.SaveTranscript(c.Account, id, segments)
		e.Segments = len(segments)
	}
	switch {
	case err == nil:
	case ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
		return river.JobSnooze(time.Second) // the server stops: this was no try
	case job.Attempt < job.MaxAttempts:
		w.log.Warn("transcribing failed, will be tried again", "call", id, "attempt", job.Attempt, "error", err)
		return err
	default:
		w.log.Error("transcribing failed", "call", id, "attempt", job.Attempt, "error", err)
		e = call.Event{CallID: id, Type: call.NotTranscribed, Reason: err.Error()}
	}
	w.store.Journal().Append(e)
	return w.store.Journal().Flush(context.WithoutCancel(ctx))
}

// safely turns a panic into an error, so that it is counted as one.
func (w *transcriber) safely(ctx context.Context, c call.Call) (segments []call.Segment, err error) {
	defer func() {
		if p := recover(); p != nil {
			w.log.Error("transcribing panicked", "call", c.ID, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return w.write(ctx, c)
}
