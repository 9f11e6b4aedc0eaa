package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/recording"
	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/scripted"
)

// The tests are named after the sentences of specification 1-callback §2.

const sec = time.Second

func TestTheWholeCourseOfACall(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.packet.ClientCallerID = "+74950000000"
		s.engine.Phone(managerNumber, scripted.Answers(4*sec))
		s.engine.Phone(clientNumber, scripted.Answers(7*sec).HangsUp(60*sec))
		out := s.run(t)
		s.ends(t, out, call.Completed, (4+2+3+1+7+60)*sec)
		want := `0s callerid.chosen m1 +74951234567
0s callerid.chosen c1 +79161234567 +74950000000
0s leg.dialing m1 +74951234567 main
0s leg.ringing m1 180
4s leg.answered m1 +74951234567
4s recording.started
4s prompt.started m1 greeting
6s prompt.ended m1 greeting (finished)
6s wait m1 (before the client is called)
9s prompt.started m1 connecting
10s prompt.ended m1 connecting (finished)
10s leg.dialing c1 +79161234567 main +74950000000
10s leg.ringing c1 180
17s leg.answered c1 +79161234567
17s joined m1 c1
1m17s parted m1 c1 (leg c1 ended by far: BYE)
1m17s leg.ended c1 far
1m17s leg.ended m1 us
1m17s call.ended 200 completed
`
		if d := cmp.Diff(want, s.timeline()); d != "" {
			t.Error(d)
		}
		// "client_delay_ms (manager hears silence)", "the manager hears ringback".
		if d := cmp.Diff([]string{"greeting 4s-6s", "silence… 6s-9s", "connecting 9s-10s", "tone:ringback… 10s-17s"}, s.heard("m1")); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]scripted.Talk{{A: "m1", B: "c1", From: 17 * sec, To: 77 * sec}}, s.engine.Talks()); d != "" {
			t.Error(d)
		}
		// "both are recorded"
		if d := cmp.Diff(map[string]recording.Side{"m1": recording.Right, "c1": recording.Left}, s.tapes.tracks); d != "" {
			t.Error(d)
		}
		if got := s.tapes.started.Sub(s.began); got != 4*sec {
			t.Errorf("the recording starts at %v", got)
		}
	})
}

func TestSequentialGoesToTheNextNumberWhenOneDoesNotAnswer(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.packet.Managers = callback.Managers{{Number: "+74950000001"}, {Number: "+74950000002"}, {Number: "+74950000003"}, {Number: "+74950000004"}}
		s.packet.ManagerTimeoutS = ptr(20)
		s.engine.Phone("+74950000001", scripted.RingsOn())
		s.engine.Phone("+74950000002", scripted.Refuses(2*sec, 486))
		s.engine.Phone("+74950000003", scripted.Answers(3*sec))
		s.engine.Phone("+74950000004", scripted.Answers(0))
		s.engine.Phone(clientNumber, scripted.Answers(sec).HangsUp(sec))
		s.ends(t, s.run(t), call.Completed, (20+2+3+6+1+1)*sec)
		s.has(t,
			"0s leg.dialing m1 +74950000001 main", "20s leg.failed m1 main 408",
			"20s leg.dialing m2 +74950000002 main", "22s leg.failed m2 main 486",
			"22s leg.dialing m3 +74950000003 main", "25s leg.answered m3 +74950000003", "32s joined m3 c1")
		s.hasNot(t, "leg.dialing m4")
	})
}

func TestSequentialUntilNoneIsLeft(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.packet.Managers = callback.Managers{{Number: "+74950000001"}, {Number: "+74950000002"}}
		s.engine.Phone("+74950000001", scripted.Refuses(sec, 486))
		s.engine.Phone("+74950000002", scripted.RingsOn())
		s.ends(t, s.run(t), call.ManagerNoAnswer, 31*sec)
		s.hasNot(t, "c1 main")
	})
}

