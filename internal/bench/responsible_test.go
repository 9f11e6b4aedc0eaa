package bench

import (
	"errors"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/localdb"
)

// leastRows is the fewest that Responsible takes: some calls an hour.
const leastRows = 20_000

// "src like '%…' and calldate between … order by calldate desc limit 1": what the
// source's query finds in MariaDB, the look-up finds in both of ours.
func TestOurLookUpAndTheSourcesQueryFindTheSameOperator(t *testing.T) {
	rows := contactRows{n: leastRows, start: time.Now().UTC().Truncate(time.Second)}
	var dbs []contactDB
	for _, name := range Databases() {
		db, err := newContactDB(t.Context(), name)
		if errors.Is(err, localdb.ErrNotInstalled) {
			t.Log(err)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := db.close(); err != nil {
				t.Error(err)
			}
		})
		if err := db.load(t.Context(), rows); err != nil {
			t.Fatal(name, err)
		}
		dbs = append(dbs, db)
	}
	for _, window := range append(windows, 30*24*time.Hour) {
		found, nobody := 0, 0
		ask := func(number string) {
			first, err := dbs[0].find(t.Context(), number, window)
			if err != nil {
				t.Fatal(err)
			}
			if first == "" {
				nobody++
			} else {
				found++
			}
			for _, db := range dbs[1:] {
				if other, err := db.find(t.Context(), number, window); err != nil || other != first {
					t.Errorf("%s within %s: %q and %q, %v", number, window, first, other, err)
				}
			}
		}
		for _, k := range rows.kinds(window) {
			for i := range min(len(k.numbers), 100) {
				ask(k.numbers[i])
			}
		}
		for i := range 200 { // whenever they called
			ask("7" + rows.row(int(mix(i)%leastRows)).client)
		}
		if found < 100 || nobody < 100 {
			t.Errorf("within %s %d were found and %d were not", window, found, nobody)
		}
	}
}

func TestTheCallsOfAYearAreTheSameForEveryDatabase(t *testing.T) {
	rows := contactRows{n: leastRows, start: time.Unix(1_800_000_000, 0)}
	ids, ofFrequent, last := map[string]bool{}, 0, time.Time{}
	for i := range rows.n {
		r := rows.row(i)
		if r != rows.row(i) || !r.at.After(last) || r.at.Before(rows.start.Add(-year)) || !r.at.Before(rows.start) {
			t.Fatalf("%d: %+v after %s", i, r, last)
		}
		if ids[r.id()] {
			t.Fatal("two calls are", r.id())
		}
		ids[r.id()], last = true, r.at
		if r.client == frequent {
			ofFrequent++
		}
	}
	if ofFrequent != leastRows/callsOfAClient {
		t.Error(ofFrequent, "calls of the frequent client")
	}
}
