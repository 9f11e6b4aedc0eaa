package acd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/telephony"
)

// desk is phones that are always there, and a directory in memory.
type desk struct {
	mu        sync.Mutex
	states    map[string]telephony.DeviceState // others are not in use
	operators map[string]directory.Operator    // others have only an extension
	queues    map[string]directory.Queue
}

func (d *desk) DeviceState(extension string) telephony.DeviceState {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s, ok := d.states[extension]; ok {
		return s
	}
	return telephony.NotInUse
}

func (d *desk) Operator(_ context.Context, _, extension string) (directory.Operator, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if o, ok := d.operators[extension]; ok {
		return o, nil
	}
	return directory.Operator{Extension: extension}, nil
}

func (d *desk) Queue(_ context.Context, _, name string) (directory.Queue, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	q, ok := d.queues[name]
	if !ok {
		return q, errors.New("no such queue")
	}
	return q, nil
}

// span is a stretch of virtual time.
type span struct{ from, to time.Duration }

const moment = time.Millisecond

func (s span) holds(t time.Duration) bool { return s.from+moment < t && t+moment < s.to }

// within tells whether the spans cover s, but for moments.
func (s span) within(spans []span) bool {
	for s.from+moment < s.to {
		i := slices.IndexFunc(spans, func(o span) bool { return o.from <= s.from+moment && s.from+moment < o.to })
		if i < 0 {
			return false
		}
		s.from = spans[i].to
	}
	return true
}

// visit is a caller of the simulation, and what became of him.
type visit struct {
	name     int
	queue    directory.Queue
	priority int
	at       time.Duration
	patience time.Duration
	ready    []span // he waits and rings nobody
	pauses   []span // between two tries
	turns    []time.Duration
	rung     [][]string // by turn
	ends     int
	answered bool
}

func (v *visit) before(o *visit) bool {
	a, b := []int{-v.queue.Priority, -v.priority, int(v.at)}, []int{-o.queue.Priority, -o.priority, int(o.at)}
	return slices.Compare(a, b) < 0
}

// office is one run of the simulation.
type office struct {
	t       *rapid.T
	hall    *Hall
	began   time.Time
	members map[string]reflex
	mu      sync.Mutex
	busy    map[string][]span
	serves  map[string]int // who rings for or talks with whom, from 1
	// over is when the last caller was.
	over time.Duration
}

// reflex is what a member does when his phone rings.
type reflex struct {
	after   time.Duration
	refuses bool
	talks   time.Duration
}

func (o *office) now() time.Duration { return time.Since(o.began) }

// take notes that a member is rung; he must be free.
func (o *office) take(extension string, v *visit) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if other := o.serves[extension]; other != 0 {
		o.t.Errorf("at %v %s is rung for %d while he has %d", o.now(), extension, v.name, other)
	}
	o.serves[extension] = v.name
	o.busy[extension] = append(o.busy[extension], span{o.now(), time.Hour})
}

func (o *office) give(extension string, rest time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.serves[extension] = 0
	last := &o.busy[extension][len(o.busy[extension])-1]
	last.to = o.now() + rest
}

// run is one caller's visit.
func (o *office) run(v *visit) {
	time.Sleep(v.at)
	ctx, cancel := context.WithTimeout(context.Background(), v.patience)
	defer cancel()
	place, err := o.hall.Join(ctx, v.queue, Caller{Account: "a", Call: strconv.Itoa(v.name), Priority: v.priority})
	if err != nil {
		o.t.Errorf("%d is not let in: %v", v.name, err)
		return
	}
	since := o.now()
	for {
		turn, err := place.Next(ctx)
		if now := o.now(); since < now {
			v.ready = append(v.ready, span{since, now})
		}
		if err != nil {
			break
		}
		v.turns, v.rung = append(v.turns, o.now()), append(v.rung, turn.Members)
		o.ring(ctx, v, turn)
		if v.answered {
			break
		}
		now := o.now()
		since = now + max(time.Duration(v.queue.RetryS)*time.Second, leastPause)
		v.pauses = append(v.pauses, span{now, min(since, v.at+v.patience)})
		if ctx.Err() != nil {
			break
		}
	}
	place.Leave(Abandoned)
	v.ends++
}

// ring lets the members of a turn do what they do.
func (o *office) ring(ctx context.Context, v *visit, turn *Turn) {
	outcomes := make(map[string]Outcome)
	quickest := ""
	limit := time.Duration(v.queue.RingS) * time.Second
	refused := time.Duration(0)
	for _, extension := range turn.Members {
		o.take(extension, v)
		m := o.members[extension]
		switch {
		case m.refuses:
			outcomes[extension] = Refused
			refused = max(refused, m.after)
		case m.after >= limit:
			outcomes[extension] = Missed
		case quickest == "" || m.after < o.members[quickest].after:
			quickest = extension
		}
	}
	lasts := limit
	if !slices.Contains(slices.Collect(maps.Values(outcomes)), Missed) {
		lasts = min(limit, refused)
	}
	if quickest != "" {
		lasts = o.members[quickest].after
	}
	left := false
	select {
	case <-time.After(lasts):
	case <-ctx.Done():
		left = true
	}
	if !left && quickest != "" {
		outcomes[quickest] = Took
		v.answered = true
	}
	for _, extension := range turn.Members {
		if outcomes[extension] != Took {
			o.give(extension, 0)
		}
	}
	if left {
		outcomes = nil
	}
	turn.Done(outcomes)
	if v.answered {
		time.Sleep(o.members[quickest].talks)
		o.give(quickest, time.Duration(v.queue.WrapupS)*time.Second)
		turn.Free(quickest)
	}
}

