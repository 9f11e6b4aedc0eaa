package storetest

import (
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/perezvon/perezvon/internal/call"
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
		bin := postgresBinaries()
		if bin == "" {
			t.Logf("no PostgreSQL here and no %s: tested with SQLite only", postgresDSN)
			return nil, false
		}
		dsn = startPostgres(t, bin)
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

func postgresBinaries() string {
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path)
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return ""
	}
	return filepath.Dir(found[len(found)-1])
}

// startPostgres runs a server that listens on a Unix socket in a folder of its
// own. PostgreSQL refuses to run as root, so root runs it as postgres.
func startPostgres(t testing.TB, bin string) (dsn string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "pg") // short: a socket's path has 107 bytes at most
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	var as []string
	if os.Geteuid() == 0 {
		as = []string{"runuser", "-u", "postgres", "--"}
		giveTo(t, dir, "postgres")
	}
	run := func(args ...string) {
		t.Helper()
		args = append(append([]string{}, as...), args...)
		cmd := exec.Command(args[0], args[1:]...) //nolint:gosec // our own arguments
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	data := filepath.Join(dir, "data")
	run(filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
	ctl := filepath.Join(bin, "pg_ctl")
	run(ctl, "-D", data, "-w", "-l", filepath.Join(dir, "log"),
		"-o", fmt.Sprintf("-k %s -c listen_addresses= -c fsync=off -c max_connections=200", dir), "start")
	t.Cleanup(func() { run(ctl, "-D", data, "-w", "-m", "immediate", "stop") })
	return (&url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/postgres", RawQuery: url.Values{"host": {dir}}.Encode()}).String()
}

func giveTo(t testing.TB, dir, name string) {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
}
