package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/dispatch"
	"github.com/perezvon/perezvon/internal/scenario"
	"github.com/perezvon/perezvon/internal/store"
	"github.com/perezvon/perezvon/internal/store/storetest"
)

// recalling is a bench whose calls end at once with the next of statuses, and
// whose service starts what is planned. site is its widget: recalls after 10 s,
// 20 s and a minute.
func recalling(t *testing.T, statuses ...call.Status) *bench {
	t.Helper()
	b := newBench(t)
	b.site(t, func(*directory.Widget) {})
	b.runner.hook = func(_ context.Context, a scenario.Attempt) call.Status {
		status := call.Completed
		if n := len(b.runner.attempts()); n <= len(statuses) {
			status = statuses[n-1]
		}
		b.store.Journal().Append(call.Event{CallID: a.CallID, Type: call.Dialing, Leg: "m1"})
		_ = b.store.Journal().Flush(context.Background())
		b.store.Journal().Append(call.Event{CallID: a.CallID, Type: call.Ended, Status: &status})
		_ = b.store.Journal().Flush(context.Background())
		return status
	}
	return b
}

func (b *bench) site(t testing.TB, change func(*directory.Widget)) {
	t.Helper()
	w := directory.Widget{Name: "site", RecallIntervals: []directory.Duration{
		directory.Duration(10 * time.Second), directory.Duration(20 * time.Second), directory.Duration(time.Minute),
	}}
	change(&w)
	if err := second(b.store.PutWidget(t.Context(), mine, w)); err != nil {
		t.Fatal(err)
	}
}

// recall lets the service start what is planned, until the test or stop.
func (b *bench) recall(t testing.TB) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { b.service.Recall(ctx) })
	stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(stop)
	return stop
}

func (b *bench) order(t testing.TB) string {
	t.Helper()
	p := packet()
	p.Widget = "site"
	a, err := b.service.Accept(t.Context(), mine, p, []byte("{}"), "")
	if err != nil {
		t.Fatal(err)
	}
	return a.ID
}

// waits returns when the callback's state is that one.
func (b *bench) waits(t testing.TB, id, state string) callback.Record {
	t.Helper()
	for range 10_000 {
		r, err := b.store.Callback(t.Context(), mine, id)
		if err != nil {
			t.Fatal(err)
		}
		if r.State == state {
			return r
		}
		time.Sleep(time.Second)
	}
	t.Fatalf("it is never %s", state)
	return callback.Record{}
}

// virtual runs f in virtual time: a minute's wait takes a moment.
func virtual(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

func TestEachRecallIsMadeAfterItsIntervalAndAttemptGrows(t *testing.T) {
	virtual(t, func(t *testing.T) {
		b := recalling(t, call.ManagerBusy, call.ClientNoAnswer, call.ClientBusy, call.ClientBusy)
		stop := b.recall(t)
		began := time.Now()
		id := b.order(t)
		for i, want := range []time.Duration{10 * time.Second, 30 * time.Second, 90 * time.Second} {
			r := b.waits(t, id, callback.StateScheduled)
			if in := r.NextAttemptAt.Sub(began); in < want || in > want+3*time.Second || len(r.Attempts) != i+1 {
				t.Fatalf("after attempt %d the next is planned in %v, want %v", len(r.Attempts), in, want)
			}
			time.Sleep(time.Until(*r.NextAttemptAt) - time.Millisecond)
			if n := len(b.runner.attempts()); n != i+1 {
				t.Fatal("too early:", n)
			}
			for len(b.runner.attempts()) == i+1 {
				time.Sleep(10 * time.Millisecond)
			}
			if late := time.Since(*r.NextAttemptAt); late > time.Second {
				t.Error("started late by", late)
			}
		}
		r := b.waits(t, id, callback.StateDone) // the intervals have run out
		stop()
		b.drain(t)
		for i, a := range b.runner.attempts() {
			if a.Number != i+1 || a.CallID != r.Attempts[i].CallID || a.CallbackID != id || a.Packet.Client != "+79161234567" {
				t.Errorf("attempt %d was %+v", i+1, a)
			}
		}
		if len(r.Attempts) != 4 || r.Attempts[3].Status != call.ClientBusy || r.NextAttemptAt != nil {
			t.Errorf("%+v", r)
		}
	})
}

func TestWhatTheManagerWantsReachesTheEnd(t *testing.T) {
	for name, c := range map[string]struct {
		end   call.Event
		state string
		in    time.Duration
	}{
		"reschedule":     {call.Event{Status: &call.RescheduledByManager, Reschedule: true}, callback.StateScheduled, 10 * time.Second},
		"cancel recalls": {call.Event{Status: &call.ClientBusy, CancelRecalls: true}, callback.StateDone, 0},
		"cancel":         {call.Event{Status: &call.CancelledByManager, CancelRecalls: true}, callback.StateCancelled, 0},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T) {
				b := recalling(t)
				b.runner.hook = func(_ context.Context, a scenario.Attempt) call.Status {
					e := c.end
					e.CallID, e.Type = a.CallID, call.Ended
					b.store.Journal().Append(e)
					_ = b.store.Journal().Flush(context.Background())
					return *e.Status
				}
				r := b.waits(t, b.order(t), c.state)
				b.drain(t)
				if (r.NextAttemptAt != nil) != (c.in > 0) || c.in > 0 && (time.Until(*r.NextAttemptAt)-c.in).Abs() > 2*time.Second {
					t.Error("next attempt at", r.NextAttemptAt)
				}
			})
		})
	}
}

