package freepbx

import (
	"database/sql"
	"log/slog"
	"time"

	"github.com/perezvon/perezvon/internal/store"
)

// Config says which FreePBX, and for whom.
type Config struct {
	// URL is as ParseURL reads it.
	URL     string
	Store   *store.Store
	Account string
	// Zone is the time zone of the call records; nil: what MariaDB takes local
	// time for.
	Zone   *time.Location
	Logger *slog.Logger
}

// FreePBX is one that is there already. Its methods may be called from any
// goroutine; their errors are invalid.Error, store trouble, or MariaDB's.
type FreePBX struct {
	*Reader

	db      *sql.DB
	store   *store.Store
	account string
	log     *slog.Logger
}

// New makes it; nothing is connected yet. Close it.
func New(c Config) (*FreePBX, error) {
	config, err := ParseURL(c.URL)
	if err != nil {
		return nil, err
	}
	db, err := open(config)
	if err != nil {
		return nil, err
	}
	return &FreePBX{
		Reader: newReader(db, c.Store, c.Account, c.Zone, c.Logger),
		db:     db, store: c.Store, account: c.Account, log: c.Logger,
	}, nil
}

// Close gives the connections back.
func (f *FreePBX) Close() error { return f.db.Close() }
