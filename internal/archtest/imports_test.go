package archtest

import (
	"slices"
	"strings"
	"testing"
)

// rule forbids packages of ours to reach others, over any number of steps
// through packages of ours. What a library imports for itself is its matter.
type rule struct {
	from   []string // patterns of packages of ours, without the module's name
	never  []string // patterns of packages of ours, or import paths of others
	except []string // patterns taken out of from
	reason string
}

// Patterns: "internal/media" is that package, "internal/media/..." it and all
// below. The words below stand for import paths.
var words = map[string][]string{
	"ours": {"internal/...", "cmd/..."},
	"SIP":  {"github.com/emiago/sipgo", "github.com/emiago/sipgo/...", "github.com/icholy/digest"},
	"SQL":  {"database/sql", "github.com/jackc/pgx/v5/...", "modernc.org/sqlite", "github.com/riverqueue/..."},
	"HTTP": {"net/http", "github.com/danielgtaylor/huma/v2/...", "github.com/coder/websocket"},
	"engines": {
		"internal/telephony/sipengine/...", "internal/telephony/asterisk/...", "internal/telephony/ari/...",
	},
	"doors": {"internal/httpapi/...", "internal/console/...", "cmd/..."},
}

var rules = []rule{
	{
		from: []string{"internal/call", "internal/numbering"}, never: []string{"ours"},
		reason: "the vocabulary and the numbers are pure: anybody may import them, so they may import nobody",
	},
	{
		from: []string{"internal/callback", "internal/directory", "internal/invalid"}, never: []string{"SIP", "SQL", "HTTP", "engines", "doors"},
		reason: "rules about data are tested and read without anything that runs",
	},
	{
		from: []string{"internal/scenario/..."}, never: []string{"engines", "SQL", "HTTP", "SIP", "doors", "internal/store/..."},
		reason: "a scenario is what happens on a call in the words of the specification; it runs on any engine and any store",
	},
	{
		from: []string{"internal/telephony"}, never: []string{"engines", "SQL", "HTTP", "SIP", "doors", "internal/scenario/..."},
		reason: "what a scenario needs of a phone system does not know who gives it",
	},
	{
		from: []string{"internal/media/..."}, never: []string{"internal/telephony/...", "SIP", "SQL", "HTTP", "internal/recording/...", "internal/scenario/...", "doors"},
		reason: "media is bytes and samples; every engine builds on it",
	},
	{
		from: []string{"internal/recording/...", "internal/speech/..."}, never: []string{"internal/telephony/...", "SIP", "SQL", "internal/scenario/...", "doors"},
		reason: "recordings and speech serve every engine and know none",
	},
	{
		from: []string{"internal/telephony/..."}, except: []string{"internal/telephony/telephonytest/..."},
		never:  []string{"internal/scenario/...", "internal/store/...", "internal/dispatch/...", "SQL", "doors"},
		reason: "an engine does what it is told; what a call is for, and where it is stored, is decided above it",
	},
	{
		from: []string{"internal/..."}, except: []string{"internal/telephony/sipengine/...", "internal/telephony/telephonytest/...", "internal/softphone/..."},
		never: []string{"github.com/emiago/sipgo", "github.com/emiago/sipgo/..."}, reason: "SIP is spoken in one place (and by the phone made of the same)",
	},
	{
		from: []string{"internal/store/..."}, never: []string{"SIP", "engines", "doors", "internal/speech"},
		reason: "the store keeps what others decide",
	},
	{
		from: []string{"internal/..."}, never: []string{"cmd/..."},
		reason: "cmd is wiring; nothing is built on it",
	},
}

func TestImportsPointOneWay(t *testing.T) {
	tree := load(t)
	graph := tree.graph()
	for _, r := range rules {
		for _, broken := range r.broken(graph) {
			t.Errorf("%s\n\tmust not be: %s", strings.Join(broken, " imports\n\t"), r.reason)
		}
	}
}

func TestRulesFindForbiddenImportsOverSteps(t *testing.T) {
	graph := map[string][]string{
		"internal/a":   {"internal/b", "fmt"},
		"internal/b":   {"internal/c/d"},
		"internal/c/d": {"net/http"},
		"internal/e":   {"github.com/emiago/sipgo/sip"},
	}
	tests := []struct {
		rule rule
		want string
	}{
		{rule{from: []string{"internal/a"}, never: []string{"HTTP"}}, "internal/a internal/b internal/c/d net/http"},
		{rule{from: []string{"internal/a"}, never: []string{"internal/c/..."}}, "internal/a internal/b internal/c/d"},
		{rule{from: []string{"internal/..."}, except: []string{"internal/a", "internal/b"}, never: []string{"net/http"}}, "internal/c/d net/http"},
		{rule{from: []string{"internal/e"}, never: []string{"SIP"}}, "internal/e github.com/emiago/sipgo/sip"},
		{rule{from: []string{"internal/a"}, never: []string{"SIP", "cmd/..."}}, ""},
	}
	for _, tt := range tests {
		got := ""
		if broken := tt.rule.broken(graph); len(broken) > 0 {
			got = strings.Join(broken[0], " ")
		}
		if got != tt.want {
			t.Errorf("%v finds %q, want %q", tt.rule, got, tt.want)
		}
	}
}

// broken are the shortest ways from each package the rule is about to what it
// must not reach.
func (r rule) broken(graph map[string][]string) [][]string {
	never := expand(r.never)
	var ways [][]string
	for _, from := range sortedKeys(graph) {
		if !matchesAny(r.from, from) || matchesAny(r.except, from) {
			continue
		}
		if way := search(graph, from, func(path string) bool {
			return path != from && !matchesAny(r.except, path) && matchesAny(never, path)
		}, r.except); way != nil {
			ways = append(ways, way)
		}
	}
	return ways
}

// search walks breadth first and does not go through the packages of closed:
// they may do what the rule forbids, so it ends at their door.
func search(graph map[string][]string, from string, found func(string) bool, closed []string) []string {
	came := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		if found(at) {
			var way []string
			for ; at != ""; at = came[at] {
				way = append(way, at)
			}
			slices.Reverse(way)
			return way
		}
		if matchesAny(closed, at) {
			continue
		}
		for _, next := range graph[at] {
			if _, seen := came[next]; !seen {
				came[next] = at
				queue = append(queue, next)
			}
		}
	}
	return nil
}

func expand(patterns []string) []string {
	var all []string
	for _, p := range patterns {
		if meaning, ok := words[p]; ok {
			all = append(all, meaning...)
		} else {
			all = append(all, p)
		}
	}
	return all
}

func matchesAny(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		parent, below := strings.CutSuffix(p, "/...")
		return path == parent || below && strings.HasPrefix(path, parent+"/")
	})
}

func TestTestPackagesAreImportedByTestsOnly(t *testing.T) {
	for _, p := range load(t) {
		if isTestPackage(p.path()) {
			continue
		}
		for _, imported := range p.ours(p.Imports) {
			if isTestPackage(imported) {
				t.Errorf("%s imports %s outside of its tests: what helps tests must not be in the product", p.path(), imported)
			}
		}
	}
}

// isTestPackage tells the packages that help tests: they, or a folder they are
// in, end in "test".
func isTestPackage(path string) bool {
	return slices.ContainsFunc(strings.Split(path, "/"), func(part string) bool { return strings.HasSuffix(part, "test") })
}
