package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/perezvon/perezvon/internal/callback"
)

// CallbackFilter narrows the list of callbacks. A zero field does not.
type CallbackFilter struct {
	State string // one of the callback.State… constants
}

// Callbacks lists the account's callbacks with their attempts, newest first,
// and the cursor of the next page, "" after the last. A bad limit or cursor is
// an invalid.Error.
func (s *Store) Callbacks(ctx context.Context, account string, p Page, f CallbackFilter) (list []callback.Record, next string, err error) {
	if err := p.check(); err != nil {
		return nil, "", err
	}
	var w where
	w.and("account_id = ?", account)
	if f.State != "" {
		w.and("state = ?", text(f.State))
	}
	return pageOf(w, p, "created_at",
		func(condition string, args ...any) ([]callback.Record, error) {
			return s.queryCallbacks(ctx, condition, args...)
		},
		func(r callback.Record) (time.Time, string) { return r.CreatedAt, r.ID })
}

// Callback is one callback of the account with its attempts, or ErrNotFound.
func (s *Store) Callback(ctx context.Context, account, id string) (callback.Record, error) {
	list, err := s.queryCallbacks(ctx, `WHERE account_id = $1 AND id = $2`, account, text(id))
	if err != nil {
		return callback.Record{}, err
	}
	if len(list) == 0 {
		return callback.Record{}, ErrNotFound
	}
	return list[0], nil
}

func (s *Store) queryCallbacks(ctx context.Context, condition string, args ...any) ([]callback.Record, error) {
	rows, err := s.reader.QueryContext(ctx, `
		SELECT id, account_id, state, client, packet, next_attempt_at, created_at FROM callbacks `+condition, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []callback.Record
	for rows.Next() {
		r, err := scanCallback(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return list, s.addAttempts(ctx, list)
}

func scanCallback(rows *sql.Rows) (r callback.Record, err error) {
	var (
		packet  string
		next    sql.NullInt64
		created int64
	)
	if err := rows.Scan(&r.ID, &r.Account, &r.State, &r.Client, &packet, &next, &created); err != nil {
		return r, err
	}
	if err := json.Unmarshal([]byte(packet), &r.Packet); err != nil {
		return r, fmt.Errorf("packet of callback %s: %w", r.ID, err)
	}
	r.CreatedAt = fromMS(created)
	if next.Valid {
		at := fromMS(next.Int64)
		r.NextAttemptAt = &at
	}
	return r, nil
}

// addAttempts fills in the attempts of each callback, in their order.
func (s *Store) addAttempts(ctx context.Context, list []callback.Record) error {
	if len(list) == 0 {
		return nil
	}
	places := make(map[string]*callback.Record, len(list))
	ids, marks := make([]any, len(list)), make([]string, len(list))
	for i := range list {
		places[list[i].ID] = &list[i]
		ids[i], marks[i] = list[i].ID, "$"+strconv.Itoa(i+1)
	}
	rows, err := s.reader.QueryContext(ctx, `
		SELECT callback_id, attempt, id, status_code, status_slug FROM calls
		WHERE callback_id IN (`+strings.Join(marks, ", ")+`) ORDER BY callback_id, attempt`, ids...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			a  callback.Attempt
			id string
		)
		if err := rows.Scan(&id, &a.Attempt, &a.CallID, &a.Status.Code, &a.Status.Slug); err != nil {
			return err
		}
		places[id].Attempts = append(places[id].Attempts, a)
	}
	return rows.Err()
}
