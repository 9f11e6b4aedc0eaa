package webhook_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/store"
	"github.com/perezvon/perezvon/internal/store/storetest"
	"github.com/perezvon/perezvon/internal/webhook"
)

// follow stores deliveries without jobs.
func follow(s *store.Store, w *webhook.Service) {
	s.Journal().OnEvent(func(ctx context.Context, tx *store.Tx, c call.Call, e call.Event) error {
		_, err := w.Follow(ctx, tx, c, e)
		return err
	})
}

// drain sends until nothing waits in the lane, as the job does, and returns how
// long it had to wait. Long waits are not slept through, not even in virtual
// time: the store would write its signs of life all the while.
func drain(t testing.TB, s *store.Store, w *webhook.Service, l store.Lane) (waits []time.Duration) {
	t.Helper()
	for {
		wait, more, err := w.Send(t.Context(), l)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case !more:
			return waits
		case wait > time.Minute:
			passed(t, s, `UPDATE deliveries SET next_try_at = 0 WHERE state = 'waiting'`)
		default:
			time.Sleep(wait)
		}
		if wait > 0 {
			waits = append(waits, wait)
		}
	}
}

// passed lets time have passed for the rows of a table.
func passed(t testing.TB, s *store.Store, query string) {
	t.Helper()
	if _, err := s.SQLite().ExecContext(t.Context(), query); err != nil {
		t.Fatal(err)
	}
}

// virtual runs a test in virtual time with a call of four events in the lane.
func virtual(t *testing.T, answer func(n int, r *http.Request) *http.Response, run func(t *testing.T, s *store.Store, w *webhook.Service, r *receiver, l store.Lane)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := storetest.Open(t)
		r := newReceiver()
		r.answer = answer
		w := newService(t, s, &http.Client{Transport: r, Timeout: 15 * time.Second})
		follow(s, w)
		n := create(t, s, "https://example.com")
		add(t, s, n.CallID, call.Event{Type: call.Note}, call.Event{Type: call.Note}, call.Event{Type: call.Note})
		run(t, s, w, r, lane(n, webhook.KindEvent))
	})
}

func list(t *testing.T, s *store.Store, l store.Lane) []store.Delivery {
	t.Helper()
	all, _, err := s.Deliveries(t.Context(), l.Account, store.Page{}, store.DeliveryFilter{CallID: l.CallID})
	if err != nil {
		t.Fatal(err)
	}
	var list []store.Delivery // oldest first
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Kind == l.Kind {
			list = append(list, all[i])
		}
	}
	return list
}

// states are those of the list, in order.
func states(list []store.Delivery) string {
	var words []string
	for _, d := range list {
		words = append(words, d.State)
	}
	return strings.Join(words, " ")
}

func TestAReceiverThatIsDownForHoursGetsEverythingInOrder(t *testing.T) {
	expected := []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour}
	virtual(t, func(n int, _ *http.Request) *http.Response {
		if n <= len(expected) {
			return nil
		}
		return status(204)
	}, func(t *testing.T, s *store.Store, w *webhook.Service, r *receiver, l store.Lane) {
		waits, all := drain(t, s, w, l), r.all()
		if len(waits) != len(expected) || len(all) != len(expected)+4 {
			t.Fatalf("%d waits, %d requests", len(waits), len(all))
		}
		for i, want := range expected {
			if waits[i] < want*9/10-time.Second || waits[i] > want*11/10 {
				t.Errorf("wait %d is %v, want about %v", i+1, waits[i], want)
			}
			if all[i+1].Get("webhook-id") != all[0].Get("webhook-id") {
				t.Error("a repetition has another id")
			}
		}
		for i, g := range all[len(expected):] {
			if g.seq(t) != int64(i+1) {
				t.Errorf("request %d has event %d", i, g.seq(t))
			}
		}
		for _, d := range list(t, s, l) {
			if d.State != store.DeliveryDone || d.LastError != "" || d.LastStatus != 204 || d.DeliveredAt.IsZero() {
				t.Errorf("%+v", d)
			}
		}
	})
}

