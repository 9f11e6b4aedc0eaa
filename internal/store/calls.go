package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/invalid"
)

// The most and the usual number of items of a list.
const (
	MaxLimit     = 500
	DefaultLimit = 50
)

// Page says which part of a list is wanted.
type Page struct {
	// Limit is how many items, 1 to MaxLimit. Default DefaultLimit.
	Limit int
	// Cursor is the next of the answer before; empty: from the start.
	Cursor string
}

// check fills in the default limit and refuses one that is out of bounds.
func (p *Page) check() error {
	if p.Limit == 0 {
		p.Limit = DefaultLimit
	}
	if p.Limit < 1 || p.Limit > MaxLimit {
		return invalid.Error{{Path: "limit", Message: fmt.Sprintf("want 1 to %d", MaxLimit)}}
	}
	return nil
}

// CallFilter narrows the list of calls. A zero field does not.
type CallFilter struct {
	Client     string // E.164
	CallbackID string
	Direction  call.Direction
	Live       bool      // only calls that have not ended
	Since      time.Time // started at or after
	Until      time.Time // started before
}

const callColumns = `id, account_id, direction, COALESCE(callback_id, ''), attempt, client, responsible,
	status_code, status_slug, started_at, answered_at, joined_at, ended_at, stages, recording, recording_s, transcript, last_seq`

// Calls lists the account's calls, newest first, and the cursor of the next
// page, "" after the last. A bad limit or cursor is an invalid.Error.
func (s *Store) Calls(ctx context.Context, account string, p Page, f CallFilter) (calls []call.Call, next string, err error) {
	if err := p.check(); err != nil {
		return nil, "", err
	}
	var w where
	w.and("account_id = ?", account)
	if f.Client != "" {
		w.and("client = ?", text(f.Client))
	}
	if f.CallbackID != "" {
		w.and("callback_id = ?", text(f.CallbackID))
	}
	if f.Direction != "" {
		w.and("direction = ?", text(string(f.Direction)))
	}
	if f.Live {
		w.and("ended_at IS NULL")
	}
	if !f.Since.IsZero() {
		w.and("started_at >= ?", f.Since.UnixMilli())
	}
	if !f.Until.IsZero() {
		w.and("started_at < ?", f.Until.UnixMilli())
	}
	return pageOf(w, p, "started_at",
		func(condition string, args ...any) ([]call.Call, error) { return s.queryCalls(ctx, condition, args...) },
		func(c call.Call) (time.Time, string) { return c.StartedAt, c.ID })
}

// Call is one call of the account, or ErrNotFound.
func (s *Store) Call(ctx context.Context, account, id string) (call.Call, error) {
	calls, err := s.queryCalls(ctx, `WHERE account_id = $1 AND id = $2`, account, text(id))
	if err != nil {
		return call.Call{}, err
	}
	if len(calls) == 0 {
		return call.Call{}, ErrNotFound
	}
	return calls[0], nil
}

// Unfinished are the calls of this node that have begun and have not ended, of
// all accounts, oldest first. At the start of a process they are those of its
// predecessor.
func (s *Store) Unfinished(ctx context.Context) ([]call.Call, error) {
	return s.queryCalls(ctx, `WHERE node = $1 AND ended_at IS NULL
		AND NOT EXISTS (SELECT 1 FROM callbacks WHERE callbacks.id = calls.callback_id AND state = 'scheduled') ORDER BY id`, s.node)
}

// Rendering are the calls of this node whose recordings wait for the renderer,
// of all accounts, oldest first.
func (s *Store) Rendering(ctx context.Context) ([]call.Call, error) {
	return s.queryCalls(ctx, `WHERE recording = 'rendering' AND node = $1 ORDER BY id`, s.node)
}

// Events is the timeline of a call after the position afterSeq: 0 for all of
// it. ErrNotFound if the account has no such call.
func (s *Store) Events(ctx context.Context, account, callID string, afterSeq int64) ([]call.Event, error) {
	events, err := queryEvents(ctx, s.reader, `
		SELECT event FROM events WHERE account_id = $1 AND call_id = $2 AND seq > $3 ORDER BY seq`, account, text(callID), afterSeq)
	if err == nil && len(events) == 0 {
		_, err = s.Call(ctx, account, callID)
	}
	return events, err
}

