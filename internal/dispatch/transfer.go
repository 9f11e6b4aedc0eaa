package dispatch

import (
	"context"
	"errors"
	"strings"

	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/scenario"
)

// ErrNotTalking tells that nobody is in a conversation on the call that he could be
// transferred out of.
var ErrNotTalking = scenario.ErrNotTalking

// Transfers lets the conversations under way be transferred: scenario.Talks.
type Transfers interface {
	Transfer(ctx context.Context, o scenario.Order) error
}

// Transfer lets the operator of a live call transfer it. Errors:
// store.ErrNotFound if the account has no such call, ErrNotTalking, an
// invalid.Error if the operator cannot reach o.To.
func (s *Service) Transfer(ctx context.Context, o scenario.Order) error {
	o.To = strings.TrimSpace(o.To)
	if o.To == "" {
		return invalid.Error{{Path: "to", Message: "want an extension, a queue or a number"}}
	}
	c, err := s.config.Store.Call(ctx, o.Account, o.CallID)
	switch {
	case err != nil:
		return err
	case !c.EndedAt.IsZero() || s.config.Transfers == nil:
		return ErrNotTalking
	}
	err = s.config.Transfers.Transfer(ctx, o)
	if errors.Is(err, scenario.ErrUnknownNumber) || errors.Is(err, scenario.ErrForbiddenNumber) {
		return invalid.Error{{Path: "to", Message: err.Error()}}
	}
	return err
}
