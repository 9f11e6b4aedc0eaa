package scenario

import (
	"testing"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/scripted"
)

// If the one who passed the client on is gone too, the route goes on.
func TestAClientWhomNobodyTookGetsTheNextStepOfTheRoute(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.staff()
		s.plan.routes = []directory.Route{{Name: "all", Steps: directory.Steps{ringOperator("101"), ringOperator("103")}}}
		s.engine.Phone("101", answers(0).Presses(5*sec, "##102#"), busyPhone)
		s.engine.Phone("102", busyPhone)
		s.engine.Phone("103", answers(2*sec).HangsUp(10*sec))
		out := s.arrive(t, fromClient(), answers(0))
		s.ends(t, out, call.Completed, 19*sec)
		same(t, "stages", s.stagesOf(), []string{"101 0s-5s transferred", "103 9s-19s done"})
		s.has(t, "6s transfer.failed o1 102 101", "6s transfer.returned o1 101", "6s leg.dialing o3 101 +79161234567", "7s leg.failed o3 486", "7s leg.dialing o4 103 +79161234567")
	})
}

// A caller of a queue waits in it again.
func TestAClientWhomNobodyTookIsBackInTheQueue(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.staff()
		q := directory.NewQueue("sales", "101", "103")
		q.Strategy = directory.StrategyLinear
		s.plan.queues = map[string]directory.Queue{"sales": q}
		s.plan.routes = []directory.Route{{Name: "all", Steps: directory.Steps{{Queue: &directory.ToQueue{Name: "sales"}}}}}
		s.engine.Phone("101", answers(0).Presses(5*sec, "##102#"), scripted.Refuses(0, 486))
		s.engine.Phone("102", scripted.Refuses(0, 486))
		s.engine.Phone("103", answers(2*sec).HangsUp(10*sec))
		out := s.arrive(t, fromClient(), answers(0))
		if out.Status != call.Completed {
			t.Errorf("ended as %v\n%s", out.Status, s.timeline())
		}
		if c := s.call(); c.Responsible != "103" || len(c.Stages) != 2 {
			t.Errorf("%+v\n%s", c.Stages, s.timeline())
		}
	})
}

// An operator may pass a client on to a queue.
func TestATransferIntoAQueue(t *testing.T) {
	for _, code := range []string{"##", "*2"} {
		for _, w := range ways[1:3] {
			t.Run(code+" "+w.name, func(t *testing.T) {
				try(t, func(t *testing.T, s *stage) {
					s.staff()
					s.plan.queues = map[string]directory.Queue{"500": directory.NewQueue("500", "102")}
					s.engine.Phone("102", answers(3*sec))
					out := w.run(s, t, answers(0).Presses(5*sec, code+"500#"), answers(0).HangsUp(30*sec))
					s.ends(t, out, call.Completed, 30*sec)
					same(t, "stages", s.stagesOf(), []string{"101 0s-5s transferred", "102 8s-30s done"})
				})
			})
		}
	}
}

// Without a route the call is over, as one in which both talked.
func TestAClientWhomNobodyTookAndNoRouteEndsTheCall(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.staff()
		s.engine.Phone("102", busyPhone)
		s.packet.Managers = callback.Managers{{SIP: "101"}}
		s.packet.Greeting, s.packet.ConnectingText, s.packet.ClientDelayMS = "nothing", "nothing", ptr(0)
		s.engine.Phone("101", answers(0).Presses(5*sec, "##102#"), busyPhone)
		s.engine.Phone(clientNumber, answers(0))
		s.ends(t, s.run(t), call.Completed, 7*sec)
	})
}

// The phone that rings again shows that the call returns.
func TestAReturnedCallIsToldByItsName(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.staff()
		s.engine.Phone("102", busyPhone)
		w := ways[1]
		w.run(s, t, answers(0).Presses(5*sec, "##102#"), answers(0).HangsUp(30*sec))
		dials := s.engine.Dials()
		if d := dials[2]; d.Operator != "101" || d.CallerID != clientNumber || d.CallerName != "Возврат: "+clientNumber {
			t.Errorf("%+v", d.Dial)
		}
		if d := dials[1]; d.CallerID != clientNumber || d.CallerName != "Ivanov" {
			t.Errorf("the colleague saw %+v", d.Dial)
		}
	})
}

