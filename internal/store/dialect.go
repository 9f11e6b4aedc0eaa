package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

// dialect is everything in which the databases differ, apart from how they are
// opened and how their tables are made.
type dialect struct {
	name  string
	goose goose.Dialect
	// refused tells that the database is well and refuses the row itself: it
	// would refuse it the next time too.
	refused func(error) bool
}

var (
	sqlite   = dialect{name: "sqlite", goose: goose.DialectSQLite3, refused: sqliteRefused}
	postgres = dialect{name: "postgres", goose: goose.DialectPostgres, refused: postgresRefused}
)

//go:embed migrations
var migrations embed.FS

func (s *Store) migrate(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations/"+s.dialect.name)
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(s.dialect.goose, s.writer, files,
		goose.WithDisableGlobalRegistry(true), goose.WithSlog(s.log))
	if err != nil {
		return err
	}
	_, err = p.Up(ctx)
	return err
}

// Tx is a transaction in progress. It is handed to those who must store rows
// of their own together with the store's: see Journal.OnEvent.
type Tx struct {
	*sql.Tx

	conn *sql.Conn
	hot  map[string]*sql.Stmt
}

// hotStatements run for every call or event. Parsing them was a third of what
// a commit costs in SQLite, so they are prepared once.
var hotStatements = []string{insertEventSQL, saveCallSQL, insertCallbackSQL, followSQL, endSQL, insertDeliverySQL, settleDeliverySQL, saveContactSQL, importContactSQL, passOverSQL}

func (s *Store) prepare(ctx context.Context) error {
	s.hot = make(map[string]*sql.Stmt, len(hotStatements))
	for _, query := range hotStatements {
		stmt, err := s.writer.PrepareContext(ctx, query)
		if err != nil {
			return err
		}
		s.hot[query] = stmt
	}
	return nil
}

// run executes one of hotStatements.
func (t *Tx) run(ctx context.Context, query string, args ...any) error {
	_, err := t.StmtContext(ctx, t.hot[query]).ExecContext(ctx, args...)
	return err
}

// within runs do so that either all or nothing of it is in the transaction.
// broken tells that the transaction itself cannot go on.
func (t *Tx) within(ctx context.Context, do func(context.Context, *Tx) error) (err error, broken error) {
	if _, err := t.ExecContext(ctx, "SAVEPOINT part"); err != nil {
		return err, err
	}
	if err := do(ctx, t); err != nil {
		// A full disk makes SQLite give up the whole transaction; then there
		// is no savepoint to return to, and this fails too.
		_, broken := t.ExecContext(ctx, "ROLLBACK TO SAVEPOINT part")
		return err, broken
	}
	if _, err := t.ExecContext(ctx, "RELEASE SAVEPOINT part"); err != nil {
		return err, err
	}
	return nil, nil
}

// transact runs do in a transaction of the writer.
func (s *Store) transact(ctx context.Context, do func(context.Context, *Tx) error) error {
	conn, err := s.writer.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback() // does nothing after Commit
	if err := do(ctx, &Tx{Tx: tx, conn: conn, hot: s.hot}); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}
