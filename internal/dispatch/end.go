package dispatch

import (
	"context"
	"fmt"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/scenario"
)

// Cancel ends the callback: what is on the phone is hung up, what waits is not
// started; status 710. A callback that is over stays as it is. It returns when
// the end is under way. store.ErrNotFound if the account has no such callback.
func (s *Service) Cancel(ctx context.Context, account, id string) error {
	r, err := s.config.Store.Callback(ctx, account, id)
	if err != nil {
		return err
	}
	if r.State == callback.StateDone || r.State == callback.StateCancelled {
		return nil
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
	s.mu.Unlock()
	if ok {
		a.cancel(scenario.ErrCancelled)
		return
	}
	// It belongs to nobody: it ended this very moment, which makes this a
	// second end, or it waits for Recover.
	s.finish(callID, call.Cancelled, "")
}

// Recover accounts for what the process before this one left in the store.
// Orders that were acknowledged and have dialled nobody are started, unless
// they are older than Config.StartWithin (713). Calls that were under way end
// as interrupted (712): nobody is called a second time by one attempt.
func (s *Service) Recover(ctx context.Context) error {
	orders, err := s.config.Store.Queued(ctx)
	if err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	unfinished, err := s.config.Store.Unfinished(ctx)
	if err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	queued := make(map[string]bool, len(orders))
	for _, o := range orders {
		queued[o.CallID] = time.Since(o.CreatedAt) < s.config.StartWithin
	}
	journal := s.config.Store.Journal()
	for _, c := range unfinished {
		died, err := s.diedAt(ctx, c)
		if err != nil {
			return fmt.Errorf("recover: %w", err)
		}
		e := call.Event{CallID: c.ID, At: died, Type: call.Ended, Status: &call.Interrupted, Reason: "the server died during the call"}
		if inTime, ok := queued[c.ID]; ok {
			e.At, e.Status, e.Reason = time.Time{}, &call.Expired, "the server was down"
			if inTime {
				e = call.Event{CallID: c.ID, Type: call.Note, Reason: "taken up by the restarted server"}
			}
		}
		s.config.Logger.Warn("call left by the process before", "call", c.ID, "event", e.Type, "reason", e.Reason)
		journal.Append(e)
	}
	if err := journal.Flush(ctx); err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	for _, o := range orders {
		if !queued[o.CallID] {
			continue
		}
		a, err := s.begin(o.CallID)
		if err != nil {
			return err
		}
		s.start(a, scenario.Attempt{CallID: o.CallID, CallbackID: o.CallbackID, Account: o.Account, Number: o.Attempt, Packet: o.Packet})
	}
	return nil
}

// diedAt is when the call ended with its process: the process's last sign of
// life. The time the server was down is not talk.
func (s *Service) diedAt(ctx context.Context, c call.Call) (time.Time, error) {
	died := s.config.Store.LastSeen()
	events, err := s.config.Store.Events(ctx, c.Account, c.ID, c.LastSeq-1)
	for _, e := range events {
		if e.At.After(died) {
			died = e.At
		}
	}
	return died, err
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
