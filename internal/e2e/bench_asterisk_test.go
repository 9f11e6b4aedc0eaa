//go:build asterisk

package e2e

import (
	"strings"
	"testing"
)

// CPU per recorded call-second of both engines side by side in one run.
func TestBenchCallsOfBothEnginesAndAsteriskAlone(t *testing.T) {
	t.Parallel()
	out := run(t, "bench", "calls", "--engine", "both", "-n", "2", "--rate", "10", "--hold", "1s", "--turns", "2")
	for _, want := range []string{"the built-in engine", "the server on an Asterisk", "Asterisk alone", "in 2 turns", "× 1.0"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in:\n%s", want, out)
		}
	}
	if n := strings.Count(out, "of 4, completed 4"); n != 3 {
		t.Errorf("%d engines completed all their calls, not 3:\n%s", n, out)
	}
}
