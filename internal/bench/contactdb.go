package bench

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/localdb"
	"github.com/perezvon/perezvon/internal/store"
)

// contactDB is a database that is asked who is responsible.
type contactDB interface {
	// load fills it with the calls.
	load(ctx context.Context, rows contactRows) error
	// find is the operator of the client's newest call within the window, ""
	// if there is none.
	find(ctx context.Context, number string, window time.Duration) (operator string, err error)
	close() error
}

// newContactDB starts an empty database: one of Databases.
func newContactDB(ctx context.Context, name string) (contactDB, error) {
	switch name {
	case "sqlite":
		return newOwnDB(ctx, nil)
	case "postgres":
		server, err := localdb.Postgres(ctx, "shared_buffers=1GB", "maintenance_work_mem=1GB", "max_wal_size=16GB")
		if err != nil {
			return nil, err
		}
		return newOwnDB(ctx, server)
	case "mariadb":
		return newSourcesDB(ctx)
	}
	return nil, fmt.Errorf("unknown database %q", name)
}

// ownDB is the server's own store.
type ownDB struct {
	store  *store.Store
	server *localdb.Server // nil: SQLite
	dir    string
}

func newOwnDB(ctx context.Context, server *localdb.Server) (d *ownDB, err error) {
	d = &ownDB{server: server}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	if d.dir, err = os.MkdirTemp("", "perezvon-bench-"); err != nil {
		return d, err
	}
	o := store.Options{DataDir: d.dir}
	if server != nil {
		o.DSN = server.DSN
	}
	if d.store, err = store.Open(ctx, o); err != nil {
		return d, err
	}
	for i := range operators {
		if _, err := d.store.PutOperator(ctx, directory.DefaultAccount, directory.Operator{Extension: fmt.Sprint(firstOperator + i)}); err != nil {
			return d, err
		}
	}
	return d, nil
}

const (
	contactColumns = "account_id, call_id, operator, outside, client_key, client, at, outcome, direction, passed_over, source"
	contactIndex   = "contacts_of_client"
)

// load copies the rows in and makes the index anew afterwards, which is
// quicker than to keep it while they come.
func (d *ownDB) load(ctx context.Context, rows contactRows) error {
	if d.server != nil {
		return d.copyIn(ctx, rows)
	}
	conn, err := d.store.SQLite().Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	run := func(statements ...string) error {
		for _, s := range statements {
			if _, err := conn.ExecContext(ctx, s); err != nil {
				return fmt.Errorf("%s: %w", s, err)
			}
		}
		return nil
	}
	var index string
	if err := conn.QueryRowContext(ctx, `SELECT sql FROM sqlite_master WHERE name = $1`, contactIndex).Scan(&index); err != nil {
		return err
	}
	if err := run("PRAGMA synchronous = OFF", "PRAGMA cache_size = -500000", "DROP INDEX "+contactIndex); err != nil {
		return err
	}
	const transaction = 1000 * together
	for from := 0; from < rows.n; from += transaction {
		if err := insertContacts(ctx, conn, rows, from, min(from+transaction, rows.n)); err != nil {
			return err
		}
	}
	return run(index, "ANALYZE", "PRAGMA wal_checkpoint(TRUNCATE)")
}

// together is how many rows one INSERT has.
const together = 100

