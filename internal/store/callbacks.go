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
	"github.com/perezvon/perezvon/internal/directory"
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
	// StartAt lets the first attempt wait, as a planned one; zero: it is made
	// at once.
	StartAt time.Time
	// Widget is the packet's, if it names one. An open callback of the widget
	// for the same client answers for the request, and the widget's rates hold.
	// A recall that is planned for it is made now, as the call CallID, unless
	// StartAt, Verdict or a rate is against it.
	Widget *directory.Widget
	// RoundRobin lets the managers begin with the next one of the widget.
	RoundRobin bool
	// First is the manager to call before the others, if he is one of them.
	First string
	// Verdict, if there is one, ends the call before it begins.
	Verdict Verdict
}

// Answered is what a request was answered with.
type Answered struct {
	ID, CallID string
	// Replayed tells that the answer is that of an earlier request with the
	// same key, and nothing new was stored.
	Replayed bool
	// Joined tells that the answer is an open callback for the same client.
	Joined bool
	// Recall is the attempt of that callback that is to be made now because of
	// the request: its call is stored, and is the answer's. nil: none.
	Recall *Order
	// Verdict is why the call has ended already, if it has.
	Verdict Verdict
	// Packet is what is carried out: the managers may have turned.
	Packet callback.Packet
}

const insertCallbackSQL = `
	INSERT INTO callbacks (id, account_id, widget, state, client, packet, received, next_attempt_at, created_at, client_ip, refused)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`

// CreateCallback stores the request, its first call and that call's first
// event, call.created, together. When it returns without error they are on the
// disk. A key that was used before gives the earlier answer if the body is the
// same, and ErrKeyReused if it is not. ErrNotFound: the widget is gone.
func (s *Store) CreateCallback(n NewCallback) (Answered, error) {
	client, _ := n.Packet.ClientNumber()
	created := firstEvent(n.ID, n.CallID, n.Packet.Widget, client, n.Packet.Attempt)
	var (
		c      call.Call
		events []call.Event
		answer Answered
	)
	// It may run more than once, if another's part of the group fails.
	insert := func(ctx context.Context, tx *Tx) error {
		answer, events = Answered{ID: n.ID, CallID: n.CallID}, nil
		if n.Key != "" {
			var err error
			if answer, err = takeKey(ctx, tx, n, created.At); err != nil || answer.Replayed {
				return err
			}
		}
		a, err := admit(ctx, tx, n, client, created.At)
		if err != nil {
			return err
		}
		if a.joined.Joined {
			answer = a.joined
			if a.now != nil {
				made, err := s.bringForward(ctx, tx, n, *a.now, client, created.At)
				if err != nil {
					return err
				}
				if made.order.CallID != "" {
					answer.CallID, answer.Recall = n.CallID, &made.order
					c, events = made.call, []call.Event{made.created}
				}
			}
			return keepJoined(ctx, tx, n, answer)
		}
		answer.Verdict, answer.Packet = a.verdict, a.packet
		if err := insertCallback(ctx, tx, n, a, client, created.At); err != nil {
			return err
		}
		if c, err = s.createCall(ctx, tx, n.Account, created); err != nil {
			return err
		}
		events = []call.Event{created}
		if !a.verdict.Status.IsZero() {
			ended, err := s.endAtOnce(ctx, tx, &c, a.verdict)
			events = append(events, ended)
			return err
		}
		return nil
	}
	err := s.journal.write(insert, func() {
		if len(events) > 0 {
			s.journal.created(c, events...)
		}
	})
	if err != nil {
		return Answered{}, err
	}
	return answer, nil
}

func insertCallback(ctx context.Context, tx *Tx, n NewCallback, a admission, client string, now time.Time) error {
	packet, err := json.Marshal(a.packet)
	if err != nil {
		return err
	}
	received := n.Received
	if received == nil {
		received = []byte{}
	}
	state := callback.StateQueued
	switch {
	case !a.verdict.Status.IsZero():
		state, n.StartAt = callback.StateDone, time.Time{}
	case !n.StartAt.IsZero():
		state = callback.StateScheduled
	}
	return tx.run(ctx, insertCallbackSQL,
		n.ID, n.Account, text(n.Packet.Widget), state, client, string(packet), received, toNullMS(n.StartAt), now.UnixMilli(),
		n.Packet.ClientIP, a.verdict.Status == call.NotAllowed)
}

