package sipengine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/perezvon/perezvon/internal/media/stream"
	"github.com/perezvon/perezvon/internal/telephony"
)

// errForeign: a leg of another engine cannot be joined here.
var errForeign = errors.New("sipengine: not a leg of this engine")

// Join lets legs hear each other until one of them or ctx ends. Two are
// relayed, more are mixed.
func (e *Engine) Join(ctx context.Context, legs ...telephony.Leg) error {
	if len(legs) < 2 {
		return fmt.Errorf("sipengine: %d legs cannot be joined", len(legs))
	}
	var streams []*stream.Stream
	var options []stream.JoinOption
	ctx, left := context.WithCancelCause(ctx)
	defer left(nil)
	for _, one := range legs {
		l, ok := one.(*leg)
		switch {
		case !ok || l.e != e:
			return errForeign
		case slices.Contains(streams, l.stream):
			return fmt.Errorf("sipengine: leg %s cannot be joined with itself", l.id)
		}
		streams = append(streams, l.stream)
		if l.keepKeys.Load() {
			options = append(options, stream.WithholdDigits(l.stream))
		}
		defer context.AfterFunc(l.ctx, func() { left(context.Cause(l.ctx)) })()
	}
	for _, one := range legs { // AfterFunc takes a goroutine, and the others need hear nothing meanwhile
		if cause := context.Cause(one.Context()); cause != nil {
			return cause
		}
	}
	var part func()
	if len(streams) == 2 {
		part = stream.Join(streams[0], streams[1], options...)
	} else {
		part = stream.Mix(streams, options...)
	}
	defer part()
	<-ctx.Done()
	return context.Cause(ctx)
}
