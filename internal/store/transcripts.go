package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/perezvon/perezvon/internal/call"
)

// SaveTranscript keeps what was said on a call, in place of what was kept
// before. It is shown once the call says that it is ready.
func (s *Store) SaveTranscript(account, callID string, segments []call.Segment) error {
	if segments == nil {
		segments = []call.Segment{} // a list, not null
	}
	list, err := json.Marshal(segments)
	if err != nil {
		return err
	}
	return s.journal.write(func(ctx context.Context, tx *Tx) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO transcripts (call_id, account_id, segments) VALUES ($1, $2, $3)
			ON CONFLICT (call_id) DO UPDATE SET segments = excluded.segments`, callID, account, text(string(list)))
		return err
	}, nil)
}

// Transcript is what was said on a call; none if nothing is kept, or nothing for
// this account.
func (s *Store) Transcript(ctx context.Context, account, callID string) ([]call.Segment, error) {
	return readTranscript(s.reader.QueryRowContext(ctx,
		`SELECT segments FROM transcripts WHERE account_id = $1 AND call_id = $2`, account, text(callID)))
}

// Transcript is what was said on a call, in the transaction.
func (t *Tx) Transcript(ctx context.Context, callID string) ([]call.Segment, error) {
	return readTranscript(t.QueryRowContext(ctx, `SELECT segments FROM transcripts WHERE call_id = $1`, callID))
}

func readTranscript(row *sql.Row) ([]call.Segment, error) {
	var list string
	if err := row.Scan(&list); errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var segments []call.Segment
	if err := json.Unmarshal([]byte(list), &segments); err != nil {
		return nil, fmt.Errorf("stored transcript: %w", err)
	}
	return segments, nil
}

// Transcribing are the calls of this node that wait for a transcript and can
// have it, of all accounts, oldest first.
func (s *Store) Transcribing(ctx context.Context) ([]call.Call, error) {
	return s.queryCalls(ctx, `WHERE transcript = 'waiting' AND recording = 'ready' AND node = $1 ORDER BY id`, s.node)
}
