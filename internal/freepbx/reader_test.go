package freepbx_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/freepbx"
	"github.com/perezvon/perezvon/internal/freepbx/freepbxtest"
	"github.com/perezvon/perezvon/internal/store"
	"github.com/perezvon/perezvon/internal/store/storetest"
)

// pbx is the one MariaDB of the tests, which run one after another.
var pbx *freepbxtest.FreePBX

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if pbx, err = freepbxtest.Run(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = pbx.Stop() }()
		return m.Run()
	}())
}

const (
	client   = "+79161234567"
	clientAs = "89161234567" // as the carrier shows him
)

// neighbour is a server's view of the FreePBX with the extensions 101 to 103,
// which are operators here too.
func neighbour(t *testing.T) (*freepbx.FreePBX, *store.Store) {
	t.Helper()
	pbx.Clear(t)
	s := storetest.Open(t)
	for _, extension := range []string{"101", "102", "103"} {
		pbx.Extension(t, extension, "", "")
		if _, err := s.PutOperator(t.Context(), storetest.Mine, directory.Operator{Extension: extension}); err != nil {
			t.Fatal(err)
		}
	}
	return connect(t, s, nil), s
}

func connect(t *testing.T, s *store.Store, zone *time.Location) *freepbx.FreePBX {
	t.Helper()
	f, err := freepbx.New(freepbx.Config{URL: pbx.URL, Store: s, Account: storetest.Mine, Zone: zone, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func read(t *testing.T, f *freepbx.FreePBX) freepbx.Stats {
	t.Helper()
	stats, err := f.Read(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	return stats
}

// responsible is who is, with all outcomes counted, and by which call.
func responsible(t *testing.T, s *store.Store, number string) call.Responsible {
	t.Helper()
	r, err := s.Responsible(t.Context(), storetest.Mine, number, call.ResponsibleRule{Outcomes: call.ContactOutcomes(), Window: call.Ever})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestWhatRecordsSayOfOperatorsAndClients(t *testing.T) {
	at := time.Now().Add(-time.Hour).Truncate(time.Second)
	type record = freepbxtest.Record
	const trunk = "PJSIP/city-00000001"
	for _, tt := range []struct {
		name     string
		records  []record
		operator string
		outcome  call.ContactOutcome
		at       time.Time
	}{
		{"the columns of the source's query alone", []record{{Src: clientAs, Dst: "101", Disposition: "ANSWERED"}}, "101", call.ContactAnswered, at},
		{"a client calls an extension", []record{
			{Src: clientAs, Dst: "101", Channel: trunk, DstChannel: "PJSIP/101-00000002", LastApp: "Dial", Duration: 70, BillSec: 60, Disposition: "ANSWERED"},
		}, "101", call.ContactAnswered, at.Add(10 * time.Second)},
		{"who does not answer", []record{
			{Src: clientAs, Dst: "101", Channel: trunk, DstChannel: "PJSIP/101-00000002", LastApp: "Dial", Duration: 15, Disposition: "NO ANSWER"},
			{Src: clientAs, Dst: "vmu101", Channel: trunk, LastApp: "VoiceMail", Duration: 20, BillSec: 20, Disposition: "ANSWERED"},
		}, "101", call.ContactNoAnswer, at},
		{"voicemail is no operator", []record{{Src: clientAs, Dst: "101", Channel: trunk, LastApp: "VoiceMail", Duration: 9, BillSec: 9, Disposition: "ANSWERED"}}, "", "", time.Time{}},
		{"no phone was there", []record{{Src: clientAs, Dst: "102", Channel: trunk, LastApp: "Dial", Disposition: "FAILED"}}, "102", call.ContactFailed, at},
		{"a queue: each member has records, one picks up", []record{
			{Src: clientAs, Dst: "1000", Channel: trunk, DstChannel: "Local/101@from-queue-00000001;1", LastApp: "Queue", Duration: 15, Disposition: "NO ANSWER"},
			{Src: clientAs, Dst: "101", Channel: "Local/101@from-queue-00000001;2", DstChannel: "PJSIP/101-00000004", LastApp: "Dial", Duration: 15, Disposition: "NO ANSWER", CNum: clientAs},
			{Src: clientAs, Dst: "1000", Channel: trunk, DstChannel: "Local/102@from-queue-00000002;1", LastApp: "Queue", Duration: 90, BillSec: 60, Disposition: "ANSWERED"},
			{Src: clientAs, Dst: "102", Channel: "Local/102@from-queue-00000002;2", DstChannel: "PJSIP/102-00000005", LastApp: "Dial", Duration: 90, BillSec: 60, Disposition: "ANSWERED", CNum: clientAs},
			{Src: clientAs, Dst: "1000", Channel: trunk, LastApp: "Queue", Duration: 5, BillSec: 5, Disposition: "ANSWERED"},
		}, "102", call.ContactAnswered, at.Add(30 * time.Second)},
		{"a group", []record{
			{Src: clientAs, Dst: "600", Channel: trunk, DstChannel: "PJSIP/103-00000002", LastApp: "Dial", Duration: 30, BillSec: 20, Disposition: "ANSWERED"},
			{Src: clientAs, Dst: "600", Channel: trunk, DstChannel: "PJSIP/101-00000003", LastApp: "Dial", Duration: 10, Disposition: "NO ANSWER"},
		}, "103", call.ContactAnswered, at.Add(10 * time.Second)},
		{"an operator calls a client, and shows another number", []record{
			{Src: "74951112233", Dst: clientAs, Channel: "PJSIP/101-00000001", DstChannel: "PJSIP/city-00000002", LastApp: "Dial", Duration: 40, BillSec: 30, Disposition: "ANSWERED", CNum: "101"},
		}, "101", call.ContactAnswered, at},
		{"by the second trunk", []record{
			{Src: "74951112233", Dst: clientAs, Channel: "PJSIP/101-00000001", DstChannel: "PJSIP/old-00000002", LastApp: "Dial", Disposition: "CONGESTION", CNum: "101"},
			{Src: "74951112233", Dst: clientAs, Channel: "PJSIP/101-00000001", DstChannel: "PJSIP/city-00000003", LastApp: "Dial", Duration: 9, Disposition: "BUSY", CNum: "101"},
		}, "101", call.ContactBusy, at},
		{"a click in a CRM", []record{
			{Src: "101", Dst: clientAs, Channel: "Local/101@from-internal-00000001;1", DstChannel: "PJSIP/city-00000003", LastApp: "Dial", Duration: 20, BillSec: 9, Disposition: "ANSWERED", CNum: "101"},
		}, "101", call.ContactAnswered, at},
		{"follow-me", []record{
			{Src: clientAs, Dst: "101", Channel: trunk, DstChannel: "Local/FMPR-101@from-internal-00000007;1", LastApp: "Dial", Duration: 20, BillSec: 9, Disposition: "ANSWERED"},
		}, "101", call.ContactAnswered, at.Add(11 * time.Second)},
		{"a device has another name than its user", []record{
			{Src: clientAs, Dst: "600", Channel: trunk, DstChannel: "PJSIP/99103-00000002", LastApp: "Dial", Duration: 9, BillSec: 9, Disposition: "ANSWERED"},
		}, "103", call.ContactAnswered, at},
		{"the caller's number is changed on the way", []record{
			{Src: "reception", CNum: clientAs, Dst: "101", Channel: trunk, DstChannel: "PJSIP/101-00000002", LastApp: "Dial", Duration: 9, BillSec: 9, Disposition: "ANSWERED"},
		}, "101", call.ContactAnswered, at},
		{"colleagues", []record{{Src: "101", Dst: "102", CNum: "101", Channel: "PJSIP/101-00000001", DstChannel: "PJSIP/102-00000002", LastApp: "Dial", Duration: 9, BillSec: 9, Disposition: "ANSWERED"}}, "", "", time.Time{}},
		{"no number", []record{{Src: "anonymous", Dst: "101", Channel: trunk, DstChannel: "PJSIP/101-00000002", LastApp: "Dial", Duration: 9, BillSec: 9, Disposition: "ANSWERED"}}, "", "", time.Time{}},
		{"a trunk that is called like an extension", []record{{Src: clientAs, Dst: "5000", Channel: "PJSIP/5000-00000001", DstChannel: "PJSIP/101-00000002", LastApp: "Dial", Duration: 9, BillSec: 9, Disposition: "ANSWERED"}}, "101", call.ContactAnswered, at},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, s := neighbour(t)
			pbx.Do(t, `INSERT INTO asterisk.devices (id, user) VALUES ('99103', '103'), ('5', 'none')`)
			for i := range tt.records {
				tt.records[i].At, tt.records[i].UniqueID, tt.records[i].LinkedID = at, fmt.Sprintf("17.%d", i), "17.0"
			}
			pbx.Add(t, tt.records...)
			read(t, f)
			r := responsible(t, s, client)
			if r.Operator != tt.operator || r.Outcome != tt.outcome || !r.At.Equal(tt.at) {
				t.Errorf("%+v", r)
			}
			if r.Found() && r.CallID != "17.0" {
				t.Errorf("by %s", r.CallID)
			}
		})
	}
}

func TestRecordsAreReadAsTheyCome(t *testing.T) {
	f, s := neighbour(t)
	now := time.Now().Truncate(time.Second)
	add := func(operator, id string, began time.Duration, duration int) {
		t.Helper()
		pbx.Add(t, freepbxtest.Record{
			At: now.Add(-began), Src: clientAs, Dst: operator, Channel: "PJSIP/city-1", DstChannel: "PJSIP/" + operator + "-2",
			Duration: duration, BillSec: duration, Disposition: "ANSWERED", UniqueID: id, LinkedID: id,
		})
	}
	is := func(operator, by string, fresh int64) {
		t.Helper()
		if stats := read(t, f); stats.Records != fresh {
			t.Errorf("%d fresh records, want %d", stats.Records, fresh)
		}
		if r := responsible(t, s, client); r.Operator != operator || r.CallID != by {
			t.Errorf("%+v", r)
		}
	}
	is("", "", 0)
	add("101", "1", 60*time.Hour, 60)
	is("101", "1", 1)
	is("101", "1", 0)
	add("102", "2", time.Hour, 60)
	is("102", "2", 1)
	// A call that began before that one and ended after it.
	add("103", "3", 3*time.Hour, 3*3600-30)
	is("102", "2", 1)
	pbx.Do(t, `DELETE FROM asteriskcdrdb.cdr WHERE uniqueid = '2'`) // what is known stays known
	is("102", "2", 0)
	first, err := s.Responsible(t.Context(), storetest.Mine, client, call.ResponsibleRule{Window: 12 * time.Hour, Policy: call.PolicyFirst})
	if err != nil || first.CallID != "3" {
		t.Errorf("%+v %v", first, err)
	}
	// Three in the same second, and one from a clock that is wrong.
	for _, id := range []string{"4", "5", "6"} {
		add("101", id, 30*time.Second, 5)
	}
	add("101", "7", -10*365*24*time.Hour, 5)
	is("101", "6", 4)
	add("103", "8", 20*time.Second, 5)
	is("103", "8", 1)
	// Another process goes on where this one was.
	add("102", "9", 10*time.Second, 5)
	f = connect(t, s, nil)
	if stats := read(t, f); stats.Records > 8 {
		t.Errorf("%d records read again", stats.Records)
	}
	today, err := s.Responsible(t.Context(), storetest.Mine, client, call.ResponsibleRule{})
	if err != nil || today.CallID != "9" {
		t.Errorf("%+v %v", today, err)
	}
}

// An extension that becomes known makes sense of records that were read.
func TestANewExtensionHasItsPast(t *testing.T) {
	f, s := neighbour(t)
	pbx.Add(t, freepbxtest.Record{At: time.Now().Add(-time.Hour), Src: clientAs, Dst: "201", Channel: "PJSIP/city-1", DstChannel: "PJSIP/201-2", Duration: 5, BillSec: 5, Disposition: "ANSWERED", UniqueID: "1"})
	if _, err := s.PutOperator(t.Context(), storetest.Mine, directory.Operator{Extension: "202"}); err != nil {
		t.Fatal(err)
	}
	read(t, f)
	if r := responsible(t, s, client); r.Found() {
		t.Errorf("%+v", r)
	}
	if _, err := s.PutOperator(t.Context(), storetest.Mine, directory.Operator{Extension: "201"}); err != nil {
		t.Fatal(err)
	}
	read(t, f)
	if r := responsible(t, s, client); r.Operator != "201" || r.CallID != "1" {
		t.Errorf("%+v", r)
	}
}

// The times of records are local: of the machine of FreePBX, or of the zone
// that is set.
func TestTheClockOfTheRecords(t *testing.T) {
	_, s := neighbour(t)
	pbx.Do(t, `SET GLOBAL time_zone = '+03:00'`)
	at := time.Now().UTC().Add(-time.Hour).Truncate(time.Second)
	record := freepbxtest.Record{Src: clientAs, Dst: "101", DstChannel: "PJSIP/101-2", Disposition: "NO ANSWER", UniqueID: "1"}
	record.At = at.Add(3 * time.Hour)
	pbx.Add(t, record)
	read(t, connect(t, s, nil))
	if r := responsible(t, s, client); !r.At.Equal(at) {
		t.Errorf("MariaDB's zone: %v, want %v", r.At, at)
	}
	zone, err := time.LoadLocation("Asia/Vladivostok")
	if err != nil {
		t.Fatal(err)
	}
	record.At, record.UniqueID, record.Src = at.In(zone), "2", "89160000002"
	pbx.Add(t, record)
	read(t, connect(t, s, zone))
	if r := responsible(t, s, "+79160000002"); !r.At.Equal(at) {
		t.Errorf("a zone that is set: %v, want %v", r.At, at)
	}
}

// Cut off in the middle of the first reading, the next process has everything,
// once.
func TestNothingIsLostOrTwiceWhenTheServerDiesInTheMiddle(t *testing.T) {
	f, _ := neighbour(t)
	const calls = 30_000
	pbx.Do(t, `INSERT INTO asteriskcdrdb.cdr (calldate, src, dst, channel, dstchannel, duration, billsec, disposition, uniqueid, linkedid)
		SELECT NOW() - INTERVAL seq HOUR, 89160000000 + seq, 101, 'PJSIP/city-1', 'PJSIP/101-2', 60, 60, 'ANSWERED', seq, seq FROM asteriskcdrdb.seq_1_to_30000`)
	_ = f.Close()
	dir := filepath.Join(t.TempDir(), "data")
	for try := 0; ; try++ {
		s, err := store.Open(t.Context(), store.Options{DataDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if try == 0 {
			if _, err := s.PutOperator(t.Context(), storetest.Mine, directory.Operator{Extension: "101"}); err != nil {
				t.Fatal(err)
			}
		}
		f := connect(t, s, nil)
		ctx, cancel := context.WithCancel(t.Context())
		read := make(chan error, 1)
		go func() { _, err := f.Read(ctx, false); read <- err }()
		// It is cut as soon as it has come further.
		before := stored(t, s)
		for try < 3 && stored(t, s) == before {
			select {
			case err := <-read:
				t.Fatalf("read at once: %v", err)
			default:
			}
		}
		if try < 3 {
			cancel()
		}
		err = <-read
		cancel()
		n := stored(t, s)
		if try == 3 {
			if err != nil || n != calls {
				t.Errorf("%d of %d contacts, %v", n, calls, err)
			}
		} else if err == nil || n == calls || n == before {
			t.Errorf("try %d was not cut: %d, %v", try, n, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if try == 3 {
			return
		}
	}
}

func stored(t *testing.T, s *store.Store) (n int) {
	t.Helper()
	if err := s.SQLite().QueryRowContext(t.Context(), `SELECT COUNT(*) FROM contacts WHERE source = 'freepbx'`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// A user of the database who may read the records and nothing else.
func TestWithoutTheExtensionsShortNumbersAreOperators(t *testing.T) {
	_, s := neighbour(t)
	pbx.Do(t, `CREATE OR REPLACE USER reader IDENTIFIED VIA mysql_native_password USING PASSWORD('secret'); GRANT SELECT ON asteriskcdrdb.cdr TO reader`)
	f, err := freepbx.New(freepbx.Config{
		URL:   strings.Replace(pbx.URL, "root@", "reader:secret@", 1),
		Store: s, Account: storetest.Mine, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	pbx.Add(t, freepbxtest.Record{At: time.Now().Add(-time.Hour), Src: clientAs, Dst: "2017", DstChannel: "PJSIP/2017-2", Disposition: "NO ANSWER", UniqueID: "1"})
	if stats := read(t, f); stats.Contacts != 1 {
		t.Errorf("%+v", stats)
	}
}

// A table of an older FreePBX, or of somebody else's, has fewer columns.
func TestATableWithFewerColumns(t *testing.T) {
	f, s := neighbour(t)
	pbx.Do(t, `ALTER TABLE asteriskcdrdb.cdr DROP linkedid, DROP cnum, DROP duration, DROP billsec`)
	defer pbx.Do(t, `ALTER TABLE asteriskcdrdb.cdr ADD linkedid VARCHAR(32) NOT NULL DEFAULT '', ADD cnum VARCHAR(80) NOT NULL DEFAULT '',
		ADD duration INT(11) NOT NULL DEFAULT 0, ADD billsec INT(11) NOT NULL DEFAULT 0`)
	pbx.Do(t, `INSERT INTO asteriskcdrdb.cdr (calldate, src, dst, disposition, uniqueid) VALUES (NOW(), '89161234567', '101', 'BUSY', '1')`)
	read(t, f)
	read(t, f)
	if r := responsible(t, s, client); r.Operator != "101" || r.CallID != "1" {
		t.Errorf("%+v", r)
	}
}

func TestWhileMariaDBIsAwayWhatWasReadIsKnown(t *testing.T) {
	_, s := neighbour(t)
	f, err := freepbx.New(freepbx.Config{URL: "mysql://u@/x?socket=" + filepath.Join(t.TempDir(), "none"), Store: s, Account: storetest.Mine, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Read(t.Context(), false); err == nil {
		t.Error("it was read")
	}
	if stats := f.Stats(); stats.Failures != 1 || !stats.LastRead.IsZero() {
		t.Errorf("%+v", stats)
	}
}

func TestTheAddressOfMariaDB(t *testing.T) {
	for address, want := range map[string]string{
		"mysql://p:s%40x@192.0.2.1":                     "p:s@x@tcp(192.0.2.1:3306)/asteriskcdrdb",
		"mysql://p:x@db.example:3307/cdrs?tls=true":     "p:x@tcp(db.example:3307)/cdrs",
		"mysql://p@/asteriskcdrdb?socket=/run/m/m.sock": "p@unix(/run/m/m.sock)/asteriskcdrdb",
	} {
		c, err := freepbx.ParseURL(address)
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		if got := c.FormatDSN(); !strings.HasPrefix(got, want+"?") {
			t.Errorf("%s: %s", address, got)
		}
	}
	for _, address := range []string{"postgres://p:hunter2@h/d", "mysql://h/d", "mysql://p:hunter2@/d", "mysql://p:hunter2@h/a;b", "mysql://p:hunter2@h/d?allowAllFiles=true", "mysql://p:hunter2@h/d?tls=x", "mysql://p:hunter2%zz@h"} {
		if _, err := freepbx.ParseURL(address); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", address, err)
		}
	}
}
