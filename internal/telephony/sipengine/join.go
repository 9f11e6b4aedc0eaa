package sipengine

import (
	"context"
	"errors"
	"fmt"

	"github.com/perezvon/perezvon/internal/media/stream"
	"github.com/perezvon/perezvon/internal/telephony"
)

// errForeign: a leg of another engine cannot be joined here.
var errForeign = errors.New("sipengine: not a leg of this engine")

// Join lets legs hear each other until one of them or ctx ends.
func (e *Engine) Join(ctx context.Context, legs ...telephony.Leg) error {
	if len(legs) != 2 {
		return fmt.Errorf("sipengine: %d legs cannot be joined", len(legs))
	}
	one, ok1 := legs[0].(*leg)
	other, ok2 := legs[1].(*leg)
	if !ok1 || !ok2 || one.e != e || other.e != e || one == other {
		return errForeign
	}
	var options []stream.JoinOption
	for _, l := range []*leg{one, other} {
		if l.keepKeys.Load() {
			options = append(options, stream.WithholdDigits(l.stream))
		}
	}
	part := stream.Join(one.stream, other.stream, options...)
	defer part()
	select {
	case <-one.ctx.Done():
		return context.Cause(one.ctx)
	case <-other.ctx.Done():
		return context.Cause(other.ctx)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
