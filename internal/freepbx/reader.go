package freepbx

import (
	"context"
	"database/sql"
	"fmt"
	"hash/maphash"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/perezvon/perezvon/internal/store"
)

// Source is the source of contacts that were read here.
const Source = "freepbx"

const (
	// pageRows is how many records are asked for at once: little, as tables of
	// older FreePBXes (MyISAM) are locked while they are read.
	pageRows = 2000
	// together is how many of their contacts are stored in one transaction, for
	// which this server's own calls wait.
	together = 200
	// reach is how far behind the newest record others may still come: a record
	// is written at the end of a call and bears the time of its beginning.
	reach = 24 * time.Hour
	// slack is how far behind the newest end of a call others are still looked
	// for every time: records written in batches, and the hour that comes twice
	// in autumn. What is later is found by a full pass.
	slack     = 90 * time.Minute
	fullEvery = time.Hour
)

// wall is how MariaDB writes local time.
const wall = "2006-01-02 15:04:05"

// Stats are the reader's counters since its start.
type Stats struct {
	// Records were read for the first time; Contacts came of them.
	Records, Contacts int64
	// Failures are passes that failed; LastRead is the end of the last that did
	// not, zero before it.
	Failures int64
	LastRead time.Time
}

// Reader reads the call records into the look-up of the responsible manager.
// One pass at a time.
type Reader struct {
	db      *sql.DB
	store   *store.Store
	account string
	zone    *time.Location // nil: MariaDB's
	log     *slog.Logger

	pass chan struct{} // taken by a pass; guards what follows
	seed maphash.Seed
	// seen are the records read within reach, with their calldate; kept is how
	// many of them there were when those out of reach were dropped last.
	seen     map[uint64]string
	kept     int
	ended    time.Time // the newest end read, in wall time
	lastFull time.Time
	who      extensions
	columns  map[string]bool

	mu    sync.Mutex
	stats Stats
}

func newReader(db *sql.DB, s *store.Store, account string, zone *time.Location, log *slog.Logger) *Reader {
	return &Reader{db: db, store: s, account: account, zone: zone, log: log, pass: make(chan struct{}, 1), seed: maphash.MakeSeed(), seen: make(map[uint64]string)}
}

// Stats are the counters.
func (r *Reader) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}

