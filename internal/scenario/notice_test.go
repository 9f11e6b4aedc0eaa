package scenario

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/media/tone"
	"github.com/perezvon/perezvon/internal/speech/prompts"
	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/scripted"
)

// shelf keeps notices in memory.
type shelf struct {
	notices map[string]directory.Notice
	clips   map[string]*audio.Clip // by extension
	err     error                  // of whatever is asked
}

func (s *shelf) Find(_ context.Context, _, extension string) (directory.Notice, bool, error) {
	n, ok := s.notices[extension]
	return n, ok, s.err
}

func (s *shelf) Sound(_ context.Context, n directory.Notice) (*audio.Clip, error) {
	c, ok := s.clips[n.Extension]
	if !ok {
		return nil, errors.New("the file is gone")
	}
	return c, nil
}

func (s *shelf) Record(ctx context.Context, _, extension string, said *audio.Clip) (directory.Notice, bool, error) {
	if err := errors.Join(s.err, ctx.Err()); err != nil || len(said.Samples) == 0 {
		return directory.Notice{}, false, err
	}
	n := directory.Notice{Extension: extension, Enabled: true, Source: directory.NoticeRecorded, Length: said.Duration()}
	s.notices[extension], s.clips[extension] = n, said
	return n, true, nil
}

func (s *shelf) Delete(_ context.Context, _, extension string) (bool, error) {
	_, ok := s.notices[extension]
	delete(s.notices, extension)
	return ok, s.err
}

// withNotices is an office where the operator 101 has a notice of four seconds
// that is on, 102 one that is off, and 103 none.
func (s *stage) withNotices(steps ...directory.Step) {
	s.office(steps...)
	recorded := directory.Notice{Extension: "101", Enabled: true, Source: directory.NoticeRecorded}
	s.notices = &shelf{
		notices: map[string]directory.Notice{"101": recorded, "102": {Extension: "102", Source: directory.NoticeText, Text: "off"}},
		clips:   map[string]*audio.Clip{"101": {Key: "notice:101", Rate: 10, Samples: make([]int16, 40)}},
	}
	s.noticeRules = NoticeRules{Code: "*600", On: Missed()}
}

func russian(id prompts.ID) string { return prompts.Text("ru", id) }

// said checks that these prompts were heard on o1, of those that are no
// silence.
func (s *stage) said(t *testing.T, want ...prompts.ID) {
	t.Helper()
	var got []string
	for _, h := range s.engine.Heard("o1") {
		if h.Key != "" && h.Key != tone.BeepKey {
			got = append(got, h.Key)
		}
	}
	texts := make([]string, len(want))
	for i, id := range want {
		texts[i] = russian(id)
	}
	if !slices.Equal(got, texts) {
		t.Errorf("heard %q, want %q", got, texts)
	}
}

func TestTheOperatorRecordsHisNoticeByTheServiceCode(t *testing.T) {
	for name, tt := range map[string]struct {
		phone  scripted.Phone
		length time.Duration
		thanks bool
	}{
		// The menu is said for 3 s, «Говорите» for 3 s, the tone lasts 200 ms.
		"any key ends it":         {scripted.Phone{}.Presses(time.Second, "1").Presses(9200*time.Millisecond, "7"), 5 * time.Second, true},
		"a hang-up keeps it":      {scripted.Phone{}.Presses(time.Second, "1").HangsUp(9200 * time.Millisecond), 5 * time.Second, false},
		"at most a minute":        {scripted.Phone{}.Presses(time.Second, "1"), time.Minute, true},
		"keys before the tone":    {scripted.Phone{}.Presses(time.Second, "123").Presses(6200*time.Millisecond, "#"), 2 * time.Second, true},
		"the mark after the menu": {scripted.Phone{}.Presses(4*time.Second, "1").Presses(9200*time.Millisecond, "#"), 2 * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			try(t, func(t *testing.T, s *stage) {
				s.withNotices()
				delete(s.notices.notices, "101")
				out := s.arrive(t, fromOperator("*600"), tt.phone.Hums())
				if out.Status != call.Announced {
					t.Errorf("%v\n%s", out.Status, s.timeline())
				}
				n, clip := s.notices.notices["101"], s.notices.clips["101"]
				if !n.Enabled || clip.Duration() != tt.length || tone.Strength(clip.Samples, clip.Rate, 440) < 0.9 {
					t.Errorf("%+v of %v\n%s", n, clip.Duration(), s.timeline())
				}
				want := []prompts.ID{prompts.NoticeMenu, prompts.NoticeRecord}
				if tt.thanks {
					want = append(want, prompts.NoticeThanks)
				}
				s.said(t, want...)
				s.has(t, "0s call.created 101", "0s leg.arrived o1 101 101 *600", "0s leg.answered o1 101")
				if !strings.Contains(s.timeline(), "notice.recorded 101") {
					t.Errorf("%s", s.timeline())
				}
				s.hasNot(t, "recording.started") // the take is no call recording
			})
		})
	}
}

