package scenario

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/recording"
	"github.com/perezvon/perezvon/internal/telephony/scripted"
)

// besides is a second call on the same phones: 101 calls 102 with his second
// line, that long after the first began.
func (s *stage) besides(t tester, after time.Duration, by scripted.Phone, run func()) (consultation *stage) {
	c := &stage{
		engine: s.engine, talks: s.talks, pickups: s.pickups, operators: s.operators, plan: s.plan, callID: "consultation", second: true,
		journal: &journal{}, tapes: &tapes{tracks: map[string]recording.Side{}}, began: s.began,
	}
	var second sync.WaitGroup
	second.Go(func() {
		time.Sleep(after)
		c.out = c.arrive(t, fromOperator("102"), by)
	})
	run()
	second.Wait()
	synctest.Wait()
	s.sound(t, Outcome{Status: *s.journal.events[len(s.journal.events)-1].Status})
	c.sound(t, c.out)
	return c
}

// The phone's own attended transfer (REFER with Replaces): the same outcome as
// *2; the consultation becomes a stage of the client's call.
func TestTheConsultationOfAPhoneBecomesAStageOfTheClientsCall(t *testing.T) {
	for name, tt := range map[string]struct {
		by, second scripted.Phone
	}{
		"REFER on the client's call":   {answers(0).Holds(5*sec, time.Hour).Refers(15*sec, "102", "o1"), answers(0)},
		"REFER on the consultation":    {answers(0).Holds(5*sec, time.Hour), answers(0).Refers(7*sec, "102", "call/o1")},
		"REFER on both":                {answers(0).Holds(5*sec, time.Hour).Refers(15*sec, "102", "o1"), answers(0).Refers(7*sec, "102", "call/o1")},
		"the phone hangs up both then": {answers(0).Holds(5*sec, time.Hour).Refers(15*sec, "102", "o1").HangsUp(15*sec + 1), answers(0).HangsUp(9*sec + 1)},
	} {
		t.Run(name, func(t *testing.T) {
			try(t, func(t *testing.T, s *stage) {
				s.staff()
				s.second = true
				s.engine.Phone("102", answers(2*sec))
				w := ways[1]
				var out Outcome
				c := s.besides(t, 6*sec, tt.second, func() { out = w.run(s, t, tt.by, answers(0).HangsUp(30*sec)) })
				s.ends(t, out, call.Completed, 30*sec)
				same(t, "stages", s.stagesOf(), []string{"101 0s-15s transferred", "102 15s-30s done"})
				if got := s.call().Responsible; got != "102" {
					t.Errorf("responsible is %s", got)
				}
				var talks []string
				for _, g := range s.engine.Talks() {
					if g.To > g.From {
						talks = append(talks, g.A+"-"+g.B+" "+g.From.String()+"-"+g.To.String())
					}
				}
				same(t, "talks", talks, []string{"o1-c1 0s-15s", "o2-o1 8s-15s", "o2-c1 15s-30s"})
				same(t, "heard", s.heardAfter("c1"), []string{"tone:music 5s-15s"})
				c.has(t, "15s merged o2 102")
				s.has(t, "15s merged o2 102", "15s transfer.completed o2 102 attended", "15s joined o2 c1")
				if c.out.Status != call.Completed || c.over > 16*sec {
					t.Errorf("the consultation ended as %v after %v", c.out.Status, c.over)
				}
				if t.Failed() {
					t.Logf("\n%s\nconsultation\n%s", s.timeline(), c.timeline())
				}
			})
		})
	}
}

// While the colleague's phone rings still it is a blind transfer there.
func TestAnAttendedTransferToAPhoneThatRingsIsBlind(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.staff()
		s.second = true
		s.engine.Phone("102", answers(10*sec), answers(3*sec))
		w := ways[1]
		c := s.besides(t, 6*sec, answers(0), func() {
			w.run(s, t, answers(0).Refers(10*sec, "102", "o1"), answers(0).HangsUp(30*sec))
		})
		same(t, "stages", s.stagesOf(), []string{"101 0s-10s transferred", "102 13s-30s done"})
		same(t, "told", s.engine.Referred("o1"), []int{200})
		if c.out.Status != call.Abandoned || c.over != 10*sec {
			t.Errorf("the consultation ended as %v after %v\n%s", c.out.Status, c.over, c.timeline())
		}
	})
}

// The consultation ends in the moment in which it is asked for: the phone gets
// the client back.
func TestAConsultationThatHasEndedCannotBeTakenOver(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.staff()
		s.second = true
		s.engine.Phone("102", answers(2*sec).HangsUp(7*sec)) // at 15 s as well
		w := ways[1]
		s.besides(t, 6*sec, answers(0), func() {
			w.run(s, t, answers(0).Refers(15*sec, "102", "o1"), answers(0).HangsUp(60*sec))
		})
	})
}

func TestTransfersThroughTheAPI(t *testing.T) {
	for name, tt := range map[string]struct {
		at     time.Duration
		order  Order
		err    error
		talks  []string
		stages []string
	}{
		"blind": {5 * sec, Order{To: "102"}, nil, []string{"101-kept 0s-5s", "102-kept 8s-30s"}, []string{"101 0s-5s transferred", "102 8s-30s done"}},
		"attended": {
			5 * sec, Order{To: "102", Attended: true}, nil,
			[]string{"101-102 8s-20s", "101-kept 0s-5s", "102-kept 20s-30s"}, []string{"101 0s-20s transferred", "102 20s-30s done"},
		},
		"to nobody":                {5 * sec, Order{To: "777"}, ErrUnknownNumber, []string{"101-kept 0s-20s"}, []string{"101 0s-20s done"}},
		"to himself":               {5 * sec, Order{To: "101"}, ErrUnknownNumber, []string{"101-kept 0s-20s"}, []string{"101 0s-20s done"}},
		"abroad, which he may not": {5 * sec, Order{To: "+12025550123"}, ErrForbiddenNumber, []string{"101-kept 0s-20s"}, []string{"101 0s-20s done"}},
		"another's call":           {5 * sec, Order{To: "102", Account: "other"}, ErrNotTalking, []string{"101-kept 0s-20s"}, []string{"101 0s-20s done"}},
		"a call that is over":      {25 * sec, Order{To: "102"}, ErrNotTalking, []string{"101-kept 0s-20s"}, []string{"101 0s-20s done"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, w := range ways[:3] {
				try(t, func(t *testing.T, s *stage) {
					s.staff()
					s.engine.Phone("102", answers(3*sec))
					order := tt.order
					order.CallID = "call"
					if order.Account == "" {
						order.Account = directory.DefaultAccount
					}
					var order1 sync.WaitGroup
					order1.Go(func() {
						time.Sleep(tt.at)
						synctest.Wait()
						if err := s.talks.Transfer(t.Context(), order); !errors.Is(err, tt.err) {
							t.Errorf("got %v, want %v", err, tt.err)
						}
						if tt.err == nil {
							synctest.Wait()
							if err := s.talks.Transfer(t.Context(), order); !errors.Is(err, ErrNotTalking) {
								t.Errorf("the same again: %v", err)
							}
						}
					})
					w.run(s, t, answers(0).HangsUp(20*sec), answers(0).HangsUp(30*sec))
					order1.Wait()
					same(t, w.name, s.talksOf(w), tt.talks)
					same(t, w.name, s.stagesOf(), tt.stages)
				})
			}
		})
	}
}
