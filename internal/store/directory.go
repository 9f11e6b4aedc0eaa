package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/perezvon/perezvon/internal/directory"
)

// Trunks are the account's trunks by name.
func (s *Store) Trunks(ctx context.Context, account string) ([]directory.Trunk, error) {
	return list[directory.Trunk](ctx, s.reader, trunks, account)
}

// Trunk is one trunk of the account, or ErrNotFound.
func (s *Store) Trunk(ctx context.Context, account, name string) (directory.Trunk, error) {
	return get[directory.Trunk](ctx, s, trunks, account, name)
}

// PutTrunk stores the trunk under its name. created tells that there was none.
// What breaks the rules of directory.Trunk.Validate is its invalid.Error.
func (s *Store) PutTrunk(_ context.Context, account string, t directory.Trunk) (created bool, err error) {
	if err := t.Validate(); err != nil {
		return false, err
	}
	return put(s, trunks, account, t.Name, t, nil)
}

// DeleteTrunk removes the trunk, or says ErrNotFound, or a *ReferencedError.
func (s *Store) DeleteTrunk(_ context.Context, account, name string) error {
	return removeUnused(s, trunks, account, thing{directory.KindTrunk, name})
}

// Operators are the account's operators by extension.
func (s *Store) Operators(ctx context.Context, account string) ([]directory.Operator, error) {
	return list[directory.Operator](ctx, s.reader, operators, account)
}

// Operator is one operator of the account, or ErrNotFound.
func (s *Store) Operator(ctx context.Context, account, extension string) (directory.Operator, error) {
	return get[directory.Operator](ctx, s, operators, account, extension)
}

// PutOperator stores the operator under the extension. created tells that
// there was none. What breaks the rules of directory.Operator.Validate, and
// trunks that do not exist, are an invalid.Error.
func (s *Store) PutOperator(_ context.Context, account string, o directory.Operator) (created bool, err error) {
	if err := o.Validate(); err != nil {
		return false, err
	}
	return putReferring(s, operators, account, thing{directory.KindOperator, o.Extension}, o)
}

