package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/perezvon/perezvon/internal/directory"
)

// Peers are who an account calls through, and whom: what other programs than
// the server need to know of its directory.
type Peers struct {
	Trunks    []directory.Trunk
	Operators []directory.Operator
}

// LookAtPeers reads an account's peers without taking the data folder and
// without changing anything, beside a server that runs or not. The error wraps
// fs.ErrNotExist where there is no SQLite database yet.
func LookAtPeers(ctx context.Context, o Options, account string) (p Peers, err error) {
	db, err := openToLook(o)
	if err != nil {
		return p, fmt.Errorf("database: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if p.Trunks, err = list[directory.Trunk](ctx, db, trunks, account); err != nil {
		return p, fmt.Errorf("database: %w", err)
	}
	if p.Operators, err = list[directory.Operator](ctx, db, operators, account); err != nil {
		return p, fmt.Errorf("database: %w", err)
	}
	return p, nil
}

func openToLook(o Options) (*sql.DB, error) {
	if IsPostgres(o.DSN) {
		return openPostgres(o.DSN)
	}
	path := o.DSN
	if path == "" {
		path = filepath.Join(o.DataDir, databaseFile)
	}
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	return sql.Open("sqlite", sqliteDSN(path, url.Values{"mode": {"ro"}, "_pragma": {"busy_timeout(5000)"}}))
}