func TestTheBeepComesBeforeTheRecording(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.withNotices()
		s.arrive(t, fromOperator("*600"), scripted.Phone{}.Presses(time.Second, "1").Presses(9*time.Second, "#"))
		s.has(t, "4s prompt.ended o1 notice (finished)", "4s prompt.started o1 beep", "4.2s prompt.ended o1 beep (finished)",
			"4.2s wait o1 (while the notice is recorded)")
	})
}

func TestTheMarksOfTheServiceCode(t *testing.T) {
	const menu, wrong = prompts.NoticeMenu, prompts.WrongKey
	for name, tt := range map[string]struct {
		operator string
		phone    scripted.Phone
		said     []prompts.ID
		there    bool // a notice, afterwards
		event    string
	}{
		"2 deletes":                      {"101", scripted.Phone{}.Presses(time.Second, "2"), []prompts.ID{menu, prompts.NoticeDeleted}, false, "notice.deleted 101"},
		"2 without a notice":             {"103", scripted.Phone{}.Presses(time.Second, "2"), []prompts.ID{menu, prompts.NoticeDeleted}, false, ""},
		"3 without a notice":             {"103", scripted.Phone{}.Presses(time.Second, "3").HangsUp(5 * time.Second), []prompts.ID{menu, prompts.NoticeNone, menu}, false, ""},
		"another key: asked three times": {"101", scripted.Phone{}.Presses(time.Second, "4").Presses(5*time.Second, "5").Presses(9*time.Second, "*"), []prompts.ID{menu, wrong, menu, wrong, menu, wrong}, true, ""},
		"no key: asked three times":      {"101", scripted.Phone{}, []prompts.ID{menu, menu, menu}, true, ""},
		"a hang-up before a mark":        {"101", scripted.Phone{}.HangsUp(time.Second), []prompts.ID{menu}, true, ""},
		"nothing is said":                {"101", scripted.Phone{}.Presses(time.Second, "1").Presses(6*time.Second, "#"), []prompts.ID{menu, prompts.NoticeRecord, prompts.NoticeNone}, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			try(t, func(t *testing.T, s *stage) {
				s.withNotices()
				out := s.arrive(t, telephony.Info{From: "x", To: "*600", Operator: tt.operator}, tt.phone)
				if out.Status != call.Announced {
					t.Errorf("%v\n%s", out.Status, s.timeline())
				}
				s.said(t, tt.said...)
				if _, there := s.notices.notices[tt.operator]; there != tt.there {
					t.Errorf("there is one: %v", there)
				}
				if !strings.Contains(s.timeline(), tt.event) {
					t.Errorf("no %s in\n%s", tt.event, s.timeline())
				}
			})
		})
	}
}

func TestTheOperatorListensToHisNotice(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.withNotices()
		s.arrive(t, fromOperator("*600"), scripted.Phone{}.Presses(time.Second, "3").Presses(6*time.Second, "2"))
		if got := s.heard("o1"); !slices.Contains(got, "notice:101 1s-5s") {
			t.Errorf("%q", got)
		}
		if _, there := s.notices.notices["101"]; there {
			t.Error("having listened, he could not delete it")
		}
	})
}