func TestParallelCallsAllAtOnceAndTheFirstAnswerWins(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.packet.DialMode = "parallel"
		s.packet.Managers = callback.Managers{{Number: "+74950000001"}, {Number: "+74950000002"}, {Number: "+74950000003"}}
		s.engine.Phone("+74950000001", scripted.RingsOn().CrossesCancel())
		s.engine.Phone("+74950000002", scripted.Answers(5*sec))
		s.engine.Phone("+74950000003", scripted.Refuses(sec, 603))
		s.engine.Phone(clientNumber, scripted.Answers(sec).HangsUp(sec))
		s.ends(t, s.run(t), call.Completed, (5+6+1+1)*sec)
		s.has(t, "5s leg.answered m2 +74950000002", "13s parted m2 c1 (leg c1 ended by far: BYE)")
		s.has(t, "1s leg.failed m3 main 603", "5s leg.cancelled m1 main (another answered first)", "5s prompt.started m2 greeting")
		for _, d := range s.engine.Dials()[:3] {
			if d.At != 0 {
				t.Errorf("%s was called after %v", d.Leg, d.At)
			}
		}
		if got := s.engine.Dials(); !slices.ContainsFunc(got, func(d scripted.Dialled) bool { return d.Leg == "m1" && d.Outcome == "crossed" }) {
			t.Error("m1 did not cross")
		}
	})
}

func TestASecondOneAnsweringInTheSameInstantIsHungUpAndNeverHeard(t *testing.T) {
	winners := map[string]int{}
	for range 200 {
		try(t, func(t *testing.T, s *stage) {
			s.packet.DialMode = "parallel"
			s.packet.Managers = callback.Managers{{Number: "+74950000001"}, {Number: "+74950000002"}, {Number: "+74950000003"}}
			s.engine.Phone("+74950000001", scripted.Answers(5*sec))
			s.engine.Phone("+74950000002", scripted.Answers(5*sec))
			s.engine.Phone("+74950000003", scripted.RingsOn())
			s.engine.Phone(clientNumber, scripted.Answers(sec).HangsUp(sec))
			s.ends(t, s.run(t), call.Completed, (5+6+1+1)*sec)
			won := s.engine.Talks()[0].A
			winners[won]++
			for _, leg := range []string{"m1", "m2", "m3"} {
				if heard := s.heard(leg); (len(heard) > 0) != (leg == won) {
					t.Errorf("%s won, but %s heard %v", won, leg, heard)
				}
			}
			answers := 0
			for _, e := range s.journal.events {
				if e.Type == call.Answered && e.Role == call.Manager {
					answers++
				}
			}
			if answers != 1 || len(s.engine.Talks()) != 1 {
				t.Errorf("%d managers answered, %d talked\n%s", answers, len(s.engine.Talks()), s.timeline())
			}
		})
	}
	t.Log(winners)
}

func TestAManagerMayBeAnOperatorWhoseOutsidePhonesRingAsWell(t *testing.T) {
	for _, tt := range []struct{ name, winner, loser string }{{"outside", "m2", "m1"}, {"desk", "m1", "m2"}} {
		t.Run(tt.name, func(t *testing.T) {
			try(t, func(t *testing.T, s *stage) {
				s.packet.Managers = callback.Managers{{SIP: "101"}, {Number: "102"}}
				s.operators["101"] = directory.Operator{Extension: "101", Phones: []string{"+79160000001"}}
				answers, rings := "+79160000001", "101"
				if tt.name == "desk" {
					answers, rings = rings, answers
				}
				s.engine.Phone(answers, scripted.Answers(5*sec))
				s.engine.Phone(rings, scripted.RingsOn())
				s.engine.Phone(clientNumber, scripted.Answers(sec).HangsUp(sec))
				s.ends(t, s.run(t), call.Completed, 13*sec)
				s.has(t, "5s leg.cancelled "+tt.loser+map[string]string{"m2": " main"}[tt.loser]+" (another answered first)", "12s joined "+tt.winner+" c1")
				for _, e := range s.journal.events {
					if (e.Type == call.Dialing || e.Type == call.Answered) && e.Role == call.Manager && e.Operator != "101" {
						t.Errorf("%s does not name the operator", s.line(e))
					}
				}
			})
		})
	}
}

