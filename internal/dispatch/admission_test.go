package dispatch_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/dispatch"
	"github.com/perezvon/perezvon/internal/dryrun"
	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/responsible"
	"github.com/perezvon/perezvon/internal/store"
	"github.com/perezvon/perezvon/internal/store/storetest"
)

// asks orders a callback through the widget "site".
func (b *bench) asks(t *testing.T, change func(*callback.Packet)) (dispatch.Accepted, callback.Record) {
	t.Helper()
	p := callback.Packet{Widget: "site", Client: "8 (916) 123-45-67"}
	change(&p)
	a, err := b.service.Accept(t.Context(), mine, p, []byte("{}"), "")
	if err != nil {
		t.Fatal(err)
	}
	r, err := b.store.Callback(t.Context(), mine, a.ID)
	if err != nil {
		t.Fatal(err)
	}
	return a, r
}

func asIs(*callback.Packet) {}

// over is the reason of the only attempt's end.
func (b *bench) over(t *testing.T, a dispatch.Accepted, want call.Status) string {
	t.Helper()
	b.wants(t, a.ID, callback.StateDone, want)
	events, err := b.store.Events(t.Context(), mine, a.CallID, 0)
	if err != nil || len(events) != 2 || events[1].Type != call.Ended {
		t.Fatalf("created and ended: %+v %v", events, err)
	}
	if n := len(b.runner.attempts()); n != 0 || b.service.Live() != 0 {
		t.Errorf("%d attempts were made, %d calls live", n, b.service.Live())
	}
	return events[1].Reason
}

