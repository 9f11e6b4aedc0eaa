package dryrun

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perezvon/perezvon/internal/call"
)

// Child plays the Scene that it reads as JSON from in, writes the timeline as a
// JSON list of events to out, and ends the process: with 0, or with another
// status and a word on the standard error output. It does not return.
//
// A bubble of virtual time is to be had through package testing alone, so the
// run is the only test of a program that has no other. What testing prints on
// the standard output goes nowhere; out must have been taken before.
func Child(in io.Reader, out io.Writer) {
	// The parent has the same limit; this one is for a child without a parent.
	time.AfterFunc(limit, func() { fail(errTooLong) })
	var s Scene
	if err := json.NewDecoder(in).Decode(&s); err != nil {
		fail(fmt.Errorf("scene: %w", err))
	}
	var err error
	if os.Stdout, err = os.OpenFile(os.DevNull, os.O_WRONLY, 0); err != nil {
		fail(err)
	}
	// Flags of a test are taken at their defaults, whatever the command line.
	flag.CommandLine = flag.NewFlagSet("", flag.PanicOnError)
	testing.Init()
	if err := flag.CommandLine.Parse(nil); err != nil {
		fail(err)
	}
	run := func(t *testing.T) {
		var (
			events []call.Event
			err    error
		)
		synctest.Test(t, func(t *testing.T) { events, err = Play(t.Context(), s) })
		if err == nil {
			err = json.NewEncoder(out).Encode(events)
		}
		if err != nil {
			fail(err)
		}
	}
	all := func(string, string) (bool, error) { return true, nil }
	testing.Main(all, []testing.InternalTest{{Name: "dryrun", F: run}}, nil, nil)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "dry run:", err)
	os.Exit(1)
}
