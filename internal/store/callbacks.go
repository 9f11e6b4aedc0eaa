package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
)

// ErrKeyReused says that an idempotency key came again with another body.
var ErrKeyReused = errors.New("the Idempotency-Key was used with another request")

// NewCallback is an accepted request.
type NewCallback struct {
	Account string
	ID      string // call.NewID
	CallID  string // call.NewID: of the first attempt
	Packet  callback.Packet
	// Received is the request's body as it came.
	Received []byte
	// Key is the request's Idempotency-Key; empty: none.
	Key string
}

// Answered is what a request was answered with.
type Answered struct {
	ID, CallID string
	// Replayed tells that the answer is that of an earlier request with the
	// same key, and nothing new was stored.
	Replayed bool
}

const insertCallbackSQL = `
	INSERT INTO callbacks (id, account_id, widget, state, client, packet, received, created_at)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`

// CreateCallback stores the request, its first call and that call's first
// event, call.created, together. When it returns without error they are on the
// disk. A key that was used before gives the earlier answer if the body is the
// same, and ErrKeyReused if it is not.
func (s *Store) CreateCallback(n NewCallback) (Answered, error) {
	packet, err := json.Marshal(n.Packet)
	if err != nil {
		return Answered{}, err
	}
	client, _ := n.Packet.ClientNumber()
	created := call.Event{
		Seq: 1, At: time.Now().UTC().Truncate(time.Millisecond), CallID: n.CallID, Type: call.Created,
		Direction: call.Callback, CallbackID: n.ID, Widget: n.Packet.Widget, Attempt: n.Packet.Attempt, Number: client,
	}
	c := call.Call{Account: n.Account}
	c.Apply(created)

	answer := Answered{ID: n.ID, CallID: n.CallID}
	insert := func(ctx context.Context, tx *Tx) error {
		if n.Key != "" {
			var err error
			if answer, err = takeKey(ctx, tx, n, created.At); err != nil || answer.Replayed {
				return err
			}
		}
		received := n.Received
		if received == nil {
			received = []byte{}
		}
		if err := tx.run(ctx, insertCallbackSQL,
			n.ID, n.Account, text(n.Packet.Widget), callback.StateQueued, client, string(packet), received, created.At.UnixMilli()); err != nil {
			return err
		}
		if err := saveCall(ctx, tx, c, s.node); err != nil {
			return err
		}
		if err := insertEvent(ctx, tx, n.Account, created); err != nil {
			return err
		}
		return s.journal.follow(ctx, tx, s.journal.onEvent(), c, created)
	}
	err = s.journal.write(insert, func() {
		if !answer.Replayed {
			s.journal.live[c.ID] = &c
			created.Account = n.Account
			s.journal.publish([]call.Event{created})
		}
	})
	if err != nil {
		return Answered{}, err
	}
	return answer, nil
}

