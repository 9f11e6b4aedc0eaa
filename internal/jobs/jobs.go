// Package jobs is what must happen later or again, whatever happens to the
// process: River jobs in the store's own database, inserted in the transaction
// that causes them.
//
// There are three kinds: the recording of a call is rendered from its tape after
// the call has ended, then it is written down if that is wanted, and backends
// are told what happens on it. The rest of the program does not see River.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/riverqueue/river"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/store"
)

// Defaults of Config.
const (
	DefaultRenderers = 1
	defaultPoll      = 500 * time.Millisecond
)

// Config is what the jobs need.
type Config struct {
	Store *store.Store
	// Render makes the recording of a call from its tape and tells how long it
	// is; ErrNothingRecorded where there is nothing to make it of. It may be
	// called again for a call whose rendering was cut short.
	Render func(ctx context.Context, callID string) (time.Duration, error)
	// Discard removes the tape of a call whose recording is known to be ready.
	// Default: tapes are kept.
	Discard func(callID string) error
	// Renderers is how many recordings are rendered at once. Rendering takes
	// all of a processor that calls want too. Default DefaultRenderers.
	Renderers int
	// Transcribe writes down a call that wants it, once its recording is ready.
	// Default: the calls wait until a server comes that can.
	Transcribe func(ctx context.Context, c call.Call) ([]call.Segment, error)
	// Deliveries tells the backends. Default: nobody is told anything.
	Deliveries Deliveries
	// Poll is how often the database is asked for work where it cannot tell by
	// itself (SQLite). Default 500 ms, at least 100 ms.
	Poll time.Duration
	// Logger gets River's own messages from warning upward. Default: none.
	Logger *slog.Logger
}

// Service works the jobs of one process.
type Service struct {
	log        *slog.Logger
	store      *store.Store
	deliveries Deliveries
	transcribe bool
	queue      queue
	stopping   chan struct{} // closed when the work is to end
}

// New brings River's tables up to date, takes back the jobs that this node's
// predecessor was working on when it died, and from then on inserts the jobs
// that events cause. Nothing is worked before Start.
func New(ctx context.Context, c Config) (*Service, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Renderers == 0 {
		c.Renderers = DefaultRenderers
	}
	if c.Poll == 0 {
		c.Poll = defaultPoll
	}
	s := &Service{log: c.Logger, store: c.Store, deliveries: c.Deliveries, stopping: make(chan struct{})}
	workers := river.NewWorkers()
	river.AddWorker(workers, &renderer{log: c.Logger, store: c.Store, render: c.Render, discard: c.Discard})
	queues := map[string]river.QueueConfig{renderQueue: {MaxWorkers: c.Renderers}}
	if c.Transcribe != nil {
		s.transcribe = true
		river.AddWorker(workers, &transcriber{log: c.Logger, store: c.Store, write: c.Transcribe})
		queues[transcribeQueue] = river.QueueConfig{MaxWorkers: transcribers}
	}
	if c.Deliveries != nil {
		river.AddWorker(workers, &deliverer{service: s})
		queues[deliverQueue] = river.QueueConfig{MaxWorkers: deliverers, FetchPollInterval: min(c.Poll, deliverPoll)}
	}
	config := &river.Config{
		ID:                   "perezvon-" + c.Store.Node(),
		FetchPollInterval:    c.Poll,
		JobTimeout:           renderTimeout,
		RescueStuckJobsAfter: 2 * transcribeTimeout,
		Logger:               slog.New(atLeastWarn{c.Logger.Handler()}),
		Queues:               queues,
		Workers:              workers,
	}
	var err error
	if dsn := c.Store.Postgres(); dsn != "" {
		s.queue, err = openPostgres(ctx, dsn, config)
	} else {
		s.queue, err = openSQLite(ctx, c.Store.SQLite(), config)
	}
	if err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	c.Store.Journal().OnEvent(s.follow)
	return s, nil
}

// follow inserts the jobs that an event causes.
func (s *Service) follow(ctx context.Context, tx *store.Tx, c call.Call, e call.Event) error {
	if e.Type == call.Ended && c.Recording == call.RecordingRendering {
		if err := s.queue.insertTx(ctx, tx, RenderRecording{Account: c.Account, CallID: c.ID}); err != nil {
			return err
		}
	}
	if s.transcribe && e.Type == call.RecordingState && c.Recording == call.RecordingReady && c.Transcript == call.TranscriptWaiting {
		if err := s.queue.insertTx(ctx, tx, TranscribeRecording{Account: c.Account, CallID: c.ID}); err != nil {
			return err
		}
	}
	return s.followDeliveries(ctx, tx, c, e)
}

// Start begins to work. Recordings that wait for a rendering or a transcript and
// lanes that wait for a sender without a job, for whatever reason, get one.
func (s *Service) Start(ctx context.Context) error {
	waiting, err := s.store.Rendering(ctx)
	if err != nil {
		return fmt.Errorf("jobs: %w", err)
	}
	for _, c := range waiting {
		if err := s.queue.insert(ctx, RenderRecording{Account: c.Account, CallID: c.ID}); err != nil {
			return fmt.Errorf("jobs: %w", err)
		}
	}
	if err := s.startTranscribing(ctx); err != nil {
		return fmt.Errorf("jobs: %w", err)
	}
	if err := s.startDeliveries(ctx); err != nil {
		return fmt.Errorf("jobs: %w", err)
	}
	// River takes the end of this context for a stop; Stop does that.
	return s.queue.Start(context.WithoutCancel(ctx))
}

func (s *Service) startTranscribing(ctx context.Context) error {
	if !s.transcribe {
		return nil
	}
	waiting, err := s.store.Transcribing(ctx)
	for _, c := range waiting {
		err = errors.Join(err, s.queue.insert(ctx, TranscribeRecording{Account: c.Account, CallID: c.ID}))
	}
	return err
}

// Stop ends the work: what is being worked on may finish until ctx ends, then
// it is called off and is done after the next start.
func (s *Service) Stop(ctx context.Context) error {
	close(s.stopping)
	err := s.queue.Stop(ctx)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		err = s.queue.StopAndCancel(context.WithoutCancel(ctx))
	}
	s.queue.close()
	return err
}

// atLeastWarn passes on what matters: River tells a lot at info.
type atLeastWarn struct{ slog.Handler }

func (h atLeastWarn) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && h.Handler.Enabled(ctx, l)
}
