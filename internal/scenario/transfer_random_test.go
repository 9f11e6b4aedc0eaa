package scenario

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/telephony/scripted"
)

// operatorPhones transfer, hold, refer and hang up at any moment.
var operatorPhones = rapid.Custom(func(t *rapid.T) scripted.Phone {
	p := phones.Draw(t, "phone").HangsUp(2 * time.Minute)
	if rapid.IntRange(0, 3).Draw(t, "there") > 0 {
		p = scripted.Answers(moments.Draw(t, "answers")).HangsUp(2 * time.Minute)
		if rapid.IntRange(0, 2).Draw(t, "hangs up") == 0 {
			p = p.HangsUp(moments.Draw(t, "hang-up"))
		}
	}
	number := rapid.SampledFrom([]string{"101", "102", "103", "104", "777", clientNumber, "89161234567", ""})
	for range rapid.IntRange(0, 4).Draw(t, "acts") {
		at := sec/2 + moments.Draw(t, "at") // in no time they would transfer to each other for ever
		switch rapid.IntRange(0, 5).Draw(t, "act") {
		case 0, 1:
			code := rapid.SampledFrom([]string{"*2", "##"}).Draw(t, "code")
			p = p.Presses(at, code+number.Draw(t, "number")+rapid.SampledFrom([]string{"#", ""}).Draw(t, "end"))
		case 2:
			p = p.Presses(at, rapid.SampledFrom([]string{"*1", "*3", "*", "#", "5"}).Draw(t, "keys"))
		case 3:
			p = p.Refers(at, number.Draw(t, "refer to"), rapid.SampledFrom([]string{"", "", "o1", "o2"}).Draw(t, "replaces"))
		case 4:
			p = p.Holds(at, moments.Draw(t, "held"))
		case 5:
			p = p.Vanishes(at)
		}
	}
	return p
})

// forEver is how long phones may pass a call to each other.
const forEver = 10 * time.Minute

// Whatever the phones do: the call ends once and leaves nobody on the phone; a
// stage has an end, and nobody hears two others but where three talk; the
// stages of a client's call cover every moment in which he was heard.
func TestAnyTransfersEndInOneWayAndLeaveNobody(t *testing.T) {
	seen := map[string]int{}
	check := func(rt *rapid.T) {
		w := rapid.SampledFrom(ways).Draw(rt, "way")
		kept := operatorPhones.Draw(rt, "kept")
		by := rapid.SliceOfN(operatorPhones, 3, 3).Draw(rt, "101")
		colleagues := rapid.SliceOfN(operatorPhones, 6, 6).Draw(rt, "colleagues")
		keptFor := moments.Draw(rt, "the client stays")
		end := rapid.SampledFrom([]error{nil, nil, nil, ErrCancelled, ErrStopped}).Draw(rt, "end")
		endAfter := moments.Draw(rt, "end after")
		attended := rapid.Bool().Draw(rt, "attended by the API")
		try(t, func(t *testing.T, s *stage) {
			s.staff()
			kept := kept
			if !strings.HasSuffix(w.name, "colleague") {
				kept = kept.HangsUp(keptFor)
			}
			s.end, s.endAfter = end, endAfter
			if end == nil {
				s.end, s.endAfter = ErrCancelled, forEver
			}
			for i := range 3 {
				s.engine.Phone("10"+strconv.Itoa(2+i), colleagues[i], colleagues[3+i])
			}
			ordered := time.AfterFunc(7*sec, func() {
				_ = s.talks.Transfer(t.Context(), Order{Account: directory.DefaultAccount, CallID: "call", To: "103", Attended: attended})
			})
			defer ordered.Stop()
			out := w.run(s, rt, by[0], kept)
			seen[out.Status.Slug]++
			c := s.call()
			for i, g := range c.Stages {
				if g.To == nil || g.To.Before(g.From) {
					rt.Errorf("stage %d has no end", i)
				}
			}
			s.consistent(rt, c)
			if rt.Failed() {
				rt.Logf("%s\n%s\n%v", w.name, s.timeline(), s.engine.Talks())
			}
		})
	}
	for range 5 {
		rapid.Check(t, check)
	}
	t.Log(seen)
}

// consistent checks who heard whom against the timeline.
func (s *stage) consistent(t tester, c call.Call) {
	t.Helper()
	// Two legs are joined by one Join at a time; a leg hears two others only
	// between a three_way and the next parting.
	type span struct{ from, to time.Duration }
	var three []span
	for _, e := range s.journal.events {
		at := e.At.Sub(s.began)
		switch {
		case e.Type == call.TransferDone && e.Action == string(actThreeWay):
			three = append(three, span{at, time.Hour})
		case e.Type == call.Parted && len(three) > 0:
			three[len(three)-1].to = min(three[len(three)-1].to, at)
		}
	}
	inThree := func(from, to time.Duration) bool {
		for _, s := range three {
			if s.from <= from && to <= s.to {
				return true
			}
		}
		return false
	}
	talks := s.engine.Talks()
	for i, a := range talks {
		for _, b := range talks[i+1:] {
			shared := a.A == b.A || a.A == b.B || a.B == b.A || a.B == b.B
			from, to := max(a.From, b.From), min(a.To, b.To)
			if shared && from < to && !inThree(from, to) {
				t.Errorf("a leg is in two conversations: %v and %v", a, b)
			}
		}
	}
	client := "c1"
	for _, a := range talks {
		if a.A != client && a.B != client || a.From == a.To {
			continue
		}
		covered := false
		for _, g := range c.Stages {
			covered = covered || g.From.Sub(s.began) <= a.From && a.To <= g.To.Sub(s.began)
		}
		if !covered {
			t.Errorf("%v is in no stage of %+v", a, c.Stages)
		}
	}
	// Stages follow each other, but where three talk.
	for i := 1; i < len(c.Stages); i++ {
		before, g := c.Stages[i-1], c.Stages[i]
		if g.From.Before(*before.To) && !inThree(g.From.Sub(s.began), min(before.To.Sub(s.began), g.To.Sub(s.began))) {
			t.Errorf("stages overlap: %+v", c.Stages)
		}
	}
}