// Whose notice it is, the authenticated phone tells, and not what it claims.
func TestTheNoticeIsThatOfTheAuthenticatedPhone(t *testing.T) {
	for _, claim := range []string{"102", "../102", `102"; rm -rf /`, "１０２", "102 103", ""} {
		try(t, func(t *testing.T, s *stage) {
			s.withNotices()
			s.arrive(t, telephony.Info{From: claim, FromName: claim, To: "*600", Operator: "103"}, scripted.Phone{}.Hums().Presses(time.Second, "1").Presses(6*time.Second, "#"))
			if _, there := s.notices.notices["103"]; !there || len(s.notices.notices) != 3 {
				t.Errorf("%q: %v", claim, s.notices.notices)
			}
		})
	}
}

// What is not exactly the code is a number like any other, and from a trunk the
// code means nothing.
func TestOnlyTheCodeItselfFromAnOperatorsPhone(t *testing.T) {
	for _, dialled := range []string{"*60", "*6000", "*600;rm -rf /", "*600\x00", "＊600", "../*600", "*600 "} {
		try(t, func(t *testing.T, s *stage) {
			s.withNotices()
			if out := s.arrive(t, fromOperator(dialled), scripted.Phone{}); out.Status != call.NoRoute {
				t.Errorf("%q: %v", dialled, out.Status)
			}
			s.said(t, prompts.NumberUnknown)
		})
	}
	try(t, func(t *testing.T, s *stage) {
		s.withNotices()
		s.plan.routes = nil
		s.ends(t, s.arrive(t, telephony.Info{From: "101", To: "*600", Trunk: "main"}, scripted.Phone{}), call.NoRoute, 0)
	})
	try(t, func(t *testing.T, s *stage) {
		s.withNotices()
		s.noticeRules.Code = ""
		if out := s.arrive(t, fromOperator("*600"), scripted.Phone{}); out.Status != call.NoRoute {
			t.Errorf("switched off: %v", out.Status)
		}
	})
}

func TestNothingTakesThePlaceOfTheCode(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.withNotices()
		s.operators["*600"] = directory.Operator{Extension: "*600"}
		s.plan.queues = map[string]directory.Queue{"*600": {Name: "*600"}}
		s.arrive(t, fromOperator("*600"), scripted.Phone{}.HangsUp(time.Second))
		s.said(t, prompts.NoticeMenu)
	})
}

func TestWhoMayUseTheCodeIsAMaskOfExtensions(t *testing.T) {
	mask, err := directory.ParseMask("_1X3")
	if err != nil {
		t.Fatal(err)
	}
	for operator, allowed := range map[string]bool{"101": false, "103": true} {
		try(t, func(t *testing.T, s *stage) {
			s.withNotices()
			s.noticeRules.Allow = []directory.Mask{mask}
			out := s.arrive(t, telephony.Info{From: operator, To: "*600", Operator: operator}, scripted.Phone{})
			if (out.Status == call.Announced) != allowed {
				t.Errorf("%s: %v", operator, out.Status)
			}
			if allowed {
				return
			}
			s.said(t, prompts.NumberForbidden)
			if told := s.engine.Told("o1"); !slices.Equal(told, []int{183, 403}) || out.Status != call.NotAllowed {
				t.Errorf("%v, %v", told, out.Status)
			}
		})
	}
}

