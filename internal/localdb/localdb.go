// Package localdb runs database servers of this machine's own programs for a
// while, each in a folder of its own, reached by a Unix socket only: for tests
// and measurements that must not touch the databases that are in use.
// scripts/install-peers installs the programs.
package localdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ErrNotInstalled says that the programs of a server are not on this machine.
var ErrNotInstalled = errors.New("not installed")

// startTime bounds how long a server may take to be ready.
const startTime = time.Minute

// Server is a running database server. Stop it.
type Server struct {
	// DSN reaches it as a user who may do everything: postgres://… for
	// PostgreSQL, go-sql-driver's form for MariaDB.
	DSN string

	dir  string // everything of it, socket and data
	stop func() error
}

// Stop ends the server and removes its data.
func (s *Server) Stop() error {
	return errors.Join(s.stop(), os.RemoveAll(s.dir))
}

// folder makes the folder of a server. It is short: the path of a socket has
// 107 bytes at most.
func folder() (string, error) { return os.MkdirTemp("", "db") }

// Postgres starts PostgreSQL; settings are more of its own, as
// "shared_buffers=1GB". Nothing is flushed to the disk, so the data does not
// outlive a crash of the machine.
func Postgres(ctx context.Context, settings ...string) (s *Server, err error) {
	bin := postgresPrograms()
	if bin == "" {
		return nil, fmt.Errorf("PostgreSQL (initdb): %w", ErrNotInstalled)
	}
	dir, err := folder()
	if err != nil {
		return nil, err
	}
	s = &Server{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	// It refuses to run as root, so root runs it as its own user.
	var as []string
	if os.Geteuid() == 0 {
		as = []string{"runuser", "-u", "postgres", "--"}
		if err := giveTo(dir, "postgres"); err != nil {
			return nil, err
		}
	}
	run := func(ctx context.Context, args ...string) error {
		args = append(append([]string{}, as...), args...)
		return command(ctx, dir, args...)
	}
	data, ctl := filepath.Join(dir, "data"), filepath.Join(bin, "pg_ctl")
	if err := run(ctx, filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"); err != nil {
		return nil, err
	}
	options := fmt.Sprintf("-k %s -c listen_addresses= -c fsync=off -c max_connections=200", dir)
	for _, setting := range settings {
		options += " -c " + setting
	}
	if err := run(ctx, ctl, "-D", data, "-w", "-l", filepath.Join(dir, "log"), "-o", options, "start"); err != nil {
		return nil, err
	}
	s.stop = func() error { return run(context.WithoutCancel(ctx), ctl, "-D", data, "-w", "-m", "immediate", "stop") }
	s.DSN = (&url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/postgres", RawQuery: url.Values{"host": {dir}}.Encode()}).String()
	return s, nil
}

// postgresPrograms is their folder, "" if there is none; Debian keeps them out
// of the way.
func postgresPrograms() string {
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path)
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return ""
	}
	return filepath.Dir(found[len(found)-1])
}

// MariaDB starts MariaDB with an empty database "asteriskcdrdb"; settings are
// more of its own, as "innodb-buffer-pool-size=4G". Its user is root, without a
// password.
func MariaDB(ctx context.Context, settings ...string) (s *Server, err error) {
	server, err := lookPath("mariadbd")
	if err != nil {
		return nil, err
	}
	install, err := lookPath("mariadb-install-db")
	if err != nil {
		return nil, err
	}
	client, err := lookPath("mariadb")
	if err != nil {
		return nil, err
	}
	dir, err := folder()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	data, socket := filepath.Join(dir, "data"), filepath.Join(dir, "s")
	var as []string
	if os.Geteuid() == 0 {
		as = []string{"--user=root"} // it asks to be told
	}
	// Its temporary files are its own: another server that starts would sweep
	// them away.
	temporary := "--tmpdir=" + dir
	err = command(ctx, dir, append([]string{install, "--no-defaults", temporary, "--datadir=" + data, "--auth-root-authentication-method=normal", "--skip-test-db"}, as...)...)
	if err != nil {
		return nil, err
	}
	args := append([]string{
		"--no-defaults", temporary, "--datadir=" + data, "--socket=" + socket, "--pid-file=" + filepath.Join(dir, "pid"), "--skip-networking",
		"--skip-log-bin", "--local-infile=1", "--innodb-flush-log-at-trx-commit=0",
	}, as...)
	for _, setting := range settings {
		args = append(args, "--"+setting)
	}
	log := new(bytes.Buffer)
	cmd := exec.CommandContext(context.WithoutCancel(ctx), server, args...) //nolint:gosec // our own arguments
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }() // how it ends is told by its log
	s = &Server{
		DSN: "root@unix(" + socket + ")/asteriskcdrdb", dir: dir,
		// Its data is to be forgotten, so it need not be put in order.
		stop: func() error { _ = cmd.Process.Kill(); <-ended; return nil },
	}
	err = ready(ctx, socket, ended)
	if err == nil {
		err = command(ctx, dir, client, "--no-defaults", "--socket="+socket, "--user=root", "--execute=CREATE DATABASE asteriskcdrdb")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", server, err), s.stop(), fmt.Errorf("its log:\n%s", log))
	}
	return s, nil
}

// ready returns when the socket takes connections.
func ready(ctx context.Context, socket string, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-again.C:
		case <-ended:
			return errors.New("ended at its start")
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// lookPath finds a program, servers too where the user's PATH lacks them.
func lookPath(name string) (string, error) {
	for _, candidate := range []string{name, "/usr/sbin/" + name, "/usr/local/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("MariaDB (%s): %w", name, ErrNotInstalled)
}

func command(ctx context.Context, dir string, args ...string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...) //nolint:gosec // our own arguments
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

func giveTo(dir, name string) error {
	u, err := user.Lookup(name)
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	return os.Chown(dir, uid, gid)
}
