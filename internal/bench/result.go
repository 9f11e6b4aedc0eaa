package bench

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// Result is what Calls.Run measured, an engine after the other.
type Result struct {
	// Calls talked at once.
	Calls   int
	Engines []*EngineResult
}

// EngineResult is what the calls of one engine cost.
type EngineResult struct {
	Engine Engine
	// Called and Completed count the calls of all turns.
	Called, Completed int
	// Shares are what each of its processes used.
	Shares []*Share
	// Sent and Heard are packets between the joined phones while it was
	// measured; what is under way at its ends makes them differ by a few.
	Sent, Heard int64

	waits waits
}

// Share is what a process of an engine used.
type Share struct {
	// Process is server or Asterisk.
	Process string
	// CPU is processor time for one second of one recorded call of two legs,
	// one for each turn.
	CPU []time.Duration
	// Memory is resident memory a call beyond that of the idle process, bytes.
	Memory int64
}

// CPU is the processor time of all processes for one second of a call: of each
// turn, in order of size.
func (r *EngineResult) CPU() []time.Duration {
	turns := make([]time.Duration, len(r.Shares[0].CPU))
	for _, s := range r.Shares {
		for i, d := range s.CPU {
			turns[i] += d
		}
	}
	slices.Sort(turns)
	return turns
}

// memory is that of all processes.
func (r *EngineResult) memory() (sum int64) {
	for _, s := range r.Shares {
		sum += s.Memory
	}
	return sum
}

// mean of durations; there is at least one.
func mean(all []time.Duration) time.Duration {
	var sum time.Duration
	for _, d := range all {
		sum += d
	}
	return sum / time.Duration(len(all))
}

// titles are the engines' names for people.
var titles = map[Engine]string{
	Builtin:    "the built-in engine",
	OnAsterisk: "the server on an Asterisk",
	Dialplan:   "Asterisk alone: MixMonitor and Dial in its dialplan",
}

// Print writes the figures for people.
func (r *Result) Print(w io.Writer) {
	for _, e := range r.Engines {
		e.print(w, r.Calls)
	}
	if len(r.Engines) > 1 {
		r.compare(w)
	}
}

func (r *EngineResult) print(w io.Writer, calls int) {
	fmt.Fprintf(w, "%s\n", titles[r.Engine])
	fmt.Fprintf(w, "  calls at once            %d; of %d, completed %d\n", calls, r.Called, r.Completed)
	fmt.Fprintf(w, "  CPU per call-second      %s\n", r.cpu())
	fmt.Fprintf(w, "  memory per call          %d KB\n", r.memory()>>10)
	for _, s := range r.Shares {
		if len(r.Shares) > 1 {
			fmt.Fprintf(w, "    %-8s               %s, %d KB\n", s.Process, short(mean(s.CPU)), s.Memory>>10)
		}
	}
	fmt.Fprintf(w, "  request → first INVITE   %s\n", &r.waits.postToInvite)
	if r.Engine != Dialplan { // its manager is greeted by the client only
		fmt.Fprintf(w, "  answer → greeting        %s\n", &r.waits.greeting)
	}
	fmt.Fprintf(w, "  client's answer → sound  %s\n", &r.waits.join)
	fmt.Fprintf(w, "  delay through the relay  %s\n", &r.waits.relay)
	fmt.Fprintf(w, "  packets                  %d sent, %d heard by the other side\n", r.Sent, r.Heard)
}

// cpu is the mean of the turns, with the least and the most if there are
// several.
func (r *EngineResult) cpu() string {
	turns := r.CPU()
	if len(turns) == 1 {
		return short(turns[0])
	}
	return fmt.Sprintf("%s (%s to %s in %d turns)", short(mean(turns)), short(turns[0]), short(turns[len(turns)-1]), len(turns))
}

// compare shows how many times as much as the first each engine costs.
func (r *Result) compare(w io.Writer) {
	base := mean(r.Engines[0].CPU())
	fmt.Fprintf(w, "CPU per call-second, and how many times that of %s\n", titles[r.Engines[0].Engine])
	for _, e := range r.Engines {
		cpu := mean(e.CPU())
		fmt.Fprintf(w, "  %-9s %9s  × %.1f\n", e.Engine, short(cpu), float64(cpu)/float64(max(base, 1)))
	}
}