// An operator may transfer wherever he may call, a callback's manager outside
// to operators only. A refusal is told, and the talk goes on.
func TestWhereToMayBeTransferred(t *testing.T) {
	manager := callback.ManagerTarget{Number: managerNumber}
	for name, tt := range map[string]struct {
		manager callback.ManagerTarget
		phones  []string // of operator 101, outside
		number  string
		code    string
	}{
		"an operator to an outside number":          {callback.ManagerTarget{SIP: "101"}, nil, "84957654321", "##"},
		"an operator abroad":                        {callback.ManagerTarget{SIP: "101"}, nil, "0012025550123", "##"},
		"an operator's own outside phone":           {callback.ManagerTarget{SIP: "101"}, []string{managerNumber}, "102", "##"},
		"a manager outside to an operator":          {manager, nil, "102", "##"},
		"a manager outside to an outside number":    {manager, nil, "84957654321", "##"},
		"a manager outside to the emergency number": {manager, nil, "112", "##"},
	} {
		t.Run(name, func(t *testing.T) {
			try(t, func(t *testing.T, s *stage) {
				s.staff()
				o := s.operators["101"]
				o.Phones = tt.phones
				s.operators["101"] = o
				s.packet.Managers = callback.Managers{tt.manager}
				s.packet.Greeting, s.packet.ConnectingText, s.packet.ClientDelayMS = "nothing", "nothing", ptr(0)
				by := answers(0).Presses(5*sec, tt.code+tt.number+"#").HangsUp(60 * sec)
				s.engine.Phone("101", by)
				if len(tt.phones) > 0 {
					s.engine.Phone("101", scripted.RingsOn())
				}
				s.engine.Phone(managerNumber, by)
				s.engine.Phone("102", answers(2*sec))
				s.engine.Phone("+74957654321", answers(2*sec))
				s.engine.Phone(clientNumber, answers(0).HangsUp(30*sec))
				s.ends(t, s.run(t), call.Completed, 30*sec)
				stages := s.stagesOf()
				switch name {
				case "an operator to an outside number":
					same(t, "stages", stages, []string{"101 0s-5s transferred", "+74957654321 7s-30s done"})
				case "an operator's own outside phone":
					same(t, "stages", stages, []string{"101 0s-5s transferred", "102 7s-30s done"})
				case "a manager outside to an operator":
					same(t, "stages", stages, []string{managerNumber + " 0s-5s transferred", "102 7s-30s done"})
				default:
					if len(stages) != 1 {
						t.Errorf("stages %v", stages)
					}
					s.has(t, "5s prompt.started m1 number-forbidden", "8s prompt.ended m1 number-forbidden (finished)")
				}
			})
		})
	}
}

// A colleague who was reached on an outside number has no codes.
func TestAnOutsideColleagueHasNoCodes(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.staff()
		s.engine.Phone("+74957654321", answers(2*sec).Presses(5*sec, "##102#"))
		w := ways[1]
		w.run(s, t, answers(0).Presses(5*sec, "##84957654321#"), answers(0).HangsUp(30*sec))
		same(t, "stages", s.stagesOf(), []string{"101 0s-5s transferred", "+74957654321 7s-30s done"})
	})
}

// A colleague who talks and has call waiting off is busy at once.
func TestAColleagueWhoTalksIsBusyAtOnce(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.staff()
		s.operators["102"] = directory.Operator{Extension: "102"}
		s.engine.Phone("102", answers(0))
		s.engine.SetDeviceState("102", telephony.InUse)
		w := ways[1]
		w.run(s, t, answers(0).Presses(5*sec, "*2102#"), answers(0).HangsUp(30*sec))
		s.has(t, "5s leg.failed o2 486", "5s transfer.failed o1 102 101", "5s prompt.started o1 number-busy")
		same(t, "talks", s.talksOf(w), []string{"101-kept 0s-5s", "101-kept 8s-30s"})
	})
}
