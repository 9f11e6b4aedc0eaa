package webhook

import (
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The bodies that docs/webhooks.md shows have every field that is sent, and no
// other; what may be left out may be missing there too.
func TestTheDocsShowEveryFieldOfABody(t *testing.T) {
	page, err := os.ReadFile("../../docs/webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := make(map[string]map[string]any) // by type
	for _, m := range regexp.MustCompile("(?s)```json\n(.*?)```").FindAllSubmatch(page, -1) {
		var body map[string]any
		if err := json.Unmarshal(m[1], &body); err != nil {
			t.Fatalf("%v in\n%s", err, m[1])
		}
		shown[body["type"].(string)] = body
	}
	for kind, message := range map[string]any{KindLog: logMessage{}, KindStatus: statusMessage{}} {
		var want []string
		for i := range reflect.TypeOf(message).NumField() {
			name, options, _ := strings.Cut(reflect.TypeOf(message).Field(i).Tag.Get("json"), ",")
			if _, is := shown[kind][name]; is || options != "omitempty" {
				want = append(want, name)
			}
		}
		slices.Sort(want)
		if diff := cmp.Diff(want, slices.Sorted(maps.Keys(shown[kind]))); diff != "" {
			t.Errorf("%s: -sent +shown:\n%s", kind, diff)
		}
	}
}
