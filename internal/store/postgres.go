package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// postgresConns bounds the connections of one process.
const postgresConns = 8

func openPostgres(dsn string) (*sql.DB, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(postgresConns)
	db.SetMaxIdleConns(postgresConns)
	return db, nil
}

// postgresRefused: class 22 is data that cannot be stored, 23 a constraint
// (PostgreSQL, appendix A).
func postgresRefused(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (strings.HasPrefix(e.Code, "22") || strings.HasPrefix(e.Code, "23"))
}

// Pgx hands the transaction to use as pgx knows it, for libraries that do not
// speak database/sql. It fails if the database is not PostgreSQL.
func (t *Tx) Pgx(use func(pgx.Tx) error) error {
	return t.conn.Raw(func(c any) error {
		conn, ok := c.(*stdlib.Conn)
		if !ok {
			return errors.New("the database is not PostgreSQL")
		}
		return use(&pgxTx{pgxConn: conn.Conn()})
	})
}

// pgxTx is a transaction that somebody else began and will end; what is begun
// in it is a savepoint.
type pgxTx struct {
	*pgxConn

	depth  int // of savepoints
	closed bool
}

// pgxConn leaves the name Conn to the method that pgx.Tx asks for.
type pgxConn = pgx.Conn

var errNotOurs = errors.New("the transaction is ended by the store")

func (t *pgxTx) Begin(ctx context.Context) (pgx.Tx, error) {
	inner := &pgxTx{pgxConn: t.pgxConn, depth: t.depth + 1}
	return inner, inner.savepoint(ctx, "SAVEPOINT")
}

func (t *pgxTx) Commit(ctx context.Context) error { return t.end(ctx, "RELEASE SAVEPOINT") }

func (t *pgxTx) Rollback(ctx context.Context) error { return t.end(ctx, "ROLLBACK TO SAVEPOINT") }

func (t *pgxTx) Conn() *pgx.Conn { return t.pgxConn }

func (t *pgxTx) LargeObjects() pgx.LargeObjects { return pgx.LargeObjects{} }

func (t *pgxTx) end(ctx context.Context, verb string) error {
	if t.closed {
		return pgx.ErrTxClosed
	}
	t.closed = true
	return t.savepoint(ctx, verb)
}

func (t *pgxTx) savepoint(ctx context.Context, verb string) error {
	if t.depth == 0 {
		return errNotOurs
	}
	_, err := t.Exec(ctx, fmt.Sprintf("%s pgx_%d", verb, t.depth))
	return err
}
