package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
)

// integrations are the systems beside us that an account is connected with.
var integrations = table{"integrations", "name"}

// Integration is what is kept of the account's connection with a system, or
// ErrNotFound. Only the package of that system reads it; it holds secrets.
func (s *Store) Integration(ctx context.Context, account, name string) (json.RawMessage, error) {
	return get[json.RawMessage](ctx, s, integrations, account, name)
}

// Integrations are the connections of all accounts with a system, by account.
func (s *Store) Integrations(ctx context.Context, name string) (map[string]json.RawMessage, error) {
	rows, err := s.reader.QueryContext(ctx, `SELECT account_id, config FROM integrations WHERE name = $1`, name)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := make(map[string]json.RawMessage)
	for rows.Next() {
		var account, config string
		if err := rows.Scan(&account, &config); err != nil {
			return nil, err
		}
		all[account] = json.RawMessage(config)
	}
	return all, rows.Err()
}

// PutIntegration keeps a connection, in place of the one that was.
func (s *Store) PutIntegration(_ context.Context, account, name string, config json.RawMessage) error {
	_, err := put(s, integrations, account, name, config, nil)
	return err
}

// DeleteIntegration forgets a connection, or says ErrNotFound.
func (s *Store) DeleteIntegration(_ context.Context, account, name string) error {
	return remove(s, integrations, account, name, nil)
}

// HasIntegration tells, within a transaction, whether the account is connected
// with a system.
func (t *Tx) HasIntegration(ctx context.Context, account, name string) (has bool, err error) {
	err = t.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM integrations WHERE account_id = $1 AND name = $2)`, account, name).Scan(&has)
	return has, err
}

// Received is the body that the callback was ordered with, as it came;
// ErrNotFound if there is no such callback.
func (t *Tx) Received(ctx context.Context, callbackID string) ([]byte, error) {
	var body []byte
	err := t.QueryRowContext(ctx, `SELECT received FROM callbacks WHERE id = $1`, callbackID).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	return body, err
}

// Bitrix24Progress is how far Bitrix24 has been told of a call, or ErrNotFound.
func (s *Store) Bitrix24Progress(ctx context.Context, callID string) (json.RawMessage, error) {
	var progress string
	err := s.reader.QueryRowContext(ctx, `SELECT progress FROM bitrix24_calls WHERE call_id = $1`, callID).Scan(&progress)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	return json.RawMessage(progress), err
}

// SaveBitrix24Progress keeps it. When it returns without an error, it is on the
// disk.
func (s *Store) SaveBitrix24Progress(_ context.Context, callID string, progress json.RawMessage) error {
	return s.journal.write(func(ctx context.Context, tx *Tx) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO bitrix24_calls (call_id, progress) VALUES ($1, $2)
			ON CONFLICT (call_id) DO UPDATE SET progress = excluded.progress`, callID, string(progress))
		return err
	}, nil)
}
