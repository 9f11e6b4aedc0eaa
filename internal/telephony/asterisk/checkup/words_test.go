package checkup

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Everything that may be found is told in both languages, with the same
// arguments, and a fault and a warning with what to do.
func TestEveryFindingHasItsWordsInBothLanguages(t *testing.T) {
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	// As found(Fault, "ari.password", …), or a table of {Fault, "operator.missing", …}.
	literal := regexp.MustCompile(`(OK|Note|Warning|Fault|level), "([a-z]+\.[a-z_]+)"|\{"(version\.[a-z]+)"|once\("([a-z.]+)"`)
	used := make(map[string]bool)
	for _, name := range sources {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range literal.FindAllStringSubmatch(string(text), -1) {
			check := m[2] + m[3] + m[4]
			used[check] = true
			w, ok := words[check]
			if !ok {
				t.Errorf("%s has no words", check)
				continue
			}
			bad := m[1] == "Fault" || m[1] == "Warning" || m[1] == "level" || m[3] != ""
			if bad && (w.enDo == "" || w.ruDo == "") {
				t.Errorf("%s is bad, and nothing is said of what to do", check)
			}
		}
	}
	for check := range words {
		if !used[check] {
			t.Errorf("%s is never found", check)
		}
	}
	arguments := regexp.MustCompile(`\{\d\}`)
	russianLetter := regexp.MustCompile(`[а-яА-ЯёЁ]`)
	for check, w := range words {
		if w.en == "" || w.ru == "" || (w.enDo == "") != (w.ruDo == "") {
			t.Errorf("%s is not told in both languages", check)
		}
		en, ru := arguments.FindAllString(w.en+w.enDo, -1), arguments.FindAllString(w.ru+w.ruDo, -1)
		slices.Sort(en)
		slices.Sort(ru)
		if !slices.Equal(slices.Compact(en), slices.Compact(ru)) {
			t.Errorf("%s has the arguments %v in English and %v in Russian", check, en, ru)
		}
		if russianLetter.MatchString(w.en+w.enDo) || w.ruDo != "" && !russianLetter.MatchString(w.ru) {
			t.Errorf("%s has its languages mixed up", check)
		}
	}
	for _, m := range needed {
		if p := purposes[m.why]; p.en == "" || p.ru == "" {
			t.Errorf("what %s is for is not told", m.name)
		}
	}
}

func TestWhatAVersionHas(t *testing.T) {
	for _, tt := range []struct {
		text    string
		missing string // of features, by their checks
	}{
		{"22.10.1+dfsg+~cs6.17.60671434-1", ""},
		{"22.6.0", "version.status"},
		{"22.5.2", "version.progress version.status"},
		{"22.2.0", "version.transfer version.progress version.status"},
		{"20.6.0~dfsg+~cs6.13.40431414-2build5", "version.transfer version.progress version.status"},
		{"20.20.1", ""},
		{"20.16.0", "version.status"},
		{"21.12.2", "version.status"},
		{"23.0.0", "version.status"},
		{"24.1.0", ""},
		{"GIT-22-1a2b3c4", ""},
		{"certified-20.7-cert11", "version.transfer version.progress version.status"},
		{"certified-22.8-cert4", ""},
		{"18.26.4", "version.old"},
		{"Asterisk 13.1", "version.old"},
		{"SVN-trunk-r1234", "version.unknown"},
		{"", "version.unknown"},
	} {
		k := &checkup{r: &Report{}}
		k.examineVersion(tt.text)
		var missing []string
		for _, f := range k.r.Findings {
			if f.Level != OK {
				missing = append(missing, f.Check)
			}
		}
		if got := strings.Join(missing, " "); got != tt.missing {
			t.Errorf("%q lacks %q, want %q", tt.text, got, tt.missing)
		}
	}
}