func TestAnAttemptOutsideTheHoursMovesToTheNextOpening(t *testing.T) {
	virtual(t, func(t *testing.T) { // it begins at midnight UTC on a Saturday
		b := recalling(t, call.ManagerBusy)
		b.recall(t)
		id := b.order(t)
		r := b.waits(t, id, callback.StateScheduled)
		planned := *r.NextAttemptAt
		// The widget closes while the attempt is planned.
		b.site(t, func(w *directory.Widget) {
			w.Hours = &directory.Hours{Timezone: "UTC", Week: directory.Week{Saturday: directory.Spans{"00:05-04:00"}}}
		})
		time.Sleep(time.Minute)
		r = b.waits(t, id, callback.StateScheduled)
		opening := planned.Truncate(24 * time.Hour).Add(5 * time.Minute)
		if !r.NextAttemptAt.Equal(opening) || len(b.runner.attempts()) != 1 {
			t.Fatal("planned at", r.NextAttemptAt, len(b.runner.attempts()), "attempts")
		}
		time.Sleep(time.Until(opening) + time.Second)
		if n := len(b.runner.attempts()); n != 2 {
			t.Error(n, "attempts after the opening")
		}
	})
}

func TestAPlannedAttemptIsBroughtForwardOnce(t *testing.T) {
	virtual(t, func(t *testing.T) {
		b := recalling(t, call.ManagerBusy)
		id := b.order(t)
		b.waits(t, id, callback.StateScheduled)
		b.recall(t)
		if err := second(b.service.StartNow(t.Context(), "other", id)); !errors.Is(err, store.ErrNotFound) {
			t.Error("somebody else's:", err)
		}
		var (
			group   sync.WaitGroup
			mu      sync.Mutex
			started []dispatch.Accepted
		)
		for range 10 {
			group.Go(func() {
				a, err := b.service.StartNow(t.Context(), mine, id)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					started = append(started, a)
				} else if !errors.Is(err, dispatch.ErrNotScheduled) {
					t.Error(err)
				}
			})
		}
		group.Wait()
		r := b.waits(t, id, callback.StateDone)
		if len(started) != 1 || len(r.Attempts) != 2 || started[0].CallID != r.Attempts[1].CallID || len(b.runner.attempts()) != 2 {
			t.Errorf("started %v, attempts %+v", started, r.Attempts)
		}
		if err := second(b.service.StartNow(t.Context(), mine, id)); !errors.Is(err, dispatch.ErrNotScheduled) {
			t.Error("one that is done:", err)
		}
	})
}

func TestACancelledCallbackIsNotRecalled(t *testing.T) {
	virtual(t, func(t *testing.T) {
		b := recalling(t, call.ManagerBusy)
		b.recall(t)
		id := b.order(t)
		b.waits(t, id, callback.StateScheduled)
		if err := b.service.Cancel(t.Context(), mine, id); err != nil {
			t.Fatal(err)
		}
		b.waits(t, id, callback.StateCancelled)
		time.Sleep(2 * time.Minute)
		if n := len(b.runner.attempts()); n != 1 {
			t.Error(n, "attempts")
		}
	})
}

