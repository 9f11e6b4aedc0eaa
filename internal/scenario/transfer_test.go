package scenario

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/telephony/scripted"
)

// way is a kind of call in which 101 talks from its very beginning, and so with
// whom: the times of both phones' scripts are those of the conversation.
type way struct {
	name string
	// kept is whom 101 talks to: the operator 104, or the client.
	kept string
	run  func(s *stage, t tester, by, kept scripted.Phone) Outcome
}

var ways = []way{
	{"callback", "client", func(s *stage, t tester, by, kept scripted.Phone) Outcome {
		s.packet = callback.Packet{
			Managers: callback.Managers{{SIP: "101"}}, Client: clientNumber, Trunk: "main", Greeting: "nothing", ConnectingText: "nothing", ClientDelayMS: ptr(0), AfterCallS: ptr(0),
		}
		s.engine.Phone("101", by, scripted.Answers(2*time.Second).HangsUp(10*time.Second))
		s.engine.Phone(clientNumber, kept)
		return s.run(t)
	}},
	{"inbound", "client", func(s *stage, t tester, by, kept scripted.Phone) Outcome {
		s.engine.Phone("101", by, scripted.Answers(2*time.Second).HangsUp(10*time.Second))
		s.plan.routes = []directory.Route{{Name: "all", Steps: directory.Steps{ringOperator("101")}}}
		return s.arrive(t, fromClient(), kept)
	}},
	{"outbound", "client", func(s *stage, t tester, by, kept scripted.Phone) Outcome {
		s.engine.Phone("101", scripted.Answers(2*time.Second).HangsUp(10*time.Second))
		s.engine.Phone(clientNumber, kept)
		return s.arrive(t, fromOperator("89161234567"), by)
	}},
	{"to a colleague", "104", func(s *stage, t tester, by, kept scripted.Phone) Outcome {
		s.engine.Phone("101", scripted.Answers(2*time.Second).HangsUp(10*time.Second))
		s.engine.Phone("104", kept)
		return s.arrive(t, fromOperator("104"), by)
	}},
	{"from a colleague", "104", func(s *stage, t tester, by, kept scripted.Phone) Outcome {
		s.engine.Phone("101", by, scripted.Answers(2*time.Second).HangsUp(10*time.Second))
		info := fromOperator("101")
		info.From, info.Operator = "104", "104"
		return s.arrive(t, info, kept)
	}},
}

// outcomes of a transfer, written with the names of who they are: 101's second
// leg is 101/2.
type passes struct {
	by, kept, c102, c103 scripted.Phone
	talks                []string // who heard whom
	kept2                []string // what who is passed on heard, in order, without times
	stages               []string // of a client's call
	responsible          string
	told                 []int // by REFER
}

func answers(after time.Duration) scripted.Phone { return scripted.Answers(after) }

// names of the legs by whose they are.
func (s *stage) whose(w way) map[string]string {
	names, count := map[string]string{}, map[string]int{}
	for _, e := range s.journal.events {
		if e.Type != call.Answered && e.Type != call.Arrived || names[e.Leg] != "" {
			continue
		}
		who := e.Operator
		if e.Role == call.Client && e.Operator == "" {
			who = "client"
		} else if who == "" {
			who = e.Number
		}
		count[who]++
		name := who
		if count[who] > 1 {
			name = fmt.Sprintf("%s/%d", who, count[who])
		}
		if name == w.kept {
			name = "kept"
		}
		names[e.Leg] = name
	}
	return names
}

func (s *stage) talksOf(w way) []string {
	names := s.whose(w)
	var list []string
	for _, t := range s.engine.Talks() {
		a, b := names[t.A], names[t.B]
		if a > b {
			a, b = b, a
		}
		list = append(list, fmt.Sprintf("%s-%s %v-%v", a, b, t.From, t.To))
	}
	slices.Sort(list)
	return list
}

// call is what the events make of the call.
func (s *stage) call() call.Call {
	var c call.Call
	for _, e := range s.journal.events {
		c.Apply(e)
	}
	return c
}

func (s *stage) stagesOf() []string {
	var list []string
	for _, g := range s.call().Stages {
		list = append(list, fmt.Sprintf("%s %v-%v %s", g.Operator, g.From.Sub(s.began), g.To.Sub(s.began), g.Outcome))
	}
	return list
}

const (
	theMusic    = "tone:music"
	theRingback = "tone:ringback"
)

