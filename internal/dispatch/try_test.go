package dispatch_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/dispatch"
	"github.com/perezvon/perezvon/internal/dryrun"
	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/numbering"
	"github.com/perezvon/perezvon/internal/store"
)

// here plays in the bubble of the test.
type here struct{}

func (here) Run(ctx context.Context, s dryrun.Scene) ([]call.Event, error) {
	return dryrun.Play(ctx, s)
}

// trying is a bench whose service has Try, with the widget "site".
func trying(t *testing.T, change func(*directory.Widget)) *bench {
	b := newBench(t)
	b.service = dispatch.New(dispatch.Config{Store: b.store, Runner: b.runner, Speech: voice{}, Trials: here{}})
	b.site(t, func(w *directory.Widget) {
		w.Managers = callback.Managers{{Number: "101"}}
		change(w)
	})
	return b
}

func (b *bench) tries(t *testing.T, change func(*dryrun.Order)) dispatch.Trial {
	t.Helper()
	o := dryrun.Order{Packet: callback.Packet{Client: "8 (916) 123-45-67"}}
	change(&o)
	trial, err := b.service.Try(t.Context(), mine, "site", o)
	if err != nil {
		t.Fatal(err)
	}
	last := len(trial.Events) - 1
	if first := trial.Events[0]; first.Type != call.Created || first.Widget != "site" || first.Number != "+79161234567" || first.Attempt == 0 ||
		trial.Events[last].Type != call.Ended || *trial.Events[last].Status != trial.Status {
		t.Errorf("%+v", trial)
	}
	for i, e := range trial.Events {
		if e.Seq != int64(i+1) || e.CallID != trial.Events[0].CallID {
			t.Errorf("event %d: %+v", i, e)
		}
	}
	return trial
}

// why is the reason of the end.
func why(trial dispatch.Trial) string { return trial.Events[len(trial.Events)-1].Reason }

// dialled is who is called, in order.
func dialled(trial dispatch.Trial) string {
	var all []string
	for _, e := range trial.Events {
		if e.Type == call.Dialing {
			who := e.Operator
			if who == "" {
				who = e.Number
			}
			all = append(all, who)
		}
	}
	return strings.Join(all, " ")
}

func unchanged(*dryrun.Order) {}

