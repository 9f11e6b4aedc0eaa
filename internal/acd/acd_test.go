package acd

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/telephony"
)

// trial is a hall with one queue, in virtual time.
func trial(t *testing.T, q directory.Queue, f func(h *Hall, d *desk)) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		d := &desk{
			queues: map[string]directory.Queue{q.Name: q}, states: map[string]telephony.DeviceState{},
			operators: map[string]directory.Operator{},
		}
		f(New(d, d), d)
	})
}

func join(t *testing.T, h *Hall, q directory.Queue, c Caller) *Place {
	t.Helper()
	p, err := h.Join(context.Background(), q, c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func next(t *testing.T, p *Place) *Turn {
	t.Helper()
	turn, err := p.Next(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return turn
}

func strategy(name string) directory.Queue {
	q := directory.NewQueue("1000", "101", "102", "103")
	q.Strategy, q.RetryS = name, 5
	return q
}

// Calls one after the other, each answered by whom it rings and over at once.
func TestStrategiesOverSeveralCalls(t *testing.T) {
	for name, want := range map[string][]string{
		directory.StrategyLinear:      {"101", "101", "101", "101"},
		directory.StrategyRoundRobin:  {"101", "102", "103", "101"},
		directory.StrategyLeastRecent: {"101", "102", "103", "101"},
		directory.StrategyFewestCalls: {"101", "102", "103", "101"},
	} {
		q := strategy(name)
		trial(t, q, func(h *Hall, _ *desk) {
			var got []string
			for range want {
				turn := next(t, join(t, h, q, Caller{}))
				got = append(got, turn.Members...)
				turn.Done(map[string]Outcome{turn.Members[0]: Took})
				time.Sleep(time.Second)
				turn.Free(turn.Members[0])
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: %v, want %v", name, got, want)
			}
		})
	}
}

// One call that nobody answers: each is rung once in a round.
func TestACallThatNobodyAnswersGoesRound(t *testing.T) {
	for name, want := range map[string][]string{
		directory.StrategyLinear:      {"101", "102", "103", "101"},
		directory.StrategyRoundRobin:  {"101", "102", "103", "101"},
		directory.StrategyLeastRecent: {"101", "102", "103", "101"},
		directory.StrategyFewestCalls: {"101", "102", "103", "101"},
		directory.StrategyRingAll:     {"101", "102", "103", "101", "102", "103"},
	} {
		q := strategy(name)
		trial(t, q, func(h *Hall, _ *desk) {
			began := time.Now()
			p := join(t, h, q, Caller{})
			var got []string
			for len(got) < len(want) {
				turn := next(t, p)
				got = append(got, turn.Members...)
				turn.Done(map[string]Outcome{"101": Missed, "102": Missed, "103": Missed})
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: %v, want %v", name, got, want)
			}
			tries := 4
			if name == directory.StrategyRingAll {
				tries = 2
			}
			if d := time.Since(began); d != time.Duration(tries-1)*5*time.Second {
				t.Errorf("%s: %v for %d tries with 5 s between", name, d, tries)
			}
		})
	}
}

func TestAMemberOfWeightTwoIsRungFirstTwiceAsOften(t *testing.T) {
	q := strategy(directory.StrategyWeighted)
	q.Weights = map[string]int{"101": 2}
	trial(t, q, func(h *Hall, _ *desk) {
		n := 0
		h.intn = func(of int) int { n++; return n % of } // every number as often
		count := map[string]int{}
		for range 400 {
			p := join(t, h, q, Caller{})
			count[next(t, p).Members[0]]++
			p.Leave(Abandoned)
		}
		if count["101"] != 200 || count["102"] != 100 || count["103"] != 100 {
			t.Error(count)
		}
	})
}

func TestWhoHasMorePriorityIsServedFirstThenWhoWaitsLonger(t *testing.T) {
	low, high := strategy(directory.StrategyLinear), strategy(directory.StrategyLinear)
	low.Members, high.Members = []string{"101"}, []string{"101"}
	high.Name, high.Priority = "2000", 1
	trial(t, low, func(h *Hall, d *desk) {
		d.queues["2000"] = high
		d.states["101"] = telephony.InUse
		callers := []struct {
			q directory.Queue
			c Caller
		}{
			{low, Caller{Call: "fourth"}}, {low, Caller{Call: "third", Priority: 1}}, {high, Caller{Call: "second"}},
			{high, Caller{Call: "first", Priority: 1}}, {low, Caller{Call: "fifth"}},
		}
		places := make(map[string]*Place)
		for _, c := range callers {
			places[c.c.Call] = join(t, h, c.q, c.c)
			time.Sleep(time.Second)
		}
		d.mu.Lock()
		d.states["101"] = telephony.NotInUse
		d.mu.Unlock()
		h.wake()
		for _, name := range []string{"first", "second", "third", "fourth", "fifth"} {
			if !places[name].Ringing() {
				t.Errorf("%s is not served now", name)
			}
			places[name].Leave(Abandoned)
		}
	})
}

func TestWhoMakesHisPauseKeepsTheMemberWhoIsNext(t *testing.T) {
	q := strategy(directory.StrategyLinear)
	q.Members = []string{"101", "102"}
	trial(t, q, func(h *Hall, _ *desk) {
		a := join(t, h, q, Caller{})
		turn := next(t, a)
		turn.Done(map[string]Outcome{"101": Missed})
		b := join(t, h, q, Caller{})
		if got := next(t, b).Members; !slices.Equal(got, []string{"101"}) {
			t.Errorf("the second rings %v: 102 is kept for the first", got)
		}
		if got := next(t, a).Members; !slices.Equal(got, []string{"102"}) {
			t.Errorf("the first rings %v", got)
		}
	})
}

func TestAMemberRestsAfterACall(t *testing.T) {
	q := strategy(directory.StrategyLinear)
	q.Members, q.WrapupS = []string{"101"}, 30
	trial(t, q, func(h *Hall, _ *desk) {
		turn := next(t, join(t, h, q, Caller{}))
		turn.Done(map[string]Outcome{"101": Took})
		turn.Free("101")
		began := time.Now()
		if l, _ := h.Live(context.Background(), "", q); l.Members[0].State != StateWrapUp {
			t.Errorf("%+v", l.Members)
		}
		next(t, join(t, h, q, Caller{}))
		if d := time.Since(began); d != 30*time.Second {
			t.Errorf("rested %v", d)
		}
	})
}

func TestAQueueThatIsFullOrEmptyTakesNobodyButWhoKeptHisPlace(t *testing.T) {
	q := strategy(directory.StrategyLinear)
	q.MaxLength = 1
	trial(t, q, func(h *Hall, d *desk) {
		join(t, h, q, Caller{})
		if _, err := h.Join(context.Background(), q, Caller{}); !errors.Is(err, ErrFull) {
			t.Error(err)
		}
		join(t, h, q, Caller{Away: true})
		for _, extension := range q.Members {
			d.states[extension] = telephony.Unavailable
		}
		q.MaxLength = 0
		if _, err := h.Join(context.Background(), q, Caller{}); !errors.Is(err, ErrEmpty) {
			t.Error(err)
		}
		d.operators["103"] = directory.Operator{Extension: "103", Phones: []string{"+79161234567"}}
		if got := next(t, join(t, h, q, Caller{})).Members; !slices.Equal(got, []string{"103"}) {
			t.Errorf("rings %v; only 103 has a phone, outside", got)
		}
	})
}

func TestWhatIsSetWhileCallersWaitIsInForceWithinASecond(t *testing.T) {
	q := strategy(directory.StrategyLinear)
	q.Members = []string{"101"}
	trial(t, q, func(h *Hall, d *desk) {
		d.operators["101"] = directory.Operator{Extension: "101", Paused: true}
		q.JoinEmpty = true
		p := join(t, h, q, Caller{})
		time.AfterFunc(10*time.Second, func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			q.Members = []string{"101", "102"}
			d.queues["1000"] = q
		})
		began := time.Now()
		if got := next(t, p).Members; !slices.Equal(got, []string{"102"}) || time.Since(began) > 11*time.Second {
			t.Errorf("%v after %v", got, time.Since(began))
		}
	})
}

func TestAQueueTellsWhatHappensInIt(t *testing.T) {
	q := strategy(directory.StrategyLinear)
	trial(t, q, func(h *Hall, d *desk) {
		if l, err := h.Live(context.Background(), "", q); err != nil || len(l.Members) != 3 || l.Members[0].State != StateFree || len(l.Waiting) > 0 {
			t.Errorf("before the first caller: %+v, %v", l, err)
		}
		serve := func(waits time.Duration) {
			d.mu.Lock()
			for _, extension := range q.Members {
				d.states[extension] = telephony.InUse
			}
			d.mu.Unlock()
			p := join(t, h, q, Caller{})
			time.Sleep(waits)
			d.mu.Lock()
			clear(d.states)
			d.mu.Unlock()
			h.wake()
			turn := next(t, p)
			turn.Done(map[string]Outcome{"101": Took})
			turn.Free("101")
		}
		serve(10 * time.Second)
		serve(30 * time.Second)
		join(t, h, q, Caller{}).Leave(Abandoned)
		join(t, h, q, Caller{}).Leave(TimedOut)
		p := join(t, h, q, Caller{Call: "call", Number: "+79161234567"})
		if d, ok := p.Expected(); !ok || d != 20*time.Second {
			t.Errorf("expected %v, %v", d, ok)
		}
		time.Sleep(5 * time.Second)
		l, _ := h.Live(context.Background(), "", q)
		if len(l.Waiting) != 1 || l.Waiting[0].WaitS != 5 || l.Waiting[0].Position != 1 || l.Waiting[0].Ringing[0] != "101" || l.Waiting[0].CallID != "call" {
			t.Errorf("%+v", l.Waiting)
		}
		if l.Members[0].State != StateRinging || l.Members[1].State != StateFree || l.Members[0].Calls != 2 {
			t.Errorf("%+v", l.Members)
		}
		want := Today{Answered: 2, Abandoned: 1, TimedOut: 1, MeanWaitS: 20, ServiceLevel: 0.25}
		if l.Today != want {
			t.Errorf("%+v", l.Today)
		}
		time.Sleep(24 * time.Hour)
		if l, _ := h.Live(context.Background(), "", q); l.Today != (Today{}) {
			t.Errorf("the next day: %+v", l.Today)
		}
		if d, ok := p.Expected(); ok {
			t.Errorf("a day later: %v", d)
		}
	})
}
