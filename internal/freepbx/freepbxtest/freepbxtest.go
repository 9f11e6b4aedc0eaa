// Package freepbxtest is a FreePBX for tests, as far as its database goes: a
// MariaDB of the test's own with FreePBX's tables.
package freepbxtest

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/perezvon/perezvon/internal/localdb"
)

//go:embed schema.sql
var schema string

// FreePBX is a running database with the tables, which are empty.
type FreePBX struct {
	// URL is as the setting freepbx wants it.
	URL string
	// DB is connected to it and may do everything.
	DB *sql.DB

	server *localdb.Server
}

// Run starts a MariaDB; settings are more of its own. The caller stops it.
func Run(ctx context.Context, settings ...string) (f *FreePBX, err error) {
	f = &FreePBX{}
	if f.server, err = localdb.MariaDB(ctx, settings...); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Stop())
		}
	}()
	c, err := mysql.ParseDSN(f.server.DSN)
	if err != nil {
		return f, err
	}
	f.URL = (&url.URL{Scheme: "mysql", User: url.User(c.User), Path: "/" + c.DBName, RawQuery: url.Values{"socket": {c.Addr}}.Encode()}).String()
	c.MultiStatements = true
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return f, err
	}
	f.DB = sql.OpenDB(connector)
	_, err = f.DB.ExecContext(ctx, schema)
	return f, err
}

// Stop ends it.
func (f *FreePBX) Stop() error {
	var err error
	if f.DB != nil {
		err = f.DB.Close()
	}
	return errors.Join(err, f.server.Stop())
}

// Clear empties the tables.
func (f *FreePBX) Clear(t testing.TB) {
	t.Helper()
	f.Do(t, `TRUNCATE asteriskcdrdb.cdr; TRUNCATE asterisk.users; TRUNCATE asterisk.devices; UPDATE asterisk.admin SET value = 'false'; SET GLOBAL time_zone = 'SYSTEM'`)
}

// Do executes statements, which must succeed.
func (f *FreePBX) Do(t testing.TB, statements string, args ...any) {
	t.Helper()
	if _, err := f.DB.ExecContext(context.WithoutCancel(t.Context()), statements, args...); err != nil {
		t.Fatal(err)
	}
}

// Extension adds an extension.
func (f *FreePBX) Extension(t testing.TB, extension, name, noAnswer string) {
	t.Helper()
	f.Do(t, `INSERT INTO asterisk.users (extension, name, voicemail, noanswer_dest) VALUES (?, ?, 'novm', ?)`, extension, name, noAnswer)
	f.Do(t, `INSERT INTO asterisk.devices (id, tech, dial, devicetype, user) VALUES (?, 'pjsip', CONCAT('PJSIP/', ?), 'fixed', ?)`, extension, extension, extension)
}

// Record is a row of the table cdr, as far as tests want it.
type Record struct {
	At                  time.Time // as the row has it, by its own clock
	Src, Dst            string
	Channel, DstChannel string
	LastApp             string
	Duration, BillSec   int
	Disposition         string
	UniqueID, LinkedID  string
	CNum                string
}

// Add writes records.
func (f *FreePBX) Add(t testing.TB, records ...Record) {
	t.Helper()
	for _, r := range records {
		f.Do(t, `INSERT INTO asteriskcdrdb.cdr (calldate, src, dst, channel, dstchannel, lastapp, duration, billsec, disposition, uniqueid, linkedid, cnum)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			r.At.Format(time.DateTime), r.Src, r.Dst, r.Channel, r.DstChannel, r.LastApp, r.Duration, r.BillSec, r.Disposition, r.UniqueID, r.LinkedID, r.CNum)
	}
}
