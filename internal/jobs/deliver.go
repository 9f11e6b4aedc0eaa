package jobs

import (
	"context"
	"errors"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/store"
)

const (
	deliverQueue = "deliver"
	// deliverers is how many lanes are served at once. They mostly wait for
	// receivers.
	deliverers = 256
	// deliverPoll is the same as Config.Poll: people wait for these.
	deliverPoll = 200 * time.Millisecond
	// deliverAttempts is never reached: failures of receivers are no failures
	// of the job.
	deliverAttempts = 1000
	// shortWait is what a job waits for itself.
	shortWait = 5 * time.Second
	// deliverTimeout ends a job whose lane never becomes empty; it goes on in
	// another.
	deliverTimeout = 10 * time.Minute
)

// Deliveries tells the backends what happens on calls: webhook.Service.
type Deliveries interface {
	// Follow stores what an event gives to tell, in the event's transaction,
	// and says in which lanes.
	Follow(ctx context.Context, tx *store.Tx, c call.Call, e call.Event) ([]store.Lane, error)
	// Send makes the next try in a lane, if one is due. more tells that
	// something waits there afterwards, wait when it is due.
	Send(ctx context.Context, l store.Lane) (wait time.Duration, more bool, err error)
}

// DeliverLane asks for the lane to be sent until nothing waits in it. There is
// one for a lane as long as something waits.
type DeliverLane struct{ store.Lane }

// Kind is River's name for the job.
func (DeliverLane) Kind() string { return "deliver_lane" }

// InsertOpts is how River keeps the job. One that has ended does not stand in
// the way of the next.
func (DeliverLane) InsertOpts() river.InsertOpts {
	return river.InsertOpts{
		Queue: deliverQueue, MaxAttempts: deliverAttempts,
		UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
			rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning,
			rivertype.JobStateRetryable, rivertype.JobStateScheduled,
		}},
	}
}

// deliverer works DeliverLane.
type deliverer struct {
	river.WorkerDefaults[DeliverLane]

	service *Service
}

// Timeout is of one job, not of a delivery.
func (*deliverer) Timeout(*river.Job[DeliverLane]) time.Duration { return deliverTimeout }

// NextRetry is after a failure of our own: the database.
func (*deliverer) NextRetry(job *river.Job[DeliverLane]) time.Time {
	return time.Now().Add(min(time.Duration(job.Attempt)*time.Second, time.Minute))
}

func (w *deliverer) Work(ctx context.Context, job *river.Job[DeliverLane]) error {
	for {
		wait, more, err := w.service.deliveries.Send(ctx, job.Args.Lane)
		switch {
		case ctx.Err() != nil || w.isStopping() && more:
			return river.JobSnooze(0) // later, or by the next process
		case err != nil:
			return err
		case more && wait > 0 && wait <= shortWait:
			return river.JobSnooze(wait)
		case more && wait <= 0:
			continue
		}
		if err = w.leave(ctx, job); !errors.Is(err, store.ErrMoreWaits) {
			return err
		}
	}
}

// leave ends the job, and plans the next if something waits for a later time.
// Whoever adds to the lane or hastens it asks for its job in the same
// transaction, so this one ends in a transaction that saw what it leaves. (A
// snooze would not do: River notes it later, and a request to hasten the job
// could come between.)
func (w *deliverer) leave(ctx context.Context, job *river.Job[DeliverLane]) error {
	queue := w.service.queue
	return w.service.store.LeaveLane(job.Args.Lane,
		func(_ context.Context, tx *store.Tx) error { return queue.completeTx(ctx, tx, job) },
		func(ctx context.Context, tx *store.Tx, at time.Time) error {
			return queue.scheduleTx(ctx, tx, DeliverLane{job.Args.Lane}, at)
		})
}

func (w *deliverer) isStopping() bool {
	select {
	case <-w.service.stopping:
		return true
	default:
		return false
	}
}

func (s *Service) followDeliveries(ctx context.Context, tx *store.Tx, c call.Call, e call.Event) error {
	if s.deliveries == nil {
		return nil
	}
	lanes, err := s.deliveries.Follow(ctx, tx, c, e)
	if err != nil {
		return err
	}
	for _, l := range lanes {
		if err := s.queue.insertTx(ctx, tx, DeliverLane{l}); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) startDeliveries(ctx context.Context) error {
	if s.deliveries == nil {
		return nil
	}
	lanes, err := s.store.OpenLanes(ctx)
	if err != nil {
		return err
	}
	for _, l := range lanes {
		if err := s.queue.insert(ctx, DeliverLane{l}); err != nil {
			return err
		}
	}
	return nil
}

// RetryDelivery lets a delivery, whatever became of it, be tried again now, and
// what waits before it in its lane. store.ErrNotFound if the account has no
// such delivery.
func (s *Service) RetryDelivery(ctx context.Context, account, id string) (store.Delivery, error) {
	return s.store.RetryDelivery(ctx, account, id, func(ctx context.Context, tx *store.Tx, l store.Lane) error {
		return s.queue.hastenTx(ctx, tx, DeliverLane{l})
	})
}

// Deliver asks, in the transaction that adds to a lane, for what is in it to be
// sent. (store.Asked.)
func (s *Service) Deliver(ctx context.Context, tx *store.Tx, l store.Lane) error {
	return s.queue.insertTx(ctx, tx, DeliverLane{l})
}