func TestAfterADayAndAHalfItIsGivenUpAndMayBeRetriedByHand(t *testing.T) {
	dead := true
	virtual(t, func(int, *http.Request) *http.Response {
		if dead {
			return status(500)
		}
		return status(200)
	}, func(t *testing.T, s *store.Store, w *webhook.Service, r *receiver, l store.Lane) {
		var took time.Duration
		for _, wait := range drain(t, s, w, l) {
			took += wait
		}
		if took < 32*time.Hour || took > 40*time.Hour {
			t.Errorf("given up after %v", took)
		}
		all := list(t, s, l)
		if len(r.all()) != 13 || states(all) != "dead dead dead dead" {
			t.Errorf("%d tries, %v", len(r.all()), all)
		}
		if all[0].Tries != 13 || all[0].LastError != "500 Internal Server Error" || all[0].LastStatus != 500 || !all[0].NextTryAt.IsZero() {
			t.Errorf("%+v", all[0])
		}
		dead = false
		d, err := s.RetryDelivery(t.Context(), l.Account, all[1].ID, func(context.Context, *store.Tx, store.Lane) error { return nil })
		if err != nil || d.State != store.DeliveryWaiting || d.Tries != 0 {
			t.Fatalf("%+v, %v", d, err)
		}
		drain(t, s, w, l)
		if g := r.all()[13]; g.seq(t) != 2 || g.Get("webhook-id") != all[1].ID {
			t.Errorf("retried %d", g.seq(t))
		}
		if all := list(t, s, l); states(all) != "dead delivered dead dead" {
			t.Errorf("%+v", all)
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	for _, tt := range []struct {
		name, header string
		status       int
		want         time.Duration
	}{
		{"seconds", "120", 503, 2 * time.Minute},
		{"too many requests", "40", 429, 40 * time.Second},
		{"a date", "Sat, 01 Jan 2000 01:00:00 GMT", 503, time.Hour}, // virtual time begins in 2000
		{"too long", "999999999", 503, 8 * time.Hour},
		{"at once", "0", 503, time.Second},
		{"in the past", "Fri, 01 Jan 1999 01:00:00 GMT", 503, time.Second},
		{"nonsense", "soon", 503, 0},
		{"other statuses have no say", "7200", 500, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			virtual(t, func(n int, _ *http.Request) *http.Response {
				if n == 1 {
					return status(tt.status, "Retry-After", tt.header)
				}
				return status(200)
			}, func(t *testing.T, s *store.Store, w *webhook.Service, _ *receiver, l store.Lane) {
				waits := drain(t, s, w, l)
				low, high := tt.want-time.Second, tt.want+time.Second
				if tt.want == 0 {
					low, high = 4500*time.Millisecond, 5500*time.Millisecond
				}
				if len(waits) != 1 || waits[0] < low || waits[0] > high {
					t.Errorf("waited %v", waits)
				}
			})
		})
	}
}

func TestGoneEndsTheLane(t *testing.T) {
	virtual(t, func(n int, _ *http.Request) *http.Response {
		if n == 2 {
			return status(410)
		}
		return status(200)
	}, func(t *testing.T, s *store.Store, w *webhook.Service, r *receiver, l store.Lane) {
		drain(t, s, w, l)
		add(t, s, l.CallID, call.Event{Type: call.Note})
		drain(t, s, w, l)
		all := list(t, s, l)
		if len(r.all()) != 2 || states(all) != "delivered dead dead dead dead" {
			t.Errorf("%d requests: %+v", len(r.all()), all)
		}
		if all[1].LastError != "410 Gone" || all[4].LastError == "" {
			t.Errorf("%q, %q", all[1].LastError, all[4].LastError)
		}
	})
}

func TestABodyThatIsRefusedDoesNotHoldUpTheOthers(t *testing.T) {
	for _, code := range []int{400, 413, 415, 422} {
		virtual(t, func(n int, _ *http.Request) *http.Response {
			if n == 2 {
				return status(code)
			}
			return status(200)
		}, func(t *testing.T, s *store.Store, w *webhook.Service, r *receiver, l store.Lane) {
			drain(t, s, w, l)
			all := list(t, s, l)
			if len(r.all()) != 4 || states(all) != "delivered dead delivered delivered" {
				t.Errorf("%d: %d requests: %+v", code, len(r.all()), all)
			}
		})
	}
}

func TestEverythingElseIsTriedAgain(t *testing.T) {
	for _, code := range []int{301, 401, 403, 404, 405, 408, 409, 425, 429, 500, 502, 503, 504} {
		virtual(t, func(n int, _ *http.Request) *http.Response {
			if n == 1 {
				return status(code)
			}
			return status(200)
		}, func(t *testing.T, s *store.Store, w *webhook.Service, r *receiver, l store.Lane) {
			drain(t, s, w, l)
			if all := r.all(); len(all) != 5 || all[0].Get("webhook-id") != all[1].Get("webhook-id") {
				t.Errorf("%d: %d requests", code, len(all))
			}
		})
	}
}

func TestAReceiverThatActedAndDidNotAnswerGetsTheSameIDAgain(t *testing.T) {
	virtual(t, func(n int, r *http.Request) *http.Response {
		if n == 1 {
			<-r.Context().Done() // it has the request, but its answer is lost
		}
		return status(200)
	}, func(t *testing.T, s *store.Store, w *webhook.Service, r *receiver, l store.Lane) {
		drain(t, s, w, l)
		all := r.all()
		if len(all) != 5 || all[0].Get("webhook-id") != all[1].Get("webhook-id") || string(all[0].body) != string(all[1].body) {
			t.Errorf("%d requests", len(all))
		}
		if pause := all[1].at.Sub(all[0].at); pause < 19*time.Second || pause > 21*time.Second {
			t.Errorf("tried again after %v, want 15 s of waiting and 5 s", pause)
		}
	})
}

func TestAStopOfTheServerIsNoTry(t *testing.T) {
	virtual(t, func(_ int, r *http.Request) *http.Response {
		<-r.Context().Done()
		return status(200)
	}, func(t *testing.T, s *store.Store, w *webhook.Service, _ *receiver, l store.Lane) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := w.Send(ctx, l); err == nil {
			t.Error("no error")
		}
		if d := list(t, s, l)[0]; d.Tries != 0 || d.State != store.DeliveryWaiting {
			t.Errorf("%+v", d)
		}
	})
}

func TestASlowReceiverGetsFewSenders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := storetest.Open(t)
		r := newReceiver()
		r.answer = func(_ int, req *http.Request) *http.Response {
			if req.URL.Host == "slow.example.com" {
				<-req.Context().Done()
			}
			return status(200)
		}
		w := newService(t, s, &http.Client{Transport: r, Timeout: 15 * time.Second})
		follow(s, w)
		send := func(n store.NewCallback, done chan<- bool) {
			before := len(r.all())
			_, _, err := w.Send(t.Context(), lane(n, webhook.KindEvent))
			if err != nil {
				t.Error(err)
			}
			done <- len(r.all()) > before
		}
		round := func() (asked int) {
			const calls = 40
			before, done := len(r.all()), make(chan bool, calls)
			for range calls {
				go send(create(t, s, "https://slow.example.com"), done)
			}
			for range calls {
				<-done
			}
			return len(r.all()) - before
		}
		if n := round(); n != 16 {
			t.Errorf("%d requests at once, want 16", n)
		}
		if n := round(); n != 2 {
			t.Errorf("%d requests at once to a slow one, want 2", n)
		}
		done := make(chan bool, 1)
		begin := time.Now()
		if send(create(t, s, "https://quick.example.com"), done); !<-done || time.Since(begin) > time.Second {
			t.Error("another receiver had to wait")
		}
	})
}
