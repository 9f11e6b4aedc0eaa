package bitrix24_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perezvon/perezvon/internal/bitrix24/bitrixtest"
	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/store"
	"github.com/perezvon/perezvon/internal/store/storetest"
)

// process sends what waits, as the jobs of a process do, until it is killed.
type process struct {
	o       *office
	ctx     context.Context
	kill    context.CancelFunc
	running sync.WaitGroup

	mu    sync.Mutex
	lanes map[string]bool // at work; true: something came meanwhile
}

// boot starts a process, which takes up what its predecessor has left.
func (o *office) boot() *process {
	o.t.Helper()
	o.restart()
	p := &process{o: o, lanes: make(map[string]bool)}
	p.ctx, p.kill = context.WithCancel(o.t.Context())
	p.takeUp()
	return p
}

// takeUp works what waits.
func (p *process) takeUp() {
	lanes, err := p.o.store.OpenLanes(p.o.t.Context())
	if err != nil {
		p.o.t.Error(err)
	}
	for _, l := range lanes {
		p.wake(l.CallID)
	}
}

// die ends the process wherever it is.
func (p *process) die() {
	p.mu.Lock()
	p.kill()
	p.mu.Unlock()
	p.running.Wait()
}

// wake lets the lane of a call be worked.
func (p *process) wake(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil {
		return // its successor finds it
	}
	if _, atWork := p.lanes[id]; atWork {
		p.lanes[id] = true
		return
	}
	p.lanes[id] = false
	p.running.Go(func() {
		for p.ctx.Err() == nil {
			if err := p.o.work(p.ctx, lane(id)); err != nil && p.ctx.Err() == nil {
				p.o.t.Error(err)
			}
			p.mu.Lock()
			if !p.lanes[id] {
				delete(p.lanes, id)
				p.mu.Unlock()
				return
			}
			p.lanes[id] = false
			p.mu.Unlock()
		}
	})
}

// stage is what happens at one moment of a scripted call.
type stage struct {
	after  time.Duration // since the one before
	events []call.Event
}

// script makes a call at random: of any direction, taken or missed, passed on up
// to three times.
func script(r *rand.Rand) (call.Direction, []stage) {
	direction := []call.Direction{call.Inbound, call.Inbound, call.Inbound, call.Outbound, call.Callback}[r.IntN(5)]
	operators := []string{anna, boris, vera}
	who := operators[r.IntN(3)]
	ring := call.Event{Type: call.Dialing, Leg: "o1", Role: call.Operator, Operator: who}
	switch direction {
	case call.Outbound:
		ring.Type = call.Arrived
	case call.Callback:
		ring.Role = call.Manager
	}
	missed := call.NoAnswer
	if direction != call.Inbound {
		missed = call.ClientBusy
	}
	wait := func(most int) time.Duration { return time.Duration(1+r.IntN(most)) * time.Second }
	stages := []stage{{0, []call.Event{{Type: call.Created, Account: storetest.Mine, Direction: direction, Number: fmt.Sprintf("+7916%07d", r.IntN(1e7)), Attempt: 1}, ring}}}
	if r.IntN(5) == 0 {
		return direction, append(stages, stage{wait(30), []call.Event{{Type: call.Ended, Status: &missed}}})
	}
	stages = append(stages, stage{wait(20), []call.Event{
		{Type: call.Answered, Leg: "o1", Role: ring.Role, Operator: who}, {Type: call.RecordingStarted}, {Type: call.Joined, Leg: "o1", Other: "c1"},
	}})
	leg := "o1"
	for n := range r.IntN(4) {
		next, to := fmt.Sprint("o", n+2), operators[r.IntN(3)]
		stages = append(stages,
			stage{wait(120), []call.Event{
				{Type: call.TransferStarted, Leg: leg, Number: to}, {Type: call.Parted, Leg: leg, Other: "c1", Outcome: call.Transferred}, {Type: call.LegEnded, Leg: leg, Role: call.Operator},
				{Type: call.Dialing, Leg: next, Role: call.Operator, Operator: to},
			}},
			stage{wait(15), []call.Event{{Type: call.Answered, Leg: next, Role: call.Operator, Operator: to}, {Type: call.Joined, Leg: next, Other: "c1"}}})
		leg = next
	}
	return direction, append(stages,
		stage{wait(180), []call.Event{
			{Type: call.Parted, Leg: leg, Other: "c1", Outcome: call.Done}, {Type: call.LegEnded, Leg: leg, Role: call.Operator}, {Type: call.Ended, Status: &call.Completed},
		}},
		stage{wait(10), []call.Event{{Type: call.RecordingState, Recording: call.RecordingReady}}})
}

// weather is what is wrong with the portal in the course of the day.
func weather(r *rand.Rand, began time.Time) func(int, string) *bitrixtest.Trouble {
	some := func(share float64, troubles ...bitrixtest.Trouble) *bitrixtest.Trouble {
		if r.Float64() >= share {
			return nil
		}
		return &troubles[r.IntN(len(troubles))]
	}
	return func(int, string) *bitrixtest.Trouble {
		switch m := time.Since(began).Minutes(); {
		case m > 30 && m < 180:
			return &bitrixtest.Down // for hours
		case m > 200 && m < 220:
			return some(0.3, bitrixtest.QueryLimit)
		case m > 220 && m < 240:
			return some(0.3, bitrixtest.ServerError)
		case m > 240 && m < 260:
			return &bitrixtest.NoAuth
		case m > 270 && m < 300:
			return some(0.3, bitrixtest.ActsAndHangs, bitrixtest.ActsAndFails)
		case m > 310 && m < 320:
			return &bitrixtest.ActsAndFails // everything acts, nothing is known of it
		case m > 360: // in the evening all is well
			return nil
		}
		return some(0.02, bitrixtest.Expired, bitrixtest.ServerError, bitrixtest.ActsAndFails, bitrixtest.OperationLimit, bitrixtest.Down)
	}
}

