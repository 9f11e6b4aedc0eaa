package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"
	"unicode/utf8"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
)

// States of a delivery.
const (
	DeliveryWaiting = "waiting"   // will be tried, now or at NextTryAt
	DeliveryDone    = "delivered" // the receiver has taken it
	DeliveryDead    = "dead"      // given up; somebody may ask for another try
)

// ErrMoreWaits says that something in the lane is due for its delivery.
var ErrMoreWaits = errors.New("more waits in the lane")

// Lane is a call's deliveries of one kind. They are sent one after the other.
type Lane struct {
	Account string `json:"account"`
	CallID  string `json:"call_id"`
	Kind    string `json:"kind"`
}

// Delivery is one thing that somebody outside is told.
type Delivery struct {
	Lane
	ID string // call.NewID; the receiver knows a repetition by it
	// Seq is the place in the lane: that of the event that caused it.
	Seq int64
	// Copy is 0, or counts how often the same was stored anew to be told again.
	Copy int
	URL  string
	Body []byte // JSON
	// State is one of the Delivery… constants.
	State string
	Tries int
	// LastStatus is the HTTP status of the last try, 0 if no answer came.
	LastStatus int
	// LastError tells in words why the last try failed; empty after a success.
	LastError   string
	NextTryAt   time.Time // zero unless State is waiting
	CreatedAt   time.Time
	DeliveredAt time.Time // zero unless State is delivered
}

// Type is what the body tells: its field type; empty if it has none.
func (d Delivery) Type() string {
	var body struct{ Type string }
	if json.Unmarshal(d.Body, &body) != nil {
		return ""
	}
	return body.Type
}

// DeliveryFilter narrows the list of deliveries. A zero field does not.
type DeliveryFilter struct {
	CallID string
	State  string // one of the Delivery… constants
	Kind   string
	Target string // the address, without its query
}

const deliveryColumns = `id, account_id, call_id, kind, seq, copy, url, body, state, tries, last_status, last_error,
	next_try_at, created_at, delivered_at`

const insertDeliverySQL = `
	INSERT INTO deliveries (id, account_id, call_id, kind, seq, copy, url, body, state, next_try_at, created_at)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'waiting', $9, $9)`

// AddDelivery stores something to be told, in the transaction of its cause.
// ID, Lane, Seq, Copy, URL, Body and CreatedAt count.
func (t *Tx) AddDelivery(ctx context.Context, d Delivery) error {
	return t.run(ctx, insertDeliverySQL, d.ID, d.Account, d.CallID, d.Kind, d.Seq, d.Copy, text(d.URL), string(d.Body), d.CreatedAt.UnixMilli())
}

// NextDelivery is the oldest in the lane that waits, whether it is due or not,
// or ErrNotFound.
func (s *Store) NextDelivery(ctx context.Context, l Lane) (Delivery, error) {
	return oneDelivery(s.queryDeliveries(ctx, s.reader, `
		WHERE call_id = $1 AND kind = $2 AND state = 'waiting' ORDER BY seq, copy LIMIT 1`, l.CallID, l.Kind))
}

// LaneClosed tells that the receiver wants nothing more of the lane: it has
// answered with that HTTP status, for good.
func (s *Store) LaneClosed(ctx context.Context, l Lane, status int) (bool, error) {
	var closed bool
	err := s.reader.QueryRowContext(ctx, `
		SELECT EXISTS (SELECT 1 FROM deliveries WHERE call_id = $1 AND kind = $2 AND state = 'dead' AND last_status = $3)`,
		l.CallID, l.Kind, status).Scan(&closed)
	return closed, err
}

// SettleDelivery stores what became of a try: State, Tries, LastStatus,
// LastError, NextTryAt and DeliveredAt. A dead delivery takes with it what
// waits behind it if lane is true.
func (s *Store) SettleDelivery(_ context.Context, d Delivery, lane bool) error {
	return s.journal.write(func(ctx context.Context, tx *Tx) error {
		err := tx.run(ctx, settleDeliverySQL, d.ID, d.State, d.Tries, d.LastStatus, text(d.LastError), toNullMS(d.NextTryAt), toNullMS(d.DeliveredAt))
		if err != nil || !lane {
			return err
		}
		_, err = tx.ExecContext(ctx, `
			UPDATE deliveries SET state = 'dead', last_error = $1, next_try_at = NULL
			WHERE call_id = $2 AND kind = $3 AND state = 'waiting'`, text(d.LastError), d.CallID, d.Kind)
		return err
	}, nil)
}

const settleDeliverySQL = `
	UPDATE deliveries SET state = $2, tries = $3, last_status = $4, last_error = $5, next_try_at = $6, delivered_at = $7
	WHERE id = $1`

// LeaveLane lets a sender go, in one transaction: leave ends its work, and if
// something waits that is not due, later sees to it that somebody comes then. If
// something is due it is ErrMoreWaits and the sender stays. leave must lock
// whatever those who add to the lane lock too, so that nothing is added unseen.
func (s *Store) LeaveLane(l Lane, leave func(context.Context, *Tx) error, later func(context.Context, *Tx, time.Time) error) error {
	return s.journal.write(func(ctx context.Context, tx *Tx) error {
		if err := leave(ctx, tx); err != nil {
			return err
		}
		var next int64
		err := tx.QueryRowContext(ctx, `
			SELECT next_try_at FROM deliveries WHERE call_id = $1 AND kind = $2 AND state = 'waiting' ORDER BY seq, copy LIMIT 1`,
			l.CallID, l.Kind).Scan(&next)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return nil
		case err != nil:
			return err
		case next <= time.Now().UnixMilli():
			return ErrMoreWaits
		}
		return later(ctx, tx, fromMS(next))
	}, nil)
}

