package scenario

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perezvon/perezvon/internal/acd"
	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/scripted"
)

// queue sets the queue 1000 of three operators, and a route into it.
func (s *stage) queue(set func(q *directory.Queue), then ...directory.Step) {
	s.office(append([]directory.Step{{Queue: &directory.ToQueue{Name: "1000"}}}, then...)...)
	q := directory.NewQueue("1000", "101", "102", "103")
	q.Strategy = directory.StrategyLinear
	if set != nil {
		set(&q)
	}
	s.plan.queues = map[string]directory.Queue{"1000": q}
}

func TestACallerWaitsWithMusicUntilAMemberAnswers(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.queue(nil)
		s.ends(t, s.arrive(t, fromClient(), scripted.Phone{}), call.Completed, 12*time.Second)
		s.has(t,
			"0s queue.joined c1",
			"0s leg.answered c1",
			"0s leg.dialing o1 101 +79161234567",
			"2s leg.answered o1 101",
			"2s queue.left c1 101",
			"2s joined o1 c1",
			"12s call.ended 200 completed",
		)
		if heard := s.heard("c1"); !slices.Equal(heard, []string{theMusic + "… 0s-2s"}) {
			t.Errorf("heard %v", heard)
		}
		// The caller's number and name are kept on every leg.
		if d := s.engine.Dials()[0]; d.CallerID != "+79161234567" || d.CallerName != "Ivanov" {
			t.Errorf("%+v", d.Dial)
		}
	})
}

// losers notes with which cause each dial of a wrapped engine ended.
type losers struct {
	telephony.Engine
	mu     sync.Mutex
	causes map[string]error
}

func (l *losers) Dial(ctx context.Context, d telephony.Dial) (telephony.Leg, error) {
	leg, err := l.Engine.Dial(ctx, d)
	if err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.causes[d.Operator] = context.Cause(ctx)
	}
	return leg, err
}

func TestRingAllRingsEveryFreeMemberAndTheOthersShowNoMissedCall(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.queue(func(q *directory.Queue) { q.Strategy = directory.StrategyRingAll })
		s.engine.Phone("101", scripted.RingsOn())
		s.engine.Phone("103", scripted.RingsOn())
		lost := &losers{Engine: s.engine, causes: map[string]error{}}
		s.wrap = func(telephony.Engine) telephony.Engine { return lost }
		s.arrive(t, fromClient(), scripted.Phone{})
		for _, extension := range []string{"101", "103"} {
			if !errors.Is(lost.causes[extension], telephony.ErrElsewhere) {
				t.Errorf("%s is cancelled because %v", extension, lost.causes[extension])
			}
		}
		s.has(t, "2s leg.answered o2 102", "2s joined o2 c1")
		s.has(t, "2s leg.cancelled o1 (another answered first)")
		s.has(t, "2s leg.cancelled o3 (another answered first)")
	})
}

func TestWhoDoesNotAnswerIsFollowedByTheNextAfterThePause(t *testing.T) {
	for name, tt := range map[string]struct {
		first scripted.Phone
		lines []string
	}{
		"does not answer for ring_s": {scripted.RingsOn(), []string{"15s leg.failed o1 408", "20s leg.dialing o2 102 +79161234567", "22s joined o2 c1"}},
		"declines: at once the next": {scripted.Refuses(3*time.Second, 603).Ringing(), []string{"3s leg.failed o1 603", "3s leg.dialing o2 102 +79161234567"}},
		"is busy: at once the next":  {scripted.Refuses(0, 486), []string{"0s leg.failed o1 486", "0s leg.dialing o2 102 +79161234567"}},
	} {
		t.Run(name, func(t *testing.T) {
			try(t, func(t *testing.T, s *stage) {
				s.queue(nil)
				s.engine.Phone("101", tt.first)
				if out := s.arrive(t, fromClient(), scripted.Phone{}); out.Status != call.Completed {
					t.Errorf("%v", out)
				}
				s.has(t, tt.lines...)
			})
		})
	}
}

func TestPhonesThatRefuseAtOnceAreNotCalledOverAndOver(t *testing.T) {
	for _, strategy := range directory.Strategies() {
		try(t, func(t *testing.T, s *stage) {
			s.queue(func(q *directory.Queue) { q.Strategy, q.RetryS, q.MaxWaitS = strategy, 0, 10 })
			for _, extension := range []string{"101", "102", "103"} {
				s.engine.Phone(extension, scripted.Refuses(0, 486))
			}
			s.ends(t, s.arrive(t, fromClient(), scripted.Phone{}), call.NoAnswer, 10*time.Second)
			if n := len(s.engine.Dials()); n > 33 || n < 27 {
				t.Errorf("%s: %d dials in 10 s", strategy, n)
			}
		})
	}
}

