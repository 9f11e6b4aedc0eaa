package scenario

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/scripted"
)

// Specification §6: what the client's phone or the network says, and the
// status of the call.
func TestClientStatuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		phone  scripted.Phone
		status call.Status
		takes  time.Duration
	}{
		{"busy", scripted.Refuses(2*sec, 486), call.ClientBusy, 2 * sec},
		{"busy everywhere", scripted.Refuses(0, 600), call.ClientBusy, 0},
		{"busy by cause", scripted.Refuses(0, 480).Q850(17), call.ClientBusy, 0},
		{"declines", scripted.Refuses(5*sec, 603).Ringing(), call.ClientDeclined, 5 * sec},
		{"declines by cause", scripted.Refuses(0, 403).Q850(21), call.ClientDeclined, 0},
		{"no answer", scripted.RingsOn(), call.ClientNoAnswer, 45 * sec},
		{"no answer, early media", scripted.RingsOn().Early(), call.ClientNoAnswer, 45 * sec},
		{"no answer, carrier's limit", scripted.Refuses(30*sec, 480).Ringing(), call.ClientNoAnswer, 30 * sec},
		{"no answer by cause", scripted.Refuses(30*sec, 480).Q850(19), call.ClientNoAnswer, 30 * sec},
		{"phone off", scripted.Refuses(3*sec, 480), call.ClientUnavailable, 3 * sec},
		{"phone off by cause", scripted.Refuses(3*sec, 503).Q850(20), call.ClientUnavailable, 3 * sec},
		{"phone off after it rang", scripted.Refuses(3*sec, 503).Q850(18).Ringing(), call.ClientNoAnswer, 3 * sec},
		{"out of order", scripted.Refuses(0, 502).Q850(27), call.ClientUnavailable, 0},
		{"unknown", scripted.Refuses(0, 404), call.ClientUnknown, 0},
		{"unknown everywhere", scripted.Refuses(0, 604), call.ClientUnknown, 0},
		{"incomplete", scripted.Refuses(0, 484), call.ClientUnknown, 0},
		{"gone", scripted.Refuses(0, 410), call.ClientUnknown, 0},
		{"unallocated", scripted.Refuses(0, 500).Q850(1), call.ClientUnknown, 0},
		{"trunk dead", scripted.Silent(), call.ClientTrunkFailure, 45 * sec},
		{"trunk gives up", scripted.Refuses(32*sec, 408), call.ClientTrunkFailure, 32 * sec},
		{"trunk 503", scripted.Refuses(sec, 503), call.ClientTrunkFailure, sec},
		{"trunk refuses us", scripted.Refuses(0, 403), call.ClientTrunkFailure, 0},
		{"no circuit", scripted.Refuses(0, 480).Q850(34), call.ClientTrunkFailure, 0},
		{"network out of order", scripted.Refuses(0, 404).Q850(38), call.ClientTrunkFailure, 0},
		{"trunk full", scripted.Unreachable(503, "full"), call.ClientTrunkFailure, 0},
		{"no such trunk", scripted.Unreachable(404, "no such trunk"), call.ClientTrunkFailure, 0},
		{"no common codec", scripted.Refuses(0, 488), call.ClientTrunkFailure, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			try(t, func(t *testing.T, s *stage) {
				s.engine.Phone(managerNumber, scripted.Answers(0))
				s.engine.Phone(clientNumber, tt.phone)
				s.ends(t, s.run(t), tt.status, 6*sec+tt.takes)
				at := 6*sec + tt.takes
				s.has(t, "6s leg.dialing c1 +79161234567 main", fmt.Sprintf("%v leg.ended m1 us", at), fmt.Sprintf("%v call.ended %v", at, tt.status))
			})
		})
	}
}

