package store

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/call"
)

func TestListsReadOneIndexAndSortNothing(t *testing.T) {
	s, err := Open(t.Context(), Options{DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for query, index := range map[string]string{
		`SELECT id FROM calls WHERE account_id = 'a' ORDER BY started_at DESC, id DESC LIMIT 50`:                                           "calls_newest",
		`SELECT id FROM calls WHERE account_id = 'a' AND (started_at, id) < (1, 'x') ORDER BY started_at DESC, id DESC LIMIT 50`:           "calls_newest",
		`SELECT id FROM calls WHERE account_id = 'a' AND client = 'c' ORDER BY started_at DESC, id DESC LIMIT 50`:                          "calls_of_client",
		`SELECT id FROM calls WHERE node = 'n' AND ended_at IS NULL ORDER BY id`:                                                           "calls_alive",
		`SELECT id FROM calls WHERE callback_id = 'x' ORDER BY attempt`:                                                                    "calls_of_callback",
		`SELECT event FROM events WHERE account_id = 'a' AND call_id = 'x' AND seq > 3 ORDER BY seq`:                                       "PRIMARY KEY",
		`SELECT k.id FROM callbacks k CROSS JOIN calls c WHERE k.state = 'queued' AND c.callback_id = k.id AND c.node = 'n' ORDER BY k.id`: "callbacks_queued",
		strings.NewReplacer("$1", "1", "$2", "100").Replace(dueSQL):                                                                        "callbacks_due",
		`SELECT id FROM callbacks WHERE account_id = 'a' ORDER BY created_at DESC, id DESC LIMIT 50`:                                       "callbacks_newest",
		`SELECT id FROM callbacks WHERE account_id = 'a' AND state = 's' ORDER BY created_at DESC, id DESC LIMIT 50`:                       "callbacks_in_state",
		`SELECT id FROM deliveries WHERE account_id = 'a' AND kind = 'k' ORDER BY created_at DESC, id DESC LIMIT 50`:                       "deliveries_of_kind",
		`SELECT id FROM deliveries WHERE call_id = 'x' AND kind = 'k' AND state = 'waiting' ORDER BY seq, copy LIMIT 1`:                    "deliveries_lane",
		inline(callsWithinSQL, "'a'", "1", "'x'", "2", "3", "4"):                                                                           "calls_newest",
		inline("UPDATE deliveries SET url = 'u' WHERE "+waitingFor, "'u'", "'a'", "'k'"):                                                   "deliveries_o",
		inline(outboxSQL, "'a'", "'k'"):                              "deliveries_open",
		inline(openForSQL, "'a'", "'w'", "'c'"):                      "callbacks_of_client",
		inline(rateSQL("client"), "'a'", "'w'", "'c'", "1", "2"):     "callbacks_of_client",
		inline(rateSQL("client_ip"), "'a'", "'w'", "'ip'", "1", "2"): "callbacks_of_address",
	} {
		plan := explain(t, s, query)
		if !strings.Contains(plan, index) || strings.Contains(plan, "TEMP B-TREE") || strings.Contains(plan, "SCAN c") {
			t.Errorf("%s\n%s", query, plan)
		}
	}
}

// inline writes the arguments into the query.
func inline(query string, args ...string) string {
	for i, a := range args {
		query = strings.ReplaceAll(query, fmt.Sprintf("$%d", i+1), a)
	}
	return query
}

func explain(t *testing.T, s *Store, query string) string {
	t.Helper()
	rows, err := s.reader.QueryContext(context.Background(), "EXPLAIN QUERY PLAN "+query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var (
			id, parent, unused int
			detail             string
		)
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&plan, detail)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan.String()
}

func FuzzCursor(f *testing.F) {
	f.Add(writeCursor(time.Now().UnixMilli(), call.NewID()))
	f.Add("")
	f.Add("AA")
	f.Fuzz(func(t *testing.T, cursor string) {
		ms, id, err := readCursor(cursor)
		if err != nil {
			return
		}
		again, same, err := readCursor(writeCursor(ms, id))
		if err != nil || again != ms || same != id {
			t.Errorf("%q is read as %d %q, and that as %d %q, %v", cursor, ms, id, again, same, err)
		}
	})
}