// takeKey claims the request's key or finds the answer it already has.
func takeKey(ctx context.Context, tx *Tx, n NewCallback, now time.Time) (Answered, error) {
	result, err := tx.ExecContext(ctx, `
		INSERT INTO idempotency_keys (account_id, key, request_hash, callback_id, call_id, created_at)
		VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
		n.Account, text(n.Key), bodyHash(n.Received), n.ID, n.CallID, now.UnixMilli())
	if err != nil {
		return Answered{}, err
	}
	if taken, err := result.RowsAffected(); err != nil || taken == 1 {
		return Answered{ID: n.ID, CallID: n.CallID}, err
	}
	return answerOf(ctx, tx.QueryRowContext, n.Account, n.Key, n.Received)
}

// Replay looks up the answer that the key already has for this body:
// ErrNotFound if the key is new, ErrKeyReused if it came with another body.
func (s *Store) Replay(ctx context.Context, account, key string, received []byte) (Answered, error) {
	return answerOf(ctx, s.reader.QueryRowContext, account, key, received)
}

func answerOf(ctx context.Context, query func(context.Context, string, ...any) *sql.Row, account, key string, received []byte) (Answered, error) {
	a := Answered{Replayed: true}
	var hash string
	err := query(ctx, `SELECT request_hash, callback_id, call_id FROM idempotency_keys WHERE account_id = $1 AND key = $2`,
		account, text(key)).Scan(&hash, &a.ID, &a.CallID)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return Answered{}, ErrNotFound
	case err != nil:
		return Answered{}, err
	case hash != bodyHash(received):
		return Answered{}, ErrKeyReused
	}
	return a, nil
}

func bodyHash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Callback is one callback of the account with its attempts, or ErrNotFound.
func (s *Store) Callback(ctx context.Context, account, id string) (callback.Record, error) {
	r := callback.Record{ID: id, Account: account}
	var (
		packet  string
		next    sql.NullInt64
		created int64
	)
	err := s.reader.QueryRowContext(ctx, `
		SELECT state, client, packet, next_attempt_at, created_at FROM callbacks WHERE account_id = $1 AND id = $2`,
		account, text(id)).Scan(&r.State, &r.Client, &packet, &next, &created)
	if errors.Is(err, sql.ErrNoRows) {
		return callback.Record{}, ErrNotFound
	}
	if err != nil {
		return callback.Record{}, err
	}
	if err := json.Unmarshal([]byte(packet), &r.Packet); err != nil {
		return callback.Record{}, fmt.Errorf("packet of callback %s: %w", id, err)
	}
	r.CreatedAt = fromMS(created)
	if next.Valid {
		at := fromMS(next.Int64)
		r.NextAttemptAt = &at
	}
	r.Attempts, err = s.attempts(ctx, id)
	return r, err
}

// Received is the body of the callback's request as it came, or ErrNotFound.
func (s *Store) Received(ctx context.Context, account, id string) ([]byte, error) {
	var b []byte
	err := s.reader.QueryRowContext(ctx, `SELECT received FROM callbacks WHERE account_id = $1 AND id = $2`, account, text(id)).Scan(&b)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	return b, err
}

// Order is a callback's attempt that is to be made.
type Order struct {
	Account, CallbackID, CallID string
	Attempt                     int
	Packet                      callback.Packet
	CreatedAt                   time.Time // when it was accepted
}

// Queued are the accepted callbacks of this node that have dialled nobody yet,
// of all accounts, oldest first. At the start of a process its predecessor
// acknowledged them and died.
func (s *Store) Queued(ctx context.Context) ([]Order, error) {
	// CROSS JOIN keeps SQLite from beginning with every call there ever was.
	rows, err := s.reader.QueryContext(ctx, `
		SELECT k.account_id, k.id, c.id, c.attempt, k.packet, k.created_at
		FROM callbacks k CROSS JOIN calls c
		WHERE k.state = 'queued' AND c.callback_id = k.id AND c.node = $1 AND c.ended_at IS NULL
		ORDER BY k.id`, s.node)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Order
	for rows.Next() {
		var (
			o       Order
			packet  string
			created int64
		)
		if err := rows.Scan(&o.Account, &o.CallbackID, &o.CallID, &o.Attempt, &packet, &created); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(packet), &o.Packet); err != nil {
			return nil, fmt.Errorf("packet of callback %s: %w", o.CallbackID, err)
		}
		o.CreatedAt = fromMS(created)
		list = append(list, o)
	}
	return list, rows.Err()
}

func (s *Store) attempts(ctx context.Context, id string) ([]callback.Attempt, error) {
	rows, err := s.reader.QueryContext(ctx, `
		SELECT attempt, id, status_code, status_slug FROM calls WHERE callback_id = $1 ORDER BY attempt`, id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []callback.Attempt
	for rows.Next() {
		var a callback.Attempt
		if err := rows.Scan(&a.Attempt, &a.CallID, &a.Status.Code, &a.Status.Slug); err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, rows.Err()
}

const (
	followSQL = `UPDATE callbacks SET state = 'running' WHERE id = $1 AND state = 'queued'`
	endSQL    = `UPDATE callbacks SET state = $1 WHERE id = $2`
)

// followCallback moves the state of the callback with its call. It becomes
// running in the transaction of the first leg.dialing, which is on the disk
// before the INVITE goes out: so a callback that is queued has dialled nobody,
// whenever the process died.
func followCallback(ctx context.Context, tx *Tx, c call.Call, e call.Event) error {
	if c.CallbackID == "" {
		return nil
	}
	switch e.Type {
	case call.Dialing:
		return tx.run(ctx, followSQL, c.CallbackID)
	case call.Ended:
		return tx.run(ctx, endSQL, stateAfter(c.Status), c.CallbackID)
	}
	return nil
}

func stateAfter(s call.Status) string {
	switch s {
	case call.Cancelled, call.CancelledByManager:
		return callback.StateCancelled
	}
	return callback.StateDone
}