func TestWhoDoesNotReachAnOperatorHearsHisNotice(t *testing.T) {
	for name, tt := range map[string]struct {
		set  func(*stage)
		why  string
		from time.Duration
	}{
		"no answer":       {func(s *stage) { s.engine.Phone("101", scripted.RingsOn()) }, MissedNoAnswer, 30 * time.Second},
		"busy":            {func(s *stage) { s.engine.SetDeviceState("101", telephony.InUse) }, MissedBusy, 0},
		"busy, he says":   {func(s *stage) { s.engine.Phone("101", scripted.Refuses(time.Second, 486)) }, MissedBusy, time.Second},
		"declined":        {func(s *stage) { s.engine.Phone("101", scripted.Refuses(time.Second, 603)) }, MissedBusy, time.Second},
		"not registered":  {func(s *stage) { s.engine.SetDeviceState("101", telephony.Unavailable) }, MissedUnavailable, 0},
		"gone since then": {func(s *stage) { s.engine.Phone("101", scripted.Unreachable(404, "Not Found")) }, MissedUnavailable, 0},
		"paused":          {func(s *stage) { s.operators["101"] = directory.Operator{Extension: "101", Paused: true} }, MissedNoAnswer, 0},
	} {
		t.Run(name, func(t *testing.T) {
			for _, on := range []bool{true, false} { // each is a switch
				try(t, func(t *testing.T, s *stage) {
					s.withNotices(ringOperator("101"))
					tt.set(s)
					if !on {
						s.noticeRules.On = slices.DeleteFunc(Missed(), func(m string) bool { return m == tt.why })
					}
					out := s.arrive(t, fromClient(), scripted.Phone{})
					if !on {
						s.ends(t, out, call.NoAnswer, tt.from)
						s.hasNot(t, "notice.played")
						return
					}
					s.ends(t, out, call.NoAnswer, tt.from+4*time.Second) // by default the call ends then
					s.has(t, tt.from.String()+" leg.answered c1", tt.from.String()+" notice.played c1 101", tt.from.String()+" prompt.started c1 notice")
					got := s.heard("c1")
					want := "notice:101 " + tt.from.String() + "-" + (tt.from + 4*time.Second).String()
					if len(got) == 0 || got[len(got)-1] != want {
						t.Errorf("heard %q, want %q last", got, want)
					}
					if told := s.engine.Told("c1"); told[len(told)-1] != 200 {
						t.Errorf("told %v", told)
					}
					for _, e := range s.journal.events {
						if e.Type == call.NoticePlayed && e.Reason != tt.why {
							t.Errorf("because of %s, want %s", e.Reason, tt.why)
						}
					}
				})
			}
		})
	}
}

func TestAfterTheNoticeTheRouteGoesOn(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.withNotices(ringOperator("101"), ringOperator("103"))
		s.engine.Phone("101", scripted.RingsOn())
		s.ends(t, s.arrive(t, fromClient(), scripted.Phone{}), call.Completed, 46*time.Second)
		s.has(t, "30s notice.played c1 101", "34s leg.dialing o2 103 +79161234567", "36s joined o2 c1")
	})
}

func TestWhoIsReachedIsNotReplacedByHisNotice(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.withNotices(ringOperator("101"))
		s.ends(t, s.arrive(t, fromClient(), scripted.Phone{}), call.Completed, 12*time.Second)
		s.hasNot(t, "notice.played")
	})
}

func TestTheCallerMayHangUpDuringTheNotice(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.withNotices(ringOperator("101"), ringOperator("103"))
		s.engine.Phone("101", scripted.RingsOn())
		s.ends(t, s.arrive(t, fromClient(), scripted.Phone{}.HangsUp(31*time.Second)), call.Abandoned, 31*time.Second)
		s.hasNot(t, " 103")
	})
}

func TestANoticeThatIsOffOrCannotBeHeardIsNotHeard(t *testing.T) {
	for name, tt := range map[string]struct {
		operator string
		set      func(*stage)
	}{
		"off":                 {"102", func(*stage) {}},
		"none":                {"103", func(*stage) {}},
		"the file is gone":    {"101", func(s *stage) { s.notices.clips = nil }},
		"the database is ill": {"101", func(s *stage) { s.notices.err = errors.New("ill") }},
		"no notices at all":   {"101", func(s *stage) { s.notices = nil }},
	} {
		t.Run(name, func(t *testing.T) {
			try(t, func(t *testing.T, s *stage) {
				s.withNotices(ringOperator(tt.operator))
				s.engine.Phone(tt.operator, scripted.RingsOn())
				tt.set(s)
				s.ends(t, s.arrive(t, fromClient(), scripted.Phone{}), call.NoAnswer, 30*time.Second)
				s.hasNot(t, "leg.answered c1") // nobody pays for nothing
			})
		})
	}
}