// insertContacts stores a range of the rows in one transaction.
func insertContacts(ctx context.Context, conn *sql.Conn, rows contactRows, from, to int) error {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after Commit
	insert, err := tx.PrepareContext(ctx, "INSERT INTO contacts ("+contactColumns+") VALUES "+
		strings.TrimSuffix(strings.Repeat("('main', ?, ?, FALSE, ?, ?, ?, ?, 'inbound', FALSE, 'freepbx'), ", together), ", "))
	if err != nil {
		return err
	}
	defer insert.Close()
	for ; from < to; from += together {
		var args []any
		for i := from; i < from+together; i++ {
			r := rows.row(i)
			args = append(args, r.id(), r.operator, r.client, r.e164(), r.at.UnixMilli(), string(r.outcome))
		}
		if _, err := insert.ExecContext(ctx, args...); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func (d *ownDB) copyIn(ctx context.Context, rows contactRows) (err error) {
	conn, err := pgx.Connect(ctx, d.server.DSN)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	var index string
	if err := conn.QueryRow(ctx, `SELECT indexdef FROM pg_indexes WHERE indexname = $1`, contactIndex).Scan(&index); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "DROP INDEX "+contactIndex); err != nil {
		return err
	}
	lines := rows.stream(func(r contactRow) string {
		return fmt.Sprintf("main\t%s\t%s\tf\t%s\t%s\t%d\t%s\tinbound\tf\tfreepbx\n", r.id(), r.operator, r.client, r.e164(), r.at.UnixMilli(), r.outcome)
	})
	defer lines.Close()
	if _, err := conn.PgConn().CopyFrom(ctx, lines, "COPY contacts ("+contactColumns+") FROM STDIN"); err != nil {
		return err
	}
	for _, s := range []string{index, "VACUUM ANALYZE", "CHECKPOINT"} {
		if _, err := conn.Exec(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

func (d *ownDB) find(ctx context.Context, number string, window time.Duration) (string, error) {
	r, err := d.store.Responsible(ctx, directory.DefaultAccount, number, call.ResponsibleRule{Window: window})
	return r.Operator, err
}

func (d *ownDB) close() (err error) {
	if d.store != nil {
		err = d.store.Close()
	}
	if d.server != nil {
		err = errors.Join(err, d.server.Stop())
	}
	return errors.Join(err, os.RemoveAll(d.dir))
}

// sourcesDB is the table of an Asterisk's calls as FreePBX makes it, asked with
// the query of the source (002-responsible-manager).
type sourcesDB struct {
	server *localdb.Server
	db     *sql.DB
}

func newSourcesDB(ctx context.Context) (d *sourcesDB, err error) {
	server, err := localdb.MariaDB(ctx, "innodb-buffer-pool-size=4G", "innodb-log-file-size=1G")
	if err != nil {
		return nil, err
	}
	d = &sourcesDB{server: server}
	config, err := mysql.ParseDSN(server.DSN)
	if err != nil {
		return nil, errors.Join(err, server.Stop())
	}
	// As func_odbc does it: one text, with the argument escaped in it.
	config.InterpolateParams = true
	config.Params = map[string]string{"time_zone": "'+00:00'"} // what NOW() tells
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, errors.Join(err, server.Stop())
	}
	d.db = sql.OpenDB(connector)
	if _, err := d.db.ExecContext(ctx, cdrTable); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// cdrTable has the columns and the indexes of asteriskcdrdb.cdr in FreePBX.
const cdrTable = `
	CREATE TABLE cdr (
		calldate      datetime     NOT NULL DEFAULT '1000-01-01 00:00:00',
		clid          varchar(80)  NOT NULL DEFAULT '',
		src           varchar(80)  NOT NULL DEFAULT '',
		dst           varchar(80)  NOT NULL DEFAULT '',
		dcontext      varchar(80)  NOT NULL DEFAULT '',
		channel       varchar(80)  NOT NULL DEFAULT '',
		dstchannel    varchar(80)  NOT NULL DEFAULT '',
		lastapp       varchar(80)  NOT NULL DEFAULT '',
		lastdata      varchar(80)  NOT NULL DEFAULT '',
		duration      int(11)      NOT NULL DEFAULT 0,
		billsec       int(11)      NOT NULL DEFAULT 0,
		disposition   varchar(45)  NOT NULL DEFAULT '',
		amaflags      int(11)      NOT NULL DEFAULT 0,
		accountcode   varchar(20)  NOT NULL DEFAULT '',
		uniqueid      varchar(32)  NOT NULL DEFAULT '',
		userfield     varchar(255) NOT NULL DEFAULT '',
		did           varchar(50)  NOT NULL DEFAULT '',
		recordingfile varchar(255) NOT NULL DEFAULT '',
		cnum          varchar(80)  NOT NULL DEFAULT '',
		cnam          varchar(80)  NOT NULL DEFAULT '',
		outbound_cnum varchar(80)  NOT NULL DEFAULT '',
		outbound_cnam varchar(80)  NOT NULL DEFAULT '',
		dst_cnam      varchar(80)  NOT NULL DEFAULT '',
		linkedid      varchar(32)  NOT NULL DEFAULT '',
		peeraccount   varchar(80)  NOT NULL DEFAULT '',
		sequence      int(11)      NOT NULL DEFAULT 0,
		KEY calldate (calldate), KEY dst (dst), KEY accountcode (accountcode), KEY uniqueid (uniqueid)
	) DEFAULT CHARSET=utf8mb4`

// dispositions are the outcomes as Asterisk writes them.
var dispositions = map[call.ContactOutcome]string{
	call.ContactAnswered: "ANSWERED", call.ContactNoAnswer: "NO ANSWER", call.ContactBusy: "BUSY", call.ContactFailed: "FAILED",
}

// loads names the streams of LOAD DATA: the driver keeps them by name.
var loads atomic.Int64

func (d *sourcesDB) load(ctx context.Context, rows contactRows) error {
	lines := rows.stream(func(r contactRow) string {
		id := fmt.Sprintf("%d.%d", r.at.Unix(), r.number)
		return fmt.Sprintf("%s\t\"%s\" <%s>\t%s\t%s\tfrom-did-direct\tPJSIP/carrier-%08x\tPJSIP/%s-%08x\tDial\tPJSIP/%s,15,HhTtr\t%d\t%d\t%s\t3\t%s\t74951112233\t%s\t%s\n",
			r.at.Format(time.DateTime), r.src, r.src, r.src, r.operator, r.number, r.operator, r.number, r.operator,
			15+r.number%300, r.number%300, dispositions[r.outcome], id, r.src, id)
	})
	defer lines.Close()
	name := fmt.Sprintf("cdr-%d", loads.Add(1))
	mysql.RegisterReaderHandler(name, func() io.Reader { return lines })
	defer mysql.DeregisterReaderHandler(name)
	_, err := d.db.ExecContext(ctx, "LOAD DATA LOCAL INFILE 'Reader::"+name+"' INTO TABLE cdr "+
		"(calldate, clid, src, dst, dcontext, channel, dstchannel, lastapp, lastdata, duration, billsec, disposition, amaflags, uniqueid, did, cnum, linkedid)")
	if err != nil {
		return err
	}
	_, err = d.db.ExecContext(ctx, "ANALYZE TABLE cdr")
	return err
}

// find asks by the last ten digits, as the source's dialplan cuts them.
func (d *sourcesDB) find(ctx context.Context, number string, window time.Duration) (operator string, err error) {
	err = d.db.QueryRowContext(ctx, fmt.Sprintf(
		`select dst from cdr where src like ? and calldate BETWEEN (NOW() - INTERVAL %d HOUR) and NOW() and `+
			`(disposition='ANSWERED' OR disposition='NO ANSWER' OR disposition='BUSY') ORDER BY calldate DESC LIMIT 1`, window/time.Hour),
		"%"+number[len(number)-10:]).Scan(&operator)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return operator, err
}

func (d *sourcesDB) close() error { return errors.Join(d.db.Close(), d.server.Stop()) }
