package dispatch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/scenario"
	"github.com/perezvon/perezvon/internal/store"
)

// ErrNotScheduled says that no attempt of the callback is planned.
var ErrNotScheduled = store.ErrNotScheduled

const (
	// recallTick is how often planned attempts are looked for: one look at an
	// index, docs/decisions/0008-recalls.md.
	recallTick = 200 * time.Millisecond
	// recallBatch is how many are begun together, in about one commit.
	recallBatch = 100
)

// Recall starts planned attempts when their time has come, until ctx ends or
// the service drains; what is due then is started by the next process. An
// attempt whose widget is closed moves to its next opening.
func (s *Service) Recall(ctx context.Context) {
	tick := time.NewTicker(recallTick)
	defer tick.Stop()
	for {
		for s.recallDue(ctx) == recallBatch && ctx.Err() == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// recallDue deals with a batch of what is due and returns how much of it is
// done with.
func (s *Service) recallDue(ctx context.Context) (done int) {
	limit := min(recallBatch, s.config.RecallBelow-s.Live())
	if limit <= 0 || s.Ready() != nil || s.config.Store.Healthy() != nil {
		return 0
	}
	now := time.Now()
	due, err := s.config.Store.DueRecalls(ctx, now, limit)
	if err != nil {
		if ctx.Err() == nil {
			s.config.Logger.Error("planned attempts are not found", "error", err)
		}
		return 0
	}
	var (
		group   sync.WaitGroup
		results = make([]error, len(due))
	)
	for i, r := range due {
		group.Go(func() { results[i] = s.recall(ctx, r, now) })
	}
	group.Wait()
	for i, err := range results {
		switch {
		case err == nil, errors.Is(err, ErrNotScheduled):
			done++
		case !errors.Is(err, ErrDraining) && ctx.Err() == nil:
			s.config.Logger.Error("planned attempt is not started", "callback", due[i].CallbackID, "error", err)
		}
	}
	return done
}

// recall starts the attempt, moves it if its widget is closed, or ends it if it
// waited too long.
func (s *Service) recall(ctx context.Context, r store.Recall, now time.Time) error {
	var w directory.Widget // one that is always open
	if r.Widget != "" {
		var err error
		// Its hours may have changed since the attempt was planned.
		if w, err = s.config.Store.Widget(ctx, r.Account, r.Widget); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	next, closed := opening(w, now)
	if r.CallID != "" {
		switch late, err := s.late(ctx, r, next); {
		case err != nil:
			return err
		case late:
			return s.expire(r)
		}
	}
	if closed {
		return s.config.Store.MoveRecall(r, next)
	}
	_, err := s.begun(r)
	return err
}

// late tells that a first attempt would begin later than its packet lets it.
func (s *Service) late(ctx context.Context, r store.Recall, begins time.Time) (bool, error) {
	record, err := s.config.Store.Callback(ctx, r.Account, r.CallbackID)
	if err != nil {
		return false, err
	}
	within := record.Packet.StartWithinS
	return within != nil && begins.Sub(record.CreatedAt) > time.Duration(*within)*time.Second, nil
}

// expire ends a first attempt that waited too long: 713. It takes it as one who
// starts it, so that nobody does.
func (s *Service) expire(r store.Recall) error {
	if _, err := s.config.Store.StartRecall(r, r.CallID); err != nil {
		return err
	}
	s.finish(r.CallID, call.Expired, "it could not begin within start_within_s")
	return nil
}

// opening is when the widget opens, if it is closed now and opens at all, or now.
func opening(w directory.Widget, now time.Time) (next time.Time, closed bool) {
	if w.Hours.Open(now) {
		return now, false
	}
	if next = w.Hours.Next(now); next.IsZero() {
		return now, false
	}
	return next, true
}

// asPlanned is noted where a first attempt has waited.
const asPlanned = "begun as planned"

// begun makes a planned attempt a call and starts it.
func (s *Service) begun(r store.Recall) (store.Order, error) {
	id := cmp.Or(r.CallID, call.NewID())
	// Known as live before it is stored: see Accept.
	a, err := s.begin(id)
	if err != nil {
		return store.Order{}, err
	}
	o, err := s.config.Store.StartRecall(r, id)
	if err != nil {
		s.end(id)
		if errors.Is(context.Cause(a.ctx), scenario.ErrCancelled) {
			s.finish(id, call.Cancelled, "") // a call that waited; who cancelled it took it for live
		}
		return o, err
	}
	if r.CallID != "" {
		s.config.Store.Journal().Append(call.Event{CallID: id, Type: call.Note, Reason: asPlanned})
	}
	s.start(a, attemptOf(o))
	return o, nil
}

// attemptOf is the order as the scenario wants it.
func attemptOf(o store.Order) scenario.Attempt {
	return scenario.Attempt{CallID: o.CallID, CallbackID: o.CallbackID, Account: o.Account, Number: o.Attempt, Packet: o.Packet}
}

// StartNow brings the planned attempt forward: it is made now, whatever the
// widget's hours. store.ErrNotFound if the account has no such callback,
// ErrNotScheduled if nothing is planned for it; ErrDraining, ErrUnavailable.
func (s *Service) StartNow(ctx context.Context, account, id string) (Accepted, error) {
	r, err := s.config.Store.Callback(ctx, account, id)
	if err != nil {
		return Accepted{}, err
	}
	if r.NextAttemptAt == nil {
		return Accepted{}, ErrNotScheduled
	}
	planned := store.Recall{Account: account, CallbackID: id, At: *r.NextAttemptAt}
	if last := r.Attempts[len(r.Attempts)-1]; last.Status.IsZero() {
		planned.CallID = last.CallID
	}
	o, err := s.begun(planned)
	switch {
	case err == nil:
		return Accepted{ID: id, CallID: o.CallID}, nil
	case errors.Is(err, ErrNotScheduled), errors.Is(err, ErrDraining):
		return Accepted{}, err
	}
	return Accepted{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
}
