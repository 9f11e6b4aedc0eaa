package store

import (
	"context"
	"time"
)

// Asked lets somebody come and send a lane, in the transaction that adds to it.
type Asked func(context.Context, *Tx, Lane) error

// ReplayDeliveries stores deliveries, all of one lane, to be told anew: each as a copy,
// with an id of its own, of what was stored for the same event before. With
// missing, those that were delivered or wait are left out. n is how many are
// stored; if any, added runs in the same transaction.
func (s *Store) ReplayDeliveries(_ context.Context, list []Delivery, missing bool, added Asked) (n int, err error) {
	err = s.journal.write(func(ctx context.Context, tx *Tx) error {
		n = 0
		for _, d := range list {
			var last, alive int
			err := tx.QueryRowContext(ctx, `
				SELECT COALESCE(MAX(copy), -1), COALESCE(SUM(CASE WHEN state = 'dead' THEN 0 ELSE 1 END), 0)
				FROM deliveries WHERE call_id = $1 AND kind = $2 AND seq = $3`, d.CallID, d.Kind, d.Seq).Scan(&last, &alive)
			if err != nil {
				return err
			}
			if missing && alive > 0 {
				continue
			}
			d.Copy = last + 1
			if err := tx.AddDelivery(ctx, d); err != nil {
				return err
			}
			n++
		}
		if n == 0 {
			return nil
		}
		return added(ctx, tx, list[0].Lane)
	}, nil)
	return n, err
}

// afterCall is how long after a call's end events of it may come: the rendering
// of its recording, its transcript.
const afterCall = 2 * time.Hour

const callsWithinSQL = `
	SELECT id, started_at FROM calls
	WHERE account_id = $1 AND (started_at, id) > ($2, $3) AND started_at < $4 AND (ended_at IS NULL OR ended_at >= $5)
	ORDER BY started_at, id LIMIT $6`

// CallsWithin are the ids of the account's calls that may have had events from
// one moment until before another, oldest first, and the cursor of the next
// page, "" after the last. Calls that began more than a day before are left
// out. A bad cursor is an invalid.Error.
func (s *Store) CallsWithin(ctx context.Context, account string, from, until time.Time, p Page) (ids []string, next string, err error) {
	if err := p.check(); err != nil {
		return nil, "", err
	}
	at, id := from.Add(-24*time.Hour).UnixMilli(), ""
	if p.Cursor != "" {
		if at, id, err = readCursor(p.Cursor); err != nil {
			return nil, "", err
		}
	}
	rows, err := s.reader.QueryContext(ctx, callsWithinSQL,
		account, at, id, until.UnixMilli(), from.Add(-afterCall).UnixMilli(), p.Limit+1)
	if err != nil {
		return nil, "", err
	}
	defer rows.Close()
	for rows.Next() {
		if len(ids) == p.Limit {
			return ids, writeCursor(at, id), nil
		}
		if err := rows.Scan(&id, &at); err != nil {
			return nil, "", err
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		return nil, "", err
	}
	return ids, "", nil
}
