package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/numbering"
)

// ForeignContact is a contact of an operator and a client on a call of a PBX
// beside this server.
type ForeignContact struct {
	// CallID is the PBX's name of the call.
	CallID   string
	Operator string
	// Client is the client's number as the PBX shows it.
	Client    string
	Direction call.Direction
	At        time.Time
	Outcome   call.ContactOutcome
}

// importContactSQL takes the contact unless a better one of the same call is
// there: one that was answered before one that was not, one that rang before
// one that failed, and then the later. So it does not matter in which order, or
// how often, the records of a call come.
const importContactSQL = `
	INSERT INTO contacts (account_id, call_id, operator, outside, client_key, client, at, outcome, direction, passed_over, source)
	VALUES ($1, $2, $3, FALSE, $4, $5, $6, $7, $8, FALSE, $9)
	ON CONFLICT (account_id, call_id, operator) DO UPDATE SET
		client_key = excluded.client_key, client = excluded.client, at = excluded.at, outcome = excluded.outcome, direction = excluded.direction,
		passed_over = contacts.passed_over AND excluded.outcome <> 'answered'
	WHERE contacts.source = excluded.source AND (
		CASE excluded.outcome WHEN 'answered' THEN 3 WHEN 'failed' THEN 1 ELSE 2 END > CASE contacts.outcome WHEN 'answered' THEN 3 WHEN 'failed' THEN 1 ELSE 2 END
		OR CASE excluded.outcome WHEN 'answered' THEN 3 WHEN 'failed' THEN 1 ELSE 2 END = CASE contacts.outcome WHEN 'answered' THEN 3 WHEN 'failed' THEN 1 ELSE 2 END
			AND (excluded.at > contacts.at OR excluded.at = contacts.at AND excluded.outcome > contacts.outcome))`

// passOverSQL: where one of a call's operators was answered, the others who
// were not are passed over.
const passOverSQL = `
	UPDATE contacts SET passed_over = TRUE
	WHERE account_id = $1 AND call_id = $2 AND source = $3 AND outcome <> 'answered' AND NOT passed_over
		AND EXISTS (SELECT 1 FROM contacts o WHERE o.account_id = $1 AND o.call_id = $2 AND o.source = $3 AND o.outcome = 'answered')`

// Import stores contacts of a source, and how far it has been read, in one
// transaction: what a crash leaves is read again from there. A contact whose
// client cannot be recognised (numbering.Key) is left out. Keep it small: the
// calls of this server wait for it.
func (s *Store) Import(_ context.Context, account, source string, contacts []ForeignContact, position string) error {
	return s.journal.write(func(ctx context.Context, tx *Tx) error {
		calls := make(map[string]bool)
		for _, c := range contacts {
			key, e164 := numbering.Key(c.Client)
			if key == "" {
				continue
			}
			if err := tx.run(ctx, importContactSQL, account, text(c.CallID), text(c.Operator), key, e164,
				c.At.UnixMilli(), string(c.Outcome), string(c.Direction), source); err != nil {
				return err
			}
			calls[text(c.CallID)] = true
		}
		for id := range calls {
			if err := tx.run(ctx, passOverSQL, account, id, source); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `
			INSERT INTO imports (account_id, source, position, updated_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (account_id, source) DO UPDATE SET position = excluded.position, updated_at = excluded.updated_at`,
			account, source, text(position), time.Now().UnixMilli())
		return err
	}, nil)
}

// ImportPosition is how far a source has been read, empty before the first
// Import.
func (s *Store) ImportPosition(ctx context.Context, account, source string) (position string, err error) {
	err = s.reader.QueryRowContext(ctx, `SELECT position FROM imports WHERE account_id = $1 AND source = $2`, account, source).Scan(&position)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return position, err
}

// Destination is where FreePBX leads calls that an extension does not answer,
// changed by this server.
type Destination struct {
	Extension string
	// Before is what was there, After what it was changed to.
	Before, After string
}

// Destinations are the account's that were changed, by extension.
func (s *Store) Destinations(ctx context.Context, account string) ([]Destination, error) {
	rows, err := s.reader.QueryContext(ctx, `SELECT extension, before, after FROM freepbx_destinations WHERE account_id = $1 ORDER BY extension`, account)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Destination
	for rows.Next() {
		var d Destination
		if err := rows.Scan(&d.Extension, &d.Before, &d.After); err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, rows.Err()
}

// KeepDestinations remembers what is about to be changed, in place of what was
// remembered of those extensions.
func (s *Store) KeepDestinations(_ context.Context, account string, list []Destination) error {
	return s.journal.write(func(ctx context.Context, tx *Tx) error {
		for _, d := range list {
			if _, err := tx.ExecContext(ctx, `
				INSERT INTO freepbx_destinations (account_id, extension, before, after, changed_at) VALUES ($1, $2, $3, $4, $5)
				ON CONFLICT (account_id, extension) DO UPDATE SET before = excluded.before, after = excluded.after, changed_at = excluded.changed_at`,
				account, text(d.Extension), text(d.Before), text(d.After), time.Now().UnixMilli()); err != nil {
				return err
			}
		}
		return nil
	}, nil)
}

// ForgetDestination forgets the way back of an extension that has gone it.
func (s *Store) ForgetDestination(_ context.Context, account, extension string) error {
	return s.journal.write(func(ctx context.Context, tx *Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM freepbx_destinations WHERE account_id = $1 AND extension = $2`, account, text(extension))
		return err
	}, nil)
}
