package bitrix24_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/perezvon/perezvon/internal/bitrix24/bitrixtest"
	"github.com/perezvon/perezvon/internal/call"
)

// backlog stores a call that is over, with its recording, of which the portal
// knows nothing yet.
func (o *office) backlog() (id string, sound []byte) {
	o.t.Helper()
	id = call.NewID()
	sound = o.recorded(id)
	o.add(id, talk(time.Now().UTC().Truncate(time.Second))...)
	return id, sound
}

// told are the requests about calls.
func (o *office) told() []string {
	return slices.DeleteFunc(o.portal.Requests(), func(m string) bool { return m == "user.get" || m == "profile" || m == "scope" })
}

// inBatch is what the end of a call is told by.
var inBatch = []string{"telephony.externalCall.finish", "telephony.externalCall.attachRecord", "crm.activity.update"}

// «Batch where it helps»: what has waited of a call through an outage is told by
// three requests: its registration, its end, its recording.
func TestACallThatHasWaitedIsToldByThreeRequests(t *testing.T) {
	virtual(t, func(t *testing.T, o *office) {
		id, sound := o.backlog()
		time.Sleep(time.Hour)
		o.drain(id)
		o.rightly(id, sound)
		if d := cmp.Diff([]string{"telephony.externalCall.register", "batch", "upload"}, o.told()); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
		if d := cmp.Diff(inBatch, o.portal.Commands()); d != "" {
			t.Errorf("the batch: -want +got:\n%s", d)
		}
	})
}

// A batch that fails in the middle: whatever is refused within it, for whatever
// reason, and however often, the call is there once and whole.
func TestABatchThatFailsInTheMiddleLosesAndDoublesNothing(t *testing.T) {
	for name, refusal := range map[string]bitrixtest.Trouble{
		"query limit": bitrixtest.QueryLimit, "operating limit": bitrixtest.OperationLimit, "500": bitrixtest.ServerError,
		"the database": {Status: 400, Code: "ERROR_CORE", Description: "Unexpected database error"},
		"what is new":  {Status: 400, Code: "ERROR_NEVER_HEARD_OF"},
	} {
		for _, method := range inBatch {
			for _, times := range []int{1, 3} {
				t.Run(fmt.Sprintf("%s at %s, %d times", name, method, times), func(t *testing.T) {
					virtual(t, func(t *testing.T, o *office) {
						seen := 0
						o.portal.Refuses = func(m string) *bitrixtest.Trouble {
							if m != method || seen == times {
								return nil
							}
							seen++
							return &refusal
						}
						id, sound := o.backlog()
						o.drain(id)
						c := o.rightly(id, sound)
						if seen == 0 || c.Records != 1 || len(o.portal.Calls()) != 1 {
							t.Errorf("refused %d times, %d records, %d registrations", seen, c.Records, len(o.portal.Calls()))
						}
					})
				})
			}
		}
	}
}

// A refusal for too many requests within a batch is heeded as any other: the
// portal is left alone for a while.
func TestALimitWithinABatchIsHeeded(t *testing.T) {
	for _, refusal := range []bitrixtest.Trouble{bitrixtest.QueryLimit, bitrixtest.OperationLimit} {
		t.Run(refusal.Code, func(t *testing.T) {
			virtual(t, func(t *testing.T, o *office) {
				var at []time.Time
				o.portal.Refuses = func(m string) *bitrixtest.Trouble {
					if m != "telephony.externalCall.finish" {
						return nil
					}
					if at = append(at, time.Now()); len(at) > 1 {
						return nil
					}
					return &refusal
				}
				id, sound := o.backlog()
				o.drain(id)
				o.rightly(id, sound)
				if len(at) != 2 || at[1].Sub(at[0]) < 2*time.Second || slices.Contains(o.told(), "telephony.externalCall.finish") {
					t.Errorf("asked at %v: %v", at, o.told())
				}
			})
		})
	}
}

// The portal carries a part of a batch out, and never says which; and then the
// process dies, too.
func TestABatchThatIsCarriedOutInPartAndNotAnsweredLosesAndDoublesNothing(t *testing.T) {
	for commands := range len(inBatch) + 1 {
		for name, trouble := range map[string]bitrixtest.Trouble{"hangs": bitrixtest.ActsAndHangs, "fails": bitrixtest.ActsAndFails} {
			for _, dies := range []bool{false, true} {
				t.Run(fmt.Sprint(name, " after ", commands, ", dies ", dies), func(t *testing.T) {
					virtual(t, func(t *testing.T, o *office) {
						trouble := trouble
						trouble.Acts, trouble.Commands = commands > 0, commands
						life, die := context.WithCancel(t.Context())
						defer die()
						seen := 0
						o.portal.Trouble = func(_ int, m string) *bitrixtest.Trouble {
							if m != "batch" || seen == 2 {
								return nil
							}
							if seen++; dies && seen == 1 {
								die()
							}
							return &trouble
						}
						id, sound := o.backlog()
						if err := o.work(life, lane(id)); err != nil && life.Err() == nil {
							t.Fatal(err)
						}
						o.restart()
						o.drain(id)
						c := o.rightly(id, sound)
						want := 2
						if commands > 0 {
							want = 1 // it is finished: what is left is told alone
						}
						if seen != want || c.Records != 1 || len(o.portal.Calls()) != 1 {
							t.Errorf("%d batches, %d records, %d registrations", seen, c.Records, len(o.portal.Calls()))
						}
					})
				})
			}
		}
	}
}

