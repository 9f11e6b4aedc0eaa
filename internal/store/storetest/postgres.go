package storetest

import (
	"database/sql"
	"errors"
	"net/url"
	"os"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/localdb"
	"github.com/perezvon/perezvon/internal/store"
)

// postgresDSN in the environment names a server to test with, by a user who may
// create databases.
const postgresDSN = "PEREZVON_TEST_POSTGRES"

// Postgres gives stores on a PostgreSQL server, each in an empty database: the
// server that PEREZVON_TEST_POSTGRES names, or else one that runs for this test
// alone, from the binaries that are installed. ok is false if there are none.
func Postgres(t testing.TB) (open func(t testing.TB) *store.Store, ok bool) {
	t.Helper()
	dsn := os.Getenv(postgresDSN)
	if dsn == "" {
		server, err := localdb.Postgres(t.Context())
		if errors.Is(err, localdb.ErrNotInstalled) {
			t.Logf("no PostgreSQL here and no %s: tested with SQLite only", postgresDSN)
			return nil, false
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := server.Stop(); err != nil {
				t.Error(err)
			}
		})
		dsn = server.DSN
	}
	server, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return func(t testing.TB) *store.Store {
		t.Helper()
		name := "perezvon_test_" + strings.ReplaceAll(call.NewID(), "-", "")
		if _, err := server.ExecContext(t.Context(), "CREATE DATABASE "+name); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if _, err := server.Exec("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
				t.Error(err)
			}
		})
		u, err := url.Parse(dsn)
		if err != nil {
			t.Fatal(err)
		}
		u.Path = "/" + name
		return OpenIn(t, store.Options{DSN: u.String(), DataDir: t.TempDir()})
	}, true
}
