package directory_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/perezvon/perezvon/internal/directory"
)

func TestExtensionsAreListedAndInRanges(t *testing.T) {
	for text, want := range map[string]string{
		"205":               "205",
		"101-103,205":       "101 102 103 205",
		" 101 - 102 , 205 ": "101 102 205",
		"102,101-103,101":   "102 101 103",
		"0099-0101":         "0099 0100 0101",
		"9999999999":        "9999999999",
		"101-101":           "101",
	} {
		got, err := directory.ParseExtensions("extensions", text)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: %v, %v; want %s", text, got, err, want)
		}
	}
}

// What is no number never passes (issue: operator numbers with hostile
// characters).
func TestWhatIsNoExtensionIsNone(t *testing.T) {
	for _, text := range append(hostile(),
		"", ",", "101,", "1", "12345678901", "101-", "-101", "140-101", "99-101", "101-102-103", "101--102", "+101", "1e3", "0x65",
		"101-2100", "0000000000-9999999999") {
		if got, err := directory.ParseExtensions("extensions", text); err == nil || !strings.Contains(err.Error(), "extensions") {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func hostile() []string {
	return []string{"../101", "101/..", "101;rm -rf /", "101 102", `10"1`, "10'1", "$(id)", "`id`", "101\n", "101\x00", "１０１", "१०१", "101\u202e", "*600", "a"}
}

func FuzzExtensions(f *testing.F) {
	for _, s := range append(hostile(), "101-140,205") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		all, err := directory.ParseExtensions("extensions", s)
		if err != nil {
			return
		}
		if len(all) == 0 || len(all) > directory.MaxExtensions {
			t.Errorf("%d", len(all))
		}
		if !slices.ContainsFunc(all, directory.IsExtension) || slices.ContainsFunc(all, func(e string) bool { return !directory.IsExtension(e) }) {
			t.Errorf("%q", all)
		}
	})
}
