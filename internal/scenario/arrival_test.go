package scenario

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perezvon/perezvon/internal/acd"
	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/recording"
	"github.com/perezvon/perezvon/internal/speech"
	"github.com/perezvon/perezvon/internal/speech/prompts"
	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/scripted"
)

// plan is a directory in memory.
type plan struct {
	routes []directory.Route
	queues map[string]directory.Queue
	trunks []directory.Trunk
}

func (p plan) Routes(context.Context, string) ([]directory.Route, error) { return p.routes, nil }
func (p plan) Trunks(context.Context, string) ([]directory.Trunk, error) { return p.trunks, nil }
func (p plan) Queue(_ context.Context, _, name string) (directory.Queue, error) {
	q, ok := p.queues[name]
	if !ok {
		return q, errors.New("no such queue")
	}
	return q, nil
}

// people is what queues read.
type people struct {
	plan
	operators
}

func (s *stage) Responsible(ctx context.Context, _, number string, rule call.ResponsibleRule) (call.Responsible, error) {
	if rule.CRM > 0 { // it takes all the time it may
		timer := time.NewTimer(rule.CRM)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return call.Responsible{}, context.Cause(ctx)
		}
	}
	if extension := s.knows[number]; extension != "" {
		return call.Responsible{Operator: extension, Reason: "the newest call"}, nil
	}
	return call.Responsible{Reason: "nobody has talked to " + number}, nil
}

func (s *stage) CallBack(_ context.Context, _, widget, client string) error {
	s.later = append(s.later, widget+" "+client)
	return nil
}

func (s *stage) KeepPlace(_ context.Context, k acd.Kept) error {
	s.kept = append(s.kept, k)
	return s.keepErr
}

func (s *stage) GiveUpPlace(_ context.Context, k acd.Kept) error {
	s.kept = slices.DeleteFunc(s.kept, func(other acd.Kept) bool { return other.ID == k.ID })
	return nil
}

func (s *stage) board() *Switchboard {
	b := &Switchboard{
		Services: Services{
			Engine: s.engine, Journal: s.journal, Tapes: s.tapes, Speech: voices{s.speechErr}, Operators: operators(s.operators), Hearing: s.hearing,
			Directory: s.plan, Lines: NewLines(), Talks: s.talks, Pickups: s.pickups, Features: s.features, Queues: acd.New(s.engine, people{s.plan, s.operators}), Pauses: operators(s.operators), Logger: slog.New(slog.DiscardHandler),
		},
		Voice: speech.Voice{Language: "ru"}, Responsible: s, Later: s, NoticeRules: s.noticeRules,
	}
	if s.notices != nil {
		b.Notices = s.notices
	}
	if s.wrap != nil {
		b.Engine = s.wrap(s.engine)
	}
	return b
}

// arrive lets a call come and carries it out.
func (s *stage) arrive(t tester, info telephony.Info, phone scripted.Phone) Outcome {
	t.Helper()
	b := s.board()
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	if s.end != nil {
		defer time.AfterFunc(s.endAfter, func() { s.ending(); cancel(s.end) }).Stop()
	}
	leg := s.engine.Incoming(info, phone)
	if s.lends != nil {
		leg = s.lends(leg)
	}
	status := b.Run(ctx, Arrival{CallID: s.callID, Account: directory.DefaultAccount, Leg: leg})
	s.over = time.Since(s.began)
	out := Outcome{Status: status}
	if !s.second {
		synctest.Wait()
		s.sound(t, out)
	}
	return out
}

// fromClient is a client's call to the office.
func fromClient() telephony.Info {
	return telephony.Info{From: "89161234567", FromName: "Ivanov", To: "74951112233", Trunk: "main"}
}

func fromOperator(to string) telephony.Info {
	return telephony.Info{From: "101", To: to, Operator: "101"}
}