var transfers = map[string]passes{
	"*2: the operator talks to the colleague, hanging up completes it": {
		by: answers(0).Presses(5*sec, "*2102#").HangsUp(20 * sec), kept: answers(0).HangsUp(30 * sec), c102: answers(3 * sec),
		talks:  []string{"101-102 8s-20s", "101-kept 0s-5s", "102-kept 20s-30s"},
		kept2:  []string{theMusic},
		stages: []string{"101 0s-20s transferred", "102 20s-30s done"}, responsible: "102",
	},
	"*2: without # the dialling ends after three seconds": {
		by: answers(0).Presses(5*sec, "*2102").HangsUp(20 * sec), kept: answers(0).HangsUp(30 * sec), c102: answers(3 * sec),
		talks:  []string{"101-102 11s-20s", "101-kept 0s-5s", "102-kept 20s-30s"},
		kept2:  []string{theMusic},
		stages: []string{"101 0s-20s transferred", "102 20s-30s done"}, responsible: "102",
	},
	"*2: hanging up before the colleague answers makes it blind": {
		by: answers(0).Presses(5*sec, "*2102#").HangsUp(7 * sec), kept: answers(0).HangsUp(30 * sec), c102: answers(5 * sec),
		talks:  []string{"101-kept 0s-5s", "102-kept 10s-30s"},
		kept2:  []string{theMusic, theRingback},
		stages: []string{"101 0s-7s transferred", "102 10s-30s done"}, responsible: "102",
	},
	"*2, hung up early, and nobody answers: it returns": {
		by: answers(0).Presses(5*sec, "*2102#").HangsUp(7 * sec), kept: answers(0).HangsUp(40 * sec), c102: scripted.RingsOn(),
		talks:  []string{"101-kept 0s-5s", "101/2-kept 27s-37s"},
		kept2:  []string{theMusic, theRingback, theRingback},
		stages: []string{"101 0s-7s transferred", "101 27s-37s done"}, responsible: "101",
	},
	"*1 goes back to the client": {
		by: answers(0).Presses(5*sec, "*2102#").Presses(12*sec, "*1").HangsUp(20 * sec), kept: answers(0).HangsUp(30 * sec), c102: answers(3 * sec),
		talks:  []string{"101-102 8s-12s", "101-kept 0s-5s", "101-kept 12s-20s"},
		kept2:  []string{theMusic},
		stages: []string{"101 0s-20s done"}, responsible: "101",
	},
	"*1 while the colleague's phone rings": {
		by: answers(0).Presses(5*sec, "*2102#").Presses(7*sec, "*1").HangsUp(20 * sec), kept: answers(0).HangsUp(30 * sec), c102: answers(3 * sec),
		talks:  []string{"101-kept 0s-5s", "101-kept 7s-20s"},
		kept2:  []string{theMusic},
		stages: []string{"101 0s-20s done"}, responsible: "101",
	},
	"*3 joins all three; who transferred leaves": {
		by: answers(0).Presses(5*sec, "*2102#").Presses(12*sec, "*3").HangsUp(20 * sec), kept: answers(0).HangsUp(30 * sec), c102: answers(3 * sec),
		talks:  []string{"101-102 12s-20s", "101-102 8s-12s", "101-kept 0s-5s", "101-kept 12s-20s", "102-kept 12s-20s", "102-kept 20s-30s"},
		kept2:  []string{theMusic},
		stages: []string{"101 0s-20s transferred", "102 12s-30s done"}, responsible: "102",
	},
	"*3 joins all three; the colleague leaves": {
		by: answers(0).Presses(5*sec, "*2102#").Presses(12*sec, "*3").HangsUp(25 * sec), kept: answers(0).HangsUp(30 * sec), c102: answers(3 * sec).HangsUp(9 * sec),
		talks:  []string{"101-102 12s-17s", "101-102 8s-12s", "101-kept 0s-5s", "101-kept 12s-17s", "101-kept 17s-25s", "102-kept 12s-17s"},
		kept2:  []string{theMusic},
		stages: []string{"101 0s-25s done", "102 12s-17s done"}, responsible: "102",
	},
	"*3 joins all three; the client leaves": {
		by: answers(0).Presses(5*sec, "*2102#").Presses(12*sec, "*3").HangsUp(40 * sec), kept: answers(0).HangsUp(30 * sec), c102: answers(3 * sec),
		talks:  []string{"101-102 12s-30s", "101-102 8s-12s", "101-kept 0s-5s", "101-kept 12s-30s", "102-kept 12s-30s"},
		kept2:  []string{theMusic},
		stages: []string{"101 0s-30s done", "102 12s-30s done"}, responsible: "102",
	},
	"*2: the colleague does not answer": {
		by: answers(0).Presses(5*sec, "*2102#").HangsUp(40 * sec), kept: answers(0).HangsUp(60 * sec), c102: scripted.RingsOn(),
		talks:  []string{"101-kept 0s-5s", "101-kept 28s-40s"}, // told in 3 s
		kept2:  []string{theMusic},
		stages: []string{"101 0s-40s done"}, responsible: "101",
	},
	"*2: the colleague is busy": {
		by: answers(0).Presses(5*sec, "*2102#").HangsUp(40 * sec), kept: answers(0).HangsUp(60 * sec), c102: scripted.Refuses(sec, 486),
		talks:  []string{"101-kept 0s-5s", "101-kept 9s-40s"},
		kept2:  []string{theMusic},
		stages: []string{"101 0s-40s done"}, responsible: "101",
	},
	"*2: the colleague hangs up": {
		by: answers(0).Presses(5*sec, "*2102#").HangsUp(40 * sec), kept: answers(0).HangsUp(60 * sec), c102: answers(3 * sec).HangsUp(4 * sec),
		talks:  []string{"101-102 8s-12s", "101-kept 0s-5s", "101-kept 15s-40s"},
		kept2:  []string{theMusic},
		stages: []string{"101 0s-40s done"}, responsible: "101",
	},
	"*2: no such number": {
		by: answers(0).Presses(5*sec, "*2777#").HangsUp(40 * sec), kept: answers(0).HangsUp(60 * sec),
		talks:  []string{"101-kept 0s-5s", "101-kept 8s-40s"},
		kept2:  []string{theMusic},
		stages: []string{"101 0s-40s done"}, responsible: "101",
	},
	"*2 and no number": {
		by: answers(0).Presses(5*sec, "*2").HangsUp(40 * sec), kept: answers(0).HangsUp(60 * sec),
		talks:  []string{"101-kept 0s-5s", "101-kept 14s-40s"}, // 3 s invitation, 3 s pause, 3 s told
		kept2:  []string{theMusic},
		stages: []string{"101 0s-40s done"}, responsible: "101",
	},
	"*2: the client hangs up while the colleague is consulted": {
		by: answers(0).Presses(5*sec, "*2102#").HangsUp(40 * sec), kept: answers(0).HangsUp(15 * sec), c102: answers(3 * sec),
		talks:  []string{"101-102 8s-15s", "101-kept 0s-5s"},
		kept2:  []string{theMusic},
		stages: []string{"101 0s-15s done"}, responsible: "101",
	},
	"*2: the operator's phone vanishes while the colleague is consulted": {
		by: answers(0).Presses(5*sec, "*2102#").Vanishes(20 * sec), kept: answers(0).HangsUp(30 * sec), c102: answers(3 * sec),
		talks:  []string{"101-102 8s-20s", "101-kept 0s-5s", "102-kept 20s-30s"},
		kept2:  []string{theMusic},
		stages: []string{"101 0s-20s transferred", "102 20s-30s done"}, responsible: "102",
	},
	"## passes the client on at once": {
		by: answers(0).Presses(5*sec, "##102#").HangsUp(50 * sec), kept: answers(0).HangsUp(30 * sec), c102: answers(3 * sec),
		talks:  []string{"101-kept 0s-5s", "102-kept 8s-30s"},
		kept2:  []string{theRingback},
		stages: []string{"101 0s-5s transferred", "102 8s-30s done"}, responsible: "102",
	},
	"##: no answer returns": {
		by: answers(0).Presses(5*sec, "##102#").HangsUp(50 * sec), kept: answers(0).HangsUp(60 * sec), c102: scripted.RingsOn(),
		talks:  []string{"101-kept 0s-5s", "101/2-kept 27s-37s"},
		kept2:  []string{theRingback, theRingback},
		stages: []string{"101 0s-5s transferred", "101 27s-37s done"}, responsible: "101",
	},
	"##: busy returns": {
		by: answers(0).Presses(5*sec, "##102#").HangsUp(50 * sec), kept: answers(0).HangsUp(60 * sec), c102: scripted.Refuses(0, 486),
		talks:  []string{"101-kept 0s-5s", "101/2-kept 7s-17s"},
		kept2:  []string{theRingback},
		stages: []string{"101 0s-5s transferred", "101 7s-17s done"}, responsible: "101",
	},
	"##: unreachable returns": {
		by: answers(0).Presses(5*sec, "##102#").HangsUp(50 * sec), kept: answers(0).HangsUp(60 * sec), c102: scripted.Unreachable(480, "no phone"),
		talks:  []string{"101-kept 0s-5s", "101/2-kept 7s-17s"},
		kept2:  []string{theRingback},
		stages: []string{"101 0s-5s transferred", "101 7s-17s done"}, responsible: "101",
	},
	"##: a number that is not there leaves all as it was": {
		by: answers(0).Presses(5*sec, "##777#").HangsUp(40 * sec), kept: answers(0).HangsUp(60 * sec),
		talks:  []string{"101-kept 0s-5s", "101-kept 8s-40s"},
		kept2:  []string{theMusic},
		stages: []string{"101 0s-40s done"}, responsible: "101",
	},
	"##: the client hangs up while it rings": {
		by: answers(0).Presses(5*sec, "##102#").HangsUp(50 * sec), kept: answers(0).HangsUp(7 * sec), c102: answers(3 * sec),
		talks:  []string{"101-kept 0s-5s"},
		kept2:  []string{theRingback},
		stages: []string{"101 0s-5s transferred"}, responsible: "101",
	},
	"REFER is blind; the phone waits for the outcome": {
		by: answers(0).Refers(5*sec, "102", "").HangsUp(50 * sec), kept: answers(0).HangsUp(30 * sec), c102: answers(3 * sec),
		talks:  []string{"101-kept 0s-5s", "102-kept 8s-30s"},
		kept2:  []string{theRingback},
		stages: []string{"101 0s-5s transferred", "102 8s-30s done"}, responsible: "102", told: []int{200},
	},
	"REFER: the phone has hung up right after": {
		by: answers(0).RefersAndLeaves(5*sec, "102"), kept: answers(0).HangsUp(30 * sec), c102: answers(3 * sec),
		talks:  []string{"101-kept 0s-5s", "102-kept 8s-30s"},
		kept2:  []string{theRingback},
		stages: []string{"101 0s-5s transferred", "102 8s-30s done"}, responsible: "102", told: []int{200},
	},
	"REFER: no answer returns to the phone, which is there still": {
		by: answers(0).Refers(5*sec, "102", "").HangsUp(50 * sec), kept: answers(0).HangsUp(60 * sec), c102: scripted.RingsOn(),
		talks:  []string{"101-kept 0s-5s", "101-kept 25s-50s"},
		kept2:  []string{theRingback},
		stages: []string{"101 0s-5s transferred", "101 25s-50s done"}, responsible: "101", told: []int{408},
	},
	"REFER: no answer returns to the phone that has hung up": {
		by: answers(0).Refers(5*sec, "102", "").HangsUp(6 * sec), kept: answers(0).HangsUp(60 * sec), c102: scripted.RingsOn(),
		talks:  []string{"101-kept 0s-5s", "101/2-kept 27s-37s"},
		kept2:  []string{theRingback, theRingback},
		stages: []string{"101 0s-5s transferred", "101 27s-37s done"}, responsible: "101", told: []int{408},
	},
	"REFER to a number that is not there is declined": {
		by: answers(0).Refers(5*sec, "777", "").HangsUp(50 * sec), kept: answers(0).HangsUp(30 * sec),
		talks:  []string{"101-kept 0s-5s", "101-kept 8s-30s"},
		kept2:  []string{theMusic},
		stages: []string{"101 0s-30s done"}, responsible: "101", told: []int{404},
	},
	"## and REFER of the same phone are one transfer": {
		by: answers(0).Presses(5*sec, "##102").Refers(6*sec, "102", "").HangsUp(50 * sec), kept: answers(0).HangsUp(30 * sec), c102: answers(3 * sec),
		talks:  []string{"101-kept 0s-5s", "102-kept 9s-30s"},
		kept2:  []string{theMusic, theRingback},
		stages: []string{"101 0s-6s transferred", "102 9s-30s done"}, responsible: "102", told: []int{200},
	},
	"REFER and ## of the same phone are one transfer": {
		by: answers(0).Refers(5*sec, "102", "").Presses(6*sec, "##102#").HangsUp(50 * sec), kept: answers(0).HangsUp(30 * sec), c102: answers(3 * sec),
		talks:  []string{"101-kept 0s-5s", "102-kept 8s-30s"},
		kept2:  []string{theRingback},
		stages: []string{"101 0s-5s transferred", "102 8s-30s done"}, responsible: "102", told: []int{200},
	},
	"*2 and the transfer key instead of hanging up": {
		by: answers(0).Presses(5*sec, "*2102#").Refers(20*sec, "102", "").HangsUp(50 * sec), kept: answers(0).HangsUp(30 * sec), c102: answers(3 * sec),
		talks:  []string{"101-102 8s-20s", "101-kept 0s-5s", "102-kept 20s-30s"},
		kept2:  []string{theMusic},
		stages: []string{"101 0s-20s transferred", "102 20s-30s done"}, responsible: "102", told: []int{200},
	},
	"in a chain of three": {
		by: answers(0).Presses(5*sec, "*2102#").HangsUp(10 * sec), kept: answers(0).HangsUp(60 * sec),
		c102: answers(3*sec).Presses(12*sec, "##103#"), c103: answers(2*sec).Presses(8*sec, "*2101#").HangsUp(15 * sec),
		talks:  []string{"101-102 8s-10s", "101-kept 0s-5s", "101/2-103 32s-37s", "101/2-kept 37s-42s", "102-kept 10s-20s", "103-kept 22s-30s"},
		kept2:  []string{theMusic, theRingback, theMusic},
		stages: []string{"101 0s-10s transferred", "102 10s-20s transferred", "103 22s-37s transferred", "101 37s-42s done"}, responsible: "101",
	},
	"in a chain, the last is busy: it returns to who sent it": {
		by: answers(0).Presses(5*sec, "##102#"), kept: answers(0).HangsUp(30 * sec),
		c102: answers(3*sec).Presses(7*sec, "##103#"), c103: scripted.Refuses(0, 486),
		talks:  []string{"101-kept 0s-5s", "102-kept 8s-15s", "102/2-kept 18s-30s"},
		kept2:  []string{theRingback, theRingback},
		stages: []string{"101 0s-5s transferred", "102 8s-15s transferred", "102 18s-30s done"}, responsible: "102",
	},
}

