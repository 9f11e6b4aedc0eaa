package dispatch

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/perezvon/perezvon/internal/acd"
	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/store"
)

// KeepPlace stores a caller's place in a queue; KeepPlaces sees to him. When it
// returns without error the place is on the disk.
func (s *Service) KeepPlace(ctx context.Context, k acd.Kept) error {
	if err := s.Ready(); err != nil {
		return err
	}
	k.Node = s.config.Store.Node()
	if err := s.config.Store.KeepPlace(ctx, k); err != nil {
		return err
	}
	select {
	case s.kept <- struct{}{}:
	default:
	}
	return nil
}

// GiveUpPlace removes it, before the client is called: he is not called twice.
func (s *Service) GiveUpPlace(ctx context.Context, k acd.Kept) error {
	return s.config.Store.GiveUpPlace(ctx, k.Account, k.ID)
}

// placesTick is how often stored places are looked for that KeepPlace has not
// told of, because the store could not be read then.
const placesTick = 10 * time.Second

// KeepPlaces lets the clients who have kept their places in queues wait for their
// turns, those of the process before first, until ctx ends. It returns when none
// waits any more; what is left is taken up by the next process.
func (s *Service) KeepPlaces(ctx context.Context) {
	var waiting sync.WaitGroup
	defer waiting.Wait()
	var known sync.Map
	tick := time.NewTicker(placesTick)
	defer tick.Stop()
	for {
		places, err := s.config.Store.Places(ctx, directory.DefaultAccount, s.config.Store.Node())
		if err != nil && ctx.Err() == nil {
			s.config.Logger.Error("places in queues are not read", "error", err)
		}
		for _, k := range places {
			if _, is := known.LoadOrStore(k.ID, nil); !is {
				waiting.Go(func() {
					if s.await(ctx, k) {
						known.Delete(k.ID)
					}
				})
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-s.kept:
		case <-tick.C:
		}
	}
}

// mostReturns is how often members may be rung and hang up before the client is
// called.
const mostReturns = 5

// await lets one client wait for his turn, and calls him. done tells that his
// place is gone.
func (s *Service) await(ctx context.Context, k acd.Kept) (done bool) {
	ctx, cancel := context.WithDeadlineCause(ctx, k.Since.Add(acd.KeptFor), ErrPlaceExpired)
	defer cancel()
	why := errors.New("the members who were rung for him hung up")
	for range mostReturns {
		used, err := s.returnTo(ctx, k)
		if used {
			return true
		}
		if errors.Is(err, ErrPlaceExpired) || errors.Is(err, store.ErrNotFound) {
			why = err
			break
		}
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, ErrDraining) {
				s.config.Logger.Error("a client who asked to be called waits for the next start", "queue", k.Queue, "client", k.Client, "error", err)
			}
			return false
		}
	}
	s.config.Logger.Warn("a client who asked to be called is not called", "queue", k.Queue, "client", k.Client, "since", k.Since, "why", why)
	return s.GiveUpPlace(context.WithoutCancel(ctx), k) == nil
}

// ErrPlaceExpired tells that the client's turn did not come within acd.KeptFor.
var ErrPlaceExpired = errors.New("the place in the queue was kept too long")

// returnTo waits for the client's turn and makes the call. used tells that his
// place is used up.
func (s *Service) returnTo(ctx context.Context, k acd.Kept) (used bool, err error) {
	r, err := s.config.Board.Await(ctx, k)
	if err != nil {
		return false, err
	}
	callID := call.NewID()
	a, err := s.begin(callID)
	if err != nil {
		r.Leave()
		return false, err
	}
	s.config.Logger.Info("call to a client who has kept his place", "call", callID, "queue", k.Queue, "asked_in", k.CallID)
	s.perform(a, k.Account, callID, func(ctx context.Context) call.Status { return r.Run(ctx, callID) })
	return r.Used(), nil
}
