package httpapi

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/perezvon/perezvon/internal/call"
)

// What is read from the store and what comes live meanwhile may overlap; each
// event is sent once.
func TestPastAndLiveMeetWithoutSeam(t *testing.T) {
	for name, only := range map[string]string{"all calls": "", "one call": "a"} {
		t.Run(name, func(t *testing.T) {
			past := []call.Event{{CallID: "a", Seq: 1}, {CallID: "a", Seq: 2}, {CallID: "a", Seq: 3}}
			live := make(chan call.Event, 10)
			for _, e := range []call.Event{{CallID: "a", Seq: 2}, {CallID: "a", Seq: 3}, {CallID: "b", Seq: 1}, {CallID: "a", Seq: 4}} {
				live <- e
			}
			close(live)
			w := httptest.NewRecorder()
			s := stream{w: w, control: http.NewResponseController(w), only: only, seen: make(map[string]int64)}
			s.run(t.Context(), past, live, false)
			var ids []string
			for line := range strings.Lines(w.Body.String()) {
				if id, ok := strings.CutPrefix(line, "id: "); ok {
					ids = append(ids, strings.TrimSpace(id))
				}
			}
			want := []string{"a/1", "a/2", "a/3", "b/1", "a/4"}
			if only != "" {
				want = []string{"a/1", "a/2", "a/3", "a/4"}
			}
			if diff := cmp.Diff(want, ids); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
