package sipengine

import (
	"context"
	"errors"

	"github.com/perezvon/perezvon/internal/media/stream"
	"github.com/perezvon/perezvon/internal/telephony"
)

// errForeign: a leg of another engine cannot be joined here.
var errForeign = errors.New("sipengine: not a leg of this engine")

// Join lets two legs hear each other until one of them or ctx ends.
func (e *Engine) Join(ctx context.Context, a, b telephony.Leg) error {
	one, ok1 := a.(*leg)
	other, ok2 := b.(*leg)
	if !ok1 || !ok2 || one.e != e || other.e != e || one == other {
		return errForeign
	}
	part := stream.Join(one.stream, other.stream)
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