func TestManagerStatuses(t *testing.T) {
	outside := callback.Managers{{Number: managerNumber}}
	operator := callback.Managers{{SIP: "101"}}
	for _, tt := range []struct {
		name    string
		manager callback.Managers
		phone   scripted.Phone
		status  call.Status
		takes   time.Duration
	}{
		{"no answer", outside, scripted.RingsOn(), call.ManagerNoAnswer, 30 * sec},
		{"phone off", outside, scripted.Refuses(sec, 480), call.ManagerNoAnswer, sec},
		{"unknown", outside, scripted.Refuses(0, 404), call.ManagerNoAnswer, 0},
		{"busy", outside, scripted.Refuses(sec, 486), call.ManagerBusy, sec},
		{"declines", outside, scripted.Refuses(4*sec, 603).Ringing(), call.ManagerDeclined, 4 * sec},
		{"trunk dead", outside, scripted.Silent(), call.ManagerTrunkFailure, 30 * sec},
		{"trunk 503", outside, scripted.Refuses(0, 503), call.ManagerTrunkFailure, 0},
		{"trunk down", outside, scripted.Unreachable(503, "down"), call.ManagerTrunkFailure, 0},
		{"operator's phone off", operator, scripted.Unreachable(480, "no phone"), call.ManagerNoAnswer, 0},
		{"operator busy", operator, scripted.Refuses(0, 486), call.ManagerBusy, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			try(t, func(t *testing.T, s *stage) {
				s.packet.Managers = tt.manager
				s.engine.Phone(managerNumber, tt.phone)
				s.engine.Phone("101", tt.phone)
				s.ends(t, s.run(t), tt.status, tt.takes)
				s.hasNot(t, "dialing c1")
				s.hasNot(t, "recording")
			})
		})
	}
}

// "701 …: also: the last of several".
func TestTheLastOfSeveralManagersTellsTheStatus(t *testing.T) {
	for _, tt := range []struct {
		mode   string
		status call.Status
		takes  time.Duration
	}{
		{callback.DialSequential, call.ManagerBusy, 31 * sec},
		{callback.DialParallel, call.ManagerNoAnswer, 30 * sec}, // the last in time
	} {
		try(t, func(t *testing.T, s *stage) {
			s.packet.DialMode = tt.mode
			s.packet.Managers = callback.Managers{{Number: managerNumber}, {Number: "+74950000002"}}
			s.engine.Phone(managerNumber, scripted.RingsOn())
			s.engine.Phone("+74950000002", scripted.Refuses(sec, 486))
			s.ends(t, s.run(t), tt.status, tt.takes)
		})
	}
}

func TestWhatNobodyForesawIs712(t *testing.T) {
	out := conclude(errors.New("a surprise"))
	if out.Status != call.Interrupted || out.Reason != "a surprise" {
		t.Errorf("got %+v", out)
	}
}

// panicking is an engine with a fault.
type panicking struct{ telephony.Engine }

func (panicking) Join(ctx context.Context, legs ...telephony.Leg) error { panic("no bridge") }

func TestAFaultOfTheProgramEndsOneCallAndHangsEverybodyUp(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.wrap = func(e telephony.Engine) telephony.Engine { return panicking{e} }
		s.engine.Phone(managerNumber, scripted.Answers(0))
		s.engine.Phone(clientNumber, scripted.Answers(sec))
		s.ends(t, s.run(t), call.Interrupted, 7*sec)
	})
}

// broken is an engine that fails in ways of its own.
type broken struct {
	telephony.Engine
	dial, join error
}

func (e broken) Dial(ctx context.Context, d telephony.Dial) (telephony.Leg, error) {
	if e.dial != nil && d.Listener != nil {
		return nil, e.dial
	}
	return e.Engine.Dial(ctx, d)
}

func (e broken) Join(ctx context.Context, legs ...telephony.Leg) error {
	if e.join != nil {
		return e.join
	}
	return e.Engine.Join(ctx, legs...)
}

func TestAnEngineThatFailsInItsOwnWay(t *testing.T) {
	for _, tt := range []struct {
		engine broken
		status call.Status
		takes  time.Duration
		line   string
	}{
		{broken{dial: errors.New("no sockets left")}, call.ClientTrunkFailure, 6 * sec, "6s leg.failed c1 main 500"},
		{broken{join: errors.New("no bridge")}, call.Interrupted, 7 * sec, "7s parted m1 c1 (no bridge)"},
	} {
		try(t, func(t *testing.T, s *stage) {
			s.wrap = func(e telephony.Engine) telephony.Engine {
				tt.engine.Engine = e
				return tt.engine
			}
			s.engine.Phone(managerNumber, scripted.Answers(0))
			s.engine.Phone(clientNumber, scripted.Answers(sec))
			s.ends(t, s.run(t), tt.status, tt.takes)
			s.has(t, tt.line)
		})
	}
}