// "The packet wins over the widget, the widget over the server's default."
func TestAnOrderIsCarriedOutWithItsWidgetsSettings(t *testing.T) {
	b := newBench(t)
	b.site(t, func(w *directory.Widget) {
		w.Managers, w.Greeting, w.IVRText = callback.Managers{{Number: "101"}}, "of the widget", "of the widget"
	})
	_, r := b.asks(t, func(p *callback.Packet) { p.IVRText = "of the packet" })
	p := r.Packet
	if p.Greeting != "of the widget" || p.IVRText != "of the packet" || p.ConnectingText != "Звонок клиенту" || p.Managers.String() != "101" || p.Trunk != "carrier" {
		t.Errorf("%+v", p)
	}
	for field, change := range map[string]func(*callback.Packet){
		"widget": func(p *callback.Packet) { p.Widget = "none" },
		"client": func(p *callback.Packet) { p.Client = "" },
		"trunk":  func(p *callback.Packet) { p.Trunk = "none" },
	} {
		p := callback.Packet{Widget: "site", Client: "+79160000002"}
		change(&p)
		_, err := b.service.Accept(t.Context(), mine, p, nil, "")
		var bad invalid.Error
		if !errors.As(err, &bad) || len(bad) != 1 || bad[0].Path != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	b.drain(t)
}

func TestWhoIsNotAllowedIsAcknowledgedAndNotCalled(t *testing.T) {
	virtual(t, func(t *testing.T) {
		b := newBench(t)
		b.site(t, func(w *directory.Widget) {
			w.Managers, w.Blacklist = callback.Managers{{Number: "101"}}, []string{"+7916123*"}
			w.RatePerAddress = &directory.Rate{Count: 1, Per: directory.Duration(time.Hour)}
		})
		a, _ := b.asks(t, asIs)
		if why := b.over(t, a, call.NotAllowed); !strings.Contains(why, "blacklist") {
			t.Error(why)
		}
		from := func(client string) (dispatch.Accepted, callback.Record) {
			return b.asks(t, func(p *callback.Packet) { p.Client, p.ClientIP = client, "192.0.2.1" })
		}
		first, _ := from("+79160000001")
		b.until(t, first.CallID, call.Dialing)
		_, r := from("+79160000002")
		if r.Attempts[0].Status != call.NotAllowed {
			t.Errorf("the second from one address: %+v", r)
		}
		if again, _ := from("+79160000001"); !again.Joined || again.ID != first.ID {
			t.Errorf("%+v", again)
		}
		time.Sleep(time.Hour)
		later, r := from("+79160000003")
		if !r.Attempts[0].Status.IsZero() {
			t.Errorf("after an hour: %+v", r)
		}
		b.until(t, later.CallID, call.Dialing)
		if n := len(b.runner.attempts()); n != 2 {
			t.Error(n, "attempts were made")
		}
		b.drain(t)
	})
}

func TestOutsideTheHoursAnOrderWaitsOrExpires(t *testing.T) {
	virtual(t, func(t *testing.T) { // it is Saturday, 2000-01-01, 03:00 in Moscow
		b := newBench(t)
		opens := time.Date(2000, 1, 1, 1, 0, 0, 0, time.UTC)
		b.site(t, func(w *directory.Widget) {
			w.Managers = callback.Managers{{Number: "101"}}
			w.Hours = &directory.Hours{Timezone: "Europe/Moscow", Week: directory.Week{Saturday: directory.Spans{"04:00-18:00"}}}
		})
		within := func(s int) func(*callback.Packet) {
			return func(p *callback.Packet) { p.StartWithinS = &s }
		}
		a, _ := b.asks(t, within(1800))
		if why := b.over(t, a, call.Expired); !strings.Contains(why, "2000-01-01T01:00:00Z") {
			t.Error(why)
		}
		for _, change := range []func(*callback.Packet){asIs, within(7200)} {
			a, r := b.asks(t, change)
			if r.State != callback.StateScheduled || r.NextAttemptAt == nil || !r.NextAttemptAt.Equal(opens) || b.service.Live() != 0 {
				t.Errorf("%+v", r)
			}
			if again, _ := b.asks(t, change); !again.Joined || again.ID != a.ID {
				t.Errorf("a second order: %+v", again)
			}
			if err := b.service.Cancel(t.Context(), mine, a.ID); err != nil {
				t.Fatal(err)
			}
		}
		waits, _ := b.asks(t, asIs)
		b.recall(t)
		time.Sleep(time.Until(opens) - time.Second)
		if n := len(b.runner.attempts()); n != 0 {
			t.Error(n, "attempts before the opening")
		}
		b.until(t, waits.CallID, call.Dialing)
		if d := time.Since(opens); d < 0 || d > time.Second {
			t.Error("it began", d, "after the opening")
		}
		at, _ := b.asks(t, func(p *callback.Packet) { p.Client = "+79160000009" })
		b.until(t, at.CallID, call.Dialing)
		b.drain(t)
	})
}

// "The visitor asks to be called now": who joins a planned recall is called at
// once, within the widget's hours.
func TestARequestThatJoinsAPlannedRecallHasItMadeNow(t *testing.T) {
	virtual(t, func(t *testing.T) { // it is Saturday, 2000-01-01, 03:00 in Moscow
		b := recalling(t, call.ClientBusy, call.ClientBusy)
		b.site(t, func(w *directory.Widget) {
			w.Managers = callback.Managers{{Number: "101"}}
			w.RecallIntervals = []directory.Duration{directory.Duration(time.Hour), directory.Duration(time.Hour)}
			w.Hours = &directory.Hours{Timezone: "Europe/Moscow", Week: directory.Week{Saturday: directory.Spans{"01:00-04:30"}}}
		})
		stop := b.recall(t)
		first, _ := b.asks(t, asIs)
		planned := b.waits(t, first.ID, callback.StateScheduled)
		asked := time.Now()
		second, _ := b.asks(t, asIs)
		if !second.Joined || second.ID != first.ID || second.CallID == first.CallID {
			t.Fatalf("%+v", second)
		}
		b.until(t, second.CallID, call.Dialing)
		if took := time.Since(asked); took > 100*time.Millisecond {
			t.Errorf("called %v later; it was planned for %v", took, planned.NextAttemptAt)
		}
		b.until(t, second.CallID, call.Ended)
		if a := b.runner.attempts()[1]; a.Number != 2 || a.CallID != second.CallID || a.CallbackID != first.ID {
			t.Errorf("%+v", a)
		}
		// The next is planned for 04:00; from 04:30 on the widget is closed.
		b.site(t, func(w *directory.Widget) {
			w.Managers = callback.Managers{{Number: "101"}}
			w.Hours = &directory.Hours{Timezone: "Europe/Moscow", Week: directory.Week{Sunday: directory.Spans{"10:00-11:00"}}}
		})
		third, r := b.asks(t, asIs)
		if !third.Joined || third.CallID != second.CallID || r.State != callback.StateScheduled || len(b.runner.attempts()) != 2 {
			t.Errorf("while the widget is closed: %+v, %+v", third, r)
		}
		stop()
		b.drain(t)
	})
}

func TestARestartedServerKeepsToStartWithin(t *testing.T) {
	virtual(t, func(t *testing.T) {
		b := newBench(t)
		short, long := storetest.NewCallback("+79160000001"), storetest.NewCallback("+79160000002")
		short.Packet.StartWithinS, long.Packet.StartWithinS = new(30), new(3600)
		for _, n := range []store.NewCallback{short, long} {
			if _, err := b.store.CreateCallback(n); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(20 * time.Minute)
		if err := b.service.Recover(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.until(t, long.CallID, call.Dialing)
		b.wants(t, short.ID, callback.StateDone, call.Expired)
		b.drain(t)
	})
}

func TestManagersOfAWidgetTakeTurnsAndTheResponsibleIsFirst(t *testing.T) {
	b := newBench(t)
	for _, extension := range []string{"102", "103"} {
		if err := second(b.store.PutOperator(t.Context(), mine, directory.Operator{Extension: extension})); err != nil {
			t.Fatal(err)
		}
	}
	b.site(t, func(w *directory.Widget) {
		w.Managers, w.RoundRobin, w.ResponsibleFirst = callback.Managers{{Number: "101"}, {Number: "102"}, {Number: "103"}}, true, true
	})
	old := storetest.Create(t, b.store, "+79160000004")
	for _, e := range []call.Event{
		{Type: call.Answered, Leg: "m1", Role: call.Manager, Operator: "102"}, {Type: call.Joined, Leg: "m1", Other: "c1"}, {Type: call.Ended, Status: &call.Completed},
	} {
		e.CallID = old.CallID
		b.store.Journal().Append(e)
	}
	if err := b.store.Journal().Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ client, managers, want string }{
		{"+79160000001", "", "101_102_103"},
		{"+79160000002", "103_101", "103_101"}, // the packet's own are called as they come
		{"+79160000003", "", "102_103_101"},
		{"+79160000004", "", "102_103_101"}, // in turn 103_101_102
		{"+79160000005", "", "101_102_103"},
	} {
		_, r := b.asks(t, func(p *callback.Packet) {
			p.Client = step.client
			if step.managers != "" {
				p.Managers, _ = callback.ParseManagers(step.managers)
			}
		})
		if got := r.Packet.Managers.String(); got != step.want {
			t.Errorf("%s: %s, want %s", step.client, got, step.want)
		}
	}
	b.drain(t)
	for _, a := range b.runner.attempts() {
		if r, err := b.store.Callback(t.Context(), mine, a.CallbackID); err != nil || r.Packet.Managers.String() != a.Packet.Managers.String() {
			t.Error("what is made is not what is stored:", a.Packet.Managers, r.Packet.Managers, err)
		}
	}
}

// crm is a CRM in which everybody's manager is 102, and which takes half a
// second to say so.
type crm struct{ asked []string }

func (c *crm) Responsible(ctx context.Context, account, number string) (extension, why string, err error) {
	c.asked = append(c.asked, account+" "+number)
	timer := time.NewTimer(time.Second / 2)
	defer timer.Stop()
	select {
	case <-timer.C:
		return "102", "102 by the CRM", nil
	case <-ctx.Done():
		return "", "", context.Cause(ctx)
	}
}

// The CRM can say who is called first; who it is, and why, stands on the call's
// timeline, of a trial too.
func TestTheManagerInTheCRMIsCalledFirst(t *testing.T) {
	virtual(t, func(t *testing.T) {
		asked := &crm{}
		b := trying(t, func(w *directory.Widget) {
			w.Managers, w.ResponsibleFirst, w.ResponsibleSource = callback.Managers{{Number: "101"}, {Number: "102"}}, true, call.SourceCRM
		})
		b.service = dispatch.New(dispatch.Config{
			Store: b.store, Runner: b.runner, Speech: voice{}, Trials: here{}, Responsible: &responsible.Finder{Calls: b.store, CRM: asked},
		})
		if err := second(b.store.PutOperator(t.Context(), mine, directory.Operator{Extension: "102"})); err != nil {
			t.Fatal(err)
		}
		declined := func(o *dryrun.Order) { o.Manager = []dryrun.Script{{Answer: dryrun.Declined}} }
		trial := b.tries(t, declined)
		if got := dialled(trial); got != "102 101 +79161234567" || trial.Events[1].Reason != "responsible: 102: 102 by the CRM" {
			t.Error(got, trial.Events[1])
		}
		a, r := b.asks(t, func(*callback.Packet) {})
		if got := r.Packet.Managers.String(); got != "102_101" {
			t.Error(got)
		}
		if e := b.until(t, a.CallID, call.Note); e.Reason != "responsible: 102: 102 by the CRM" {
			t.Error(e.Reason)
		}
		// With less time than it takes, the calls say.
		b.site(t, func(w *directory.Widget) {
			w.Managers, w.ResponsibleFirst = callback.Managers{{Number: "101"}, {Number: "102"}}, true
			w.ResponsibleSource, w.ResponsibleCRMTimeoutMS = call.SourceCRM, 100
		})
		a, r = b.asks(t, func(p *callback.Packet) { p.Client = "+79160000009" })
		if got := r.Packet.Managers.String(); got != "101_102" {
			t.Error(got)
		}
		if e := b.until(t, a.CallID, call.Note); !strings.HasPrefix(e.Reason, "responsible: the CRM did not answer within 100ms; no operator has been in touch with the client ever") {
			t.Error(e.Reason)
		}
		if want := mine + " +79160000009"; len(asked.asked) != 3 || asked.asked[2] != want {
			t.Error(asked.asked)
		}
		b.drain(t)
	})
}
