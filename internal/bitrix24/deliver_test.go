package bitrix24_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/perezvon/perezvon/internal/bitrix24"
	"github.com/perezvon/perezvon/internal/bitrix24/bitrixtest"
	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/store"
	"github.com/perezvon/perezvon/internal/store/storetest"
)

// tellTalk stores the call of talk and tells it; the events follow each other as
// quickly as they are told. It returns the call's identifier and its recording.
func (o *office) tellTalk() (id string, sound []byte) {
	o.t.Helper()
	id = call.NewID()
	sound = o.recorded(id)
	for _, e := range talk(time.Now().UTC().Truncate(time.Second)) {
		o.add(id, e)
		o.drain(id)
	}
	return id, sound
}

// rightly checks that the portal has the call of talk, once and as it was.
func (o *office) rightly(id string, sound []byte) bitrixtest.Call {
	o.t.Helper()
	c := o.one()
	if c.External != id || c.Client != client || c.Type != 2 || c.Responsible != borisD || c.DurationS != 60 || c.Status != "200" || !bytes.Equal(c.Record, sound) {
		o.t.Errorf("%+v", c)
	}
	if c.Comment != "0:05–0:25 101 →\n0:30–1:10 102" {
		o.t.Errorf("comment %q", c.Comment)
	}
	return c
}

// virtual runs a test in virtual time.
func virtual(t *testing.T, run func(t *testing.T, o *office)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o := open(t)
		o.connect()
		run(t, o)
	})
}

// «Bitrix24 is told as it goes»: the card opens for whoever rings, Anna's by the
// extension in her profile there, Boris's by bitrix_user_id; Vera is no user.
func TestThePortalIsToldAsTheCallGoes(t *testing.T) {
	virtual(t, func(t *testing.T, o *office) {
		c := o.rightly(o.tellTalk())
		if d := cmp.Diff([]int64{annaID, borisD}, c.Shown); d != "" || len(c.Cards) != 0 {
			t.Errorf("cards: %s, open %v", d, c.Cards)
		}
		told := slices.DeleteFunc(o.portal.Requests(), func(m string) bool { return m == "user.get" || m == "profile" || m == "scope" })
		want := []string{
			"telephony.externalCall.register", "telephony.externalCall.hide", "telephony.externalCall.show", "telephony.externalCall.hide", "batch",
			"telephony.externalCall.attachRecord", "upload",
		}
		if d := cmp.Diff(want, told); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
		if d := cmp.Diff([]string{"telephony.externalCall.finish", "crm.activity.update"}, o.portal.Commands()); d != "" {
			t.Errorf("the batch: -want +got:\n%s", d)
		}
	})
}

// The portal does less wrong than it could: whatever it does with any one of
// the requests of a call, the call is there once and whole.
func TestNoTroubleWithAnyRequestLosesOrDoublesACall(t *testing.T) {
	troubles := map[string]bitrixtest.Trouble{
		"query limit": bitrixtest.QueryLimit, "operating limit": bitrixtest.OperationLimit, "500": bitrixtest.ServerError, "down": bitrixtest.Down,
		"acts and hangs": bitrixtest.ActsAndHangs, "acts and fails": bitrixtest.ActsAndFails, "no auth": bitrixtest.NoAuth,
	}
	for name, trouble := range troubles {
		for _, method := range []string{
			"telephony.externalCall.register", "batch",
			"telephony.externalCall.attachRecord", "upload", "user.get",
		} {
			t.Run(name+" at "+method, func(t *testing.T) {
				virtual(t, func(t *testing.T, o *office) {
					seen := 0
					o.portal.Trouble = func(_ int, m string) *bitrixtest.Trouble {
						if m != method {
							return nil
						}
						if seen++; seen > 2 {
							return nil
						}
						return &trouble
					}
					o.rightly(o.tellTalk())
					// Where it cannot be known whether a call was finished, it is
					// looked for first.
					want := 3
					if trouble.Acts && method == "batch" {
						want = 1
					}
					if seen < want || want == 1 && seen > 1 {
						t.Errorf("%s was asked for %d times", method, seen)
					}
				})
			})
		}
	}
}

// The process dies after a request was carried out and before its answer was
// written down, at each request of a call.
func TestAKillBetweenARequestAndItsAnswerDoublesNothing(t *testing.T) {
	virtual(t, func(t *testing.T, o *office) {
		kill := func() {}
		killed := make(map[string]bool) // the methods: each is killed once
		o.portal.Trouble = func(_ int, m string) *bitrixtest.Trouble {
			if (strings.HasPrefix(m, "telephony.") || m == "upload" || m == "batch") && !killed[m] {
				killed[m] = true
				kill()
			}
			return nil
		}
		id := call.NewID()
		sound := o.recorded(id)
		for _, e := range talk(time.Now().UTC()) {
			o.add(id, e)
			for died := true; died; {
				life, end := context.WithCancel(t.Context())
				kill = end
				err := o.work(life, lane(id))
				died = life.Err() != nil
				end()
				if !died && err != nil {
					t.Fatal(err)
				}
				o.restart()
			}
		}
		c := o.rightly(id, sound)
		if len(o.portal.Calls()) != 1 {
			t.Errorf("%d registrations", len(o.portal.Calls()))
		}
		if c.Records < 2 {
			t.Error("no record was attached twice, so nothing was killed")
		}
	})
}