var drawnQueues = rapid.Custom(func(t *rapid.T) directory.Queue {
	q := directory.NewQueue("")
	q.Strategy = rapid.SampledFrom(directory.Strategies()).Draw(t, "strategy")
	q.RingS = rapid.IntRange(5, 20).Draw(t, "ring_s")
	q.RetryS = rapid.IntRange(0, 6).Draw(t, "retry_s")
	q.WrapupS = rapid.IntRange(0, 10).Draw(t, "wrapup_s")
	q.Priority = rapid.IntRange(0, 1).Draw(t, "priority")
	return q
})

// Fairness, whatever the strategies and whatever members and callers do: no
// caller is overtaken by one who comes after him, unless his own ringing is under
// way; no member is rung for two at once; nobody is free while somebody waits
// whom he could serve; every caller leaves exactly once.
func TestNobodyIsOvertakenAndNobodyIdlesWhileSomebodyWaits(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		all := []string{"101", "102", "103", "104", "105"}
		queues := map[string]directory.Queue{}
		for _, name := range []string{"one", "two"} {
			q := drawnQueues.Draw(rt, name)
			q.Name = name
			q.Members = rapid.Permutation(all).Draw(rt, "members")[:rapid.IntRange(1, 5).Draw(rt, "size")]
			queues[name] = q
		}
		ms := func(label string, low, high int) time.Duration {
			return time.Duration(rapid.IntRange(low, high).Draw(rt, label)) * 7 * time.Millisecond
		}
		members := map[string]reflex{}
		for i, extension := range all {
			m := reflex{after: ms("answers", 100, 4000) + time.Duration(i)*time.Microsecond, talks: ms("talks", 100, 5000)}
			m.refuses = rapid.IntRange(0, 4).Draw(rt, "refuses") == 0
			members[extension] = m
		}
		visits := make([]*visit, rapid.IntRange(1, 25).Draw(rt, "callers"))
		for i := range visits {
			visits[i] = &visit{
				name: i + 1, queue: queues[rapid.SampledFrom([]string{"one", "two"}).Draw(rt, "queue")],
				priority: rapid.IntRange(0, 2).Draw(rt, "priority"),
				at:       ms("at", 0, 10_000) + time.Duration(i)*11*time.Microsecond, patience: ms("patience", 500, 20_000),
			}
		}
		synctest.Test(t, func(*testing.T) {
			o := &office{
				t: rt, hall: New(&desk{queues: queues}, &desk{queues: queues}), began: time.Now(), members: members,
				busy: map[string][]span{}, serves: map[string]int{},
			}
			var visiting sync.WaitGroup
			for _, v := range visits {
				visiting.Go(func() { o.run(v) })
			}
			visiting.Wait()
			o.over = o.now()
			o.check(visits)
		})
	})
}

func (o *office) check(visits []*visit) {
	sums := map[string]int{}
	queues := map[string]directory.Queue{}
	for _, v := range visits {
		if v.ends != 1 {
			o.t.Errorf("%d left %d times", v.name, v.ends)
		}
		if v.answered {
			sums[v.queue.Name]++
			queues[v.queue.Name] = v.queue
		}
		for i, turn := range v.turns {
			for _, w := range visits {
				if w.before(v) && w.readyAt(turn) && shares(w.queue.Members, v.rung[i]) {
					o.t.Errorf("at %v %d (%s) got %v and overtook %d (%s)", turn, v.name, v.queue.Name, v.rung[i], w.name, w.queue.Name)
				}
			}
		}
		for _, extension := range v.queue.Members {
			for _, idle := range o.idle(extension) {
				for _, r := range v.ready {
					both := span{max(r.from, idle.from), min(r.to, idle.to)}
					if !both.within(kept(visits, v, extension)) {
						o.t.Errorf("%s was free in %v while %d waited (%s, %s)", extension, both, v.name, v.queue.Name, v.queue.Strategy)
					}
				}
			}
		}
	}
	for name, n := range sums {
		l, _ := o.hall.Live(context.Background(), "a", queues[name])
		if len(l.Waiting) > 0 || l.Today.Answered != n {
			o.t.Errorf("%s: %d wait on, %d answered, want %d", name, len(l.Waiting), l.Today.Answered, n)
		}
	}
}

// kept is when the member may have been kept for callers who come before.
func kept(visits []*visit, v *visit, extension string) (spans []span) {
	for _, w := range visits {
		if w.before(v) && slices.Contains(w.queue.Members, extension) {
			spans = append(spans, w.pauses...)
		}
	}
	return spans
}

func (v *visit) readyAt(t time.Duration) bool {
	return slices.ContainsFunc(v.ready, func(s span) bool { return s.holds(t) })
}

func shares(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}

// idle is when a member could have been rung.
func (o *office) idle(extension string) []span {
	var spans []span
	from := time.Duration(0)
	for _, b := range o.busy[extension] {
		if b.from > from {
			spans = append(spans, span{from, b.from})
		}
		from = max(from, b.to)
	}
	if o.over > from {
		spans = append(spans, span{from, o.over})
	}
	return spans
}

func (s span) String() string { return fmt.Sprint(s.from, "-", s.to) }