func TestMembersWhoArePausedOrOnThePhoneAreNotRung(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.queue(nil)
		s.operators["101"] = directory.Operator{Extension: "101", Paused: true}
		s.engine.SetDeviceState("102", telephony.InUse)
		s.arrive(t, fromClient(), scripted.Phone{})
		s.has(t, "0s leg.dialing o1 103 +79161234567", "2s joined o1 c1")
	})
}

func TestAMemberWhoComesFreeIsRung(t *testing.T) {
	for name, free := range map[string]func(s *stage){
		"his phone": func(s *stage) { s.engine.SetDeviceState("101", telephony.NotInUse) },
	} {
		t.Run(name, func(t *testing.T) {
			try(t, func(t *testing.T, s *stage) {
				s.queue(nil)
				for _, extension := range []string{"101", "102", "103"} {
					s.engine.SetDeviceState(extension, telephony.InUse)
				}
				time.AfterFunc(30*time.Second, func() { free(s) })
				s.arrive(t, fromClient(), scripted.Phone{})
				s.hasNot(t, "leg.dialing o2")
				if d := s.engine.Dials()[0]; d.At < 30*time.Second || d.At > 31*time.Second {
					t.Errorf("rung at %v", d.At)
				}
			})
		})
	}
}

func TestWhomTheQueueDoesNotTakeTheFallbackTakes(t *testing.T) {
	fallback := func(q *directory.Queue) {
		q.Fallback = directory.Steps{{Announce: &directory.Announce{Text: "greeting"}}}
	}
	unavailable := func(s *stage) {
		for _, extension := range []string{"101", "102", "103"} {
			s.engine.SetDeviceState(extension, telephony.Unavailable)
		}
	}
	for name, tt := range map[string]struct {
		set   func(*stage)
		lines []string
	}{
		"nobody is there": {unavailable, []string{"0s queue.left c1", "0s prompt.started c1 announcement", "2s leg.dialing o1 104 +79161234567"}},
		"all are paused": {func(s *stage) {
			for _, extension := range []string{"101", "102", "103"} {
				s.operators[extension] = directory.Operator{Extension: extension, Paused: true}
			}
		}, []string{"0s queue.left c1", "0s prompt.started c1 announcement"}},
		"nobody is there, but join_empty": {func(s *stage) {
			unavailable(s)
			q := s.plan.queues["1000"]
			q.JoinEmpty = true
			s.plan.queues["1000"] = q
		}, []string{"0s queue.joined c1", "1m0s queue.left c1", "1m0s prompt.started c1 announcement", "1m2s leg.dialing o1 104 +79161234567"}},
		"the longest wait is over": {func(s *stage) {
			for _, extension := range []string{"101", "102", "103"} {
				s.engine.Phone(extension, scripted.RingsOn())
			}
		}, []string{"0s queue.joined c1", "1m0s queue.left c1", "1m0s prompt.started c1 announcement", "1m2s leg.dialing"}},
	} {
		t.Run(name, func(t *testing.T) {
			try(t, func(t *testing.T, s *stage) {
				s.queue(func(q *directory.Queue) {
					fallback(q)
					q.MaxWaitS = 60
				}, ringOperator("104"))
				s.operators["104"] = directory.Operator{Extension: "104"}
				s.engine.Phone("104", scripted.Answers(time.Second).HangsUp(time.Second))
				tt.set(s)
				s.arrive(t, fromClient(), scripted.Phone{})
				for _, l := range tt.lines {
					if !strings.Contains(s.timeline(), l) {
						t.Errorf("missing %s in\n%s", l, s.timeline())
					}
				}
			})
		})
	}
}

func TestACallerWhoHangsUpLeavesTheQueue(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.queue(nil)
		s.engine.Phone("101", scripted.RingsOn())
		s.ends(t, s.arrive(t, fromClient(), scripted.Phone{}.HangsUp(5*time.Second)), call.Abandoned, 5*time.Second)
		s.has(t, "5s queue.left c1", "5s call.ended 724 abandoned")
	})
}

func TestAMemberWhoDoesNotAnswerTooOftenIsPaused(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.queue(func(q *directory.Queue) { q.Members, q.AutoPauseAfter, q.MaxWaitS = []string{"101"}, 2, 100 })
		s.engine.Phone("101", scripted.RingsOn())
		s.ends(t, s.arrive(t, fromClient(), scripted.Phone{}), call.NoAnswer, 100*time.Second)
		if n := len(s.engine.Dials()); n != 2 || !s.operators["101"].Paused {
			t.Errorf("rung %d times, then %+v", n, s.operators["101"])
		}
	})
}

