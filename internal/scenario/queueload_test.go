package scenario

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perezvon/perezvon/internal/acd"
	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/recording"
	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/scripted"
)

// rush is an hour of a busy queue, in virtual time: 300 callers, 20 members.
type rush struct {
	engine  *scripted.Engine
	journal *journal
	random  *rand.Rand
	board   *Switchboard
}

func newRush(strategy string) *rush {
	r := &rush{engine: scripted.New(), journal: &journal{}, random: rand.New(rand.NewPCG(1, 2))}
	q := directory.NewQueue("1000")
	q.Strategy, q.WrapupS, q.MaxWaitS = strategy, 10, 600
	q.Announce = &directory.QueueAnnounce{Position: true, Wait: true, PositionEveryS: 30}
	members := operators{}
	for i := range 20 {
		extension := fmt.Sprint(101 + i)
		q.Members = append(q.Members, extension)
		members[extension] = directory.Operator{Extension: extension}
		r.engine.Phone(extension, r.habits()...)
	}
	p := plan{
		queues: map[string]directory.Queue{"1000": q},
		routes: []directory.Route{{Name: "all", Steps: directory.Steps{{Queue: &directory.ToQueue{Name: "1000"}}}}},
	}
	r.board = &Switchboard{Services: Services{
		Engine: r.engine, Journal: r.journal, Tapes: &tapes{tracks: map[string]recording.Side{}}, Speech: voices{}, Operators: members,
		Directory: p, Lines: NewLines(), Talks: NewTalks(), Queues: acd.New(r.engine, people{p, members}), Logger: slog.New(slog.DiscardHandler),
	}}
	return r
}

func (r *rush) between(low, high int) time.Duration {
	return time.Duration(1000*low+r.random.IntN(1000*(high-low))) * time.Millisecond
}

// habits is what a member does on his calls, one after the other.
func (r *rush) habits() (all []scripted.Phone) {
	for range 60 {
		p := scripted.Answers(r.between(1, 14)).HangsUp(r.between(100, 900))
		switch r.random.IntN(8) {
		case 0:
			p = scripted.RingsOn()
		case 1:
			p = scripted.Refuses(r.between(0, 5), 486)
		}
		all = append(all, p)
	}
	return all
}

// busy is when an operator was rung or on the phone, by the timelines.
func (r *rush) busy(t *testing.T) map[string][][2]time.Time {
	t.Helper()
	spans := map[string][][2]time.Time{}
	began := map[string]call.Event{}
	for _, e := range r.journal.events {
		leg := e.CallID + " " + e.Leg
		switch e.Type {
		case call.Dialing:
			began[leg] = e
		case call.DialFailed, call.DialCancelled, call.LegEnded:
			if b, ok := began[leg]; ok {
				spans[b.Operator] = append(spans[b.Operator], [2]time.Time{b.At, e.At})
				delete(began, leg)
			}
		}
	}
	if len(began) > 0 {
		t.Errorf("not over: %v", began)
	}
	return spans
}

func TestAnHourOfThreeHundredCallersAndTwentyMembers(t *testing.T) {
	for _, strategy := range directory.Strategies() {
		t.Run(strategy, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRush(strategy)
				var mu sync.Mutex
				ended := map[call.Status]int{}
				var calls sync.WaitGroup
				for i := range 300 {
					at, patience := r.between(0, 3600), r.between(60, 1500)
					calls.Go(func() {
						time.Sleep(at)
						info := telephony.Info{From: fmt.Sprint(79160000000 + i), To: "74951112233", Trunk: "main"}
						leg := r.engine.Incoming(info, scripted.Phone{}.HangsUp(patience))
						status := r.board.Run(context.Background(), Arrival{CallID: fmt.Sprint(i), Account: directory.DefaultAccount, Leg: leg})
						mu.Lock()
						defer mu.Unlock()
						ended[status]++
					})
				}
				calls.Wait()
				synctest.Wait()
				if n := ended[call.Completed] + ended[call.Abandoned] + ended[call.NoAnswer]; n != 300 || ended[call.Completed] < 100 {
					t.Errorf("%v", ended)
				}
				joined, left := map[string]int{}, map[string]int{}
				for _, e := range r.journal.events {
					switch e.Type {
					case call.QueueJoined:
						joined[e.CallID]++
					case call.QueueLeft:
						left[e.CallID]++
					}
				}
				for i := range 300 {
					if id := fmt.Sprint(i); joined[id] != 1 || left[id] != 1 {
						t.Errorf("call %s joined %d times and left %d times", id, joined[id], left[id])
					}
				}
				for extension, spans := range r.busy(t) {
					slices.SortFunc(spans, func(a, b [2]time.Time) int { return a[0].Compare(b[0]) })
					for i := 1; i < len(spans); i++ {
						if spans[i][0].Before(spans[i-1][1]) {
							t.Errorf("%s has two calls at once, at %v", extension, spans[i][0])
						}
					}
				}
				t.Log(ended)
			})
		})
	}
}