// A client who is not in the CRM has no activity to comment on: that costs
// nothing.
func TestWithoutAnActivityThereIsNoComment(t *testing.T) {
	virtual(t, func(t *testing.T, o *office) {
		o.portal.NoActivities = true
		id, sound := o.backlog()
		o.drain(id)
		if c := o.one(); c.Comment != "" || string(c.Record) != string(sound) {
			t.Errorf("%+v", c)
		}
		if d := cmp.Diff([]string{"telephony.externalCall.register", "batch", "upload"}, o.told()); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
	})
}

// Without the right to the CRM there is no comment, and it is not asked for again.
func TestWithoutTheRightToTheCRMThereIsNoComment(t *testing.T) {
	virtual(t, func(t *testing.T, o *office) {
		o.portal.Refuses = func(m string) *bitrixtest.Trouble {
			if m == "crm.activity.update" {
				return &bitrixtest.Trouble{Code: "insufficient_scope"}
			}
			return nil
		}
		id, _ := o.backlog()
		o.drain(id)
		if c := o.one(); c.Comment != "" {
			t.Errorf("%+v", c)
		}
		if d := cmp.Diff([]string{"telephony.externalCall.register", "batch", "upload"}, o.told()); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
	})
}

// Where a recording goes was asked for ahead. If that is not good any more, it is
// asked for again.
func TestAnAddressForARecordingThatIsGoodNoMoreIsAskedForAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		trouble bitrixtest.Trouble
		later   time.Duration
	}{
		"refused":    {bitrixtest.Trouble{Status: 400, Code: "ERROR_CORE", Description: "no"}, 0},
		"not let in": {bitrixtest.Trouble{Status: 403, Code: "INVALID_CREDENTIALS", Description: "Invalid request credentials"}, 0},
		"too late":   {bitrixtest.Trouble{Status: 200, Acts: true}, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, o *office) {
				uploads := 0
				o.portal.Trouble = func(_ int, m string) *bitrixtest.Trouble {
					if m == "upload" {
						if uploads++; uploads == 1 {
							return &tt.trouble
						}
					}
					return nil
				}
				id, sound := o.backlog()
				for range 2 + 5 { // up to the end, the cards are passed by
					if d := o.deliveries(id, "waiting"); len(d) == 1 {
						break
					}
					if _, _, err := o.current().Send(t.Context(), lane(id)); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(tt.later)
				o.drain(id)
				o.rightly(id, sound)
				asked := 0
				for _, m := range append(o.portal.Requests(), o.portal.Commands()...) {
					if m == "telephony.externalCall.attachRecord" {
						asked++
					}
				}
				if asked != 2 || len(o.deliveries(id, "dead")) != 0 {
					t.Errorf("asked %d times: %v", asked, o.told())
				}
			})
		})
	}
}

// After an outage of hours 500 calls are told within the limits on requests:
// this is how many it takes, and how long (docs/decisions/0017-bitrix24-batch.md).
func TestABacklogOf500CallsIsToldWithinMinutes(t *testing.T) {
	virtual(t, func(t *testing.T, o *office) {
		const calls = 500
		ids := make([]string, calls)
		for i := range ids {
			ids[i], _ = o.backlog()
		}
		time.Sleep(time.Hour)
		before, began := len(o.portal.Requests()), time.Now()
		var drained sync.WaitGroup
		for _, id := range ids {
			drained.Go(func() { o.drain(id) })
		}
		drained.Wait()
		synctest.Wait()
		n, took := len(o.portal.Requests())-before, time.Since(began)
		t.Logf("%d calls: %d requests in %s", calls, n, took)
		if n > 3*calls+5 || took > calls*3/2*time.Second+time.Minute || o.portal.Refused() != 0 || len(o.portal.Finished()) != calls {
			t.Errorf("%d calls: %d requests in %s, %d refused", len(o.portal.Finished()), n, took, o.portal.Refused())
		}
	})
}
