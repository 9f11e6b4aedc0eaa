package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/store"
	"github.com/perezvon/perezvon/internal/store/storetest"
)

// onBoth runs a test on SQLite, and on PostgreSQL where there is one; db is the
// store's own database.
func onBoth(t *testing.T, test func(t *testing.T, s *store.Store, db *sql.DB)) {
	t.Run("SQLite", func(t *testing.T) {
		s := storetest.Open(t)
		test(t, s, s.SQLite())
	})
	open, ok := storetest.Postgres(t)
	if !ok {
		return
	}
	t.Run("PostgreSQL", func(t *testing.T) {
		s := open(t)
		db, err := sql.Open("pgx", s.Postgres())
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		test(t, s, db)
	})
}

func TestTheResponsibleManagerIsFoundByOneIndexProbe(t *testing.T) {
	onBoth(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		now := time.Now().UnixMilli()
		// 20,000 calls of 2,000 clients, and 10,000 of one more.
		if _, err := db.ExecContext(t.Context(), `
			WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 29999)
			INSERT INTO contacts (account_id, call_id, operator, outside, client_key, client, at, outcome, direction, passed_over, source)
			SELECT 'main', CAST(i AS TEXT), '101', FALSE, CASE WHEN i < 20000 THEN CAST(9160000000 + i % 2000 AS TEXT) ELSE '9161234567' END, '',
				CAST($1 AS BIGINT) - i, 'answered', 'inbound', FALSE, 'freepbx'
			FROM n`, now); err != nil {
			t.Fatal(err)
		}
		if _, err := db.ExecContext(t.Context(), `
			WITH RECURSIVE n (i) AS (SELECT 101 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
			INSERT INTO operators (account_id, extension, config, updated_at) SELECT 'main', CAST(i AS TEXT), '{}', 0 FROM n`); err != nil {
			t.Fatal(err)
		}
		if s.SQLite() != nil {
			isOneProbe(t, s, db) // nobody counts its rows for it
		}
		if _, err := db.ExecContext(t.Context(), "ANALYZE"); err != nil {
			t.Fatal(err)
		}
		isOneProbe(t, s, db)
	})
}

func isOneProbe(t *testing.T, s *store.Store, db *sql.DB) {
	t.Helper()
	for _, policy := range []call.Policy{call.PolicyLast, call.PolicyFirst} {
		for _, number := range []string{"+79160000001", "9161234567", "+79169999999"} {
			query, args, err := store.LookUpSQL(storetest.Mine, number, call.ResponsibleRule{Policy: policy})
			if err != nil {
				t.Fatal(err)
			}
			for _, plan := range plans(t, db, s.SQLite() != nil, query, args) {
				for _, never := range []string{"TEMP B-TREE", "SCAN", "Seq Scan", "Sort", "Bitmap"} {
					if strings.Contains(plan, never) {
						t.Errorf("%s of %s: the plan has %s\n%s", policy, number, never, plan)
					}
				}
				if strings.Count(plan, "contacts_of_client") != 1 {
					t.Errorf("%s of %s: not one probe\n%s", policy, number, plan)
				}
			}
		}
	}
}

// plans are how the database carries out the query: with its arguments, and
// where it makes one for any arguments, that one too.
func plans(t *testing.T, db *sql.DB, sqlite bool, query string, args []any) []string {
	t.Helper()
	for i := len(args); i > 0; i-- {
		literal := fmt.Sprintf("'%v'", args[i-1])
		if _, text := args[i-1].(string); !text {
			literal = fmt.Sprint(args[i-1])
		}
		if sqlite {
			query = strings.ReplaceAll(query, fmt.Sprintf("$%d", i), literal)
		}
		args[i-1] = literal
	}
	if sqlite {
		return []string{explain(t, db.QueryContext, 3, "EXPLAIN QUERY PLAN "+query)}
	}
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	execute := strings.Trim(fmt.Sprint(args), "[]")
	execute = "EXPLAIN EXECUTE look_up (" + strings.ReplaceAll(execute, " ", ", ") + ")"
	if _, err := conn.ExecContext(t.Context(), "PREPARE look_up AS "+query); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = conn.ExecContext(context.Background(), "DEALLOCATE look_up") }()
	var both []string
	for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
		if _, err := conn.ExecContext(t.Context(), "SET plan_cache_mode = "+mode); err != nil {
			t.Fatal(err)
		}
		both = append(both, explain(t, conn.QueryContext, 0, execute))
	}
	return both
}

// explain is the text of a plan: the column of that number of each row.
func explain(t *testing.T, query func(context.Context, string, ...any) (*sql.Rows, error), column int, explanation string) string {
	t.Helper()
	rows, err := query(t.Context(), explanation)
	if err != nil {
		t.Fatal(err, explanation)
	}
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		fields := make([]any, column+1)
		for i := range fields {
			fields[i] = new(any)
		}
		if err := rows.Scan(fields...); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&plan, *fields[column].(*any))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan.String()
}

func TestCallsThatWereThereBeforeTheTableOfContactsAreInIt(t *testing.T) {
	onBoth(t, func(t *testing.T, s *store.Store, _ *sql.DB) {
		for _, extension := range []string{"101", "102"} {
			if _, err := s.PutOperator(t.Context(), storetest.Mine, directory.Operator{Extension: extension}); err != nil {
				t.Fatal(err)
			}
		}
		talked := storetest.Create(t, s, "+79161234567")
		inVain := storetest.Create(t, s, "+79161234568")
		storetest.Create(t, s, "+79161234569") // nobody picked up
		for _, e := range []call.Event{
			{CallID: talked.CallID, Type: call.Answered, Leg: "m1", Role: call.Manager, Operator: "101"},
			{CallID: talked.CallID, Type: call.Joined, Leg: "m1", Other: "c1"},
			{CallID: inVain.CallID, Type: call.Answered, Leg: "m1", Role: call.Manager, Operator: "102"},
		} {
			s.Journal().Append(e)
		}
		if err := s.Journal().Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		answers := func() (all []call.Responsible) {
			for _, client := range []string{"+79161234567", "+79161234568", "+79161234569"} {
				r, err := s.Responsible(t.Context(), storetest.Mine, client, call.ResponsibleRule{})
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, r)
			}
			return all
		}
		before := answers()
		if err := s.Again(t.Context(), 8); err != nil {
			t.Fatal(err)
		}
		after := answers()
		for i := range before {
			if before[i] != after[i] {
				t.Errorf("%+v before, %+v after", before[i], after[i])
			}
		}
		if before[0].Outcome != call.ContactAnswered || before[1].Outcome != call.ContactNoAnswer || before[2].Found() {
			t.Errorf("%+v", before)
		}
	})
}
