package jobs

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/perezvon/perezvon/internal/store"
)

// queue is a River client whatever the database. River's clients differ in the
// type of the transaction that InsertTx takes.
type queue interface {
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	StopAndCancel(ctx context.Context) error
	insert(ctx context.Context, args river.JobArgs) error
	insertTx(ctx context.Context, tx *store.Tx, args river.JobArgs) error
	scheduleTx(ctx context.Context, tx *store.Tx, args river.JobArgs, at time.Time) error
	// hastenTx inserts, or lets the job that is there already work now.
	hastenTx(ctx context.Context, tx *store.Tx, args river.JobArgs) error
	// completeTx ends the job that works with that context.
	completeTx(work context.Context, tx *store.Tx, job *river.Job[DeliverLane]) error
	close()
}

type client[T any] struct {
	*river.Client[T]

	within   func(tx *store.Tx, use func(T) error) error // the store's transaction as River wants it
	complete func(work context.Context, tx T, job *river.Job[DeliverLane]) error
	release  func()
}

func (c *client[T]) insert(ctx context.Context, args river.JobArgs) error {
	_, err := c.Insert(ctx, args, nil)
	return err
}

func (c *client[T]) insertTx(ctx context.Context, tx *store.Tx, args river.JobArgs) error {
	return c.scheduleTx(ctx, tx, args, time.Time{})
}

func (c *client[T]) scheduleTx(ctx context.Context, tx *store.Tx, args river.JobArgs, at time.Time) error {
	return c.within(tx, func(tx T) error {
		_, err := c.InsertTx(ctx, tx, args, &river.InsertOpts{ScheduledAt: at})
		return err
	})
}

func (c *client[T]) hastenTx(ctx context.Context, tx *store.Tx, args river.JobArgs) error {
	return c.within(tx, func(tx T) error {
		inserted, err := c.InsertTx(ctx, tx, args, nil)
		if err == nil && inserted.UniqueSkippedAsDuplicate {
			_, err = c.JobRetryTx(ctx, tx, inserted.Job.ID)
		}
		return err
	})
}

func (c *client[T]) completeTx(work context.Context, tx *store.Tx, job *river.Job[DeliverLane]) error {
	// The transaction is shared: the end of this job's context must not
	// interrupt it.
	work = context.WithoutCancel(work)
	return c.within(tx, func(tx T) error { return c.complete(work, tx, job) })
}

func (c *client[T]) close() { c.release() }

// openSQLite works on the store's writer. River wants one connection for all
// it does, and a job must be inserted in a transaction of the store's.
func openSQLite(ctx context.Context, db *sql.DB, config *river.Config) (queue, error) {
	c, err := open(ctx, riversqlite.New(db), config)
	if err != nil {
		return nil, err
	}
	c.within = func(tx *store.Tx, use func(*sql.Tx) error) error { return use(tx.Tx) }
	c.complete = func(work context.Context, tx *sql.Tx, job *river.Job[DeliverLane]) error {
		_, err := river.JobCompleteTx[*riversqlite.Driver](work, tx, job)
		return err
	}
	c.release = func() {}
	// The data folder is ours alone: whoever worked on these is dead. River
	// itself would notice after RescueStuckJobsAfter.
	_, err = db.ExecContext(ctx, `UPDATE river_job SET state = 'available' WHERE state = 'running'`)
	return c, err
}

// openPostgres has a pool of its own: River does not speak database/sql there.
func openPostgres(ctx context.Context, dsn string, config *river.Config) (queue, error) {
	pool, err := pgxpool.New(ctx, dsn)
	if err != nil {
		return nil, err
	}
	c, err := open(ctx, riverpgxv5.New(pool), config)
	if err == nil {
		// Only what this node's predecessor worked on.
		_, err = pool.Exec(ctx, `UPDATE river_job SET state = 'available'
			WHERE state = 'running' AND attempted_by[array_upper(attempted_by, 1)] = $1`, config.ID)
	}
	if err != nil {
		pool.Close()
		return nil, err
	}
	c.within = func(tx *store.Tx, use func(pgx.Tx) error) error { return tx.Pgx(use) }
	c.complete = func(work context.Context, tx pgx.Tx, job *river.Job[DeliverLane]) error {
		_, err := river.JobCompleteTx[*riverpgxv5.Driver](work, tx, job)
		return err
	}
	c.release = pool.Close
	return c, nil
}

func open[T any](ctx context.Context, driver riverdriver.Driver[T], config *river.Config) (*client[T], error) {
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: config.Logger})
	if err != nil {
		return nil, err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return nil, fmt.Errorf("tables: %w", err)
	}
	c, err := river.NewClient(driver, config)
	if err != nil {
		return nil, err
	}
	return &client[T]{Client: c}, nil
}
