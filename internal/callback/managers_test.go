package callback

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/perezvon/perezvon/internal/invalid"
)

// "`_` between managers, `^` before an extension dialled after answer; the
// JSON API also takes a list of {number, extension, sip}".
func TestManagersInBothForms(t *testing.T) {
	want := Managers{{Number: "74951234567", Extension: "101"}, {Number: "79161234567"}}
	for _, in := range []string{
		`"74951234567^101_79161234567"`,
		` "74951234567 ^ 101_ 79161234567" `,
		`[{"number":"74951234567","extension":"101"},{"number":"79161234567"}]`,
	} {
		var got Managers
		if err := json.Unmarshal([]byte(in), &got); err != nil {
			t.Errorf("%s: %v", in, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", in, d)
		}
	}
	if got, want := want.String(), "74951234567^101_79161234567"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := (Managers{{SIP: "101", Extension: "5"}}).String(); got != "101^5" {
		t.Errorf("got %s", got)
	}
	var none Managers
	if err := json.Unmarshal([]byte("null"), &none); err != nil || none != nil {
		t.Errorf("null: %v, %v", none, err)
	}
}

func TestManagersThatAreNone(t *testing.T) {
	for in, field := range map[string]string{
		`""`:                           "managers[0]",
		`"7495_"`:                      "managers[1]",
		`"_7495"`:                      "managers[0]",
		`"^101"`:                       "managers[0]",
		`"7495^"`:                      "managers[0].extension",
		`5`:                            "managers",
		`{}`:                           "managers",
		`[5]`:                          "managers",
		`[{"number":"1","phone":"2"}]`: "managers",
	} {
		var m Managers
		err := json.Unmarshal([]byte(in), &m)
		var bad invalid.Error
		if !errors.As(err, &bad) || len(bad) != 1 || bad[0].Path != field {
			t.Errorf("%s: got %v, want a fault of %s", in, err, field)
		}
	}
}

func FuzzParseManagers(f *testing.F) {
	for _, s := range []string{"74951234567^101_79161234567", "", "_", "^", "a^b^c", " 1 ^ 2 _ 3 "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParseManagers(s)
		if err != nil {
			var bad invalid.Error
			if !errors.As(err, &bad) {
				t.Fatalf("%T", err)
			}
			return
		}
		again, err := ParseManagers(m.String())
		if err != nil {
			t.Fatalf("%q is read but %q is not: %v", s, m, err)
		}
		if d := cmp.Diff(m, again); d != "" {
			t.Error(d)
		}
	})
}

func TestManagersByGroupAndByTurn(t *testing.T) {
	m := Managers{{Number: "101", Group: "a"}, {Number: "201"}, {Number: "102", Group: "a"}, {Number: "103", Group: "a"}, {Number: "202"}}
	var got []string
	for _, g := range m.Groups() {
		got = append(got, g.String())
	}
	if d := cmp.Diff([]string{"101_102_103", "201_202"}, got); d != "" {
		t.Error(d)
	}
	for turn, want := range []string{"101_102_103_201_202", "102_103_101_202_201", "103_101_102_201_202", "101_102_103_202_201"} {
		if got := m.Turned(int64(turn)).String(); got != want {
			t.Errorf("turn %d: %s, want %s", turn, got, want)
		}
	}
}

func TestTheResponsibleManagerIsCalledFirstAndAlone(t *testing.T) {
	m := Managers{{Number: "101"}, {Number: "+74951234567", Extension: "1"}, {SIP: "103"}}
	for who, want := range map[string]string{"": "101_+74951234567^1_103", "103": "103_101_+74951234567^1", "+74951234567": "+74951234567^1_101_103", "104": "101_+74951234567^1_103"} {
		got := m.First(who)
		if got.String() != want {
			t.Errorf("%s: %s, want %s", who, got, want)
		}
		if moved := want != m.String(); moved != (len(got.Groups()) == 2) {
			t.Errorf("%s: %d groups", who, len(got.Groups()))
		}
	}
	if m.String() != "101_+74951234567^1_103" {
		t.Error("the list itself was changed")
	}
}