func TestAnOperatorWithoutAPhoneIsNotReached(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.packet.Managers = callback.Managers{{Number: "101"}}
		s.ends(t, s.run(t), call.ManagerNoAnswer, 0)
		s.has(t, "0s note (operator 101: no such operator)", "0s leg.dialing m1 101 "+clientNumber, "0s leg.failed m1 404", "0s call.ended 701 manager_no_answer")
	})
}

func TestTheExtensionIsDialledAfterItsDelayThenDTMFToManagerThenTheGreeting(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.packet.Managers = callback.Managers{{Number: managerNumber, Extension: "101"}}
		s.packet.ExtensionDelayMS = ptr(1500)
		s.packet.DTMFToManager = "1,2"
		s.engine.Phone(managerNumber, scripted.Answers(sec))
		s.engine.Phone(clientNumber, scripted.Answers(sec).HangsUp(sec))
		s.run(t)
		want := []scripted.Sent{
			{Leg: "m1", Digits: "101", From: 2500 * time.Millisecond, To: 3100 * time.Millisecond},
			{Leg: "m1", Digits: "1,2", From: 3100 * time.Millisecond, To: 4000 * time.Millisecond},
		}
		if d := cmp.Diff(want, s.engine.SentDigits()); d != "" {
			t.Error(d)
		}
		s.has(t, "1s recording.started", "1s wait m1 (before the extension)", "3.1s digits.sent m1 101", "4s digits.sent m1 1,2", "4s prompt.started m1 greeting")
	})
}

func TestTheClientsExtensionIsDialledAfterItsDelayBeforeTheJoin(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.packet.Client += "^12"
		s.engine.Phone(managerNumber, scripted.Answers(0))
		s.engine.Phone(clientNumber, scripted.Answers(sec).HangsUp(10*sec))
		s.ends(t, s.run(t), call.Completed, 17*sec)
		s.has(t, "7s leg.answered c1 +79161234567", "7s wait c1 (before the extension)", "8.4s digits.sent c1 12", "8.4s joined m1 c1")
	})
}

func TestTheManagerHearsTheCarriersEarlyMedia(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.engine.Phone(managerNumber, scripted.Answers(0))
		s.engine.Phone(clientNumber, scripted.Answers(9*sec).Early().HangsUp(sec))
		s.ends(t, s.run(t), call.Completed, 16*sec)
		if h := s.heard("m1"); h[len(h)-1] != "early:c1… 6s-15s" {
			t.Errorf("the manager heard %v", h)
		}
		s.has(t, "6s leg.progress c1 183")
	})
}

func TestEitherSideHangsUp(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.packet.DTMFCancelRecalls = "9" // the after-call time is for a client that left first
		s.engine.Phone(managerNumber, scripted.Answers(0).HangsUp(20*sec))
		s.engine.Phone(clientNumber, scripted.Answers(sec))
		s.ends(t, s.run(t), call.Completed, 20*sec)
		s.has(t, "20s parted m1 c1 (leg m1 ended by far: BYE)", "20s leg.ended c1 us")
		s.hasNot(t, "after the call")
	})
}

func TestTheManagerHangsUpBeforeTheJoin(t *testing.T) {
	for _, tt := range []struct {
		name   string
		after  time.Duration
		dialed bool
	}{
		{"greeting", 1 * sec, false},
		{"delay", 3 * sec, false},
		{"connecting text", 5500 * time.Millisecond, false},
		{"client's ringing", 16 * sec, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			try(t, func(t *testing.T, s *stage) {
				s.engine.Phone(managerNumber, scripted.Answers(0).HangsUp(tt.after))
				s.engine.Phone(clientNumber, scripted.Answers(20*sec))
				s.ends(t, s.run(t), call.ManagerHungUp, tt.after)
				if dialed := len(s.engine.Dials()) == 2; dialed != tt.dialed {
					t.Errorf("the client was called: %v", dialed)
				}
				if tt.after == 16*sec {
					// "the client's leg is cancelled and never rings on"
					s.has(t, "16s leg.ended m1 far", "16s leg.cancelled c1 main (leg m1 ended by far: BYE)", "16s call.ended 706 manager_hung_up")
				}
			})
		})
	}
}