// «Bitrix24 down for hours loses nothing»: cards that nobody needs any more are
// not opened afterwards, the call is.
func TestACallDuringAnOutageIsToldAfterIt(t *testing.T) {
	virtual(t, func(t *testing.T, o *office) {
		until := time.Now().Add(5 * time.Hour)
		o.portal.Trouble = func(int, string) *bitrixtest.Trouble {
			if time.Now().Before(until) {
				return &bitrixtest.Down
			}
			return nil
		}
		id := call.NewID()
		sound := o.recorded(id)
		o.add(id, talk(time.Now().UTC())...)
		before := len(o.portal.Requests())
		o.drain(id)
		c := o.rightly(id, sound)
		if len(c.Shown) != 0 {
			t.Errorf("cards were opened five hours later: %v", c.Shown)
		}
		if late := time.Since(until); late > 16*time.Minute {
			t.Errorf("told %s after the portal was back", late)
		}
		if n := len(o.portal.Requests()) - before; n > 200 {
			t.Errorf("%d requests during the outage", n)
		}
	})
}

func TestWhatWaitsSaysWhy(t *testing.T) {
	virtual(t, func(t *testing.T, o *office) {
		o.portal.Trouble = func(int, string) *bitrixtest.Trouble { return &bitrixtest.NoAuth }
		id := call.NewID()
		o.add(id, talk(time.Now().UTC())[:3]...)
		if _, more, err := o.current().Send(t.Context(), lane(id)); err != nil || !more {
			t.Fatal(more, err)
		}
		d := o.deliveries(id, store.DeliveryWaiting)
		if len(d) != 1 || d[0].LastStatus != 401 || !strings.Contains(d[0].LastError, "NO_AUTH_FOUND") || !d[0].NextTryAt.After(time.Now()) || d[0].Tries != 1 {
			t.Errorf("%+v", d)
		}
		v, err := o.current().Connection(t.Context(), storetest.Mine)
		if err != nil || v.State != bitrix24.StateFailing || !strings.Contains(v.LastError, "NO_AUTH_FOUND") {
			t.Errorf("%+v %v", v, err)
		}
	})
}

// What will never be taken is dead at once and holds up no other call; it may
// be tried again by hand.
func TestWhatIsRefusedIsDead(t *testing.T) {
	virtual(t, func(t *testing.T, o *office) {
		bad := bitrixtest.Trouble{Status: 400, Code: "ERROR_CORE", Description: "Unsupported phone number format"}
		o.portal.Trouble = func(int, string) *bitrixtest.Trouble { return &bad }
		id := call.NewID()
		o.add(id, talk(time.Now().UTC())...)
		o.drain(id)
		dead := o.deliveries(id, store.DeliveryDead)
		if len(dead) == 0 || len(o.deliveries(id, store.DeliveryWaiting)) != 0 || !strings.Contains(dead[0].LastError, "Unsupported phone number") {
			t.Errorf("%+v", dead)
		}
		o.portal.Trouble = nil
		sound := o.recorded(id)
		slices.SortFunc(dead, func(a, b store.Delivery) int { return int(a.Seq - b.Seq) })
		for _, d := range dead {
			if _, err := o.store.RetryDelivery(t.Context(), storetest.Mine, d.ID, func(context.Context, *store.Tx, store.Lane) error { return nil }); err != nil {
				t.Fatal(err)
			}
		}
		o.drain(id)
		o.rightly(id, sound)
	})
}

// An operator who is no user there, or was fired, does not lose the call: who
// made the webhook answers for it.
func TestACallOfNobodyThereIsTheDefaultUsers(t *testing.T) {
	virtual(t, func(t *testing.T, o *office) {
		id := call.NewID()
		at := time.Now().UTC()
		o.add(id, created(at, call.Inbound), rings(at, "o1", vera), picksUp(at, "o1", vera), joined(at, "o1"), ended(at.Add(9*time.Second), call.Completed, ""))
		o.drain(id)
		if c := o.one(); c.Responsible != bitrixtest.Owner || c.User != bitrixtest.Owner || c.DurationS != 9 {
			t.Errorf("%+v", c)
		}
	})
}

func TestAConnectionThatIsRemovedStopsTheTelling(t *testing.T) {
	virtual(t, func(t *testing.T, o *office) {
		id := call.NewID()
		events := talk(time.Now().UTC())
		o.add(id, events[:3]...)
		if err := o.current().Disconnect(t.Context(), storetest.Mine); err != nil {
			t.Fatal(err)
		}
		before := len(o.portal.Requests())
		o.add(id, events[3:]...)
		o.drain(id)
		other := call.NewID()
		o.add(other, talk(time.Now().UTC())...)
		if n := len(o.portal.Requests()); n != before || len(o.deliveries(other, "")) != 0 || len(o.deliveries(id, store.DeliveryWaiting)) != 0 {
			t.Errorf("%d requests after the end, deliveries %+v", n-before, o.deliveries(id, ""))
		}
	})
}

