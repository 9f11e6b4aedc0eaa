package store

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// Outbox is how the deliveries of one kind fare.
type Outbox struct {
	Waiting, Dead int
	// Oldest is the beginning of the one that waits longest; zero if none waits.
	Oldest time.Time
	// LastError is of the newest that waits after a failure or was given up;
	// empty if there is none.
	LastError string
}

// The index of what is open is small; that of the kind leads through everything
// that was ever delivered. Hence kind || ”, which no index fits.
const outboxSQL = `
	SELECT state, COUNT(*), MIN(created_at) FROM deliveries
	WHERE account_id = $1 AND state <> 'delivered' AND kind || '' = $2 GROUP BY state`

const outboxErrorSQL = `
	SELECT last_error FROM deliveries
	WHERE account_id = $1 AND state <> 'delivered' AND kind || '' = $2 AND last_error <> '' ORDER BY created_at DESC, id DESC LIMIT 1`

// Outbox tells how the account's deliveries of a kind fare. It reads only what is
// open.
func (s *Store) Outbox(ctx context.Context, account, kind string) (o Outbox, err error) {
	rows, err := s.reader.QueryContext(ctx, outboxSQL, account, kind)
	if err != nil {
		return o, err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			state  string
			n      int
			oldest int64
		)
		if err := rows.Scan(&state, &n, &oldest); err != nil {
			return o, err
		}
		switch state {
		case DeliveryWaiting:
			o.Waiting, o.Oldest = n, fromMS(oldest)
		case DeliveryDead:
			o.Dead = n
		}
	}
	if err := rows.Err(); err != nil {
		return o, err
	}
	err = s.reader.QueryRowContext(ctx, outboxErrorSQL, account, kind).Scan(&o.LastError)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return o, err
}