func TestPositionAndWaitAreToldWhileTheMusicPauses(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.queue(func(q *directory.Queue) {
			q.Announce = &directory.QueueAnnounce{Text: "greeting", Position: true, PositionEveryS: 20}
			q.MaxWaitS = 30
		})
		for _, extension := range []string{"101", "102", "103"} {
			s.engine.SetDeviceState(extension, telephony.InUse)
		}
		s.arrive(t, fromClient(), scripted.Phone{})
		place := "Вы в очереди. Ваш номер 1. Пожалуйста, ожидайте ответа оператора"
		want := []string{"greeting 0s-2s", place + " 2s-5s", theMusic + "… 5s-25s", place + " 25s-28s", theMusic + "… 28s-30s"}
		if heard := s.heard("c1"); !slices.Equal(heard, want) {
			t.Errorf("heard\n%s", strings.Join(heard, "\n"))
		}
	})
}

func TestAColleagueIsConnectedThroughAQueueThatHeDials(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.queue(nil)
		if out := s.arrive(t, fromOperator("1000"), scripted.Phone{}); out.Status != call.Completed {
			t.Errorf("%v", out)
		}
		s.has(t, "0s queue.joined o1", "0s leg.dialing o2 102 101", "2s joined o2 o1")
	})
}

func (s *stage) offers(set func(*directory.CallbackOffer)) {
	s.queue(func(q *directory.Queue) {
		q.CallbackOffer = &directory.CallbackOffer{Key: "1", AfterS: 10}
		if set != nil {
			set(q.CallbackOffer)
		}
	})
	for _, extension := range []string{"101", "102", "103"} {
		s.engine.SetDeviceState(extension, telephony.InUse)
	}
}

func TestACallerMayBeCalledBackInsteadOfWaitingAndKeepsHisPlace(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.offers(nil)
		// The first press is before the offer.
		out := s.arrive(t, fromClient(), scripted.Phone{}.Presses(5*time.Second, "1").Presses(11*time.Second, "1"))
		s.ends(t, out, call.CallbackRequested, 14*time.Second)
		s.has(t, "10s prompt.started c1 callback_offer", "11s key c1 1 callback_offer", "11s queue.left c1", "11s prompt.started c1 will_call")
		if len(s.kept) != 1 || s.kept[0].Client != "+79161234567" || s.kept[0].Queue != "1000" || !s.kept[0].Since.Equal(s.began) {
			t.Errorf("kept %+v", s.kept)
		}
	})
}

func TestACallbackInsteadOfWaitingMayBeAWidgets(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.offers(func(o *directory.CallbackOffer) { o.Widget = "site" })
		s.ends(t, s.arrive(t, fromClient(), scripted.Phone{}.Presses(11*time.Second, "1")), call.CallbackRequested, 14*time.Second)
		if !slices.Equal(s.later, []string{"site +79161234567"}) || len(s.kept) > 0 {
			t.Errorf("%v, %v", s.later, s.kept)
		}
	})
}

func TestACallerWhosePlaceCannotBeKeptWaitsOn(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.offers(nil)
		s.keepErr = errors.New("no disk")
		out := s.arrive(t, fromClient(), scripted.Phone{}.Presses(11*time.Second, "1").HangsUp(20*time.Second))
		s.ends(t, out, call.Abandoned, 20*time.Second)
	})
}

func TestNoCallbackIsOfferedToWhomTheOfficeDoesNotCall(t *testing.T) {
	for _, from := range []string{"+442071234567", "anonymous", ""} {
		try(t, func(t *testing.T, s *stage) {
			s.offers(nil)
			info := fromClient()
			info.From = from
			s.arrive(t, info, scripted.Phone{}.Presses(11*time.Second, "1").HangsUp(20*time.Second))
			s.hasNot(t, "callback_offer")
		})
	}
}

// comeBack lets the client who has kept his place be called, and returns how the
// call ended.
func (s *stage) comeBack(t *testing.T, b *Switchboard, since time.Time) (*Return, Outcome) {
	t.Helper()
	k := acd.Kept{ID: "1", Account: directory.DefaultAccount, Queue: "1000", Client: clientNumber, CallID: "before", Since: since}
	s.kept = []acd.Kept{k}
	r, err := b.Await(context.Background(), k)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	if s.end != nil {
		defer time.AfterFunc(s.endAfter, func() { cancel(s.end) }).Stop()
	}
	out := Outcome{Status: r.Run(ctx, "call")}
	s.over = time.Since(s.began)
	synctest.Wait()
	s.sound(t, out)
	return r, out
}