// Whichever came first, it is one of the two and nobody is left.
func TestTheManagerHangsUpInTheInstantOfTheClientsAnswer(t *testing.T) {
	for range 50 {
		try(t, func(t *testing.T, s *stage) {
			s.engine.Phone(managerNumber, scripted.Answers(0).HangsUp(26*sec))
			s.engine.Phone(clientNumber, scripted.Answers(20*sec))
			out := s.run(t)
			if out.Status == call.ManagerHungUp != (len(s.engine.Talks()) == 0) {
				t.Errorf("%v, but %d talks", out.Status, len(s.engine.Talks()))
			}
		})
	}
}

// late is an engine whose client answers although the manager has just gone.
type late struct{ telephony.Engine }

func (e late) Dial(ctx context.Context, d telephony.Dial) (telephony.Leg, error) {
	leg, err := e.Engine.Dial(ctx, d)
	if d.Listener != nil {
		d.Listener.Hangup(0)
	}
	return leg, err
}

func TestTheClientIsNotJoinedWithAManagerWhoHasGone(t *testing.T) {
	for range 50 {
		try(t, func(t *testing.T, s *stage) {
			s.wrap = func(e telephony.Engine) telephony.Engine { return late{e} }
			s.engine.Phone(managerNumber, scripted.Answers(0))
			s.engine.Phone(clientNumber, scripted.Answers(sec))
			s.ends(t, s.run(t), call.ManagerHungUp, 7*sec)
			s.hasNot(t, "joined")
		})
	}
}

// "cancel … at every moment until the client's leg is joined, also during
// speech (which they interrupt)": 708; reschedule: 709.
func TestKeysWorkAtEveryMomentUntilTheJoin(t *testing.T) {
	for _, moment := range []struct {
		name  string
		after time.Duration
	}{
		{"the instant of the answer", 0},
		{"extension's delay", 500 * time.Millisecond},
		{"extension", 1100 * time.Millisecond},
		{"greeting", 2 * sec},
		{"delay", 5 * sec},
		{"connecting text", 7 * sec},
		{"client's ringing", 10 * sec},
		{"client's extension's delay", 28 * sec},
	} {
		for _, key := range []struct {
			key     string
			outcome Outcome
		}{
			{"*", Outcome{Status: call.CancelledByManager, CancelRecalls: true, Reason: errCancelKey.Error()}},
			{"0", Outcome{Status: call.RescheduledByManager, Reschedule: true, Reason: errRescheduleKey.Error()}},
		} {
			t.Run(moment.name+" "+key.key, func(t *testing.T) {
				try(t, func(t *testing.T, s *stage) {
					s.packet.Managers[0].Extension = "1"
					s.packet.Client += "^1"
					s.packet.DTMFCancel, s.packet.DTMFReschedule = "*", "0"
					s.engine.Phone(managerNumber, scripted.Answers(3*sec).Presses(moment.after, "7"+key.key))
					s.engine.Phone(clientNumber, scripted.Answers(20*sec))
					out := s.run(t)
					s.ends(t, out, key.outcome.Status, 3*sec+moment.after)
					if d := cmp.Diff(key.outcome, out); d != "" {
						t.Error(d)
					}
					at := 3*sec + moment.after
					s.has(t, fmt.Sprintf("%v digit m1 7", at), fmt.Sprintf("%v digit m1 %s", at, key.key))
					if len(s.engine.Talks()) > 0 {
						t.Error("they were joined")
					}
				})
			})
		}
	}
}