// within is the same for the commands of batches.
func within(r *rand.Rand, began time.Time) func(string) *bitrixtest.Trouble {
	return func(string) *bitrixtest.Trouble {
		share := 0.02
		switch m := time.Since(began).Minutes(); {
		case m > 360:
			return nil
		case m > 190 && m < 230:
			share = 0.3
		}
		if r.Float64() >= share {
			return nil
		}
		return &[]bitrixtest.Trouble{bitrixtest.QueryLimit, bitrixtest.OperationLimit, bitrixtest.ServerError}[r.IntN(3)]
	}
}

// A day of 500 calls with transfers while the portal is down for hours, answers
// 503, 500 and 401, acts without an answer, and the server is killed at random:
// at the end each call is there once, with the right responsible, duration,
// status and the whole recording; and no call was delayed.
func TestADayOfCallsIsToldOnceWhateverGoesWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const calls, day = 500, 6 * time.Hour
		r := rand.New(rand.NewPCG(20, 26)) //nolint:gosec // the same day each time
		o := open(t)
		o.connect(application)
		began := time.Now()
		o.portal.Trouble = weather(rand.New(rand.NewPCG(11, 21)), began) //nolint:gosec // as above
		o.portal.Refuses = within(rand.New(rand.NewPCG(21, 11)), began)  //nolint:gosec // as above

		var mu sync.Mutex
		var now *process
		alive := func() *process { mu.Lock(); defer mu.Unlock(); return now }
		now = o.boot()
		var dying sync.WaitGroup
		over := make(chan struct{})
		kills := 0
		dying.Go(func() {
			for {
				select {
				case <-over:
					return
				case <-time.After(time.Duration(60+r.IntN(900)) * time.Second):
				}
				alive().die()
				kills++
				next := o.boot()
				mu.Lock()
				now = next
				mu.Unlock()
				next.takeUp() // also what came while it was booting
			}
		})

		type made struct {
			id        string
			sound     []byte
			direction call.Direction
		}
		all := make([]made, calls)
		var slowest time.Duration
		var speaking sync.WaitGroup
		dice := rand.New(rand.NewPCG(1, 500)) //nolint:gosec // as above
		for i := range all {
			direction, stages := script(dice)
			all[i] = made{id: call.NewID(), direction: direction}
			if len(stages) > 2 {
				all[i].sound = o.recorded(all[i].id)
			}
			speaking.Go(func() {
				time.Sleep(day * time.Duration(i) / calls)
				for _, s := range stages {
					time.Sleep(s.after)
					before := time.Now()
					o.add(all[i].id, s.events...)
					mu.Lock()
					slowest = max(slowest, time.Since(before))
					mu.Unlock()
					alive().wake(all[i].id)
				}
			})
		}
		speaking.Wait()
		close(over)
		dying.Wait()
		alive().running.Wait()

		there := make(map[string][]bitrixtest.Call)
		for _, c := range o.portal.Finished() {
			there[c.External] = append(there[c.External], c)
		}
		users := map[string]int64{"": 0, anna: annaID, boris: borisD, vera: bitrixtest.Owner}
		types := map[call.Direction]int{call.Inbound: 2, call.Outbound: 1, call.Callback: 4}
		for _, m := range all {
			c, err := o.store.Call(t.Context(), storetest.Mine, m.id)
			if err != nil || len(there[m.id]) != 1 {
				t.Errorf("call %s is there %d times, %v", m.id, len(there[m.id]), err)
				continue
			}
			got := there[m.id][0]
			status := map[call.Status]string{call.Completed: "200", call.NoAnswer: "304", call.ClientBusy: "486"}[c.Status]
			if responsible := users[c.Responsible]; got.Responsible != responsible && responsible != 0 || got.Type != types[m.direction] || got.Status != status ||
				got.DurationS != int(math.Round(c.Talk(c.EndedAt).Seconds())) || got.Client != c.Client || !bytes.Equal(got.Record, m.sound) {
				t.Errorf("%+v of %+v", got, c)
			}
		}
		for _, state := range []string{store.DeliveryDead, store.DeliveryWaiting} {
			if left := o.deliveries("", state); len(left) > 0 {
				t.Errorf("%d are %s: %+v", len(left), state, left[0])
			}
		}
		if len(there) != calls || kills < 10 || slowest > time.Second {
			t.Errorf("%d calls, %d kills, slowest event %s", len(there), kills, slowest)
		}
		t.Logf("%d requests, %d registrations, %d refused for their number, %d tokens, %d kills; told %s after the day; slowest event %s",
			len(o.portal.Requests()), len(o.portal.Calls()), o.portal.Refused(), o.portal.Renewals(), kills, time.Since(began)-day, slowest)
	})
}