// office has three operators, a trunk and one route with the steps.
func (s *stage) office(steps ...directory.Step) {
	for _, extension := range []string{"101", "102", "103"} {
		s.operators[extension] = directory.Operator{Extension: extension, Name: "Name " + extension}
		s.engine.Phone(extension, scripted.Answers(2*time.Second).HangsUp(10*time.Second))
	}
	s.plan.trunks = []directory.Trunk{{Name: "main"}, {Name: "another"}}
	s.plan.routes = []directory.Route{{Name: "all", Steps: steps}}
}

func ringOperator(extension string) directory.Step {
	return directory.Step{Operator: &directory.ToOperator{Extension: extension, RingS: 30}}
}

func responsible() directory.Step {
	return directory.Step{Responsible: &directory.Responsible{RingS: 15, Policy: "last"}}
}

func TestACallInRingsTheOperatorOfItsRoute(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.office(ringOperator("101"))
		out := s.arrive(t, fromClient(), scripted.Phone{})
		s.ends(t, out, call.Completed, 12*time.Second)
		s.has(t,
			"0s call.created +79161234567",
			"0s leg.arrived c1 +79161234567 main 74951112233",
			"0s leg.dialing o1 101 +79161234567",
			"2s leg.answered o1 101",
			"2s leg.answered c1",
			"2s joined o1 c1",
			"12s leg.ended o1 far",
			"12s leg.ended c1 us",
			"12s call.ended 200 completed",
		)
		if got := s.engine.Told("c1"); !slices.Equal(got, []int{180, 180, 200}) && !slices.Equal(got, []int{180, 200}) {
			t.Errorf("the caller was told %v", got)
		}
		if s.tapes.tracks["c1"] != recording.Left || s.tapes.tracks["o1"] != recording.Right {
			t.Errorf("recorded on %v", s.tapes.tracks)
		}
		// The caller's number and name are kept on every leg.
		if d := s.engine.Dials()[0]; d.CallerID != "+79161234567" || d.CallerName != "Ivanov" {
			t.Errorf("%+v", d.Dial)
		}
	})
}

func TestTheResponsibleOperatorRingsFirstThenTheNextStep(t *testing.T) {
	for name, tt := range map[string]struct {
		set   func(*stage)
		lines []string
	}{
		"free: he takes it": {func(s *stage) {}, []string{"0s leg.dialing o1 101 +79161234567", "2s joined o1 c1"}},
		"not answered for 15 s": {
			func(s *stage) { s.engine.Phone("101", scripted.RingsOn()) },
			[]string{"15s leg.failed o1 408", "15s leg.dialing o2 102 +79161234567", "17s joined o2 c1"},
		},
		"not NOT_INUSE": {
			func(s *stage) { s.engine.SetDeviceState("101", telephony.InUse) },
			[]string{"0s operator.skipped 101", "0s leg.dialing o1 102 +79161234567"},
		},
		"paused": {
			func(s *stage) { s.operators["101"] = directory.Operator{Extension: "101", Paused: true} },
			[]string{"0s operator.skipped 101", "0s leg.dialing o1 102 +79161234567"},
		},
		"unknown client": {func(s *stage) { s.knows = nil }, []string{"0s leg.dialing o1 102 +79161234567"}},
	} {
		t.Run(name, func(t *testing.T) {
			try(t, func(t *testing.T, s *stage) {
				s.office(responsible(), ringOperator("102"))
				s.knows = map[string]string{"+79161234567": "101"}
				tt.set(s)
				if out := s.arrive(t, fromClient(), scripted.Phone{}); out.Status != call.Completed {
					t.Errorf("%v\n%s", out.Status, s.timeline())
				}
				s.has(t, tt.lines...)
			})
		})
	}
}

