package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/directory"
)

// ErrNotScheduled says that no attempt of the callback is planned, or not for
// that moment any more.
var ErrNotScheduled = errors.New("nothing is planned for this callback")

// Recall is a planned attempt.
type Recall struct {
	Account, CallbackID string
	Widget              string    // empty: none
	At                  time.Time // when it is planned
	// CallID is of a first attempt that waits for its widget to open: its call
	// exists since the request was accepted. Empty for the attempts after it.
	CallID string
}

const endSQL = `UPDATE callbacks SET state = $1, next_attempt_at = $2 WHERE id = $3`

// endAttempt decides what follows from the end of a callback's attempt, in the
// transaction of the end: another attempt or nothing more. The event tells it.
func (s *Store) endAttempt(ctx context.Context, tx *Tx, c call.Call, e *call.Event) error {
	e.NextAttemptAt = nil
	var (
		widget string
		final  bool
	)
	err := tx.QueryRowContext(ctx, `SELECT widget, final FROM callbacks WHERE id = $1`, c.CallbackID).Scan(&widget, &final)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	var status call.Status
	if e.Status != nil {
		status = *e.Status
	}
	state, next := callback.StateDone, time.Time{}
	switch {
	case final, status == call.Cancelled, status == call.CancelledByManager:
		state = callback.StateCancelled
	case widget == "", e.CancelRecalls:
	default:
		config, err := widgetIn(ctx, tx, c.Account, widget)
		if errors.Is(err, ErrNotFound) {
			break // removed meanwhile: nobody says when
		}
		if err != nil {
			return err
		}
		w, err := decode[directory.Widget](widgets, config)
		if err != nil {
			// The end must be stored whatever somebody has done to the table.
			s.log.Error("no recall is planned", "call", c.ID, "widget", widget, "error", err)
			break
		}
		// From now, not from the event: a call that ended with its server is
		// accounted for by the next.
		if at, ok := w.RecallAt(c.Attempt, status, e.Reschedule, time.Now()); ok {
			state, next = callback.StateScheduled, at.UTC().Truncate(time.Millisecond)
			e.NextAttemptAt = &next
		}
	}
	return tx.run(ctx, endSQL, state, toNullMS(next), c.CallbackID)
}

// widgetIn is the widget's config as the transaction sees it.
func widgetIn(ctx context.Context, tx *Tx, account, name string) (config string, err error) {
	err = tx.QueryRowContext(ctx, `SELECT config FROM widgets WHERE account_id = $1 AND name = $2`, account, name).Scan(&config)
	if errors.Is(err, sql.ErrNoRows) {
		return "", ErrNotFound
	}
	return config, err
}

const dueSQL = `
	SELECT k.id, k.account_id, k.widget, k.next_attempt_at, COALESCE(c.id, '')
	FROM callbacks k LEFT JOIN calls c ON c.callback_id = k.id AND c.ended_at IS NULL
	WHERE k.state = 'scheduled' AND k.next_attempt_at <= $1 ORDER BY k.next_attempt_at, k.id LIMIT $2`