func TestATextIsSpokenInPlaceOfARecording(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.withNotices(ringOperator("102"))
		s.notices.notices["102"] = directory.Notice{Extension: "102", Enabled: true, Source: directory.NoticeText, Text: "Я в отпуске"}
		s.engine.SetDeviceState("102", telephony.InUse)
		s.ends(t, s.arrive(t, fromClient(), scripted.Phone{}), call.NoAnswer, otherText)
		if got := s.heard("c1"); !slices.Equal(got, []string{"Я в отпуске 0s-3s"}) {
			t.Errorf("%q", got)
		}
	})
}

func TestTheTemplateTakesThePlaceOfADeletedNotice(t *testing.T) {
	for operator, want := range map[string][]string{"103": {"template 0s-3s"}, "102": nil} { // 102's is off, not deleted
		try(t, func(t *testing.T, s *stage) {
			s.withNotices(ringOperator(operator))
			s.noticeRules.Template = "template"
			s.engine.SetDeviceState(operator, telephony.InUse)
			s.arrive(t, fromClient(), scripted.Phone{})
			if got := s.heard("c1"); !slices.Equal(got, want) {
				t.Errorf("%s: %q", operator, got)
			}
		})
	}
}

func TestAColleagueHearsTheNoticeToo(t *testing.T) {
	for name, tt := range map[string]struct {
		phone  scripted.Phone
		status call.Status
		after  time.Duration
	}{
		"no answer":      {scripted.RingsOn(), call.NoAnswer, 64 * time.Second},
		"busy":           {scripted.Refuses(time.Second, 486), call.Busy, 5 * time.Second},
		"not registered": {scripted.Unreachable(404, "Not Found"), call.Unavailable, 4 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			try(t, func(t *testing.T, s *stage) {
				s.withNotices()
				s.engine.Phone("101", tt.phone)
				s.ends(t, s.arrive(t, telephony.Info{From: "103", To: "101", Operator: "103"}, scripted.Phone{}), tt.status, tt.after)
				got := s.heard("o1")
				if len(got) == 0 || !strings.HasPrefix(got[len(got)-1], "notice:101 ") {
					t.Errorf("%q", got)
				}
			})
		})
	}
}

func TestACallOutHasNoNotice(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.withNotices()
		s.noticeRules.Template = "template"
		out := s.arrive(t, fromOperator("84951234567"), scripted.Phone{})
		s.hasNot(t, "notice.played")
		if out.Status == call.Completed {
			t.Error("somebody answered: the test is none")
		}
	})
}

// The responsible operator's calls go on to the next step at once.
func TestTheResponsibleOperatorsNoticeIsNotHeard(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.withNotices(responsible(), ringOperator("103"))
		s.knows = map[string]string{"+79161234567": "101"}
		s.engine.Phone("101", scripted.RingsOn())
		s.ends(t, s.arrive(t, fromClient(), scripted.Phone{}), call.Completed, 27*time.Second)
		s.hasNot(t, "notice.played")
	})
}

func TestARecordingThatCannotBeStoredIsToldSo(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.withNotices()
		s.notices.err = errors.New("the disk is full")
		out := s.arrive(t, fromOperator("*600"), scripted.Phone{}.Hums().Presses(time.Second, "1").Presses(6*time.Second, "#"))
		if out.Status != call.Announced {
			t.Errorf("%v", out.Status)
		}
		s.said(t, prompts.NoticeMenu, prompts.NoticeRecord, prompts.NotAvailable)
		s.hasNot(t, "notice.recorded")
	})
}