func TestKeysMeanNothingOnceTheyTalk(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.packet.DTMFCancel, s.packet.AfterCallS = "*", ptr(0)
		s.engine.Phone(managerNumber, scripted.Answers(0).Presses(10*sec, "*"))
		s.engine.Phone(clientNumber, scripted.Answers(sec).HangsUp(20*sec).Presses(2*sec, "5"))
		s.ends(t, s.run(t), call.Completed, 27*sec)
		s.has(t, "9s digit c1 5", "10s digit m1 *")
		s.hasNot(t, "key m1")
	})
}

// "If the client's leg ends first and keys for recalls are configured, the
// manager stays on the line for up to after_call_s".
func TestAfterTheCall(t *testing.T) {
	for _, tt := range []struct {
		name    string
		change  func(*callback.Packet)
		presses string
		hangsUp time.Duration // 0: never
		ends    time.Duration // after the client has gone
		outcome Outcome
	}{
		{"nobody presses", func(p *callback.Packet) { p.DTMFReschedule = "0" }, "", 0, 15 * sec, Outcome{}},
		{"other time", func(p *callback.Packet) { p.DTMFReschedule, p.AfterCallS = "0", ptr(5) }, "", 0, 5 * sec, Outcome{}},
		{"reschedule", func(p *callback.Packet) { p.DTMFReschedule = "0" }, "80", 0, 2 * sec, Outcome{Reschedule: true}},
		{"cancel recalls", func(p *callback.Packet) { p.DTMFCancelRecalls = "9" }, "9", 0, 2 * sec, Outcome{CancelRecalls: true}},
		{"the cancel key too", func(p *callback.Packet) { p.DTMFCancel = "9" }, "9", 0, 2 * sec, Outcome{CancelRecalls: true}},
		{"manager leaves", func(p *callback.Packet) { p.DTMFCancelRecalls = "9" }, "", 4 * sec, 4 * sec, Outcome{}},
		{"no keys", func(p *callback.Packet) { p.DTMFConnect = "" }, "9", 0, 0, Outcome{}},
		{"no time", func(p *callback.Packet) { p.DTMFCancelRecalls, p.AfterCallS = "9", ptr(0) }, "9", 0, 0, Outcome{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			try(t, func(t *testing.T, s *stage) {
				tt.change(&s.packet)
				left := 17 * sec
				m := scripted.Answers(0)
				if tt.presses != "" {
					m = m.Presses(left+2*sec, tt.presses)
				}
				if tt.hangsUp > 0 {
					m = m.HangsUp(left + tt.hangsUp)
				}
				s.engine.Phone(managerNumber, m)
				s.engine.Phone(clientNumber, scripted.Answers(sec).HangsUp(10*sec))
				out := s.run(t)
				s.ends(t, out, call.Completed, left+tt.ends)
				if out.Reschedule != tt.outcome.Reschedule || out.CancelRecalls != tt.outcome.CancelRecalls {
					t.Errorf("got %+v", out)
				}
				if tt.ends > 0 {
					s.has(t, "17s leg.ended c1 far", "17s wait m1 (for a key after the call)", "17s prompt.started m1 after_call")
				}
			})
		})
	}
}

func TestEndedFromOutside(t *testing.T) {
	for _, cause := range []struct {
		err    error
		status call.Status
	}{{ErrCancelled, call.Cancelled}, {ErrStopped, call.Interrupted}, {errors.New("whatever"), call.Interrupted}} {
		for _, after := range []time.Duration{0, sec, 4 * sec, 6 * sec, 9 * sec, 15 * sec, 25 * sec} {
			try(t, func(t *testing.T, s *stage) {
				s.end, s.endAfter = cause.err, after
				s.packet.Managers = append(s.packet.Managers, callback.ManagerTarget{Number: "+74950000002"})
				s.engine.Phone(managerNumber, scripted.Answers(3*sec))
				s.engine.Phone(clientNumber, scripted.Answers(10*sec))
				s.ends(t, s.run(t), cause.status, after)
				s.hasNot(t, "dialing m2")
			})
		}
	}
}