// A CRM that is slow costs the caller its time limit and no more, and nobody is
// rung for a caller who has hung up meanwhile.
func TestTheCRMMayTakeItsTimeAndNoMore(t *testing.T) {
	fromCRM := directory.Step{Responsible: &directory.Responsible{RingS: 15, Policy: "last", Source: call.SourceCRM, CRMTimeoutMS: 1500}}
	try(t, func(t *testing.T, s *stage) {
		s.office(fromCRM, ringOperator("102"))
		s.knows = map[string]string{"+79161234567": "101"}
		s.ends(t, s.arrive(t, fromClient(), scripted.Phone{}), call.Completed, 13500*time.Millisecond)
		s.has(t, "1.5s leg.dialing o1 101 +79161234567", "3.5s joined o1 c1")
	})
	try(t, func(t *testing.T, s *stage) {
		s.office(fromCRM, ringOperator("102"))
		s.ends(t, s.arrive(t, fromClient(), scripted.Phone{}.HangsUp(time.Second)), call.Abandoned, time.Second)
		s.hasNot(t, "leg.dialing")
		s.hasNot(t, "note (responsible")
	})
}

func TestACallThatNobodyTakesEndsAsNoAnswer(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.office(ringOperator("101"))
		s.engine.Phone("101", scripted.RingsOn())
		s.ends(t, s.arrive(t, fromClient(), scripted.Phone{}), call.NoAnswer, 30*time.Second)
		if told := s.engine.Told("c1"); told[len(told)-1] != 480 {
			t.Errorf("told %v", told)
		}
	})
}

func TestACallerWhoHangsUpEndsTheRinging(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.office(ringOperator("101"), ringOperator("102"))
		s.engine.Phone("101", scripted.RingsOn())
		s.ends(t, s.arrive(t, fromClient(), scripted.Phone{}.HangsUp(5*time.Second)), call.Abandoned, 5*time.Second)
		s.hasNot(t, " 102")
	})
}

func TestANumberThatNoRouteMatchesIsRefused(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.office()
		s.plan.routes = nil
		s.ends(t, s.arrive(t, fromClient(), scripted.Phone{}), call.NoRoute, 0)
		if told := s.engine.Told("c1"); !slices.Equal(told, []int{404}) {
			t.Errorf("told %v", told)
		}
	})
}

// The server speaks on a call what its route says, and the conversation is
// written down in that language.
func TestARouteSaysWhatIsSpoken(t *testing.T) {
	english := prompts.Text("en", wrongKey)
	for name, tt := range map[string]struct {
		first, second directory.Route
		want          string // language of the transcript
	}{
		"the call's":              {first: directory.Route{Language: "en", Transcribe: true}, want: "en"},
		"one that is followed":    {first: directory.Route{}, second: directory.Route{Language: "en", Transcribe: true}, want: "en"},
		"it stays":                {first: directory.Route{Language: "en"}, second: directory.Route{Transcribe: true}, want: "en"},
		"no transcript is wanted": {first: directory.Route{Language: "en"}},
	} {
		t.Run(name, func(t *testing.T) {
			try(t, func(t *testing.T, s *stage) {
				s.hearing = speech.NewHearing(&understands{}, "")
				menu := directory.Step{Menu: &directory.Menu{Text: "menu", TimeoutS: 5, Repeats: 2, Keys: map[string]directory.Steps{"1": {ringOperator("101")}}}}
				s.office(directory.Step{Route: &directory.ToRoute{Name: "second"}})
				first, second := tt.first, tt.second
				first.Name, first.Steps = "all", s.plan.routes[0].Steps
				second.Name, second.Steps, second.Match.Called = "second", directory.Steps{menu}, "none"
				s.plan.routes = []directory.Route{first, second}
				s.arrive(t, fromClient(), scripted.Phone{}.Presses(time.Second, "7").Presses(5*time.Second, "1"))
				if heard := s.heard("c1"); !slices.ContainsFunc(heard, func(h string) bool { return strings.HasPrefix(strings.TrimSuffix(h, "…"), english) }) {
					t.Errorf("heard %q, want %q", heard, english)
				}
				e := s.journal.events[slices.IndexFunc(s.journal.events, func(e call.Event) bool { return e.Type == call.RecordingStarted })]
				if e.Transcribe != (tt.want != "") || e.Language != tt.want {
					t.Errorf("transcribed: %v, in %q, want %q", e.Transcribe, e.Language, tt.want)
				}
			})
		})
	}
}

