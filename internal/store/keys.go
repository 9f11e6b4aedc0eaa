package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"
)

// Key is an API key as it is kept: the key itself is not.
type Key struct {
	ID      string // call.NewID
	Account string
	Name    string // what the administrator calls it
	// Prefix is the first characters of the key, to tell keys apart in a list.
	Prefix string
	// Hash is the SHA-256 of the key, hexadecimal. Keys are long and random, so
	// a slow hash would add nothing.
	Hash      string
	Rights    []string
	CreatedAt time.Time // zero at CreateKey: now
}

const keyColumns = `id, account_id, name, prefix, hash, rights, created_at`

// CreateKey stores a new key.
func (s *Store) CreateKey(_ context.Context, k Key) error {
	rights, err := json.Marshal(k.Rights)
	if err != nil {
		return err
	}
	if k.CreatedAt.IsZero() {
		k.CreatedAt = time.Now()
	}
	return s.journal.write(func(ctx context.Context, tx *Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO api_keys (`+keyColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			k.ID, k.Account, text(k.Name), text(k.Prefix), k.Hash, string(rights), k.CreatedAt.UnixMilli())
		return err
	}, nil)
}

// KeyByHash is the key with that SHA-256, of whatever account, or ErrNotFound.
func (s *Store) KeyByHash(ctx context.Context, hash string) (Key, error) {
	keys, err := s.queryKeys(ctx, `WHERE hash = $1`, text(hash))
	if err != nil {
		return Key{}, err
	}
	if len(keys) == 0 {
		return Key{}, ErrNotFound
	}
	return keys[0], nil
}

// Keys are the account's keys, oldest first.
func (s *Store) Keys(ctx context.Context, account string) ([]Key, error) {
	return s.queryKeys(ctx, `WHERE account_id = $1 ORDER BY created_at, id`, account)
}

// DeleteKey removes the key, or says ErrNotFound.
func (s *Store) DeleteKey(_ context.Context, account, id string) error {
	return s.journal.write(func(ctx context.Context, tx *Tx) error {
		result, err := tx.ExecContext(ctx, `DELETE FROM api_keys WHERE account_id = $1 AND id = $2`, account, text(id))
		return orNotFound(result, err)
	}, nil)
}

func (s *Store) queryKeys(ctx context.Context, condition string, args ...any) ([]Key, error) {
	rows, err := s.reader.QueryContext(ctx, `SELECT `+keyColumns+` FROM api_keys `+condition, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Key
	for rows.Next() {
		k, err := scanKey(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, k)
	}
	return list, rows.Err()
}

func scanKey(rows *sql.Rows) (Key, error) {
	var (
		k       Key
		rights  string
		created int64
	)
	if err := rows.Scan(&k.ID, &k.Account, &k.Name, &k.Prefix, &k.Hash, &rights, &created); err != nil {
		return k, err
	}
	k.CreatedAt = fromMS(created)
	return k, json.Unmarshal([]byte(rights), &k.Rights)
}
