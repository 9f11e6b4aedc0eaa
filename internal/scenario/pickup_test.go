package scenario

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/recording"
	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/scripted"
)

// ringingLeg is a leg that rings at a colleague's, as a phone names it by Replaces.
type ringingLeg struct {
	telephony.Leg
	call, id string
}

func (l ringingLeg) ID() string           { return l.id }
func (l ringingLeg) Info() telephony.Info { return telephony.Info{Call: l.call} }

// pick is a call by which 103 wants to take another one.
func pick(to string, replaces telephony.Leg) telephony.Info {
	return telephony.Info{From: "103", To: to, Operator: "103", Replaces: replaces}
}

// picks lets the phone of 103 call that long after the first call began.
func (s *stage) picks(t *testing.T, after time.Duration, info telephony.Info, phone scripted.Phone, run func() Outcome) (out Outcome, picker *stage) {
	t.Helper()
	p := &stage{
		engine: s.engine, talks: s.talks, pickups: s.pickups, operators: s.operators, plan: s.plan, callID: "picker", second: true,
		journal: &journal{}, tapes: &tapes{tracks: map[string]recording.Side{}}, began: s.began,
	}
	s.second = true
	var second sync.WaitGroup
	second.Go(func() {
		time.Sleep(after)
		p.out = p.arrive(t, info, phone)
	})
	out = run()
	second.Wait()
	synctest.Wait()
	s.sound(t, out)
	p.sound(t, p.out)
	return out, p
}

func TestAColleagueTakesACallThatRingsElsewhere(t *testing.T) {
	for name, info := range map[string]telephony.Info{
		"** and the extension": pick("**101", nil),
		"*8":                   pick("*8", nil),
		"by the phone's key, INVITE with Replaces": pick("101", ringingLeg{call: "call", id: "o1"}),
	} {
		t.Run(name, func(t *testing.T) {
			try(t, func(t *testing.T, s *stage) {
				s.office(ringOperator("101"))
				s.engine.Phone("101", scripted.RingsOn())
				out, picker := s.picks(t, 5*sec, info, scripted.Phone{}.HangsUp(25*sec), func() Outcome { return s.arrive(t, fromClient(), scripted.Phone{}) })
				s.ends(t, out, call.Completed, 30*sec)
				s.has(t,
					"0s leg.dialing o1 101 +79161234567",
					"5s merged o2 103",
					"5s leg.answered o2 103",
				)
				s.has(t,
					"5s leg.cancelled o1 (another answered first)",
					"5s leg.answered c1",
					"5s joined o2 c1",
					"30s leg.ended o2 far",
					"30s call.ended 200 completed",
				)
				if c := s.call(); c.Responsible != "103" {
					t.Errorf("responsible is %s", c.Responsible)
				}
				same(t, "stages", s.stagesOf(), []string{"103 5s-30s done"})
				if side, ok := s.tapes.tracks["o2"]; !ok || side != recording.Right {
					t.Errorf("recorded on %v", s.tapes.tracks)
				}
				picker.has(t, "5s leg.arrived o1 103 103 "+info.To, "5s merged o1 103", "5s call.ended 200 completed")
				if picker.over != 30*sec {
					t.Errorf("the picker's leg was left after %v: its phone system hangs it up then", picker.over)
				}
			})
		})
	}
}

func TestACallOfAQueueOrACallbackCanBeTakenToo(t *testing.T) {
	t.Run("queue", func(t *testing.T) {
		try(t, func(t *testing.T, s *stage) {
			s.queue(nil)
			s.engine.Phone("101", scripted.RingsOn())
			out, _ := s.picks(t, 5*sec, pick("**101", nil), scripted.Phone{}.HangsUp(25*sec), func() Outcome { return s.arrive(t, fromClient(), scripted.Phone{}) })
			s.ends(t, out, call.Completed, 30*sec)
			s.has(t, "5s leg.answered o2 103", "5s queue.left c1 103", "5s joined o2 c1")
		})
	})
	t.Run("callback", func(t *testing.T) {
		try(t, func(t *testing.T, s *stage) {
			s.staff()
			s.packet.Managers = callback.Managers{{SIP: "101"}}
			s.engine.Phone("101", scripted.RingsOn())
			s.engine.Phone(clientNumber, scripted.Answers(sec).HangsUp(sec))
			out, _ := s.picks(t, 5*sec, pick("**101", nil), scripted.Phone{}, func() Outcome { return s.run(t) })
			if out.Status != call.Completed {
				t.Errorf("%v\n%s", out.Status, s.timeline())
			}
			s.has(t, "5s leg.answered o1 103", "5s recording.started", "5s prompt.started o1 greeting")
			if c := s.call(); c.Responsible != "103" {
				t.Errorf("responsible is %s", c.Responsible)
			}
		})
	})
}

func TestWhereNothingRingsNothingIsTaken(t *testing.T) {
	for name, tt := range map[string]struct {
		to    string
		after time.Duration
	}{
		"another extension":            {"**102", 5 * sec},
		"it was answered already":      {"**101", 15 * sec},
		"*8, and only one's own rings": {"*8", 15 * sec},
		"a leg that has ended":         {"101", 15 * sec},
	} {
		t.Run(name, func(t *testing.T) {
			try(t, func(t *testing.T, s *stage) {
				s.office(ringOperator("101"), ringOperator("103"))
				s.engine.Phone("101", scripted.Answers(10*sec).HangsUp(20*sec))
				info := pick(tt.to, nil)
				if tt.to == "101" {
					info.Replaces = ringingLeg{call: "call", id: "o1"}
				}
				if tt.to == "*8" {
					s.office(ringOperator("103"))
					s.engine.Phone("103", scripted.Answers(20*sec).HangsUp(20*sec))
				}
				out, picker := s.picks(t, tt.after, info, scripted.Phone{}, func() Outcome { return s.arrive(t, fromClient(), scripted.Phone{}) })
				if out.Status != call.Completed {
					t.Errorf("%v\n%s", out.Status, s.timeline())
				}
				s.hasNot(t, "merged")
				if picker.out.Status == call.Completed {
					t.Errorf("took something\n%s", picker.timeline())
				}
			})
		})
	}
}

// Whoever hangs up before he is answered takes nothing: it rings on.
func TestAPickerWhoHasLeftDoesNotEndTheRinging(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.office(ringOperator("101"))
		s.engine.Phone("101", scripted.Answers(10*sec).HangsUp(20*sec))
		out, _ := s.picks(t, 5*sec, pick("**101", nil), scripted.Phone{}.HangsUp(0), func() Outcome { return s.arrive(t, fromClient(), scripted.Phone{}) })
		if out.Status != call.Completed {
			t.Errorf("%v\n%s", out.Status, s.timeline())
		}
	})
}

// The colleague answers in the instant in which the call is taken: one of them
// has it, and the other is on no phone.
func TestOneOfTwoWhoAnswerInOneInstantHasTheCall(t *testing.T) {
	for range 20 {
		try(t, func(t *testing.T, s *stage) {
			s.office(ringOperator("101"))
			s.engine.Phone("101", scripted.Answers(5*sec).HangsUp(20*sec))
			out, _ := s.picks(t, 5*sec, pick("**101", nil), scripted.Phone{}.HangsUp(20*sec), func() Outcome { return s.arrive(t, fromClient(), scripted.Phone{}) })
			s.ends(t, out, call.Completed, 25*sec)
			if n := len(s.engine.Talks()); n != 1 {
				t.Errorf("%d talks", n)
			}
		})
	}
}
