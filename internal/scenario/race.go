package scenario

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
)

// result is what one of several functions that ran side by side came to.
type result[T any] struct {
	value T
	err   error
}

// errLost is the cause with which race ends the contexts of the others once
// there is a winner.
var errLost = errors.New("another answered first")

// race runs fs side by side. The first result of which won says true ends the
// contexts of the others with errLost; race returns when all have returned,
// with the winner's index (-1: none won) and every result. A function that
// panics ends the others as well, and race panics with what it panicked with
// once they have returned.
//
// It is the only place where scenarios do two things at once: whoever needs
// that builds on it, so nothing is ever left running.
func race[T any](ctx context.Context, won func(i int, r result[T]) bool, fs ...func(context.Context) (T, error)) (winner int, all []result[T]) {
	runners := make([]runner[T], len(fs))
	for i, f := range fs {
		runners[i] = runner[T]{do: f}
	}
	return raceOf(ctx, won, runners...)
}

// runner is a function that takes part in a race.
type runner[T any] struct {
	do func(context.Context) (T, error)
	// when calls its argument as soon as the function has something to do; until
	// then the function is not begun, which is as if it waited. nil: at once.
	when func(func()) (stop func())
	// here: it runs in the goroutine of who holds the race. For what lasts: a
	// goroutine that only waits for another costs its stack.
	here bool
}

// when is a runner that begins with a wait for what mostly never comes: a key, a
// transfer, hold. A talk has many of those, and none of them costs a goroutine
// as long as nothing happens.
func when[T any](ready func(func()) (stop func()), do func(context.Context) (T, error)) runner[T] {
	return runner[T]{do: do, when: ready}
}

// raceOf is race of runners, of whom one may run here.
func raceOf[T any](ctx context.Context, won func(i int, r result[T]) bool, runners ...runner[T]) (winner int, all []result[T]) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(errLost)
	c := &contest[T]{
		ctx: ctx, cancel: cancel, won: won, runners: runners,
		winner: -1, all: make([]result[T], len(runners)), begun: make([]bool, len(runners)), left: len(runners),
	}
	defer c.close() // also where this goroutine is ended by the runner that runs here
	waiting, here := false, -1
	for i, r := range runners {
		switch {
		case r.here:
			here = i
			c.begun[i] = true
		case r.when != nil:
			waiting = true
			defer r.when(func() { c.begin(i) })()
		default:
			c.begin(i)
		}
	}
	if here >= 0 {
		c.run(here)
	}
	if waiting {
		<-ctx.Done() // who has not begun has not given up either
	}
	c.close()
	for i := range c.all {
		if !c.begun[i] {
			c.all[i].err = context.Cause(ctx)
		}
	}
	if c.crash != nil {
		panic(c.crash)
	}
	return c.winner, c.all
}

// contest is a race under way.
type contest[T any] struct {
	ctx     context.Context
	cancel  context.CancelCauseFunc
	won     func(i int, r result[T]) bool
	runners []runner[T]

	running sync.WaitGroup
	mu      sync.Mutex
	begun   []bool
	left    int  // how many have not returned
	closed  bool // nobody begins any more
	winner  int
	all     []result[T]
	crash   any
}

// begin lets a runner run in a goroutine of its own, once.
func (c *contest[T]) begin(i int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.begun[i] {
		return
	}
	c.begun[i] = true
	c.running.Go(func() { c.run(i) })
}

// run lets a runner run and takes its result down.
func (c *contest[T]) run(i int) {
	var r result[T]
	var crash any = errors.New("scenario: the goroutine was ended by runtime.Goexit")
	defer func() {
		if p := recover(); p != nil {
			crash = fmt.Sprintf("%v\n%s", p, debug.Stack())
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.all[i] = r
		c.left--
		switch {
		case crash != nil:
			c.crash = crash
			c.cancel(errLost)
		case c.winner < 0 && c.won(i, r):
			c.winner = i
			c.cancel(errLost)
		case c.left == 0:
			c.cancel(errLost) // nobody is left to win
		}
	}()
	r.value, r.err = c.runners[i].do(c.ctx)
	crash = nil
}

// close waits until all that have begun have returned.
func (c *contest[T]) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.running.Wait()
}

// beside runs main here, and the helpers until it returns. Only main's result
// counts.
func beside[T any](ctx context.Context, main func(context.Context) (T, error), helpers ...func(context.Context) error) (T, error) {
	runners := []runner[T]{{do: main, here: true}}
	for _, help := range helpers {
		runners = append(runners, runner[T]{do: func(ctx context.Context) (none T, err error) { return none, help(ctx) }})
	}
	_, all := raceOf(ctx, func(i int, _ result[T]) bool { return i == 0 }, runners...)
	return all[0].value, all[0].err
}

// first runs fs side by side until one of them returns, and tells which and
// with what.
func first(ctx context.Context, fs ...func(context.Context) error) (which int, err error) {
	wrapped := make([]func(context.Context) (struct{}, error), len(fs))
	for i, f := range fs {
		wrapped[i] = func(ctx context.Context) (struct{}, error) { return struct{}{}, f(ctx) }
	}
	which, all := race(ctx, func(int, result[struct{}]) bool { return true }, wrapped...)
	return which, all[which].err
}
