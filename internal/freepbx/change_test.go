package freepbx_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/freepbx"
	"github.com/perezvon/perezvon/internal/freepbx/freepbxtest"
	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/store/storetest"
)

func TestExtensionsBecomeOperatorsAndNothingSetHereIsLost(t *testing.T) {
	f, s := neighbour(t)
	pbx.Clear(t)
	own := []directory.Operator{
		{Extension: "101", Name: "Анна", Password: "secret", Phones: []string{"+74951112233"}, Paused: true},
		{Extension: "102", CallerID: "+74950000000"},
		{Extension: "103"},
		{Extension: "300", Name: "only here"},
	}
	for _, o := range own {
		if _, err := s.PutOperator(t.Context(), storetest.Mine, o); err != nil {
			t.Fatal(err)
		}
	}
	pbx.Extension(t, "101", "Anna Petrova", "")
	pbx.Extension(t, "102", "Борис", "")
	pbx.Extension(t, "103", "", "")
	pbx.Extension(t, "104", "Вера", "ext-group,600,1")
	pbx.Extension(t, "7", "too short", "")
	pbx.Extension(t, "105", strings.Repeat("я", 50), "")
	pbx.Do(t, `UPDATE asterisk.users SET outboundcid = '"Acme" <74951112200>' WHERE extension IN ('102', '104')`)
	pbx.Do(t, `UPDATE asterisk.users SET outboundcid = 'hidden' WHERE extension = '105'`)

	want := []freepbx.OperatorChange{
		{Extension: "7", Action: "skip", Why: "an operator's extension has 2 to 10 digits"},
		{Extension: "101", Action: "same", Fields: []freepbx.FieldChange{{Field: "name", Here: "Анна", FreePBX: "Anna Petrova", Kept: true}}},
		{Extension: "102", Action: "fill", Fields: []freepbx.FieldChange{{Field: "name", FreePBX: "Борис"}, {Field: "caller_id", Here: "+74950000000", FreePBX: "74951112200", Kept: true}}},
		{Extension: "103", Action: "same"},
		{Extension: "104", Action: "add", Fields: []freepbx.FieldChange{{Field: "name", FreePBX: "Вера"}, {Field: "caller_id", FreePBX: "74951112200"}}},
		{Extension: "105", Action: "add", Fields: []freepbx.FieldChange{{Field: "name", FreePBX: strings.Repeat("я", 50)}}},
	}
	before, _ := s.Operators(t.Context(), storetest.Mine)
	for _, dry := range []bool{true, false} {
		got, err := f.ImportOperators(t.Context(), dry)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("dry %v: %s %v", dry, diff, err)
		}
		if now, _ := s.Operators(t.Context(), storetest.Mine); dry && cmp.Diff(before, now) != "" {
			t.Errorf("a dry run has changed something: %+v", now)
		}
	}
	after, err := s.Operators(t.Context(), storetest.Mine)
	own[1].Name = "Борис"
	expected := []directory.Operator{own[0], own[1], own[2], {Extension: "104", Name: "Вера", CallerID: "74951112200"}, {Extension: "105", Name: strings.Repeat("я", 50)}, own[3]}
	if diff := cmp.Diff(expected, after); diff != "" || err != nil {
		t.Error(diff, err)
	}
	again, err := f.ImportOperators(t.Context(), false)
	for _, c := range again {
		if c.Action != "same" && c.Action != "skip" || err != nil {
			t.Errorf("the second time: %+v %v", c, err)
		}
	}
}

