package store

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"path/filepath"

	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"
)

// databaseFile is the database's name in the data folder.
const databaseFile = "perezvon.db"

// readers is how many queries read at once. They do not block each other nor
// the writer (write-ahead log).
const readers = 4

// openSQLite opens two pools on one file: the writer is one connection,
// because SQLite has one writer and its own way of waiting for the turn
// starves the unlucky for seconds, while database/sql serves in order.
func openSQLite(ctx context.Context, o Options) (writer, reader *sql.DB, err error) {
	path := o.DSN
	if path == "" {
		path = filepath.Join(o.DataDir, databaseFile)
	}
	writer, err = sql.Open("sqlite", sqliteDSN(path, url.Values{
		"_txlock": {"immediate"},
		// FULL flushes the log at each commit, so that what was acknowledged
		// outlives a power cut: docs/decisions/0004-store.md.
		"_pragma": {"journal_mode(WAL)", "synchronous(FULL)", "busy_timeout(5000)", "foreign_keys(1)"},
	}))
	if err != nil {
		return nil, nil, err
	}
	writer.SetMaxOpenConns(1)
	// The first connection makes the file, which a read-only one cannot.
	if err := writer.PingContext(ctx); err != nil {
		return writer, nil, err
	}
	reader, err = sql.Open("sqlite", sqliteDSN(path, url.Values{
		"mode":    {"ro"},
		"_pragma": {"busy_timeout(5000)"},
	}))
	if err != nil {
		return writer, nil, err
	}
	reader.SetMaxOpenConns(readers)
	reader.SetMaxIdleConns(readers)
	return writer, reader, nil
}

func sqliteDSN(path string, query url.Values) string {
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: query.Encode()}).String()
}

// sqliteRefused: the row breaks a constraint, has a wrong type or is too big.
func sqliteRefused(err error) bool {
	var e *driver.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff {
	case codes.SQLITE_CONSTRAINT, codes.SQLITE_MISMATCH, codes.SQLITE_TOOBIG:
		return true
	}
	return false
}