func TestAMenuLeadsToTheStepsOfAKey(t *testing.T) {
	menu := directory.Step{Menu: &directory.Menu{
		Text: "menu", TimeoutS: 5, Repeats: 3,
		Keys: map[string]directory.Steps{"1": {ringOperator("101")}, "2": {ringOperator("102")}},
	}}
	for name, tt := range map[string]struct {
		phone scripted.Phone
		lines []string
	}{
		"while it is spoken": {scripted.Phone{}.Presses(time.Second, "2"), []string{"1s key c1 2 menu", "1s leg.dialing o1 102 +79161234567"}},
		"after it":           {scripted.Phone{}.Presses(5*time.Second, "1"), []string{"5s key c1 1 menu", "5s leg.dialing o1 101 +79161234567"}},
		"a wrong key is told": {scripted.Phone{}.Presses(time.Second, "7").Presses(5*time.Second, "1"),
			[]string{"1s prompt.started c1 wrong_key", "5s leg.dialing o1 101 +79161234567"}},
		"no key: three times, then the next step": {scripted.Phone{}, []string{"24s leg.dialing o1 103 +79161234567"}},
	} {
		t.Run(name, func(t *testing.T) {
			try(t, func(t *testing.T, s *stage) {
				s.office(menu, ringOperator("103"))
				s.arrive(t, fromClient(), tt.phone)
				s.has(t, tt.lines...)
			})
		})
	}
}

func TestAnAnnouncementIsHeardAndTheCallEnds(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.office(directory.Step{Announce: &directory.Announce{Text: "greeting"}}, directory.Step{Hangup: &directory.Hangup{}})
		s.ends(t, s.arrive(t, fromClient(), scripted.Phone{}), call.Announced, 2*time.Second)
	})
}

func TestACallerMayAskToBeCalledBack(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.office(directory.Step{CallbackOffer: &directory.CallbackOffer{Text: "greeting", Key: "1", Widget: "site"}})
		out := s.arrive(t, fromClient(), scripted.Phone{}.Presses(time.Second, "1"))
		s.ends(t, out, call.CallbackRequested, 4*time.Second)
		if !slices.Equal(s.later, []string{"site +79161234567"}) {
			t.Errorf("planned %v", s.later)
		}
	})
}

func TestRoutesThatLeadInACircleEnd(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.office(directory.Step{Route: &directory.ToRoute{Name: "all"}})
		s.ends(t, s.arrive(t, fromClient(), scripted.Phone{}), call.NoAnswer, 0)
	})
}

func TestAnOperatorCallsAColleague(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.office()
		s.ends(t, s.arrive(t, fromOperator("102"), scripted.Phone{}), call.Completed, 12*time.Second)
		s.has(t,
			"0s call.created 101",
			"0s leg.arrived o1 101 101 102",
			"0s leg.dialing o2 102 101",
			"2s joined o2 o1",
		)
		if s.tapes.tracks["o1"] != recording.Left || s.tapes.tracks["o2"] != recording.Right {
			t.Errorf("recorded on %v", s.tapes.tracks)
		}
		if d := s.engine.Dials()[0]; d.CallerName != "Name 101" {
			t.Errorf("%+v", d.Dial)
		}
	})
}

func TestCallWaitingIsOffByDefault(t *testing.T) {
	for _, waiting := range []bool{false, true} {
		try(t, func(t *testing.T, s *stage) {
			s.office()
			s.operators["102"] = directory.Operator{Extension: "102", CallWaiting: waiting}
			s.engine.SetDeviceState("102", telephony.InUse)
			out := s.arrive(t, fromOperator("102"), scripted.Phone{})
			if waiting {
				s.ends(t, out, call.Completed, 12*time.Second)
				return
			}
			s.ends(t, out, call.Busy, otherText)
			if told := s.engine.Told("o1"); !slices.Equal(told, []int{183, 486}) {
				t.Errorf("told %v", told)
			}
		})
	}
}

