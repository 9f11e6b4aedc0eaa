// Package store keeps everything that must outlive the process: what an
// administrator set, what was ordered, every call and its timeline. It speaks
// SQLite, the default, and PostgreSQL; the queries are one text for both.
//
// All writing passes through one goroutine that commits in groups (see
// Journal), so a hundred requests that arrive together cost one flush of the
// disk. Reading has connections of its own and never waits for a writer.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"
)

// ErrNotFound says that there is no such row in the account.
var ErrNotFound = errors.New("not found")

// DefaultNode is the name of the process where there is only one.
const DefaultNode = "local"

// Options say where the data is.
type Options struct {
	// DSN names the database: "" for SQLite in DataDir, a file path for SQLite
	// elsewhere, postgres://… for PostgreSQL.
	DSN string
	// DataDir is the folder of this process's files. It is made if it does not
	// exist and held exclusively until Close.
	DataDir string
	// Node names this process among those that share the database. It must be
	// the same after a restart, for it tells which calls were this process's.
	// Default DefaultNode.
	Node string
	// Logger gets one line a trouble. Default: none.
	Logger *slog.Logger
}

// Store is the open database. Its methods may be called from any goroutine.
type Store struct {
	log     *slog.Logger
	node    string
	dsn     string
	dialect dialect
	writer  *sql.DB
	reader  *sql.DB // the same as writer where the database takes many writers
	hot     map[string]*sql.Stmt
	lock    io.Closer
	// lastSeen is the last sign of life of the process before this one.
	lastSeen time.Time
	journal  *Journal
	trees    trees // of locations, by account
}

// Open opens the database, brings its tables up to date and takes the data
// folder. It fails if another process holds the folder.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Node == "" {
		o.Node = DefaultNode
	}
	if err := os.MkdirAll(o.DataDir, 0o750); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	lock, err := lockFolder(o.DataDir)
	if err != nil {
		return nil, err
	}
	s := &Store{log: o.Logger, node: o.Node, dsn: o.DSN, lock: lock}
	if err := s.connect(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("database: %w", err), s.disconnect())
	}
	s.journal = newJournal(s)
	return s, nil
}

func (s *Store) connect(ctx context.Context, o Options) (err error) {
	if IsPostgres(o.DSN) {
		s.dialect = postgres
		s.writer, err = openPostgres(o.DSN)
		s.reader = s.writer
	} else {
		s.dialect = sqlite
		s.writer, s.reader, err = openSQLite(ctx, o)
	}
	if err != nil {
		return err
	}
	if err := s.migrate(ctx); err != nil {
		return fmt.Errorf("tables: %w", err)
	}
	if err := s.prepare(ctx); err != nil {
		return err
	}
	var seen int64
	err = s.writer.QueryRowContext(ctx, `SELECT seen_at FROM nodes WHERE id = $1`, s.node).Scan(&seen)
	switch {
	case err == nil:
		s.lastSeen = fromMS(seen)
	case !errors.Is(err, sql.ErrNoRows):
		return err
	}
	// Proves at the start, not at the first call, that the disk takes writes.
	return s.beat(ctx, s.writer)
}

// IsPostgres tells which database a DSN names.
func IsPostgres(dsn string) bool {
	return strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://")
}

// Close stores what is still waiting and closes the database. Nothing may be
// appended to the journal any more.
func (s *Store) Close() error {
	return errors.Join(s.journal.close(), s.disconnect())
}

func (s *Store) disconnect() error {
	var errs []error
	if s.reader != nil && s.reader != s.writer {
		errs = append(errs, s.reader.Close())
	}
	if s.writer != nil {
		errs = append(errs, s.writer.Close())
	}
	return errors.Join(append(errs, s.lock.Close())...)
}

// Journal is where calls write their timelines.
func (s *Store) Journal() *Journal { return s.journal }

// Node is the name of this process: Options.Node.
func (s *Store) Node() string { return s.node }

// LastSeen is when the node's process before this one was last alive, to some
// five seconds; zero if there was none.
func (s *Store) LastSeen() time.Time { return s.lastSeen }

// Healthy is nil while the database takes writes, and otherwise the error of
// the last try. A server that is not healthy must not accept calls.
func (s *Store) Healthy() error { return s.journal.Healthy() }

// SQLite is the writer's connection if the database is SQLite, otherwise nil.
// It is one connection: whoever takes it keeps everybody else from writing.
func (s *Store) SQLite() *sql.DB {
	if s.dialect.name != sqlite.name {
		return nil
	}
	return s.writer
}

// Postgres is the DSN if the database is PostgreSQL, otherwise empty.
func (s *Store) Postgres() string {
	if s.dialect.name != postgres.name {
		return ""
	}
	return s.dsn
}

// execer is *sql.DB or *sql.Tx.
type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// beat notes that this process is alive and can write.
func (s *Store) beat(ctx context.Context, db execer) error {
	_, err := db.ExecContext(ctx, `
		INSERT INTO nodes (id, seen_at) VALUES ($1, $2)
		ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at`, s.node, time.Now().UnixMilli())
	return err
}
