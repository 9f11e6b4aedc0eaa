package dispatch

import (
	"context"
	"fmt"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/scenario"
	"github.com/perezvon/perezvon/internal/telephony"
)

// Survivors is a phone system whose calls outlive the process that made them.
type Survivors interface {
	// Survivors are the legs that the process before this one left and that
	// live, told once. Info.CallID is the one they had then. since is when the
	// phone system was started: what was before it is gone.
	Survivors(ctx context.Context) (legs []telephony.Leg, since time.Time, err error)
}

// Resumer goes on with calls that outlived their process: scenario.Switchboard.
type Resumer interface {
	// Resume returns when the call is over and call.ended is appended, as
	// Board.Run.
	Resume(ctx context.Context, left scenario.Left) call.Status
}

// remains is what is left of the calls of the process before.
type remains struct {
	// legs are the living ones by their Info.CallID; those that a call goes on
	// with are taken out.
	legs  map[string]telephony.Leg
	since time.Time
	// outlive tells that the phone system does not end calls with the process.
	outlive bool
}

func (s *Service) remains(ctx context.Context) (*remains, error) {
	r := &remains{legs: make(map[string]telephony.Leg)}
	if s.config.Survivors == nil {
		return r, nil
	}
	legs, since, err := s.config.Survivors.Survivors(ctx)
	if err != nil {
		return nil, fmt.Errorf("recover: which calls live: %w", err)
	}
	r.since, r.outlive = since, true
	for _, l := range legs {
		r.legs[l.Info().CallID] = l
	}
	return r, nil
}

// leftOf is what is left of a call. ok tells that it can be gone on with; its legs
// are taken then.
func (s *Service) leftOf(ctx context.Context, r *remains, c call.Call, died time.Time) (left scenario.Left, ok bool, err error) {
	left = scenario.Left{Call: c, Seen: died, Legs: make(map[string]telephony.Leg)}
	if len(r.legs) == 0 || s.config.Resumer == nil {
		return left, false, nil
	}
	if left.Events, err = s.config.Store.Events(ctx, c.Account, c.ID, 0); err != nil {
		return left, false, err
	}
	for _, l := range call.StandingOf(left.Events).Legs {
		if leg := r.legs[l.SIPCallID]; leg != nil && l.SIPCallID != "" {
			left.Legs[l.Leg] = leg
		}
	}
	if !left.GoesOn() {
		return left, false, nil
	}
	if c.CallbackID != "" {
		record, err := s.config.Store.Callback(ctx, c.Account, c.CallbackID)
		if err != nil {
			return left, false, err
		}
		left.Packet = record.Packet
	}
	for _, leg := range left.Legs {
		delete(r.legs, leg.Info().CallID)
	}
	return left, true, nil
}

// outcome is how a call ended that nothing is left of.
func (r *remains) outcome(c call.Call, died time.Time) (status call.Status, reason string) {
	switch {
	case !r.outlive:
		return call.Interrupted, "the server died during the call"
	case r.since.After(died):
		return call.Interrupted, "the server and the phone system died during the call"
	case !c.JoinedAt.IsZero():
		return call.Completed, "both hung up while the server was away"
	case c.Direction == call.Inbound || c.Direction == call.Internal:
		return call.Abandoned, "the caller hung up while the server was away"
	}
	return call.Interrupted, "the server died during the call"
}

// hangUp ends what no call goes on with.
func (r *remains) hangUp() {
	for _, leg := range r.legs {
		leg.Hangup(0)
	}
}

// resume goes on with a call, in a goroutine of its own.
func (s *Service) resume(left scenario.Left) error {
	a, err := s.begin(left.Call.ID)
	if err != nil {
		return err
	}
	s.config.Logger.Info("call goes on after a restart", "call", left.Call.ID, "legs", len(left.Legs), "away", time.Since(left.Seen))
	go s.perform(a, left.Call.Account, left.Call.ID, func(ctx context.Context) call.Status { return s.config.Resumer.Resume(ctx, left) })
	return nil
}

// leaveTick is how often Leave looks whether the calls that cannot be left are
// over.
const leaveTick = 200 * time.Millisecond

// Leave is Drain where the phone system keeps calls (Config.Survivors): nothing
// new is accepted, and calls that the next process can go on with are left as
// they are. The others may go on until ctx ends, then they are ended (712). left
// is how many calls are left; they must not be told of their phones any more. The
// error says what was not stored.
func (s *Service) Leave(ctx context.Context) (left int, err error) {
	s.mu.Lock()
	s.draining = true
	s.mu.Unlock()
	tick := time.NewTicker(leaveTick)
	defer tick.Stop()
	for {
		others, err := s.cannotBeLeft(ctx)
		if err == nil && len(others) == 0 {
			break
		}
		select {
		case <-tick.C:
			continue
		case <-ctx.Done():
		}
		s.config.Logger.Warn("calls that cannot be left are ended, the server stops", "calls", len(others))
		s.endAll(others)
		break
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	return s.Live(), s.config.Store.Journal().Flush(ctx)
}

// cannotBeLeft are the live calls that the next process could only end. When ctx
// has ended they are looked up nevertheless.
func (s *Service) cannotBeLeft(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	if err := s.config.Store.Journal().Flush(ctx); err != nil {
		return nil, err
	}
	calls, err := s.config.Store.Unfinished(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var others []string
	for _, c := range calls {
		if s.live[c.ID] != nil && !scenario.CanBeLeft(c) {
			others = append(others, c.ID)
		}
	}
	return others, nil
}

// endAll ends calls and waits for them, up to stopGrace.
func (s *Service) endAll(calls []string) {
	s.mu.Lock()
	for _, id := range calls {
		if a := s.live[id]; a != nil {
			a.cancel(scenario.ErrStopped)
		}
	}
	s.mu.Unlock()
	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	tick := time.NewTicker(leaveTick)
	defer tick.Stop()
	for s.anyLive(calls) {
		select {
		case <-tick.C:
		case <-grace.C:
			return // the next process ends them
		}
	}
}

func (s *Service) anyLive(calls []string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range calls {
		if s.live[id] != nil {
			return true
		}
	}
	return false
}