func TestAnOperatorCallsOut(t *testing.T) {
	for name, tt := range map[string]struct {
		dialled string
		set     func(*stage)
		status  call.Status
		lines   []string
	}{
		"through the account's trunks in order": {"84951234567", func(*stage) {}, call.Completed, []string{
			"0s call.created +74951234567", "0s leg.arrived o1 101 101 84951234567", "0s leg.dialing c1 +74951234567 another", "3s joined o1 c1",
		}},
		"by his own trunk and number": {"84951234567", func(s *stage) {
			s.operators["101"] = directory.Operator{Extension: "101", Trunks: []string{"main"}, CallerID: "+74950000000"}
		}, call.Completed, []string{"0s leg.dialing c1 +74951234567 main +74950000000"}},
		"the next trunk when one fails": {"84951234567", func(s *stage) {
			s.engine.Trunk("another", scripted.Refuses(0, 503))
		}, call.Completed, []string{"0s leg.failed c1 another 503", "0s leg.dialing c1.2 +74951234567 main"}},
		"abroad is not allowed by default": {"+4930123456", func(*stage) {}, call.NotAllowed, nil},
		"abroad where it is allowed": {"+4930123456", func(s *stage) {
			s.operators["101"] = directory.Operator{Extension: "101", Outbound: directory.OutboundAny}
			s.engine.Phone("+4930123456", scripted.Answers(time.Second).HangsUp(time.Second))
		}, call.Completed, nil},
		"nowhere": {"84951234567", func(s *stage) {
			s.operators["101"] = directory.Operator{Extension: "101", Outbound: directory.OutboundNone}
		}, call.NotAllowed, nil},
		"what is no number": {"abc", func(*stage) {}, call.NoRoute, nil},
		"busy":              {"84951234567", func(s *stage) { s.engine.Phone("+74951234567", scripted.Refuses(time.Second, 486)) }, call.ClientBusy, nil},
		"not there":         {"84951234567", func(s *stage) { s.engine.Phone("+74951234567", scripted.Refuses(time.Second, 404)) }, call.ClientUnknown, nil},
	} {
		t.Run(name, func(t *testing.T) {
			try(t, func(t *testing.T, s *stage) {
				s.office()
				s.engine.Phone("+74951234567", scripted.Answers(3*time.Second).HangsUp(5*time.Second))
				tt.set(s)
				if out := s.arrive(t, fromOperator(tt.dialled), scripted.Phone{}); out.Status != tt.status {
					t.Errorf("%v\n%s", out.Status, s.timeline())
				}
				s.has(t, tt.lines...)
				if tt.status == call.NotAllowed && len(s.engine.Dials()) > 0 {
					t.Error("it was dialled")
				}
			})
		})
	}
}

func TestAnOperatorHearsWhyACallWasRefused(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.office()
		s.arrive(t, fromOperator("+4930123456"), scripted.Phone{})
		heard := strings.Join(s.heard("o1"), "\n")
		if !strings.Contains(heard, prompts.Text("ru", prompts.NumberForbidden)) {
			t.Errorf("heard %s", heard)
		}
		if told := s.engine.Told("o1"); !slices.Equal(told, []int{183, 403}) {
			t.Errorf("told %v", told)
		}
	})
}

func TestACallInIsEndedFromOutside(t *testing.T) {
	for cause, status := range map[error]call.Status{ErrCancelled: call.Cancelled, ErrStopped: call.Interrupted} {
		try(t, func(t *testing.T, s *stage) {
			s.office(ringOperator("101"))
			s.end, s.endAfter = cause, 5*time.Second
			s.ends(t, s.arrive(t, fromClient(), scripted.Phone{}), status, 5*time.Second)
		})
	}
}