func (s *Store) queryCalls(ctx context.Context, condition string, args ...any) ([]call.Call, error) {
	rows, err := s.reader.QueryContext(ctx, `SELECT `+callColumns+` FROM calls `+condition, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []call.Call
	for rows.Next() {
		c, err := scanCall(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, rows.Err()
}

func scanCall(rows *sql.Rows) (call.Call, error) {
	var (
		c                       call.Call
		started                 int64
		answered, joined, ended sql.NullInt64
		stages                  string
	)
	err := rows.Scan(&c.ID, &c.Account, &c.Direction, &c.CallbackID, &c.Attempt, &c.Client, &c.Responsible,
		&c.Status.Code, &c.Status.Slug, &started, &answered, &joined, &ended, &stages, &c.Recording, &c.RecordingS, &c.Transcript, &c.LastSeq)
	if err != nil {
		return c, err
	}
	c.StartedAt = fromMS(started)
	c.AnsweredAt, c.JoinedAt, c.EndedAt = fromNullMS(answered), fromNullMS(joined), fromNullMS(ended)
	if err := json.Unmarshal([]byte(stages), &c.Stages); err != nil {
		return c, fmt.Errorf("stages of call %s: %w", c.ID, err)
	}
	return c, nil
}

const saveCallSQL = `
		INSERT INTO calls (id, account_id, node, direction, callback_id, attempt, client, responsible,
			status_code, status_slug, started_at, answered_at, joined_at, ended_at, stages, recording, recording_s, transcript, last_seq)
		VALUES ($1, $2, $3, $4, NULLIF($5, ''), $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
		ON CONFLICT (id) DO UPDATE SET responsible = excluded.responsible,
			status_code = excluded.status_code, status_slug = excluded.status_slug,
			answered_at = excluded.answered_at, joined_at = excluded.joined_at, ended_at = excluded.ended_at,
			stages = excluded.stages, recording = excluded.recording, recording_s = excluded.recording_s,
			transcript = excluded.transcript, last_seq = excluded.last_seq`

// saveCall writes the call's row, whether it is new or not.
func saveCall(ctx context.Context, tx *Tx, c call.Call, node string) error {
	stages := []byte("[]")
	if len(c.Stages) > 0 {
		var err error
		if stages, err = json.Marshal(c.Stages); err != nil {
			return err
		}
	}
	return tx.run(ctx, saveCallSQL,
		c.ID, c.Account, node, string(c.Direction), c.CallbackID, c.Attempt, text(c.Client), text(c.Responsible),
		c.Status.Code, c.Status.Slug, c.StartedAt.UnixMilli(), toNullMS(c.AnsweredAt), toNullMS(c.JoinedAt), toNullMS(c.EndedAt),
		string(stages), c.Recording, c.RecordingS, c.Transcript, c.LastSeq)
}

// replay makes the call from its stored events. The row alone would not do: it
// does not say which leg belongs to whom.
func replay(ctx context.Context, tx *Tx, id string) (call.Call, error) {
	var c call.Call
	err := tx.QueryRowContext(ctx, `SELECT account_id FROM calls WHERE id = $1`, id).Scan(&c.Account)
	if errors.Is(err, sql.ErrNoRows) {
		return c, ErrNotFound
	}
	if err != nil {
		return c, err
	}
	events, err := queryEvents(ctx, tx, `SELECT event FROM events WHERE call_id = $1 ORDER BY seq`, id)
	for _, e := range events {
		c.Apply(e)
	}
	return c, err
}

// querier is *sql.DB or *sql.Tx.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func queryEvents(ctx context.Context, db querier, query string, args ...any) ([]call.Event, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []call.Event
	for rows.Next() {
		var (
			text string
			e    call.Event
		)
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			return nil, fmt.Errorf("stored event: %w", err)
		}
		list = append(list, e)
	}
	return list, rows.Err()
}

// where collects conditions; ? becomes the next $N.
type where struct {
	terms []string
	args  []any
}

func (w *where) and(term string, args ...any) {
	for _, a := range args {
		w.args = append(w.args, a)
		term = strings.Replace(term, "?", "$"+strconv.Itoa(len(w.args)), 1)
	}
	w.terms = append(w.terms, term)
}

func (w *where) text() string { return strings.Join(w.terms, " AND ") }

// text is s as both databases take it: PostgreSQL refuses broken UTF-8 and NUL,
// wherever they come from. A name that had any is found nowhere.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func fromMS(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func fromNullMS(ms sql.NullInt64) time.Time {
	if !ms.Valid {
		return time.Time{}
	}
	return fromMS(ms.Int64)
}

func toNullMS(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMilli(), Valid: !t.IsZero()}
}