// "A widget can be tried without calling anyone": the happy path is the
// default, and nothing is left behind.
func TestAWidgetIsTriedWithoutCallingAnyone(t *testing.T) {
	virtual(t, func(t *testing.T) {
		b := trying(t, func(w *directory.Widget) {
			w.Greeting, w.RoundRobin, w.RatePerClient = "ЗВОНОК", true, &directory.Rate{Count: 1, Per: directory.Duration(time.Hour)}
		})
		if _, err := b.store.PutLocation(t.Context(), mine, numbering.Location{ID: "ru", Number: "+74951110000"}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for range 3 { // it counts for no rate
			at := time.Now()
			trial := b.tries(t, unchanged)
			if trial.Status != call.Completed || !trial.StartsAt.Equal(at) || trial.NextAttemptAt != nil || trial.Open != nil || len(trial.Unspeakable) > 0 {
				t.Errorf("%+v", trial)
			}
			if got := dialled(trial); got != "101 +79161234567" {
				t.Error(got)
			}
			if !slices.Equal(trial.Estimated, []string{"Звонок клиенту"}) {
				t.Error("estimated:", trial.Estimated)
			}
		}
		if time.Since(began) < time.Minute {
			t.Error("it took no time of the bubble")
		}
		calls, _, err := b.store.Calls(t.Context(), mine, store.Page{Limit: 10}, store.CallFilter{})
		if err != nil || len(calls) != 0 {
			t.Error(calls, err)
		}
		callbacks, _, err := b.store.Callbacks(t.Context(), mine, store.Page{Limit: 10}, store.CallbackFilter{})
		if err != nil || len(callbacks) != 0 {
			t.Error(callbacks, err)
		}
		if n := len(b.runner.attempts()); n != 0 || b.service.Live() != 0 {
			t.Errorf("%d attempts, %d live", n, b.service.Live())
		}
		select {
		case e := <-b.events:
			t.Errorf("told: %+v", e)
		default:
		}
	})
}

func TestATrialKnowsTheOperatorsPhonesAndTheLocations(t *testing.T) {
	virtual(t, func(t *testing.T) {
		b := trying(t, func(*directory.Widget) {})
		err := errors.Join(
			second(b.store.PutOperator(t.Context(), mine, directory.Operator{Extension: "101", Phones: []string{"+77273334455"}})),
			second(b.store.PutLocation(t.Context(), mine, numbering.Location{ID: "ru", Number: "+74951110000"})),
			second(b.store.PutLocation(t.Context(), mine, numbering.Location{ID: "kz", Number: "+77272220000"})),
		)
		if err != nil {
			t.Fatal(err)
		}
		shown := map[string]string{}
		for _, e := range b.tries(t, unchanged).Events {
			if e.Type == call.Dialing {
				shown[e.Number] = e.CallerID
			}
		}
		if len(shown) != 3 || shown["+77273334455"] != "+77272220000" {
			t.Error(shown)
		}
	})
}

// "The same checks as a real request", told and not counted.
func TestATrialTellsWhatBecomesOfTheRequest(t *testing.T) {
	virtual(t, func(t *testing.T) { // it is Saturday, 2000-01-01, 03:00 in Moscow
		opens := time.Date(2000, 1, 1, 1, 0, 0, 0, time.UTC)
		hours := func(w *directory.Widget) {
			w.Hours = &directory.Hours{Timezone: "Europe/Moscow", Week: directory.Week{Saturday: directory.Spans{"04:00-18:00"}}}
		}
		b := trying(t, hours)
		soon := func(o *dryrun.Order) { o.Packet.StartWithinS = new(60) }
		if trial := b.tries(t, soon); trial.Status != call.Expired || !trial.StartsAt.IsZero() || !strings.Contains(why(trial), "2000-01-01T01:00:00Z") {
			t.Errorf("closed for too long: %+v", trial)
		}
		if trial := b.tries(t, unchanged); trial.Status != call.Completed || !trial.StartsAt.Equal(opens) || !trial.Events[1].At.Equal(opens) {
			t.Errorf("closed: %v %v", trial.StartsAt, trial.Events[1])
		}
		noon := func(o *dryrun.Order) { at := opens.Add(8 * time.Hour); o.At = &at }
		if trial := b.tries(t, noon); !trial.StartsAt.Equal(opens.Add(8 * time.Hour)) {
			t.Errorf("open by then: %v", trial.StartsAt)
		}

		b = trying(t, func(w *directory.Widget) { w.Blacklist = []string{"+7916123*"} })
		if trial := b.tries(t, unchanged); trial.Status != call.NotAllowed || !strings.Contains(why(trial), "blacklist") || len(trial.Events) != 2 {
			t.Errorf("%+v", trial)
		}

		b = trying(t, func(w *directory.Widget) {
			w.RatePerClient = &directory.Rate{Count: 1, Per: directory.Duration(time.Hour)}
		})
		a, _ := b.asks(t, asIs)
		b.until(t, a.CallID, call.Dialing)
		if trial := b.tries(t, unchanged); trial.Open == nil || trial.Open.ID != a.ID || trial.Open.CallID != a.CallID || trial.Status != call.Completed {
			t.Errorf("an open callback: %+v", trial)
		}
		b.runner.ends <- call.Completed
		b.waits(t, a.ID, callback.StateDone)
		if trial := b.tries(t, unchanged); trial.Open != nil || trial.Status != call.NotAllowed || !strings.Contains(why(trial), "1 requests") {
			t.Errorf("the rate is used up: %+v", trial)
		}
		b.drain(t)
	})
}

func TestATrialTellsTheNextAttempt(t *testing.T) {
	virtual(t, func(t *testing.T) {
		b := trying(t, func(w *directory.Widget) {
			w.DTMFCancel, w.DTMFReschedule, w.DTMFCancelRecalls = "0", "9", "8"
			w.RecallOn = []directory.StatusName{"client_busy", "completed", "cancelled_by_manager"}
		})
		press := func(key string, after float64) func(*dryrun.Order) {
			return func(o *dryrun.Order) {
				o.Manager = []dryrun.Script{{Keys: []dryrun.Press{{Key: key, AfterS: after}}}}
				o.Client = dryrun.Script{HangsUpAfterS: new(5.0)}
			}
		}
		busy := func(o *dryrun.Order) { o.Client.Answer = dryrun.Busy }
		for _, tt := range []struct {
			name    string
			change  func(*dryrun.Order)
			attempt int
			want    call.Status
			wait    time.Duration // 0: none
		}{
			{"both talked, and the widget wants it again", unchanged, 0, call.Completed, 10 * time.Second},
			{"busy", busy, 0, call.ClientBusy, 10 * time.Second},
			{"busy again", busy, 2, call.ClientBusy, 20 * time.Second},
			{"busy at last", busy, 4, call.ClientBusy, 0},
			{"rescheduled", press("9", 1), 0, call.RescheduledByManager, 10 * time.Second},
			{"rescheduled after the call", press("9", 19), 0, call.Completed, 10 * time.Second},
			{"cancelled", press("0", 1), 0, call.CancelledByManager, 0},
			{"recalls cancelled", press("8", 19), 0, call.Completed, 0},
		} {
			trial := b.tries(t, func(o *dryrun.Order) { tt.change(o); o.Packet.Attempt = tt.attempt })
			end := trial.Events[len(trial.Events)-1]
			if trial.Status != tt.want || (trial.NextAttemptAt != nil) != (tt.wait > 0) || end.NextAttemptAt != trial.NextAttemptAt {
				t.Errorf("%s: %v, next %v", tt.name, trial.Status, trial.NextAttemptAt)
			}
			if tt.wait > 0 && trial.NextAttemptAt != nil && trial.NextAttemptAt.Sub(end.At.Add(tt.wait)).Abs() > time.Millisecond {
				t.Errorf("%s: %v after the end", tt.name, trial.NextAttemptAt.Sub(end.At))
			}
		}
	})
}

// Whose turn it is, and who talked to the client last, are looked up and left
// as they are.
func TestATrialTakesNoTurn(t *testing.T) {
	virtual(t, func(t *testing.T) {
		b := trying(t, func(w *directory.Widget) {
			w.Managers, w.RoundRobin, w.ResponsibleFirst = callback.Managers{{Number: "101"}, {Number: "102"}}, true, true
		})
		if err := second(b.store.PutOperator(t.Context(), mine, directory.Operator{Extension: "102"})); err != nil {
			t.Fatal(err)
		}
		declined := func(o *dryrun.Order) { o.Manager = []dryrun.Script{{Answer: dryrun.Declined}} }
		for range 2 {
			if got := dialled(b.tries(t, declined)); got != "101 102 +79161234567" {
				t.Error(got)
			}
		}
		a, r := b.asks(t, func(p *callback.Packet) { p.Client = "+79160000001" })
		if got := r.Packet.Managers.String(); got != "101_102" {
			t.Error(got)
		}
		b.until(t, a.CallID, call.Dialing)
		if got := dialled(b.tries(t, declined)); got != "102 101 +79161234567" {
			t.Error(got)
		}
		b.drain(t)
	})
}

func TestATrialThatIsWrongIsNamedByField(t *testing.T) {
	virtual(t, func(t *testing.T) {
		b := trying(t, func(*directory.Widget) {})
		for field, change := range map[string]func(*dryrun.Order){
			"packet.client":          func(o *dryrun.Order) { o.Packet.Client = "" },
			"packet.widget":          func(o *dryrun.Order) { o.Packet.Widget = "other" },
			"packet.managers[0].sip": func(o *dryrun.Order) { o.Packet.Managers = callback.Managers{{SIP: "404"}} },
			"packet.trunk":           func(o *dryrun.Order) { o.Packet.Trunk = "none" },
			"manager[1]":             func(o *dryrun.Order) { o.Manager = make([]dryrun.Script, 2) },
			"client.answer":          func(o *dryrun.Order) { o.Client.Answer = "x" },
			"trunks_down[0]":         func(o *dryrun.Order) { o.TrunksDown = []string{"none"} },
		} {
			o := dryrun.Order{Packet: callback.Packet{Client: "+79161234567"}}
			change(&o)
			_, err := b.service.Try(t.Context(), mine, "site", o)
			var bad invalid.Error
			if !errors.As(err, &bad) || len(bad) != 1 || bad[0].Path != field {
				t.Errorf("%s: %v", field, err)
			}
		}
		if _, err := b.service.Try(t.Context(), mine, "none", dryrun.Order{}); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
		// A text that cannot be spoken keeps nobody from trying.
		trial := b.tries(t, func(o *dryrun.Order) { o.Packet.Greeting = "unspeakable" })
		if trial.Status != call.Completed || len(trial.Unspeakable) != 1 || trial.Unspeakable[0].Path != "packet.greeting" {
			t.Errorf("%+v", trial)
		}
	})
}