// 500 calls at once, none of which the portal refuses for its number: the limit
// is kept to, and all are told within what the limit allows.
func TestTheLimitOnRequestsIsKept(t *testing.T) {
	virtual(t, func(t *testing.T, o *office) {
		began := time.Now()
		const calls = 60
		for range calls {
			id := call.NewID()
			at := time.Now().UTC()
			o.add(id, created(at, call.Outbound), call.Event{At: at, Type: call.Arrived, Leg: "o1", Role: call.Operator, Operator: boris}, ended(at.Add(5*time.Second), call.ClientBusy, ""))
		}
		o.drainAll(t.Context())
		if n := len(o.portal.Finished()); n != calls || o.portal.Refused() != 0 {
			t.Errorf("%d calls, %d requests refused", n, o.portal.Refused())
		}
		// 120 requests, 40 of them at once, then two a second.
		if took := time.Since(began); took > 60*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

// drainAll works all lanes side by side until nothing waits in them.
func (o *office) drainAll(ctx context.Context) {
	o.t.Helper()
	lanes, err := o.store.OpenLanes(ctx)
	if err != nil {
		o.t.Fatal(err)
	}
	done := make(chan error, len(lanes))
	for _, l := range lanes {
		go func() { done <- o.work(ctx, l) }()
	}
	for range lanes {
		if err := <-done; err != nil {
			o.t.Error(err)
		}
	}
}

// «operating-time limit»: a method that has used up its time is left alone until
// the portal counts it no more.
func TestTheLimitOnOperatingTimeIsKept(t *testing.T) {
	virtual(t, func(t *testing.T, o *office) {
		o.portal.Seconds = 150 // three calls of a method are too much, four would be blocked
		began := time.Now()
		for range 5 {
			o.add(call.NewID(), created(time.Now().UTC(), call.Inbound), ended(time.Now().UTC(), call.Abandoned, ""))
		}
		blocked := 0
		o.portal.Trouble = func(int, string) *bitrixtest.Trouble { return nil }
		for _, l := range must(o.store.OpenLanes(t.Context())) {
			if err := o.work(t.Context(), l); err != nil {
				t.Fatal(err)
			}
		}
		for _, d := range o.deliveries("", "") {
			if d.Tries > 1 {
				blocked++
			}
		}
		if n := len(o.portal.Finished()); n != 5 || blocked != 0 || time.Since(began) < 9*time.Minute {
			t.Errorf("%d calls, %d requests blocked, in %s", n, blocked, time.Since(began))
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// What was said is attached once.
func TestTheTranscriptIsAttachedOnce(t *testing.T) {
	virtual(t, func(t *testing.T, o *office) {
		hangs := 1
		o.portal.Trouble = func(_ int, m string) *bitrixtest.Trouble {
			if m == "telephony.call.attachTranscription" && hangs > 0 {
				hangs--
				return &bitrixtest.ActsAndHangs
			}
			return nil
		}
		id, _ := o.tellTalk()
		if err := o.store.SaveTranscript(storetest.Mine, id, []call.Segment{
			{Speaker: call.ClientSpeaks, FromS: 0.4, ToS: 0.9, Text: "Алло"}, {Speaker: call.OperatorSpeaks, FromS: 1.2, ToS: 4.5, Text: "Здравствуйте"},
		}); err != nil {
			t.Fatal(err)
		}
		o.add(id, call.Event{Type: call.Transcribed, Segments: 2})
		o.drain(id)
		want := [][]any{{
			map[string]any{"SIDE": "Client", "START_TIME": 0.0, "STOP_TIME": 1.0, "MESSAGE": "Алло"},
			map[string]any{"SIDE": "User", "START_TIME": 1.0, "STOP_TIME": 5.0, "MESSAGE": "Здравствуйте"},
		}}
		if d := cmp.Diff(want, o.one().Transcripts); d != "" {
			t.Error(d)
		}
	})
}

// The hook runs again for an event whose transaction failed; nothing is left out
// then and nothing comes twice.
func TestAnEventThatComesAgainMakesTheSameStep(t *testing.T) {
	virtual(t, func(t *testing.T, o *office) {
		failing := true
		o.store.Journal().OnEvent(func(ctx context.Context, tx *store.Tx, c call.Call, e call.Event) error {
			if _, err := o.current().Follow(ctx, tx, c, e); err != nil || e.Type != call.Dialing || !failing {
				return err
			}
			failing = false
			_, err := tx.ExecContext(ctx, `DELETE FROM deliveries WHERE call_id = $1 AND seq = $2`, c.ID, e.Seq)
			if err == nil {
				_, err = o.current().Follow(ctx, tx, c, e)
			}
			return err
		})
		o.rightly(o.tellTalk())
		if o.portal.Requests()[3] != "telephony.externalCall.register" {
			t.Errorf("%q", o.portal.Requests())
		}
	})
}