// After the talk the call has its status already.
func TestTheServerIsStoppedAfterTheTalk(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.packet.DTMFCancelRecalls = "9"
		s.end, s.endAfter = ErrStopped, 10*sec
		s.engine.Phone(managerNumber, scripted.Answers(0))
		s.engine.Phone(clientNumber, scripted.Answers(sec).HangsUp(sec))
		s.ends(t, s.run(t), call.Completed, 10*sec)
	})
}

func TestTheClientLeavesBeforeTheJoin(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.packet.Client += "^1"
		s.engine.Phone(managerNumber, scripted.Answers(0))
		s.engine.Phone(clientNumber, scripted.Answers(sec).HangsUp(500*time.Millisecond))
		s.ends(t, s.run(t), call.ClientDeclined, 7500*time.Millisecond)
	})
}

// "a call before anything is dialled"
func TestNothingIsDialledBeforeItIsStored(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.flushErr = errors.New("disk full")
		s.engine.Phone(managerNumber, scripted.Answers(0))
		s.ends(t, s.run(t), call.Interrupted, 0)
		if n := len(s.engine.Dials()); n != 0 {
			t.Errorf("%d calls went out", n)
		}
	})
}

func TestACallWithoutARecordingIsBetterThanNone(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.tapeErr = errors.New("disk full")
		s.engine.Phone(managerNumber, scripted.Answers(0))
		s.engine.Phone(clientNumber, scripted.Answers(sec).HangsUp(sec))
		s.ends(t, s.run(t), call.Completed, 8*sec)
		s.has(t, "0s note (no recording: disk full)")
		s.hasNot(t, "recording.started")
	})
}

func TestATextThatCannotBeSpokenIsLeftOut(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.speechErr = errors.New("no voice")
		s.engine.Phone(managerNumber, scripted.Answers(0))
		s.engine.Phone(clientNumber, scripted.Answers(sec).HangsUp(sec))
		s.ends(t, s.run(t), call.Completed, 5*sec)
		s.has(t, "0s note (greeting is not spoken: no voice)", "3s note (connecting is not spoken: no voice)")
	})
}

func TestTrunksAreTriedInOrderSeparatelyForEachSide(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.packet.TrunksManager, s.packet.TrunksClient = []string{"a"}, []string{"dead", "full", "b", "never"}
		s.engine.Trunk("dead", scripted.Refuses(4*sec, 503))
		s.engine.Trunk("full", scripted.Unreachable(503, "all channels are taken"))
		s.engine.Phone(managerNumber, scripted.Answers(0))
		s.engine.Phone(clientNumber, scripted.Answers(sec).HangsUp(sec))
		s.ends(t, s.run(t), call.Completed, (6+4+1+1)*sec)
		s.has(t, "0s leg.dialing m1 +74951234567 a",
			"6s leg.dialing c1 +79161234567 dead", "10s leg.failed c1 dead 503",
			"10s leg.dialing c1.2 +79161234567 full", "10s leg.failed c1.2 full 503",
			"10s leg.dialing c1.3 +79161234567 b", "11s joined m1 c1.3")
		for _, e := range s.journal.events {
			if e.Type == call.Answered && e.Leg == "c1.3" && e.ElapsedMS != 1000 {
				t.Errorf("the answer took %d ms, want the 1000 of its own trunk", e.ElapsedMS)
			}
		}
	})
}

