package scenario

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/scripted"
)

var errKilled = errors.New("killed")

// process is one that may be killed: from then on nothing that it does reaches
// the phones or the journal, and the phones that it was ringing stop.
type process struct {
	telephony.Engine
	mu   sync.Mutex
	dead bool
	legs []telephony.Leg // that were answered, or called us
}

// killed lets the stage's call run in a process that is killed so long after its
// beginning.
func (s *stage) killed(after time.Duration) *process {
	p := &process{Engine: s.engine}
	s.wrap = func(telephony.Engine) telephony.Engine { return p }
	s.lends = p.lend
	s.second, s.end, s.endAfter = true, errKilled, after
	s.dies = func() {
		s.journal.mu.Lock()
		s.journal.dead = true
		s.journal.mu.Unlock()
		p.mu.Lock()
		p.dead = true
		p.mu.Unlock()
	}
	return p
}

func (p *process) isDead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dead
}

func (p *process) lend(leg telephony.Leg) telephony.Leg {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.legs = append(p.legs, leg)
	return &lent{leg, p}
}

func (p *process) Dial(ctx context.Context, d telephony.Dial) (telephony.Leg, error) {
	if l, ok := d.Listener.(*lent); ok {
		d.Listener = l.Leg
	}
	leg, err := p.Engine.Dial(ctx, d)
	if err != nil {
		return nil, err
	}
	return p.lend(leg), nil
}

func (p *process) Join(ctx context.Context, legs ...telephony.Leg) error {
	for i, l := range legs {
		legs[i] = l.(*lent).Leg
	}
	return p.Engine.Join(ctx, legs...)
}

// lent is a leg as a process has it.
type lent struct {
	telephony.Leg
	of *process
}

func (l *lent) Hangup(code int) {
	if !l.of.isDead() {
		l.Leg.Hangup(code)
	}
}

func (l *lent) Refuse(code int, why string) {
	if !l.of.isDead() {
		l.Leg.Refuse(code, why)
	}
}

func (l *lent) Record(t media.Track) {
	if !l.of.isDead() {
		l.Leg.Record(t)
	}
}

// again starts another process so long after, which does with what was left what
// dispatch does. ok is false if the call could not be gone on with.
func (s *stage) again(t tester, p *process, away time.Duration) (out Outcome, ok bool) {
	t.Helper()
	seen := time.Now()
	time.Sleep(away)
	s.journal.dead = false
	s.wrap, s.lends, s.dies, s.end, s.second = nil, nil, nil, nil, false
	left := Left{Call: s.call(), Events: s.journal.events, Legs: map[string]telephony.Leg{}, Seen: seen}
	left.Call.ID, left.Call.Account = s.callID, directory.DefaultAccount
	left.Packet, _ = s.packet.Normalize("RU")
	if ends := left.Call.EndedAt; !ends.IsZero() {
		return Outcome{}, false
	}
	unclaimed := map[string]telephony.Leg{}
	for _, l := range p.legs {
		l.Digits().Drain()
		l.Refers().Drain()
		if l.Context().Err() == nil {
			unclaimed[l.Info().CallID] = l
		}
	}
	for _, l := range call.StandingOf(left.Events).Legs {
		if leg := unclaimed[l.SIPCallID]; leg != nil && l.SIPCallID != "" {
			left.Legs[l.Leg] = leg
			delete(unclaimed, l.SIPCallID)
		}
	}
	for _, leg := range unclaimed {
		leg.Hangup(0)
	}
	if !left.GoesOn() {
		for _, leg := range left.Legs {
			leg.Hangup(0)
		}
		return Outcome{}, false
	}
	// Phones that pass a call to each other would do so for ever.
	ctx, cancel := context.WithTimeoutCause(context.Background(), forEver, ErrCancelled)
	defer cancel()
	out.Status = s.board().Resume(ctx, left)
	s.over = time.Since(s.began)
	synctest.Wait()
	s.sound(t, out)
	return out, true
}

