package scenario

import (
	"context"

	"github.com/perezvon/perezvon/internal/call"
)

// converse lets a client and an operator talk until one of them leaves. It
// returns who was on the operators' side last, hung up or not, and why the talk
// is over: the *telephony.HangupError of who left, or ctx's cause.
func (s *course) converse(ctx context.Context, client, operator *line) (last *line, why error) {
	s.event(call.Event{Type: call.Joined, Leg: operator.ID(), Other: client.ID()})
	_, why = beside(ctx,
		func(ctx context.Context) (struct{}, error) {
			return struct{}{}, s.Engine.Join(ctx, operator.Leg, client.Leg)
		},
		func(ctx context.Context) error { return s.noteKeys(ctx, operator) },
		func(ctx context.Context) error { return s.noteKeys(ctx, client) },
	)
	s.event(call.Event{Type: call.Parted, Leg: operator.ID(), Other: client.ID(), Reason: reason(why)})
	return operator, why
}
