package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/perezvon/perezvon/internal/directory"
)

const noticeColumns = `extension, enabled, source, text, file, length_ms, updated_at`

// Notices are the account's notices by the operators' extensions.
func (s *Store) Notices(ctx context.Context, account string) ([]directory.Notice, error) {
	rows, err := s.reader.QueryContext(ctx, `SELECT `+noticeColumns+` FROM notices WHERE account_id = $1 ORDER BY extension`, account)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []directory.Notice
	for rows.Next() {
		n, err := scanNotice(rows.Scan)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, rows.Err()
}

// Notice is the notice of an operator, or ErrNotFound.
func (s *Store) Notice(ctx context.Context, account, extension string) (directory.Notice, error) {
	return notice(ctx, s.reader, account, extension)
}

func notice(ctx context.Context, from querier, account, extension string) (directory.Notice, error) {
	n, err := scanNotice(from.QueryRowContext(ctx,
		`SELECT `+noticeColumns+` FROM notices WHERE account_id = $1 AND extension = $2`, account, text(extension)).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	return n, err
}

func scanNotice(scan func(...any) error) (n directory.Notice, err error) {
	var length, at int64
	if err = scan(&n.Extension, &n.Enabled, &n.Source, &n.Text, &n.File, &length, &at); err != nil {
		return n, err
	}
	n.Length, n.UpdatedAt = time.Duration(length)*time.Millisecond, fromMS(at)
	return n, nil
}

// PutNotice stores the notice in place of the one that the operator had, whose
// file, if it had one, is replaced: nobody refers to it any more. ErrNotFound:
// there is no such operator.
func (s *Store) PutNotice(_ context.Context, account string, n directory.Notice) (replaced string, err error) {
	err = s.journal.write(func(ctx context.Context, tx *Tx) error {
		var there bool
		err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM operators WHERE account_id = $1 AND extension = $2)`, account, text(n.Extension)).Scan(&there)
		if err != nil {
			return err
		}
		if !there {
			return ErrNotFound
		}
		if replaced, err = removeNotice(ctx, tx, account, n.Extension); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO notices (account_id, `+noticeColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			account, n.Extension, n.Enabled, n.Source, text(n.Text), n.File, n.Length.Milliseconds(), n.UpdatedAt.UnixMilli())
		return err
	}, nil)
	if err != nil {
		return "", err
	}
	return replaced, nil
}

// EnableNotice lets a notice be heard, or not. ErrNotFound: the operator has
// none.
func (s *Store) EnableNotice(_ context.Context, account, extension string, enabled bool) error {
	return s.journal.write(func(ctx context.Context, tx *Tx) error {
		return orNotFound(tx.ExecContext(ctx, `UPDATE notices SET enabled = $1, updated_at = $2 WHERE account_id = $3 AND extension = $4`,
			enabled, time.Now().UnixMilli(), account, text(extension)))
	}, nil)
}

// DeleteNotice removes the notice of an operator and tells the file that it
// had, if it had one. ErrNotFound: there is none.
func (s *Store) DeleteNotice(_ context.Context, account, extension string) (file string, err error) {
	err = s.journal.write(func(ctx context.Context, tx *Tx) error {
		file, err = removeNotice(ctx, tx, account, extension)
		return err
	}, nil)
	return file, err
}

func removeNotice(ctx context.Context, tx *Tx, account, extension string) (file string, err error) {
	err = tx.QueryRowContext(ctx, `DELETE FROM notices WHERE account_id = $1 AND extension = $2 RETURNING file`, account, text(extension)).Scan(&file)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	return file, err
}

// NoticeFiles are the files of all notices of all accounts: what else is in
// their folder belongs to nobody.
func (s *Store) NoticeFiles(ctx context.Context) (map[string]bool, error) {
	rows, err := s.reader.QueryContext(ctx, `SELECT file FROM notices WHERE file <> ''`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	files := make(map[string]bool)
	for rows.Next() {
		var file string
		if err := rows.Scan(&file); err != nil {
			return nil, err
		}
		files[file] = true
	}
	return files, rows.Err()
}