// Watch reads every so often until ctx ends. While MariaDB is away it tries
// again, ever less often up to once a minute; that it is away, and that it is
// back, is logged once.
func (r *Reader) Watch(ctx context.Context, every time.Duration) {
	const longest = time.Minute
	pause, failing := every, false
	for {
		_, err := r.Read(ctx, false)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && failing:
			r.log.InfoContext(ctx, "FreePBX's call records are read again")
			failing, pause = false, every
		case err != nil && !failing:
			r.log.WarnContext(ctx, "FreePBX's call records cannot be read; what was read before is known still", "err", err)
			failing = true
		case err != nil:
			pause = min(2*pause, max(longest, every))
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// Read reads what is new, and returns how many records and contacts that was.
// What a process before this one has read is known by its position; the last
// day before it is read again, for records that have come late. With all it
// reads everything again, which changes nothing that is known already.
func (r *Reader) Read(ctx context.Context, all bool) (fresh Stats, err error) {
	select {
	case r.pass <- struct{}{}:
		defer func() { <-r.pass }()
	case <-ctx.Done():
		return fresh, context.Cause(ctx)
	}
	fresh, err = r.read(ctx, all)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Records += fresh.Records
	r.stats.Contacts += fresh.Contacts
	if err != nil {
		if ctx.Err() == nil {
			r.stats.Failures++
		}
		return fresh, err
	}
	r.stats.LastRead = time.Now()
	fresh.LastRead = r.stats.LastRead
	return fresh, nil
}

func (r *Reader) read(ctx context.Context, all bool) (fresh Stats, err error) {
	if r.columns == nil {
		if r.columns, err = columns(ctx, r.db); err != nil {
			return fresh, ofDatabase(err)
		}
	}
	if err := r.learn(ctx); err != nil {
		return fresh, err
	}
	now, err := r.now(ctx)
	if err != nil {
		return fresh, ofDatabase(err)
	}
	position, err := r.store.ImportPosition(ctx, r.account, Source)
	if err != nil {
		return fresh, err
	}
	at := cursor{position: position, cap: now, from: "1971-01-01 00:00:00"}
	if all {
		clear(r.seen)
	} else if position != "" {
		if at.from, err = before(position, reach); err != nil {
			return fresh, err
		}
	}
	started := time.Now()
	full := all || r.lastFull.IsZero() || started.Sub(r.lastFull) >= fullEvery
	ended := ""
	if !full && !r.ended.IsZero() {
		ended = r.ended.Add(-slack).Format(wall)
	}
	for {
		records, err := r.page(ctx, at, ended)
		if err != nil {
			return fresh, ofDatabase(err)
		}
		at = at.after(records)
		if err := r.take(ctx, records, at, &fresh); err != nil {
			return fresh, err
		}
		if len(records) < pageRows {
			break
		}
	}
	if full {
		r.lastFull = started
	}
	return fresh, nil
}

// learn finds out who counts as an operator. When that changes, records that
// meant nothing may mean something.
func (r *Reader) learn(ctx context.Context) error {
	who := extensions{known: make(map[string]bool), users: make(map[string]string)}
	ours, err := r.store.Operators(ctx, r.account)
	if err != nil {
		return err
	}
	for _, o := range ours {
		who.known[o.Extension] = true
	}
	users, err := users(ctx, r.db)
	if err != nil && !denied(err) {
		return ofDatabase(err)
	}
	who.guess = len(users) == 0
	for _, u := range users {
		who.known[u.Extension] = true
	}
	if who.users, err = devices(ctx, r.db); err != nil && !denied(err) {
		return ofDatabase(err)
	}
	if who.guess != r.who.guess || !maps.Equal(who.known, r.who.known) || !maps.Equal(who.users, r.who.users) {
		clear(r.seen)
		r.lastFull = time.Time{}
	}
	r.who = who
	return nil
}

// now is MariaDB's local time.
func (r *Reader) now(ctx context.Context) (time.Time, error) {
	var text string
	if err := r.db.QueryRowContext(ctx, `SELECT DATE_FORMAT(NOW(), '%Y-%m-%d %H:%i:%s')`).Scan(&text); err != nil {
		return time.Time{}, err
	}
	return time.Parse(wall, text)
}

// cursor is a place among the records in the order of their times.
type cursor struct {
	from     string // calldate
	skip     int    // how many of that very time have been read
	position string // the newest read, for the next process
	cap      time.Time
}

// after is the place behind the records.
func (c cursor) after(records []record) cursor {
	if len(records) == 0 {
		return c
	}
	last := records[len(records)-1].calldate
	if last != c.from {
		c.from, c.skip = last, 0
	}
	for i := len(records) - 1; i >= 0 && records[i].calldate == last; i-- {
		c.skip++
	}
	// A record from the future, of a clock that was wrong, must not hide those
	// of the present.
	if last > c.position && last <= c.cap.Format(wall) {
		c.position = last
	}
	return c
}

// before is a wall time so much earlier.
func before(text string, d time.Duration) (string, error) {
	at, err := time.Parse(wall, text)
	if err != nil {
		return "", fmt.Errorf("position: %w", err)
	}
	return at.Add(-d).Format(wall), nil
}

// page reads records from a place on; with ended only those of calls that ended
// since then. The order is that of the index of calldate, so nothing is sorted.
func (r *Reader) page(ctx context.Context, at cursor, ended string) ([]record, error) {
	column := func(name, otherwise string) string {
		if !r.columns[name] {
			return otherwise
		}
		return "COALESCE(" + name + ", " + otherwise + ")"
	}
	list := []string{"calldate", "COALESCE(UNIX_TIMESTAMP(calldate), 0)"}
	for _, name := range []string{"src", "dst", "channel", "dstchannel", "lastapp"} {
		list = append(list, column(name, "''"))
	}
	list = append(list, column("duration", "0"), column("billsec", "0"))
	for _, name := range []string{"disposition", "uniqueid", "linkedid", "cnum"} {
		list = append(list, column(name, "''"))
	}
	query, args := `SELECT `+strings.Join(list, ", ")+` FROM cdr WHERE calldate >= ?`, []any{at.from}
	if ended != "" && r.columns["duration"] {
		query, args = query+` AND calldate + INTERVAL duration SECOND >= ?`, append(args, ended)
	}
	rows, err := r.db.QueryContext(ctx, query+` ORDER BY calldate LIMIT ? OFFSET ?`, append(args, pageRows, at.skip)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var records []record
	for rows.Next() {
		var c record
		if err := rows.Scan(&c.calldate, &c.unix, &c.src, &c.dst, &c.channel, &c.dstchannel, &c.lastapp, &c.duration, &c.billsec,
			&c.disposition, &c.uniqueid, &c.linkedid, &c.cnum); err != nil {
			return nil, err
		}
		records = append(records, c)
	}
	return records, rows.Err()
}

// take stores what a page says, its place in the last of its transactions.
func (r *Reader) take(ctx context.Context, records []record, at cursor, fresh *Stats) error {
	position, err := r.store.ImportPosition(ctx, r.account, Source)
	if err != nil {
		return err
	}
	var contacts []store.ForeignContact
	for _, c := range records {
		if _, known := r.seen[maphash.Comparable(r.seed, c)]; known {
			continue
		}
		begin, _ := c.times(r.zone)
		fresh.Records++
		if contact, ok := c.contact(r.who, begin); ok {
			contacts = append(contacts, contact)
		}
	}
	fresh.Contacts += int64(len(contacts))
	for len(contacts) > together {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		if err := r.store.Import(ctx, r.account, Source, contacts[:together], position); err != nil {
			return err
		}
		contacts = contacts[together:]
	}
	if len(contacts) > 0 || at.position != position {
		if err := r.store.Import(ctx, r.account, Source, contacts, at.position); err != nil {
			return err
		}
	}
	// Only now: what was not stored will be read again.
	for _, c := range records {
		r.seen[maphash.Comparable(r.seed, c)] = c.calldate
		if _, end := c.times(r.zone); end.After(r.ended) && !end.After(at.cap) {
			r.ended = end
		}
	}
	return r.forget(at.position)
}

// forget drops records that will not be read again, now and then.
func (r *Reader) forget(position string) error {
	if len(r.seen) < 2*r.kept+10*pageRows || position == "" {
		return nil
	}
	from, err := before(position, reach)
	if err != nil {
		return err
	}
	maps.DeleteFunc(r.seen, func(_ uint64, calldate string) bool { return calldate < from })
	r.kept = len(r.seen)
	return nil
}
