package bench

import (
	"strings"
	"testing"
	"time"
)

func TestTheCostOfACallIsThatOfAllProcesses(t *testing.T) {
	ms := func(one, two int) []time.Duration {
		return []time.Duration{time.Duration(one) * time.Millisecond, time.Duration(two) * time.Millisecond}
	}
	r := &Result{Calls: 10, Engines: []*EngineResult{
		{Engine: Builtin, Called: 20, Completed: 20, Shares: []*Share{{Process: "server", CPU: ms(2, 4), Memory: 100 << 10}}},
		{Engine: OnAsterisk, Called: 20, Completed: 19, Shares: []*Share{
			{Process: "server", CPU: ms(4, 2), Memory: 50 << 10}, {Process: "Asterisk", CPU: ms(8, 4), Memory: 150 << 10},
		}},
	}}
	var out strings.Builder
	r.Print(&out)
	for _, want := range []string{
		"10; of 20, completed 20", "3ms (2ms to 4ms in 2 turns)",
		"completed 19", "9ms (6ms to 12ms in 2 turns)", "200 KB", "server                 3ms, 50 KB", "Asterisk               6ms, 150 KB",
		"× 1.0", "× 3.0",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, out.String())
		}
	}
}
