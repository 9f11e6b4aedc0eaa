package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// Databases are those that Responsible can measure. sqlite and postgres are
// the server's own look-up; mariadb is the source's query.
func Databases() []string { return []string{"sqlite", "postgres", "mariadb"} }

// Responsible measures how long it takes to find the responsible manager of a
// client: this server's look-up beside the query of the source, with the same
// calls, one database after the other.
type Responsible struct {
	// Rows is how many calls there are, spread over a year: 20,000 at least, in
	// hundreds.
	Rows int
	// Databases are some of Databases.
	Databases []string
	// Time is how long each kind of look-up is repeated; slow ones are made
	// three times at least.
	Time time.Duration
}

// fewest look-ups of a kind, however long they take.
const fewest = 3

// windows are how far back is looked: the source's day, and all calls.
var windows = []time.Duration{24 * time.Hour, year}

// kind is a kind of client whose manager is looked for.
type kind struct {
	name    string
	numbers []string // asked for in turn
}

// kinds are clients who have called in the window, who never have, and the one
// who calls all the time.
func (r contactRows) kinds(window time.Duration) []kind {
	const different = 5000
	hit, miss := kind{name: "hit"}, kind{name: "miss"}
	within := int(float64(r.n) * float64(window) / float64(year) * 0.8) // calls surely in the window
	for i := 0; len(hit.numbers) < different && i < 20*different; i++ {
		row := r.row(r.n - 1 - int(mix(-1_000_000-i)%uint64(within)))
		if row.counts() && row.client != frequent {
			hit.numbers = append(hit.numbers, "8"+row.client)
		}
		miss.numbers = append(miss.numbers, "8"+nobodys(i))
	}
	return []kind{hit, miss, {name: "frequent", numbers: []string{"8" + frequent}}}
}

// Measure is one kind of look-up on one database.
type Measure struct {
	Database string
	Window   time.Duration
	Kind     string // hit, miss or frequent
	times    histogram
	answers  map[string]string // number → operator
}

// P50 and P99 are the percentiles, to 6 %.
func (m *Measure) P50() time.Duration { return m.times.percentile(0.50) }

// P99 is the time that one look-up of a hundred exceeds.
func (m *Measure) P99() time.Duration { return m.times.percentile(0.99) }

// ResponsibleResult is what Responsible.Run measured.
type ResponsibleResult struct {
	Rows     int
	Measures []*Measure
}

// Run makes the databases, measures, and removes them. It fails if two of them
// name different operators for a client.
func (b Responsible) Run(ctx context.Context, progress io.Writer) (*ResponsibleResult, error) {
	rows := contactRows{n: b.Rows, start: time.Now().UTC().Truncate(time.Second)}
	res := &ResponsibleResult{Rows: b.Rows}
	for _, name := range b.Databases {
		measures, err := b.measure(ctx, name, rows, progress)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		res.Measures = append(res.Measures, measures...)
	}
	return res, res.agree()
}

func (b Responsible) measure(ctx context.Context, name string, rows contactRows, progress io.Writer) (list []*Measure, err error) {
	db, err := newContactDB(ctx, name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.close()) }()
	began := time.Now()
	if err := db.load(ctx, rows); err != nil {
		return nil, err
	}
	fmt.Fprintf(progress, "%s: %d calls in %s\n", name, rows.n, time.Since(began).Round(time.Second))
	for _, window := range windows {
		for _, k := range rows.kinds(window) {
			m := &Measure{Database: name, Window: window, Kind: k.name, answers: make(map[string]string)}
			if err := m.run(ctx, db, k.numbers, b.Time); err != nil {
				return nil, err
			}
			fmt.Fprintf(progress, "%s, %.0f h, %s: %s\n", name, window.Hours(), k.name, &m.times)
			list = append(list, m)
		}
	}
	return list, nil
}

func (m *Measure) run(ctx context.Context, db contactDB, numbers []string, d time.Duration) error {
	// One first: connections and statements are made once.
	if _, err := db.find(ctx, numbers[len(numbers)-1], m.Window); err != nil {
		return err
	}
	for i, end := 0, time.Now().Add(d); i < fewest || time.Now().Before(end); i++ {
		number := numbers[i%len(numbers)]
		began := time.Now()
		operator, err := db.find(ctx, number, m.Window)
		if err != nil {
			return err
		}
		m.times.add(time.Since(began))
		m.answers[number] = operator
	}
	return nil
}

// agree tells where two databases do not.
func (r *ResponsibleResult) agree() error {
	var errs []error
	for _, m := range r.Measures {
		first := r.of(r.Measures[0].Database, m.Window, m.Kind)
		for number, operator := range m.answers {
			if want, asked := first.answers[number]; asked && want != operator {
				errs = append(errs, fmt.Errorf("%s: %q is responsible for %s, and %q to %s", m.Database, operator, number, want, first.Database))
			}
			if (operator != "") != (m.Kind != "miss") {
				errs = append(errs, fmt.Errorf("%s: %s of the kind %s is answered by %q", m.Database, number, m.Kind, operator))
			}
		}
	}
	return errors.Join(errs...)
}

func (r *ResponsibleResult) of(database string, window time.Duration, kind string) *Measure {
	for _, m := range r.Measures {
		if m.Database == database && m.Window == window && m.Kind == kind {
			return m
		}
	}
	return nil
}

// Print writes the table, and how many times as long the source's query takes.
func (r *ResponsibleResult) Print(w io.Writer) {
	fmt.Fprintf(w, "the responsible manager among %d calls of a year: p50 / p99 (n)\n", r.Rows)
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	defer table.Flush()
	for _, window := range windows {
		fmt.Fprintf(table, "within %.0f h\thit\tmiss\tclient with %d calls\n", window.Hours(), min(mostOfAClient, r.Rows/callsOfAClient))
		for _, database := range Databases() {
			if r.of(database, window, "hit") == nil {
				continue
			}
			cells := []string{database}
			for _, kind := range []string{"hit", "miss", "frequent"} {
				m := r.of(database, window, kind)
				cell := fmt.Sprintf("%s / %s (%d)", short(m.P50()), short(m.P99()), m.times.count())
				if source := r.of("mariadb", window, kind); source != nil && source != m {
					cell += fmt.Sprintf(" ×%.3g", float64(source.P50())/float64(m.P50()))
				}
				cells = append(cells, cell)
			}
			fmt.Fprintln(table, strings.Join(cells, "\t"))
		}
	}
}
