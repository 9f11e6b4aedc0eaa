package freepbx

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

// The databases of FreePBX.
const (
	recordsDB = "asteriskcdrdb" // unless the URL names another
	configDB  = "asterisk"
)

// Bounds of every question. A database that takes longer is as good as away.
const (
	dialTime = 5 * time.Second
	readTime = 30 * time.Second
)

var databaseName = regexp.MustCompile(`^[A-Za-z0-9_$-]{1,64}$`)

// ParseURL reads the address of FreePBX's MariaDB,
// mysql://user:password@host:port/asteriskcdrdb, or with a socket,
// mysql://user@/asteriskcdrdb?socket=/run/mysqld/mysqld.sock. The path may be
// left out. tls is one of true, skip-verify, preferred (default) and false. The
// error never shows the password.
func ParseURL(address string) (*mysql.Config, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "mysql" || u.User == nil || u.User.Username() == "" {
		return nil, errors.New("want mysql://user:password@host:port/asteriskcdrdb")
	}
	c := mysql.NewConfig()
	c.User = u.User.Username()
	c.Passwd, _ = u.User.Password()
	c.DBName = strings.Trim(u.Path, "/")
	if c.DBName == "" {
		c.DBName = recordsDB
	}
	if !databaseName.MatchString(c.DBName) {
		return nil, fmt.Errorf("%.80q is no name of a database", c.DBName)
	}
	c.Timeout, c.ReadTimeout, c.WriteTimeout = dialTime, readTime, readTime
	c.TLSConfig = "preferred"
	query := u.Query()
	for name := range query {
		switch value := query.Get(name); name {
		case "socket":
			c.Net, c.Addr, c.TLSConfig = "unix", value, "false"
		case "tls":
			if !slices.Contains([]string{"true", "false", "skip-verify", "preferred"}, value) {
				return nil, errors.New("tls: want true, skip-verify, preferred or false")
			}
			c.TLSConfig = value
		default:
			return nil, fmt.Errorf("%.40q: want socket or tls", name)
		}
	}
	if c.Net != "unix" {
		port := u.Port()
		if port == "" {
			port = "3306"
		}
		if u.Hostname() == "" {
			return nil, errors.New("the address names no host and no socket")
		}
		c.Net, c.Addr = "tcp", net.JoinHostPort(u.Hostname(), port)
	}
	return c, nil
}

// open makes the pool; nothing is connected yet.
func open(c *mysql.Config) (*sql.DB, error) {
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	// One reader and one change: a PBX needs its database itself.
	db.SetMaxOpenConns(3)
	db.SetMaxIdleConns(1)
	db.SetConnMaxIdleTime(time.Minute)
	return db, nil
}

// MariaDB's errors that say that something is not there, or not for us.
var denials = []uint16{
	1044, // the database is denied
	1049, // no such database
	1142, // the table is denied
	1143, // the column is denied
	1146, // no such table
}

// DatabaseError says that FreePBX's database is away, or refuses. Always used as
// a pointer.
type DatabaseError struct{ Err error }

func (e *DatabaseError) Error() string { return "FreePBX's database: " + e.Err.Error() }

// Unwrap gives the driver's error.
func (e *DatabaseError) Unwrap() error { return e.Err }

// ofDatabase wraps an error of MariaDB's, and leaves nil alone.
func ofDatabase(err error) error {
	if err == nil {
		return nil
	}
	return &DatabaseError{err}
}

// denied tells that the database is well and does not show this.
func denied(err error) bool {
	var e *mysql.MySQLError
	return errors.As(err, &e) && slices.Contains(denials, e.Number)
}

// columns are those of the table of records.
func columns(ctx context.Context, db *sql.DB) (map[string]bool, error) {
	rows, err := db.QueryContext(ctx, `SELECT LOWER(column_name) FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'cdr'`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := make(map[string]bool)
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		all[name] = true
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if !all["calldate"] || !all["src"] || !all["dst"] || !all["disposition"] {
		return nil, errors.New("there is no table cdr with calldate, src, dst and disposition that this user may read")
	}
	return all, nil
}
