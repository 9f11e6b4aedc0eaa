package scenario

import (
	"context"

	"github.com/perezvon/perezvon/internal/directory"
)

// queueStep lets the caller wait in a queue.
func (a *arrival) queueStep(ctx context.Context, q directory.ToQueue) error {
	a.note("queue " + q.Name)
	return context.Cause(ctx)
}