// firstEvent is the call.created of a callback's attempt.
func firstEvent(id, callID, widget, client string, attempt int) call.Event {
	return call.Event{
		Seq: 1, At: time.Now().UTC().Truncate(time.Millisecond), CallID: callID, Type: call.Created,
		Direction: call.Callback, CallbackID: id, Widget: widget, Attempt: attempt, Number: client,
	}
}

// createCall stores a call with its first event and what follows from it.
func (s *Store) createCall(ctx context.Context, tx *Tx, account string, created call.Event) (call.Call, error) {
	c := call.Call{Account: account}
	c.Apply(created)
	if err := saveCall(ctx, tx, c, s.node); err != nil {
		return c, err
	}
	if err := insertEvent(ctx, tx, account, created); err != nil {
		return c, err
	}
	return c, s.journal.follow(ctx, tx, s.journal.onEvent(), c, created)
}

// created tells of a call that was stored by createCall. It runs after the
// commit, in the writing goroutine.
func (j *Journal) created(c call.Call, events ...call.Event) {
	if c.EndedAt.IsZero() {
		j.live[c.ID] = &c
	}
	for i := range events {
		events[i].Account = c.Account
	}
	j.publish(events)
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

// keepJoined makes the open callback the answer that the request's key has.
func keepJoined(ctx context.Context, tx *Tx, n NewCallback, a Answered) error {
	if n.Key == "" {
		return nil
	}
	_, err := tx.ExecContext(ctx, `UPDATE idempotency_keys SET callback_id = $1, call_id = $2, joined = TRUE WHERE account_id = $3 AND key = $4`,
		a.ID, a.CallID, n.Account, text(n.Key))
	return err
}

// Replay looks up the answer that the key already has for this body:
// ErrNotFound if the key is new, ErrKeyReused if it came with another body.
func (s *Store) Replay(ctx context.Context, account, key string, received []byte) (Answered, error) {
	return answerOf(ctx, s.reader.QueryRowContext, account, key, received)
}

func answerOf(ctx context.Context, query func(context.Context, string, ...any) *sql.Row, account, key string, received []byte) (Answered, error) {
	a := Answered{Replayed: true}
	var hash string
	err := query(ctx, `SELECT request_hash, callback_id, call_id, joined FROM idempotency_keys WHERE account_id = $1 AND key = $2`,
		account, text(key)).Scan(&hash, &a.ID, &a.CallID, &a.Joined)
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
	Cancelled                   bool // somebody has cancelled the callback, the call does not know
}

// IsRecall tells that the server planned the attempt, after one before it.
func (o Order) IsRecall() bool { return o.Attempt > o.Packet.Attempt }

// Queued are the attempts of this node's callbacks that have dialled nobody yet,
// of all accounts, oldest first. At the start of a process its predecessor
// acknowledged them and died.
func (s *Store) Queued(ctx context.Context) ([]Order, error) {
	// CROSS JOIN keeps SQLite from beginning with every call there ever was.
	rows, err := s.reader.QueryContext(ctx, `
		SELECT k.account_id, k.id, c.id, c.attempt, k.packet, k.final
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
			o      Order
			packet string
		)
		if err := rows.Scan(&o.Account, &o.CallbackID, &o.CallID, &o.Attempt, &packet, &o.Cancelled); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(packet), &o.Packet); err != nil {
			return nil, fmt.Errorf("packet of callback %s: %w", o.CallbackID, err)
		}
		list = append(list, o)
	}
	return list, rows.Err()
}

const followSQL = `UPDATE callbacks SET state = 'running' WHERE id = $1 AND state = 'queued'`

// followCallback moves the state of the callback with its call. It becomes
// running in the transaction of the first leg.dialing, which is on the disk
// before the INVITE goes out: so a callback that is queued has dialled nobody,
// whenever the process died.
// Its end decides what follows: endAttempt.
func (s *Store) followCallback(ctx context.Context, tx *Tx, c call.Call, e *call.Event) error {
	if c.CallbackID == "" {
		return nil
	}
	switch e.Type {
	case call.Dialing:
		return tx.run(ctx, followSQL, c.CallbackID)
	case call.Ended:
		return s.endAttempt(ctx, tx, c, e)
	}
	return nil
}