func TestWhoKeptHisPlaceIsCalledOnceAMemberHasAnswered(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.queue(nil)
		s.engine.Phone("101", scripted.RingsOn())
		s.engine.Phone(clientNumber, scripted.Answers(4*time.Second).HangsUp(20*time.Second))
		r, out := s.comeBack(t, s.board(), s.began.Add(-time.Minute))
		if out.Status != call.Completed || !r.Used() || len(s.kept) > 0 {
			t.Errorf("%v, %v, kept %v", out, r.Used(), s.kept)
		}
		s.has(t,
			"0s call.created "+clientNumber,
			"0s queue.joined",
			"0s leg.dialing o1 101 "+clientNumber,
			"15s leg.failed o1 408",
			"20s leg.dialing o2 102 "+clientNumber,
			"22s leg.answered o2 102",
			"22s queue.left",
			"22s prompt.started o2 connecting",
			"25s leg.dialing c1 "+clientNumber+" another",
			"29s joined o2 c1",
			"32s call.ended 200 completed",
		)
	})
}

func TestAMemberWhoHangsUpBeforeTheClientIsCalledLeavesHimHisPlace(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.queue(nil)
		s.engine.Phone("101", scripted.Answers(2*time.Second).HangsUp(time.Second))
		r, _ := s.comeBack(t, s.board(), s.began)
		if r.Used() || len(s.kept) != 1 {
			t.Errorf("called %v, kept %v", r.Used(), s.kept)
		}
		s.hasNot(t, "c1")
	})
}

func TestACallToWhoKeptHisPlaceIsEndedFromOutside(t *testing.T) {
	for cause, tt := range map[error]struct {
		status call.Status
		used   bool
	}{ErrCancelled: {call.Cancelled, true}, ErrStopped: {call.Interrupted, false}} {
		try(t, func(t *testing.T, s *stage) {
			s.queue(nil)
			s.end, s.endAfter = cause, time.Second
			r, out := s.comeBack(t, s.board(), s.began)
			if out.Status != tt.status || r.Used() != tt.used || (len(s.kept) == 0) != tt.used {
				t.Errorf("%v, used %v, kept %v", out, r.Used(), s.kept)
			}
		})
	}
}

func TestNobodyIsRungForAClientWhoCannotBeCalled(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.queue(nil)
		s.plan.trunks = nil
		_, err := s.board().Await(context.Background(), acd.Kept{Account: directory.DefaultAccount, Queue: "1000", Client: clientNumber})
		if !errors.Is(err, errNoTrunks) || len(s.engine.Dials()) > 0 {
			t.Errorf("%v, %v", err, s.engine.Dials())
		}
	})
}

func TestWhoKeptHisPlaceIsServedBeforeThoseWhoCameLater(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.queue(func(q *directory.Queue) { q.Members = []string{"101"} })
		s.engine.SetDeviceState("101", telephony.InUse)
		b := s.board()
		later, err := b.Queues.Join(context.Background(), s.plan.queues["1000"], acd.Caller{Account: directory.DefaultAccount})
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(10*time.Second, func() { s.engine.SetDeviceState("101", telephony.NotInUse) })
		k := acd.Kept{ID: "1", Account: directory.DefaultAccount, Queue: "1000", Client: clientNumber, Since: s.began.Add(-time.Second)}
		r, err := b.Await(context.Background(), k)
		if err != nil || later.Ringing() {
			t.Errorf("%v; the later one rings: %v", err, later.Ringing())
		}
		r.Leave()
		if !later.Ringing() {
			t.Error("a turn that is given back is not the next one's")
		}
		later.Leave(acd.Abandoned)
	})
}

// An operator who has called a queue may pass its member on and leave.
func TestAnOperatorWhoCalledAQueueMayTransfer(t *testing.T) {
	for name, leaves := range map[string]bool{"and is hung up": false, "and hangs up at once": true} {
		t.Run(name, func(t *testing.T) {
			try(t, func(t *testing.T, s *stage) {
				s.queue(func(q *directory.Queue) { q.Members = []string{"102"} })
				s.engine.Phone("102", scripted.Answers(2*sec).HangsUp(20*sec))
				s.engine.Phone("103", scripted.Answers(2*sec))
				by := scripted.Phone{}.Presses(5*sec, "##103#")
				if leaves {
					by = by.HangsUp(5*sec + 1)
				}
				s.ends(t, s.arrive(t, fromOperator("1000"), by), call.Completed, 22*sec)
				same(t, "stages", s.stagesOf(), []string{"102 2s-5s transferred", "103 7s-22s done"})
			})
		})
	}
}
