package dispatch

import (
	"context"
	"fmt"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/scenario"
	"github.com/perezvon/perezvon/internal/store"
)

// Cancel ends the callback: what is on the phone is hung up, what waits or is
// planned is not started; status 710. A callback that is over stays as it is. It returns when
// the end is under way. store.ErrNotFound if the account has no such callback.
func (s *Service) Cancel(ctx context.Context, account, id string) error {
	// First, so that the end of the call that is hung up plans nothing.
	if err := s.config.Store.CancelRecalls(ctx, account, id); err != nil {
		return err
	}
	r, err := s.config.Store.Callback(ctx, account, id)
	if err != nil {
		return err
	}
	for _, a := range r.Attempts {
		if a.Status.IsZero() {
			s.cancel(a.CallID)
		}
	}
	return nil
}

// CancelCall hangs the call up: status 710. A call that is over stays as it
// is. store.ErrNotFound if the account has no such call.
func (s *Service) CancelCall(ctx context.Context, account, callID string) error {
	c, err := s.config.Store.Call(ctx, account, callID)
	if err != nil || !c.EndedAt.IsZero() {
		return err
	}
	s.cancel(callID)
	return nil
}

// cancel ends a call that has not ended in the store.
func (s *Service) cancel(callID string) {
	s.mu.Lock()
	a, ok := s.live[callID]
	if ok {
		a.cancel(scenario.ErrCancelled) // before end, or after it and not at all
	}
	s.mu.Unlock()
	if ok {
		return
	}
	// It belongs to nobody: it ended this very moment, which makes this a
	// second end, or it waits for Recover.
	s.finish(callID, call.Cancelled, "")
}

// Recover accounts for what the process before this one left in the store.
// Orders that were acknowledged and have dialled nobody are started, unless
// they are older than Config.StartWithin (713; an attempt that the server had
// planned itself is planned anew, as after 712). Calls that were under way go
// on if the phone system has kept them (Config.Survivors), or end as what is known
// of them says: as interrupted (712), unless they went on without the server and
// are over. Nobody is called a second time by one attempt.
func (s *Service) Recover(ctx context.Context) error {
	orders, err := s.config.Store.Queued(ctx)
	if err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	unfinished, err := s.config.Store.Unfinished(ctx)
	if err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	queued := make(map[string]store.Order, len(orders))
	for _, o := range orders {
		queued[o.CallID] = o
	}
	remains, err := s.remains(ctx)
	if err != nil {
		return err
	}
	defer remains.hangUp()
	var taken []store.Order
	var resumed []scenario.Left
	journal := s.config.Store.Journal()
	for _, c := range unfinished {
		died, told, err := s.diedAt(ctx, c)
		if err != nil {
			return fmt.Errorf("recover: %w", err)
		}
		left, goesOn, err := s.leftOf(ctx, remains, c, died)
		if err != nil {
			return fmt.Errorf("recover: %w", err)
		}
		if goesOn {
			resumed = append(resumed, left)
			continue
		}
		status, reason := remains.outcome(c, died)
		e := call.Event{CallID: c.ID, At: died, Type: call.Ended, Status: &status, Reason: reason}
		if o, ok := queued[c.ID]; ok {
			e.At, e.Reason = time.Time{}, "the server was down"
			switch {
			case o.Cancelled:
				e.Status = &call.Cancelled
			case time.Since(told) < s.startWithin(o):
				taken = append(taken, o)
				e = call.Event{CallID: c.ID, Type: call.Note, Reason: "taken up by the restarted server"}
			case !o.IsRecall():
				e.Status = &call.Expired
			}
		}
		s.config.Logger.Warn("call left by the process before", "call", c.ID, "event", e.Type, "reason", e.Reason)
		journal.Append(e)
	}
	if err := journal.Flush(ctx); err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	for _, left := range resumed {
		if err := s.resume(left); err != nil {
			return err
		}
	}
	for _, o := range taken {
		a, err := s.begin(o.CallID)
		if err != nil {
			return err
		}
		s.start(a, attemptOf(o))
	}
	return nil
}

// diedAt is when the call ended with its process: the process's last sign of
// life. The time the server was down is not talk. told is when the call's last
// event was.
func (s *Service) diedAt(ctx context.Context, c call.Call) (died, told time.Time, err error) {
	died = s.config.Store.LastSeen()
	events, err := s.config.Store.Events(ctx, c.Account, c.ID, c.LastSeq-1)
	for _, e := range events {
		told = e.At
		if told.After(died) {
			died = told
		}
	}
	return died, told, err
}

// Drain stops the service: nothing new is accepted, calls may go on until ctx
// ends, then they are ended (712). When it returns, every call is accounted
// for in the store; the error says what was not stored.
func (s *Service) Drain(ctx context.Context) error {
	s.mu.Lock()
	s.draining = true
	s.mu.Unlock()
	idle := make(chan struct{})
	go func() {
		s.busy.Wait()
		close(idle)
	}()
	select {
	case <-idle:
	case <-ctx.Done():
		s.stop(idle)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	return s.config.Store.Journal().Flush(ctx)
}

// stop ends the calls that are left and waits for them. One that does not end
// by itself in time is ended in the store alone.
func (s *Service) stop(idle <-chan struct{}) {
	s.mu.Lock()
	s.config.Logger.Warn("calls are ended, the server stops", "calls", len(s.live))
	for _, a := range s.live {
		a.cancel(scenario.ErrStopped)
	}
	s.mu.Unlock()
	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	select {
	case <-idle:
		return
	case <-grace.C:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.live {
		s.config.Logger.Error("call does not end", "call", id)
		s.config.Store.Journal().Append(call.Event{CallID: id, Type: call.Ended, Status: &call.Interrupted, Reason: scenario.ErrStopped.Error()})
	}
}