// A talk of two goes on whatever kind of call it is of, and can be passed on; the
// time without the server is in the stage.
func TestATalkGoesOnAfterARestart(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			try(t, func(t *testing.T, s *stage) {
				s.staff()
				s.engine.Phone("102", scripted.Answers(sec))
				p := s.killed(3 * sec)
				w.run(s, t, scripted.Answers(0).Presses(8*sec, "*2102#").HangsUp(12*sec), scripted.Answers(0).HangsUp(20*sec))
				before := len(s.engine.Talks())
				out, ok := s.again(t, p, 2*sec)
				if !ok || out.Status != call.Completed {
					t.Fatalf("%v %v\n%s", ok, out.Status, s.timeline())
				}
				if before != 1 {
					t.Errorf("%d talks before", before)
				}
				var took []string
				for _, g := range s.call().Stages {
					took = append(took, fmt.Sprintf("%s %v-%v %s", g.Operator, g.From.Sub(s.began).Truncate(sec), g.To.Sub(s.began).Truncate(sec), g.Outcome))
				}
				if len(took) != 2 || !strings.HasPrefix(took[0], "101 0s-12s transferred") && w.kept == "client" || !strings.HasPrefix(took[1], "102 12s-20s done") {
					t.Errorf("%q\n%s", took, s.timeline())
				}
				if n := strings.Count(s.timeline(), string(call.Continued)); n != 1 {
					t.Errorf("call.continued comes %d times", n)
				}
			})
		})
	}
}

// Whenever the process is killed, whatever the phones do: the call ends once and
// leaves nobody on the phone, and its timeline is in order.
func TestKilledAtAnyMomentACallEndsOnceAndLeavesNobody(t *testing.T) {
	seen := map[string]int{}
	check := func(rt *rapid.T) {
		w := rapid.SampledFrom(ways).Draw(rt, "way")
		kept := operatorPhones.Draw(rt, "kept")
		by := rapid.SliceOfN(operatorPhones, 3, 3).Draw(rt, "101")
		colleagues := rapid.SliceOfN(operatorPhones, 6, 6).Draw(rt, "colleagues")
		keptFor := moments.Draw(rt, "the client stays")
		killed := rapid.SampledFrom([]time.Duration{0, sec / 2, sec, sec * 5 / 4, 2 * sec, 3*sec + sec/4, 4 * sec, 6 * sec, 9 * sec, 15 * sec, 31 * sec}).Draw(rt, "killed after")
		away := rapid.SampledFrom([]time.Duration{sec / 4, 2 * sec, 20 * sec}).Draw(rt, "away")
		try(t, func(t *testing.T, s *stage) {
			s.staff()
			kept := kept
			if !strings.HasSuffix(w.name, "colleague") {
				kept = kept.HangsUp(keptFor)
			}
			for i := range 3 {
				s.engine.Phone("10"+strconv.Itoa(2+i), colleagues[i], colleagues[3+i])
			}
			p := s.killed(killed)
			w.run(s, rt, by[0], kept)
			out, ok := s.again(rt, p, away)
			if !ok {
				if alive := s.engine.Alive(); len(alive) > 0 {
					rt.Errorf("%v are left", alive)
				}
				seen["not gone on with"]++
				return
			}
			seen[out.Status.Slug]++
			var last time.Time
			for _, e := range s.journal.events {
				if e.At.Before(last) {
					rt.Errorf("%s is before what is before it", e.Type)
				}
				last = e.At
			}
			c := s.call()
			for i, g := range c.Stages {
				if g.To == nil || g.To.Before(g.From) {
					rt.Errorf("stage %d has no end", i)
				}
			}
			if !c.JoinedAt.IsZero() && out.Status != call.Completed && out.Status != call.Cancelled {
				rt.Errorf("both talked, and it is %v", out.Status)
			}
			s.consistent(rt, c)
			if rt.Failed() {
				rt.Logf("%s killed after %v, away for %v\n%s\n%v", w.name, killed, away, s.timeline(), s.engine.Talks())
			}
		})
	}
	for range 5 {
		rapid.Check(t, check)
	}
	t.Log(seen)
}