func TestADrainingServerLeavesWhatIsPlannedToTheNext(t *testing.T) {
	virtual(t, func(t *testing.T) {
		b := recalling(t, call.ManagerBusy)
		stop := b.recall(t)
		id := b.order(t)
		b.waits(t, id, callback.StateScheduled)
		b.drain(t)
		if err := second(b.service.StartNow(t.Context(), mine, id)); !errors.Is(err, dispatch.ErrDraining) {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		if n := len(b.runner.attempts()); n != 1 {
			t.Fatal("a draining server has started it:", n)
		}
		stop()
		b.restart()
		if err := b.service.Recover(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.recall(t)
		r := b.waits(t, id, callback.StateDone)
		if len(r.Attempts) != 2 || len(b.runner.attempts()) != 2 {
			t.Error(r.Attempts)
		}
	})
}

func TestACallThatDiedWithItsServerIsRecalled(t *testing.T) {
	virtual(t, func(t *testing.T) {
		b := recalling(t)
		n := storetest.NewCallback("+79160000001")
		n.Packet.Widget = "site"
		if _, err := b.store.CreateCallback(n); err != nil {
			t.Fatal(err)
		}
		b.store.Journal().Append(call.Event{CallID: n.CallID, Type: call.Dialing, Leg: "m1"})
		if err := b.store.Journal().Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour) // the server is down
		if err := b.service.Recover(t.Context()); err != nil {
			t.Fatal(err)
		}
		r := b.waits(t, n.ID, callback.StateScheduled)
		if in := time.Until(*r.NextAttemptAt); in < 5*time.Second || in > 10*time.Second {
			t.Error("the next attempt is planned in", in)
		}
		b.recall(t)
		r = b.waits(t, n.ID, callback.StateDone)
		if len(r.Attempts) != 2 || r.Attempts[0].Status != call.Interrupted || r.Attempts[1].Status != call.Completed {
			t.Errorf("%+v", r.Attempts)
		}
	})
}

func TestARecallThatWasClaimedByADeadServerIsTakenUpOrPlannedAnew(t *testing.T) {
	for name, c := range map[string]struct {
		down   time.Duration
		first  call.Status // of the attempt that was claimed
		cancel bool
	}{
		"a short time down": {time.Minute, call.Completed, false},
		"a long time down":  {time.Hour, call.Interrupted, false},
		"cancelled":         {time.Minute, call.Cancelled, true},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T) {
				b := recalling(t, call.ManagerBusy)
				id := b.order(t)
				r := b.waits(t, id, callback.StateScheduled)
				b.drain(t)
				claimed := call.NewID()
				if err := second(b.store.StartRecall(store.Recall{Account: mine, CallbackID: id, At: *r.NextAttemptAt}, claimed)); err != nil {
					t.Fatal(err)
				}
				if c.cancel {
					if err := b.store.CancelRecalls(t.Context(), mine, id); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(c.down)
				b.restart()
				if err := b.service.Recover(t.Context()); err != nil {
					t.Fatal(err)
				}
				b.recall(t)
				end := callback.StateDone
				if c.cancel {
					end = callback.StateCancelled
				}
				r = b.waits(t, id, end)
				if r.Attempts[1].CallID != claimed || r.Attempts[1].Status != c.first {
					t.Errorf("%+v", r.Attempts)
				}
				if last := r.Attempts[len(r.Attempts)-1]; !c.cancel && last.Status != call.Completed {
					t.Errorf("%+v", r.Attempts)
				}
			})
		})
	}
}

func TestAFirstAttemptWaitsForTheOpening(t *testing.T) {
	virtual(t, func(t *testing.T) {
		b := recalling(t)
		wait := func() store.NewCallback {
			n := storetest.NewCallback("+79160000001")
			n.StartAt = time.Now().Add(time.Minute)
			if _, err := b.store.CreateCallback(n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		waits, cancelled, hastened := wait(), wait(), wait()
		if err := b.service.Recover(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.recall(t)
		if err := b.service.Cancel(t.Context(), mine, cancelled.ID); err != nil {
			t.Fatal(err)
		}
		b.wants(t, cancelled.ID, callback.StateCancelled, call.Cancelled)
		if a, err := b.service.StartNow(t.Context(), mine, hastened.ID); err != nil || a.CallID != hastened.CallID {
			t.Fatal(a, err)
		}
		b.waits(t, hastened.ID, callback.StateDone)
		b.wants(t, hastened.ID, callback.StateDone, call.Completed)
		time.Sleep(50 * time.Second)
		b.wants(t, waits.ID, callback.StateScheduled, call.Status{})
		time.Sleep(time.Minute)
		b.wants(t, waits.ID, callback.StateDone, call.Completed)
	})
}

func TestAFirstAttemptThatWaitedTooLongEndsAs713(t *testing.T) {
	virtual(t, func(t *testing.T) {
		b := recalling(t)
		within := 60
		wait := func() store.NewCallback {
			n := storetest.NewCallback("+79160000001")
			n.StartAt = time.Now().Add(50 * time.Second)
			n.Packet.StartWithinS = &within
			if _, err := b.store.CreateCallback(n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		early := wait()
		time.Sleep(55 * time.Second) // the server is down
		late := wait()
		stop := b.recall(t)
		b.waits(t, early.ID, callback.StateDone)
		b.wants(t, early.ID, callback.StateDone, call.Completed)
		stop()
		time.Sleep(time.Hour) // it is down again
		b.recall(t)
		b.waits(t, late.ID, callback.StateDone)
		b.wants(t, late.ID, callback.StateDone, call.Expired)
		if n := len(b.runner.attempts()); n != 1 {
			t.Error(n, "attempts")
		}
	})
}

func TestManyThatAreDueLeaveRoomForNewOnes(t *testing.T) {
	virtual(t, func(t *testing.T) {
		b := newBench(t)
		b.service = dispatch.New(dispatch.Config{Store: b.store, Runner: b.runner, Speech: voice{}, RecallBelow: 10})
		for i := range 50 {
			n := storetest.NewCallback(fmt.Sprintf("+791600000%02d", i))
			n.StartAt = time.Now()
			if _, err := b.store.CreateCallback(n); err != nil {
				t.Fatal(err)
			}
		}
		b.recall(t)
		time.Sleep(time.Minute)
		if n := b.service.Live(); n != 10 {
			t.Error(n, "live calls")
		}
		b.accept(t) // is not kept waiting
		for range 51 {
			b.runner.ends <- call.Completed
		}
		time.Sleep(time.Minute)
		if n := len(b.runner.attempts()); n != 51 || b.service.Live() != 0 {
			t.Error(n, "attempts", b.service.Live(), "live")
		}
	})
}