// DueRecalls are the planned attempts whose time has come, of all accounts, the
// oldest first.
func (s *Store) DueRecalls(ctx context.Context, now time.Time, limit int) ([]Recall, error) {
	rows, err := s.reader.QueryContext(ctx, dueSQL, now.UnixMilli(), limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Recall
	for rows.Next() {
		var (
			r  Recall
			at int64
		)
		if err := rows.Scan(&r.CallbackID, &r.Account, &r.Widget, &at, &r.CallID); err != nil {
			return nil, err
		}
		r.At = fromMS(at)
		list = append(list, r)
	}
	return list, rows.Err()
}

// StartRecall makes the planned attempt a call with that id (r.CallID, if there
// is one): its row and its call.created in one transaction with the end of the
// plan. Whoever comes second, here or on another node, gets ErrNotScheduled, and
// so does who comes after a cancellation. The attempt belongs to this node from
// then on: it is queued, as a new callback is.
func (s *Store) StartRecall(r Recall, callID string) (Order, error) {
	var made started
	err := s.journal.write(func(ctx context.Context, tx *Tx) (err error) {
		made, err = s.startRecall(ctx, tx, r, callID)
		return err
	}, func() {
		if r.CallID == "" {
			s.journal.created(made.call, made.created)
		}
	})
	if err != nil {
		return Order{}, err
	}
	return made.order, nil
}

// started is a planned attempt that is to be made now: its call and the first
// event of it, unless there was one before.
type started struct {
	order   Order
	call    call.Call
	created call.Event
}

func (s *Store) startRecall(ctx context.Context, tx *Tx, r Recall, callID string) (made started, err error) {
	var client, packet string
	// The row stays locked to the end of the transaction, so of two nodes one
	// finds it changed.
	err = tx.QueryRowContext(ctx, `
		UPDATE callbacks SET state = 'queued', next_attempt_at = NULL
		WHERE id = $1 AND account_id = $2 AND state = 'scheduled' AND next_attempt_at = $3
		RETURNING client, widget, packet`, r.CallbackID, r.Account, r.At.UnixMilli()).Scan(&client, &r.Widget, &packet)
	if errors.Is(err, sql.ErrNoRows) {
		return made, ErrNotScheduled
	}
	if err != nil {
		return made, err
	}
	made.order = Order{Account: r.Account, CallbackID: r.CallbackID, CallID: callID}
	if err := json.Unmarshal([]byte(packet), &made.order.Packet); err != nil {
		return made, fmt.Errorf("packet of callback %s: %w", r.CallbackID, err)
	}
	if r.CallID != "" {
		made.order.Attempt = made.order.Packet.Attempt
		return made, s.wake(ctx, tx, callID)
	}
	if err := tx.QueryRowContext(ctx, `SELECT MAX(attempt) + 1 FROM calls WHERE callback_id = $1`, r.CallbackID).Scan(&made.order.Attempt); err != nil {
		return made, err
	}
	made.created = firstEvent(r.CallbackID, callID, r.Widget, client, made.order.Attempt)
	made.call, err = s.createCall(ctx, tx, r.Account, made.created)
	return made, err
}

// wake lets this node drive a call that waited.
func (s *Store) wake(ctx context.Context, tx *Tx, callID string) error {
	result, err := tx.ExecContext(ctx, `UPDATE calls SET node = $1 WHERE id = $2 AND ended_at IS NULL`, s.node, callID)
	return orNotFound(result, err)
}

// MoveRecall plans the attempt for another moment, or says ErrNotScheduled as
// StartRecall does.
func (s *Store) MoveRecall(r Recall, to time.Time) error {
	return s.journal.write(func(ctx context.Context, tx *Tx) error { return moveRecall(ctx, tx, r, to) }, nil)
}

func moveRecall(ctx context.Context, tx *Tx, r Recall, to time.Time) error {
	result, err := tx.ExecContext(ctx, `
		UPDATE callbacks SET next_attempt_at = $1
		WHERE id = $2 AND account_id = $3 AND state = 'scheduled' AND next_attempt_at = $4`,
		to.UnixMilli(), r.CallbackID, r.Account, r.At.UnixMilli())
	if err = orNotFound(result, err); errors.Is(err, ErrNotFound) {
		return ErrNotScheduled
	}
	return err
}

// CancelRecalls drops what is planned for the callback, and what the attempt
// that is being made would plan. A callback that is over stays as it is.
// ErrNotFound if the account has no such callback.
func (s *Store) CancelRecalls(ctx context.Context, account, id string) error {
	changed := false
	err := s.journal.write(func(ctx context.Context, tx *Tx) error {
		result, err := tx.ExecContext(ctx, `
			UPDATE callbacks SET final = TRUE, next_attempt_at = NULL,
				state = CASE WHEN state = 'scheduled' THEN 'cancelled' ELSE state END
			WHERE id = $1 AND account_id = $2 AND state NOT IN ('done', 'cancelled')`, text(id), account)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		changed = n > 0
		return err
	}, nil)
	if err != nil || changed {
		return err
	}
	_, err = s.Callback(ctx, account, id)
	return err
}
