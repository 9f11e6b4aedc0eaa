package dispatch

import (
	"context"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/scenario"
	"github.com/perezvon/perezvon/internal/telephony"
)

// Take takes a call that came to us and returns when it is over; it is the
// handler of the phone system. The end of the leg does not end the call by
// itself: an operator may have passed it on.
func (s *Service) Take(_ context.Context, leg telephony.Leg) {
	if s.config.Board == nil {
		leg.Refuse(404, "calls are not taken")
		return
	}
	if err := s.config.Store.Healthy(); err != nil {
		// It could not be accounted for.
		s.config.Logger.Error("a call in is refused", "err", err)
		leg.Refuse(503, ErrUnavailable.Error())
		return
	}
	callID := call.NewID()
	a, err := s.begin(callID)
	if err != nil {
		leg.Refuse(503, err.Error())
		return
	}
	info := leg.Info()
	s.config.Logger.Info("call in", "call", callID, "leg", leg.ID(), "sip", info.CallID, "from", info.From, "to", info.To,
		"trunk", info.Trunk, "operator", info.Operator)
	in := scenario.Arrival{CallID: callID, Account: directory.DefaultAccount, Leg: leg}
	s.perform(a, in.Account, callID, func(ctx context.Context) call.Status { return s.config.Board.Run(ctx, in) })
}

// CallBack orders a callback of the widget to the client, as if he had asked for
// it there.
func (s *Service) CallBack(ctx context.Context, account, widget, client string) error {
	_, err := s.Accept(ctx, account, callback.Packet{Widget: widget, Client: client}, nil, "")
	return err
}
