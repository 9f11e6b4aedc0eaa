package asterisk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/perezvon/perezvon/internal/telephony"
)

// errForeign: a leg of another engine cannot be joined here.
var errForeign = errors.New("asterisk: not a leg of this engine")

// Join lets legs hear each other until one of them or ctx ends.
func (e *Engine) Join(ctx context.Context, legs ...telephony.Leg) error {
	if len(legs) < 2 {
		return fmt.Errorf("asterisk: %d legs cannot be joined", len(legs))
	}
	var joined []*leg
	ctx, left := context.WithCancelCause(ctx)
	defer left(nil)
	for _, one := range legs {
		l, ok := one.(*leg)
		switch {
		case !ok || l.e != e:
			return errForeign
		case slices.Contains(joined, l):
			return fmt.Errorf("asterisk: leg %s cannot be joined with itself", l.id)
		}
		joined = append(joined, l)
		defer context.AfterFunc(l.ctx, func() { left(context.Cause(l.ctx)) })()
	}
	for _, l := range joined { // AfterFunc takes a goroutine, and the others need hear nothing meanwhile
		if cause := context.Cause(l.ctx); cause != nil {
			return cause
		}
	}
	talk, err := e.talkOf(ctx, joined)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	// What has been begun is finished, so that nobody is left on the way.
	whole := context.WithoutCancel(ctx)
	err = each(joined, func(l *leg) error { return l.voice.joins(whole, l.its(), talk, l.keepKeys.Load()) })
	if err == nil {
		<-ctx.Done()
	}
	if over := e.ari.DestroyBridge(whole, talk); over != nil {
		e.log.Warn("a talk did not end well", "err", over)
	}
	for _, l := range joined {
		l.voice.parted(talk)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// each does something with all legs at once and waits for it.
func each(legs []*leg, f func(l *leg) error) error {
	var wg sync.WaitGroup
	errs := make([]error, len(legs))
	for i, l := range legs {
		wg.Go(func() { errs[i] = f(l) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
