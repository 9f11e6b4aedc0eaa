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
	renderQueue    = "render"
	renderAttempts = 5
	renderTimeout  = 15 * time.Minute
)

// ErrNothingRecorded means that nobody was heard on the call, so that it has no
// recording.
var ErrNothingRecorded = errors.New("nothing was recorded")

// RenderRecording asks for the recording of a call. There is one for a call.
type RenderRecording struct {
	Account string `json:"account"`
	CallID  string `json:"call_id" river:"unique"`
}

// Kind is River's name for the job.
func (RenderRecording) Kind() string { return "render_recording" }

// InsertOpts is how River keeps the job.
func (RenderRecording) InsertOpts() river.InsertOpts {
	return river.InsertOpts{
		Queue: renderQueue, MaxAttempts: renderAttempts,
		UniqueOpts: river.UniqueOpts{ByArgs: true},
	}
}

// renderer works RenderRecording: the outcome is a "recording" event, ready or,
// after the last try, failed.
type renderer struct {
	river.WorkerDefaults[RenderRecording]

	log     *slog.Logger
	store   *store.Store
	render  func(ctx context.Context, callID string) (time.Duration, error)
	discard func(callID string) error // nil: tapes are kept
}

// NextRetry waits 1 s, 4 s, 16 s, 64 s.
func (w *renderer) NextRetry(job *river.Job[RenderRecording]) time.Time {
	return time.Now().Add(time.Second << (2 * (job.Attempt - 1)))
}

func (w *renderer) Work(ctx context.Context, job *river.Job[RenderRecording]) error {
	id := job.Args.CallID
	c, err := w.store.Call(ctx, job.Args.Account, id)
	if errors.Is(err, store.ErrNotFound) {
		return river.JobCancel(err)
	}
	if err != nil {
		return err
	}
	if c.Recording != call.RecordingRendering {
		return nil // a try before this one ended after its outcome was stored
	}
	e := call.Event{CallID: id, Type: call.RecordingState, Recording: call.RecordingReady}
	length, err := w.safely(ctx, id)
	switch {
	case err == nil:
		e.DurationS = float64(length.Round(time.Millisecond).Milliseconds()) / 1000
	case errors.Is(err, ErrNothingRecorded):
		e.Recording, e.Reason, err = call.RecordingNone, err.Error(), nil
	case ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
		return river.JobSnooze(time.Second) // the server stops: this was no try
	case job.Attempt < job.MaxAttempts:
		w.log.Warn("rendering failed, will be tried again", "call", id, "attempt", job.Attempt, "error", err)
		return err
	default:
		w.log.Error("rendering failed", "call", id, "attempt", job.Attempt, "error", err)
		e.Recording, e.Reason = call.RecordingFailed, err.Error()
	}
	w.store.Journal().Append(e)
	if err := errors.Join(err, w.store.Journal().Flush(context.WithoutCancel(ctx))); err != nil {
		return err
	}
	// Only now: until the outcome is stored the tape may be wanted again.
	if e.Recording == call.RecordingReady && w.discard != nil {
		if err := w.discard(id); err != nil {
			w.log.Warn("the tape of a finished recording stays", "call", id, "error", err)
		}
	}
	return nil
}

// safely turns a panic into an error, so that it is counted as one.
func (w *renderer) safely(ctx context.Context, id string) (length time.Duration, err error) {
	defer func() {
		if p := recover(); p != nil {
			w.log.Error("rendering panicked", "call", id, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return w.render(ctx, id)
}
