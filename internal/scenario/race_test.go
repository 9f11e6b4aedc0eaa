package scenario

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
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
