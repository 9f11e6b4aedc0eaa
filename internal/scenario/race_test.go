package scenario

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perezvon/perezvon/internal/telephony"
)

func after(d time.Duration, v string, err error) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			return v, err
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
}

func succeeded[T any](_ int, r result[T]) bool { return r.err == nil }

func TestRaceFirstResultWinsAndLosersAreAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var left time.Duration
		slow := func(ctx context.Context) (string, error) {
			<-ctx.Done()
			cause := context.Cause(ctx)
			time.Sleep(time.Second) // takes its time to come home
			left = time.Since(began)
			return "late", cause
		}
		winner, all := race(t.Context(), succeeded, after(time.Second, "", errors.New("no")), slow, after(3*time.Second, "yes", nil), after(4*time.Second, "too late", nil))
		if winner != 2 || all[2].value != "yes" {
			t.Errorf("winner %d of %v", winner, all)
		}
		if left != 4*time.Second || time.Since(began) != 4*time.Second {
			t.Errorf("the slow one left at %v, race at %v", left, time.Since(began))
		}
		if !errors.Is(all[1].err, errLost) || !errors.Is(all[3].err, errLost) {
			t.Errorf("the losers ended with %v and %v", all[1].err, all[3].err)
		}
	})
}

func TestRaceNobodyWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := errors.New("a"), errors.New("b")
		winner, all := race(t.Context(), succeeded, after(1, "", a), after(2, "", b))
		if winner != -1 || !errors.Is(all[0].err, a) || !errors.Is(all[1].err, b) {
			t.Errorf("winner %d of %v", winner, all)
		}
		if winner, all := race[string](t.Context(), succeeded); winner != -1 || len(all) != 0 {
			t.Error("a race of nobody")
		}
	})
}

func TestRaceEndsWithTheCauseOfItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, ErrCancelled)
		defer cancel()
		_, all := race(ctx, succeeded, after(time.Hour, "", nil), after(time.Hour, "", nil))
		for _, r := range all {
			if !errors.Is(r.err, ErrCancelled) {
				t.Errorf("got %v", r.err)
			}
		}
	})
}

func TestRacePanicPropagatesOnceAllHaveReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		home := false
		defer func() {
			p := fmt.Sprint(recover())
			if !strings.HasPrefix(p, "boom") || !strings.Contains(p, "race_test.go") || !home {
				t.Errorf("panicked with %q, the other came home: %v", p, home)
			}
		}()
		race(t.Context(), succeeded,
			func(context.Context) (int, error) { panic("boom") },
			func(ctx context.Context) (int, error) { <-ctx.Done(); home = true; return 0, nil })
	})
}

func TestARunnerBeginsWhenItHasSomethingToDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		keys, never := telephony.NewDigits(), telephony.NewDigits()
		time.AfterFunc(time.Second, func() { keys.Push(telephony.Digit{Key: '5'}) })
		var begun time.Duration
		key := func(q *telephony.Digits) runner[byte] {
			return when(q.WhenReady, func(ctx context.Context) (byte, error) {
				begun = time.Since(began)
				d, err := q.Next(ctx)
				return d.Key, err
			})
		}
		left := false
		winner, all := raceOf(t.Context(), succeeded,
			runner[byte]{here: true, do: func(ctx context.Context) (byte, error) { <-ctx.Done(); left = true; return 0, context.Cause(ctx) }},
			key(never), key(keys))
		if winner != 2 || all[2].value != '5' || begun != time.Second || !left {
			t.Errorf("winner %d of %v, begun at %v, the first has left: %v", winner, all, begun, left)
		}
		if !errors.Is(all[0].err, errLost) || !errors.Is(all[1].err, errLost) {
			t.Errorf("the losers ended with %v and %v", all[0].err, all[1].err)
		}
		never.Push(telephony.Digit{Key: '6'})
		synctest.Wait()
		if begun != time.Second {
			t.Error("a runner began after the race")
		}
	})
}

func TestARunnerThatHasNotBegunKeepsTheRaceOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var held telephony.Flag
		time.AfterFunc(2*time.Second, func() { held.Set(true) })
		began := time.Now()
		winner, all := raceOf(t.Context(), succeeded,
			runner[string]{here: true, do: after(time.Second, "", errors.New("no"))},
			when(held.WhenOn, after(time.Second, "yes", nil)))
		if winner != 1 || all[1].value != "yes" || time.Since(began) != 3*time.Second {
			t.Errorf("winner %d of %v after %v", winner, all, time.Since(began))
		}
		winner, _ = raceOf(t.Context(), succeeded, when(held.WhenOn, after(time.Second, "", errors.New("no"))))
		if winner != -1 {
			t.Errorf("%d won a race that nobody can", winner)
		}
	})
}

func TestARunnerThatHasNotBegunEndsWithTheCauseOfTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, ErrCancelled)
		defer cancel()
		winner, all := raceOf(ctx, succeeded, when(telephony.NewDigits().WhenReady, after(1, "", nil)))
		if winner != -1 || !errors.Is(all[0].err, ErrCancelled) {
			t.Errorf("winner %d of %v", winner, all)
		}
	})
}

// A talk watches for keys, hold and transfers of both sides, and none of it
// holds a goroutine, with its stack, until it comes.
func TestATalkInWhichNothingHappensTakesOneGoroutine(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			try(t, func(t *testing.T, s *stage) {
				s.staff()
				talking := 0
				time.AfterFunc(20*time.Second, func() {
					stacks := make([]byte, 4<<20)
					for stack := range bytes.SplitSeq(stacks[:runtime.Stack(stacks, true)], []byte("\n\n")) {
						if bytes.Contains(stack, []byte("scenario.(*talk)")) {
							talking++
						}
					}
				})
				w.run(s, t, answers(0), answers(0).HangsUp(30*time.Second))
				if talking != 1 {
					t.Errorf("%d goroutines, not one", talking)
				}
			})
		})
	}
}

func TestBesideOnlyMainCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		v, err := beside(t.Context(), after(2*time.Second, "main", nil),
			func(context.Context) error { return errors.New("gave up") },
			func(ctx context.Context) error { <-ctx.Done(); return nil })
		if v != "main" || err != nil || time.Since(began) != 2*time.Second {
			t.Errorf("got %q, %v after %v", v, err, time.Since(began))
		}
	})
}