func TestTransfersFromEveryKindOfCall(t *testing.T) {
	for name, tt := range transfers {
		for _, w := range ways {
			t.Run(name+"/"+w.name, func(t *testing.T) {
				try(t, func(t *testing.T, s *stage) {
					s.staff()
					s.engine.Phone("102", tt.c102, answers(3*sec))
					s.engine.Phone("103", tt.c103)
					if out := w.run(s, t, tt.by, tt.kept); out.Status != call.Completed {
						t.Errorf("ended as %v", out.Status)
					}
					same(t, "talks", s.talksOf(w), tt.talks)
					if w.kept == "client" {
						same(t, "stages", s.stagesOf(), tt.stages)
						if got := s.call().Responsible; got != tt.responsible {
							t.Errorf("responsible is %s, want %s", got, tt.responsible)
						}
					}
					by, kept := "", ""
					for leg, name := range s.whose(w) {
						switch name {
						case "101":
							by = leg
						case "kept":
							kept = leg
						}
					}
					var heard []string
					for _, h := range s.engine.Heard(kept) {
						if h.Key != "" && h.From > 0 && h.To > h.From {
							heard = append(heard, h.Key)
						}
					}
					same(t, "heard", heard, tt.kept2)
					same(t, "told by REFER", s.engine.Referred(by), tt.told)
					if keys := s.engine.Passed(by, kept); keys != "" {
						t.Errorf("the other heard the keys %s", keys)
					}
					if t.Failed() {
						t.Logf("\n%s", s.timeline())
					}
				})
			})
		}
	}
}

// legOf is the leg of that name.
func (s *stage) legOf(w way, name string) string {
	for leg, n := range s.whose(w) {
		if n == name {
			return leg
		}
	}
	return ""
}

// heardAfter is the sounds that a leg heard after the first moment of the
// conversation.
func (s *stage) heardAfter(leg string) []string {
	var list []string
	for _, h := range s.engine.Heard(leg) {
		if h.Key != "" && h.From > 0 && h.To > h.From {
			list = append(list, fmt.Sprintf("%s %v-%v", h.Key, h.From, h.To))
		}
	}
	return list
}

var busyPhone = scripted.Refuses(sec, 486)

// staff is the operators of the transfer tests.
func (s *stage) staff() {
	for _, extension := range []string{"101", "102", "103", "104"} {
		s.operators[extension] = directory.Operator{Extension: extension, Name: "Name " + extension, CallWaiting: true}
	}
	s.plan.trunks = []directory.Trunk{{Name: "main"}}
}

func same[T any](t *testing.T, what string, got, want []T) {
	t.Helper()
	if len(got) == 0 && len(want) == 0 {
		return
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}