// OpenLanes are the lanes of this node's calls in which something waits, of all
// accounts.
func (s *Store) OpenLanes(ctx context.Context) ([]Lane, error) {
	rows, err := s.reader.QueryContext(ctx, `
		SELECT DISTINCT d.account_id, d.call_id, d.kind
		FROM deliveries d JOIN calls c ON c.id = d.call_id
		WHERE d.state = 'waiting' AND d.state <> 'delivered' AND c.node = $1`, s.node)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Lane
	for rows.Next() {
		var l Lane
		if err := rows.Scan(&l.Account, &l.CallID, &l.Kind); err != nil {
			return nil, err
		}
		list = append(list, l)
	}
	return list, rows.Err()
}

// RetryDelivery makes a delivery, whatever became of it, wait again and lets
// its lane be tried now. added runs in the same transaction. ErrNotFound if the
// account has no such delivery.
func (s *Store) RetryDelivery(_ context.Context, account, id string, added func(context.Context, *Tx, Lane) error) (Delivery, error) {
	var d Delivery
	err := s.journal.write(func(ctx context.Context, tx *Tx) (err error) {
		now := time.Now().UnixMilli()
		result, err := tx.ExecContext(ctx, `
			UPDATE deliveries SET state = 'waiting', tries = 0, last_status = 0, last_error = '', next_try_at = $1, delivered_at = NULL
			WHERE account_id = $2 AND id = $3`, now, account, id)
		if err = orNotFound(result, err); err != nil {
			return err
		}
		if d, err = oneDelivery(s.queryDeliveries(ctx, tx, `WHERE id = $1`, id)); err != nil {
			return err
		}
		// Those before it in the lane would otherwise keep it waiting, and a
		// receiver that had enough is asked again.
		if _, err := tx.ExecContext(ctx, `
			UPDATE deliveries SET next_try_at = $1 WHERE call_id = $2 AND kind = $3 AND state = 'waiting'`,
			now, d.CallID, d.Kind); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `
			UPDATE deliveries SET last_status = 0 WHERE call_id = $1 AND kind = $2 AND state = 'dead'`,
			d.CallID, d.Kind); err != nil {
			return err
		}
		return added(ctx, tx, d.Lane)
	}, nil)
	return d, err
}

// Deliveries lists what the account's receivers were told and wait for, newest
// first, and the cursor of the next page, "" after the last. A bad limit or
// cursor is an invalid.Error.
func (s *Store) Deliveries(ctx context.Context, account string, p Page, f DeliveryFilter) (list []Delivery, next string, err error) {
	if err := p.check(); err != nil {
		return nil, "", err
	}
	var w where
	w.and("account_id = ?", account)
	if f.CallID != "" {
		w.and("call_id = ?", text(f.CallID))
	}
	if f.State != "" {
		w.and("state = ?", text(f.State))
		if f.State != DeliveryDone {
			w.and("state <> 'delivered'") // the index of what is open
		}
	}
	if f.Kind != "" {
		w.and("kind = ?", text(f.Kind))
	}
	if f.Target != "" {
		target := text(f.Target)
		w.and("(url = ? OR substr(url, 1, ?) = ?)", target, utf8.RuneCountInString(target)+1, target+"?")
	}
	return pageOf(w, p, "created_at",
		func(condition string, args ...any) ([]Delivery, error) {
			return s.queryDeliveries(ctx, s.reader, condition, args...)
		},
		func(d Delivery) (time.Time, string) { return d.CreatedAt, d.ID })
}

// Delivery is one of the account's deliveries, or ErrNotFound.
func (s *Store) Delivery(ctx context.Context, account, id string) (Delivery, error) {
	return oneDelivery(s.queryDeliveries(ctx, s.reader, `WHERE account_id = $1 AND id = $2`, account, text(id)))
}

func (s *Store) queryDeliveries(ctx context.Context, db querier, condition string, args ...any) ([]Delivery, error) {
	rows, err := db.QueryContext(ctx, `SELECT `+deliveryColumns+` FROM deliveries `+condition, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Delivery
	for rows.Next() {
		d, err := scanDelivery(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	return list, rows.Err()
}

func scanDelivery(rows *sql.Rows) (Delivery, error) {
	var (
		d               Delivery
		body            string
		created         int64
		next, delivered sql.NullInt64
	)
	err := rows.Scan(&d.ID, &d.Account, &d.CallID, &d.Kind, &d.Seq, &d.Copy, &d.URL, &body, &d.State, &d.Tries, &d.LastStatus, &d.LastError,
		&next, &created, &delivered)
	d.Body, d.CreatedAt = []byte(body), fromMS(created)
	d.NextTryAt, d.DeliveredAt = fromNullMS(next), fromNullMS(delivered)
	return d, err
}

func oneDelivery(list []Delivery, err error) (Delivery, error) {
	if err == nil && len(list) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Delivery{}, err
	}
	return list[0], nil
}

// Packet is the packet of a callback, also of one that this transaction makes;
// ErrNotFound if there is none.
func (t *Tx) Packet(ctx context.Context, callbackID string) (callback.Packet, error) {
	var (
		b string
		p callback.Packet
	)
	err := t.QueryRowContext(ctx, `SELECT packet FROM callbacks WHERE id = $1`, callbackID).Scan(&b)
	if errors.Is(err, sql.ErrNoRows) {
		return p, ErrNotFound
	}
	if err != nil {
		return p, err
	}
	return p, json.Unmarshal([]byte(b), &p)
}

// Timeline is a call's events so far, those of this transaction included.
func (t *Tx) Timeline(ctx context.Context, callID string) ([]call.Event, error) {
	return queryEvents(ctx, t, `SELECT event FROM events WHERE call_id = $1 ORDER BY seq`, callID)
}