// "`network` (default: 403, 404, 408 without ringing, 480 without ringing, 5xx,
// transport failure) or `any` (v.11: every failure but busy-here from a phone
// that rang, decline, and the callee's own no-answer)".
func TestWhenTheNextTrunkIsTried(t *testing.T) {
	for _, tt := range []struct {
		name         string
		phone        scripted.Phone
		network, any bool
	}{
		{"busy after ringing", scripted.Refuses(sec, 486).Ringing(), false, false},
		{"busy at once", scripted.Refuses(sec, 486), false, true},
		{"declined after ringing", scripted.Refuses(sec, 603).Ringing(), false, false},
		{"declined at once", scripted.Refuses(sec, 603), false, false},
		{"480 after ringing", scripted.Refuses(sec, 480).Ringing(), false, false},
		{"no answer", scripted.RingsOn(), false, false},
		{"480", scripted.Refuses(sec, 480), true, true},
		{"408", scripted.Refuses(sec, 408), true, true},
		{"403", scripted.Refuses(sec, 403), true, true},
		{"404", scripted.Refuses(sec, 404), true, true},
		{"404 after ringing", scripted.Refuses(sec, 404).Ringing(), true, true},
		{"410", scripted.Refuses(sec, 410), false, true},
		{"488", scripted.Refuses(sec, 488), false, true},
		{"487 at once", scripted.Refuses(sec, 487), false, true},
		{"500", scripted.Refuses(sec, 500), true, true},
		{"trunk full", scripted.Unreachable(503, "full"), true, true},
		{"silence", scripted.Silent(), true, true},
	} {
		for policy, want := range map[string]bool{"": tt.network, callback.FailoverNetwork: tt.network, callback.FailoverAny: tt.any} {
			try(t, func(t *testing.T, s *stage) {
				s.packet.TrunksClient, s.packet.FailoverOn = []string{"a", "b"}, policy
				s.engine.Phone(managerNumber, scripted.Answers(0))
				s.engine.Phone(clientNumber, tt.phone)
				s.run(t)
				if got := len(s.engine.Dials()) == 3; got != want {
					t.Errorf("%s, %q: tried elsewhere: %v, want %v\n%s", tt.name, policy, got, want, s.timeline())
				}
			})
		}
	}
}

func TestManagersAreCalledGroupByGroup(t *testing.T) {
	for mode, want := range map[string][]string{
		callback.DialParallel:   {"0s leg.dialing m1 +74950000001", "0s leg.dialing m2 +74950000003", "30s leg.dialing m3 +74950000002"},
		callback.DialSequential: {"0s leg.dialing m1 +74950000001", "30s leg.dialing m2 +74950000003", "1m0s leg.dialing m3 +74950000002"},
	} {
		try(t, func(t *testing.T, s *stage) {
			s.packet.DialMode = mode
			s.packet.Managers = callback.Managers{{Number: "+74950000001", Group: "sales"}, {Number: "+74950000002"}, {Number: "+74950000003", Group: "sales"}}
			for _, m := range s.packet.Managers {
				s.engine.Phone(m.Number, scripted.RingsOn())
			}
			s.run(t)
			for _, line := range want {
				s.has(t, line+" main")
			}
		})
	}
}

func TestNoTrunkAtAll(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.packet.Trunk = ""
		s.ends(t, s.run(t), call.ManagerTrunkFailure, 0)
		s.has(t, "0s leg.failed m1 404")
	})
}

func TestCallerIDsAreChosenBeforeTheScenarioStarts(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.packet.Managers = callback.Managers{{SIP: "101"}, {Number: managerNumber}}
		s.packet.DefaultCallerIDClient = "+74950000002"
		s.ends(t, s.run(t), call.ManagerNoAnswer, 0)
		s.has(t,
			"0s callerid.chosen m1 101 "+clientNumber, "0s callerid.chosen m2 "+managerNumber,
			"0s callerid.chosen c1 "+clientNumber+" +74950000002", "0s leg.dialing m1 101 "+clientNumber)
	})
	try(t, func(t *testing.T, s *stage) {
		s.packet.Managers = callback.Managers{{SIP: "101"}, {Number: managerNumber}}
		s.packet.DefaultCallerIDManager = "+74950000001"
		s.run(t)
		s.has(t, "0s leg.dialing m1 101 +74950000001", "0s leg.dialing m2 "+managerNumber+" main +74950000001")
	})
}
