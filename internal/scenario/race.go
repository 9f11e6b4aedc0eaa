package scenario

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
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
	type finish struct {
		i     int
		r     result[T]
		crash any
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(errLost)
	finished := make(chan finish, len(fs))
	for i, f := range fs {
		go func() {
			out := finish{i: i, crash: errors.New("scenario: the goroutine was ended by runtime.Goexit")}
			defer func() {
				if p := recover(); p != nil {
					out.crash = fmt.Sprintf("%v\n%s", p, debug.Stack())
				}
				finished <- out
			}()
			out.r.value, out.r.err = f(ctx)
			out.crash = nil
		}()
	}
	winner, all = -1, make([]result[T], len(fs))
	var crash any
	for range fs {
		f := <-finished
		all[f.i] = f.r
		switch {
		case f.crash != nil:
			crash = f.crash
			cancel(errLost)
		case winner < 0 && won(f.i, f.r):
			winner = f.i
			cancel(errLost)
		}
	}
	if crash != nil {
		panic(crash)
	}
	return winner, all
}

// beside runs main, and the helpers until it returns. Only main's result
// counts.
func beside[T any](ctx context.Context, main func(context.Context) (T, error), helpers ...func(context.Context) error) (T, error) {
	fs := []func(context.Context) (T, error){main}
	for _, help := range helpers {
		fs = append(fs, func(ctx context.Context) (none T, err error) { return none, help(ctx) })
	}
	_, all := race(ctx, func(i int, _ result[T]) bool { return i == 0 }, fs...)
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
