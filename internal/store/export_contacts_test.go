package store

import (
	"context"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/perezvon/perezvon/internal/call"
)

// LookUpSQL is the statement of a look-up with its arguments, to be explained.
func LookUpSQL(account, number string, rule call.ResponsibleRule) (query string, args []any, err error) {
	q, err := newLookUp(account, number, rule.WithDefaults(), time.Now())
	return q.text, q.args, err
}

// Again takes the tables back to a version and brings them up to date again.
func (s *Store) Again(ctx context.Context, version int64) error {
	files, err := fs.Sub(migrations, "migrations/"+s.dialect.name)
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(s.dialect.goose, s.writer, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	if _, err := p.DownTo(ctx, version); err != nil {
		return err
	}
	_, err = p.Up(ctx)
	return err
}