// SetPaused pauses an operator, or ends the pause, and touches nothing else of
// what is set. ErrNotFound: there is no such operator.
func (s *Store) SetPaused(_ context.Context, account, extension string, paused bool) error {
	return s.journal.write(func(ctx context.Context, tx *Tx) error {
		var config string
		err := tx.QueryRowContext(ctx, `SELECT config FROM operators WHERE account_id = $1 AND extension = $2`, account, text(extension)).Scan(&config)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNotFound
		}
		if err != nil {
			return err
		}
		o, err := decode[directory.Operator](operators, config)
		if err != nil || o.Paused == paused {
			return err
		}
		o.Paused = paused
		changed, err := json.Marshal(o)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE operators SET config = $1, updated_at = $2 WHERE account_id = $3 AND extension = $4`,
			string(changed), time.Now().UnixMilli(), account, extension)
		return err
	}, nil)
}

// DeleteOperator removes the operator and the notice, which the next one of
// that extension must not inherit; or says ErrNotFound, or a *ReferencedError.
func (s *Store) DeleteOperator(_ context.Context, account, extension string) error {
	return remove(s, operators, account, extension, func(ctx context.Context, tx *Tx) error {
		if err := unused(ctx, tx, account, thing{directory.KindOperator, extension}); err != nil {
			return err
		}
		_, err := removeNotice(ctx, tx, account, extension)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		return err
	})
}

// table is a table of what an administrator sets: account_id, a name, config.
type table struct{ name, key string }

var (
	trunks    = table{"trunks", "name"}
	operators = table{"operators", "extension"}
)

func list[T any](ctx context.Context, from querier, t table, account string) ([]T, error) {
	rows, err := from.QueryContext(ctx,
		fmt.Sprintf(`SELECT config FROM %s WHERE account_id = $1 ORDER BY %s`, t.name, t.key), account)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var items []T
	for rows.Next() {
		var config string
		if err := rows.Scan(&config); err != nil {
			return nil, err
		}
		item, err := decode[T](t, config)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, rows.Err()
}

func get[T any](ctx context.Context, s *Store, t table, account, key string) (item T, err error) {
	var config string
	err = s.reader.QueryRowContext(ctx,
		fmt.Sprintf(`SELECT config FROM %s WHERE account_id = $1 AND %s = $2`, t.name, t.key), account, text(key)).Scan(&config)
	if errors.Is(err, sql.ErrNoRows) {
		return item, ErrNotFound
	}
	if err != nil {
		return item, err
	}
	return decode[T](t, config)
}

func decode[T any](t table, config string) (item T, err error) {
	if err := json.Unmarshal([]byte(config), &item); err != nil {
		return item, fmt.Errorf("config in %s: %w", t.name, err)
	}
	return item, nil
}

// put stores an item if before, run in the same transaction, lets it. before
// may be nil.
func put(s *Store, t table, account, key string, item any, before func(context.Context, *Tx) error) (created bool, err error) {
	config, err := json.Marshal(item)
	if err != nil {
		return false, err
	}
	err = s.journal.write(func(ctx context.Context, tx *Tx) error {
		if before != nil {
			if err := before(ctx, tx); err != nil {
				return err
			}
		}
		now := time.Now().UnixMilli()
		result, err := tx.ExecContext(ctx,
			fmt.Sprintf(`UPDATE %s SET config = $1, updated_at = $2 WHERE account_id = $3 AND %s = $4`, t.name, t.key),
			string(config), now, account, key)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n > 0 {
			return err
		}
		created = true
		_, err = tx.ExecContext(ctx,
			fmt.Sprintf(`INSERT INTO %s (account_id, %s, config, updated_at) VALUES ($1, $2, $3, $4)`, t.name, t.key),
			account, key, string(config), now)
		return err
	}, nil)
	return created && err == nil, err
}

// remove removes an item if before, run in the same transaction, lets it.
// before may be nil.
func remove(s *Store, t table, account, key string, before func(context.Context, *Tx) error) error {
	return s.journal.write(func(ctx context.Context, tx *Tx) error {
		if before != nil {
			if err := before(ctx, tx); err != nil {
				return err
			}
		}
		result, err := tx.ExecContext(ctx, fmt.Sprintf(`DELETE FROM %s WHERE account_id = $1 AND %s = $2`, t.name, t.key), account, text(key))
		return orNotFound(result, err)
	}, nil)
}

// orNotFound is ErrNotFound if the statement changed no row.
func orNotFound(result sql.Result, err error) error {
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n > 0 {
		return err
	}
	return ErrNotFound
}

// EditOperator lets edit change an operator, or make one, in one transaction
// with the look at what is there. What edit leaves must be valid
// (directory.Operator.Validate) and name trunks that exist; else nothing is
// changed and the error is an invalid.Error. edit returns false to leave
// everything as it is.
func (s *Store) EditOperator(_ context.Context, account, extension string, edit func(o *directory.Operator, there bool) (changed bool)) error {
	return s.journal.write(func(ctx context.Context, tx *Tx) error {
		o := directory.Operator{Extension: extension}
		var config string
		err := tx.QueryRowContext(ctx, `SELECT config FROM operators WHERE account_id = $1 AND extension = $2`, account, text(extension)).Scan(&config)
		there := err == nil
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if there {
			if o, err = decode[directory.Operator](operators, config); err != nil {
				return err
			}
		}
		if !edit(&o, there) {
			return nil
		}
		if err := o.Validate(); err != nil {
			return err
		}
		if err := exist(ctx, tx, account, thing{directory.KindOperator, extension}, o.References()); err != nil {
			return err
		}
		changed, err := json.Marshal(o)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `
			INSERT INTO operators (account_id, extension, config, updated_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (account_id, extension) DO UPDATE SET config = excluded.config, updated_at = excluded.updated_at`,
			account, extension, string(changed), time.Now().UnixMilli())
		return err
	}, nil)
}