// is fails unless FreePBX leads unanswered calls there, extension=destination.
func is(t *testing.T, want string) {
	t.Helper()
	var got string
	if err := pbx.DB.QueryRowContext(t.Context(), `SELECT GROUP_CONCAT(CONCAT(extension, '=', noanswer_dest) ORDER BY extension SEPARATOR ' ') FROM asterisk.users`).Scan(&got); err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func needsReload(t *testing.T) (marked bool) {
	t.Helper()
	if err := pbx.DB.QueryRowContext(t.Context(), `SELECT value = 'true' FROM asterisk.admin WHERE variable = 'need_reload'`).Scan(&marked); err != nil {
		t.Fatal(err)
	}
	return marked
}

func TestUnansweredCallsOfListedExtensionsAreLedToTheNoticesAndBack(t *testing.T) {
	f, s := neighbour(t)
	pbx.Do(t, `UPDATE asterisk.users SET noanswer_dest = 'ext-group,600,1' WHERE extension = '102'`)
	order := func(o freepbx.NoAnswerOrder) string {
		t.Helper()
		r, err := f.SetNoAnswer(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if r.Marked != (r.Changed() && !o.DryRun) {
			t.Errorf("marked %v: %+v", r.Marked, r)
		}
		var text []string
		for _, c := range r.Changes {
			text = append(text, strings.TrimSuffix(fmt.Sprintf("%s: %s → %s %s", c.Extension, c.Old, c.New, c.Why), " "))
		}
		return strings.Join(text, "; ")
	}
	told := func(want, got string) {
		t.Helper()
		if got != want {
			t.Errorf("told %s\nwant %s", got, want)
		}
	}
	const before = "101= 102=ext-group,600,1 103="
	two := []string{"101", "102"}

	told("101:  → operators-alert,s,1; 102: ext-group,600,1 → operators-alert,s,1", order(freepbx.NoAnswerOrder{Extensions: two, DryRun: true}))
	is(t, before)
	if needsReload(t) {
		t.Error("a dry run asks for a reload")
	}
	told("101:  → operators-alert,s,1; 102: ext-group,600,1 → operators-alert,s,1", order(freepbx.NoAnswerOrder{Extensions: two}))
	is(t, "101=operators-alert,s,1 102=operators-alert,s,1 103=")
	if !needsReload(t) {
		t.Error("FreePBX does not know of it")
	}
	told("101: operators-alert,s,1 → operators-alert,s,1", order(freepbx.NoAnswerOrder{Extensions: []string{"101"}}))
	told("101: operators-alert,s,1 → ext-queues,1000,1", order(freepbx.NoAnswerOrder{Extensions: []string{"101"}, Destination: "ext-queues,1000,1"}))

	// The way back is the same after a restart, and whatever was changed in
	// between.
	f = connect(t, s, nil)
	told("103:  →  it was not changed by this server", order(freepbx.NoAnswerOrder{Extensions: []string{"103"}, Undo: true}))
	told("101: ext-queues,1000,1 → ; 102: operators-alert,s,1 → ext-group,600,1", order(freepbx.NoAnswerOrder{Undo: true, DryRun: true}))
	pbx.Do(t, `UPDATE asterisk.users SET noanswer_dest = 'ivr-1,s,1' WHERE extension = '102'`)
	told("101: ext-queues,1000,1 → ; 102: ivr-1,s,1 → ivr-1,s,1 somebody has changed it since", order(freepbx.NoAnswerOrder{Undo: true}))
	is(t, "101= 102=ivr-1,s,1 103=")
	told("102: ivr-1,s,1 → operators-alert,s,1", order(freepbx.NoAnswerOrder{Extensions: []string{"102"}}))
	told("102: operators-alert,s,1 → ivr-1,s,1", order(freepbx.NoAnswerOrder{Undo: true}))
	told("", order(freepbx.NoAnswerOrder{Undo: true}))
	is(t, "101= 102=ivr-1,s,1 103=")
}

func TestUnknownExtensionsAreRefusedByName(t *testing.T) {
	f, _ := neighbour(t)
	for field, o := range map[string]freepbx.NoAnswerOrder{
		"FreePBX has no extension 104, 999":  {Extensions: []string{"101", "104", "999"}},
		"FreePBX has no extension 104":       {Extensions: []string{"104"}, Undo: true},
		"want extensions":                    {},
		"want context,extension,priority: o": {Extensions: []string{"101"}, Destination: "a,b"},
		"want context,extension,priority":    {Extensions: []string{"101"}, Destination: "a,s,1)\nexten => s,1,System(x"},
	} {
		_, err := f.SetNoAnswer(t.Context(), o)
		var bad invalid.Error
		if !errors.As(err, &bad) || !strings.HasPrefix(bad[0].Message, field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	is(t, "101= 102= 103=")
}

// The user of MariaDB that the manual makes may do all of it, and nothing else.
func TestTheRightsOfTheManualAreEnough(t *testing.T) {
	_, s := neighbour(t)
	manual, err := os.ReadFile("../../docs/freepbx.md")
	if err != nil {
		t.Fatal(err)
	}
	_, sql, _ := strings.Cut(string(manual), "```sql\n")
	sql, _, _ = strings.Cut(sql, "```")
	pbx.Do(t, `DROP USER IF EXISTS perezvon@localhost`)
	pbx.Do(t, sql)
	f, err := freepbx.New(freepbx.Config{
		URL:   strings.Replace(pbx.URL, "root@", "perezvon:a%20long%20one@", 1),
		Store: s, Account: storetest.Mine, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	pbx.Add(t, freepbxtest.Record{At: time.Now(), Src: clientAs, Dst: "101", Disposition: "BUSY", UniqueID: "1"})
	if stats := read(t, f); stats.Contacts != 1 {
		t.Errorf("%+v", stats)
	}
	if _, err := f.ImportOperators(t.Context(), false); err != nil {
		t.Error(err)
	}
	if r, err := f.SetNoAnswer(t.Context(), freepbx.NoAnswerOrder{Extensions: []string{"101"}}); err != nil || !r.Marked {
		t.Errorf("%+v %v", r, err)
	}
	is(t, "101=operators-alert,s,1 102= 103=")
}
