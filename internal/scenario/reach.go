package scenario

import (
	"context"
	"fmt"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/speech/prompts"
)

// mayReach finds where what an operator dialled for a transfer leads: wherever
// he may call, but not to himself. A callback's manager outside, who is nobody's
// phone, may transfer to colleagues only.
func (s *course) mayReach(ctx context.Context, by target, dialled string) (destination, error) {
	who := by.who()
	if dialled == who {
		return destination{}, fmt.Errorf("%w: it is the operator's own", errUnknown)
	}
	if who == "" {
		o, err := s.Operators.Operator(ctx, s.account, dialled)
		if err != nil {
			return destination{}, fmt.Errorf("%w: %s: who is no operator may transfer to operators only", errForbidden, dialled)
		}
		return destination{colleague: &o}, nil
	}
	operator, err := s.Operators.Operator(ctx, s.account, who)
	if err != nil {
		operator = directory.Operator{Extension: who, Outbound: directory.OutboundNone}
	}
	return s.destination(ctx, operator, dialled)
}

// targets are the phones to call for a transfer. peer is whom they see: with
// whom they will talk first.
func (t *talk) targets(ctx context.Context, w wish, to destination, role call.Role, peer *line) []target {
	rings := t.features().Ring
	var list []target
	if to.colleague != nil {
		from := caller{number: peer.shown(), name: peer.Info().FromName, ani: t.other(w.by).shown()}
		list = t.ringing(ctx, *to.colleague, t.operatorLeg(), from, rings)
	} else {
		operator, _ := t.Operators.Operator(ctx, t.account, w.by.who()) // unknown: the trunk's own number is shown
		list = []target{outside(role, t.operatorLeg(), to, operator.CallerID, rings)}
	}
	for i := range list {
		list[i].role, list[i].left = role, w.by == t.left
	}
	return list
}

// shown is the number by which who is on the line is known.
func (l *line) shown() string {
	if l.number != "" && l.owner == "" {
		return l.number
	}
	return l.who()
}

// returnedName is shown before the number on the phone of an operator who gets
// a call back that he has passed on.
func (s *course) returnedName() string {
	if prompts.Text(s.voice.Language, prompts.Transfer) == prompts.Text("ru", prompts.Transfer) {
		return "Возврат"
	}
	return "Returned"
}
