package dispatch_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/acd"
	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/dispatch"
	"github.com/perezvon/perezvon/internal/scenario"
	"github.com/perezvon/perezvon/internal/store"
)

// board is a switchboard on which nobody's turn comes. It tells who waits.
type board struct {
	waits chan acd.Kept
	err   error
}

func (board) Run(context.Context, scenario.Arrival) call.Status { return call.NoRoute }

func (b board) Await(ctx context.Context, k acd.Kept) (*scenario.Return, error) {
	b.waits <- k
	if b.err != nil {
		return nil, b.err
	}
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// keeper runs KeepPlaces of a new process until the returned function is called.
func (b *bench) keeper(with board) (s *dispatch.Service, stop func()) {
	s = dispatch.New(dispatch.Config{Store: b.store, Runner: b.runner, Board: with, Speech: voice{}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.KeepPlaces(ctx)
	}()
	return s, func() {
		cancel()
		<-done
	}
}

func TestAPlaceInAQueueOutlivesTheServer(t *testing.T) {
	b := newBench(t)
	with := board{waits: make(chan acd.Kept, 9)}
	s, stop := b.keeper(with)
	k := acd.Kept{ID: "1", Account: mine, Queue: "1000", Client: "+79161234567", Priority: 3, Since: time.Now().UTC().Round(0)}
	if err := s.KeepPlace(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	k.Node = b.store.Node()
	if got := <-with.waits; got != k {
		t.Errorf("%+v waits, want %+v", got, k)
	}
	stop()
	_, stop = b.keeper(with)
	if got := <-with.waits; got != k {
		t.Errorf("after the restart %+v waits, want %+v", got, k)
	}
	stop()
}

func TestAPlaceInAQueueThatIsGoneOrTooOldIsGivenUp(t *testing.T) {
	for name, tt := range map[string]struct {
		err   error
		since time.Time
	}{
		"gone":    {store.ErrNotFound, time.Now()},
		"too old": {nil, time.Now().Add(-acd.KeptFor)},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			with := board{waits: make(chan acd.Kept, 9), err: tt.err}
			s, stop := b.keeper(with)
			if err := s.KeepPlace(t.Context(), acd.Kept{ID: "1", Account: mine, Queue: "1000", Since: tt.since}); err != nil {
				t.Fatal(err)
			}
			<-with.waits
			stop()
			if left, err := b.store.Places(t.Context(), mine, b.store.Node()); err != nil || len(left) > 0 {
				t.Errorf("%v, %+v", err, left)
			}
		})
	}
}

func TestAServerThatStopsKeepsNoPlaces(t *testing.T) {
	b := newBench(t)
	b.drain(t)
	if err := b.service.KeepPlace(t.Context(), acd.Kept{ID: "1", Account: mine}); !errors.Is(err, dispatch.ErrDraining) {
		t.Error(err)
	}
}
