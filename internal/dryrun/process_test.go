package dryrun

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
)

// TestMain is the child of the tests too: as it should be, and gone wrong.
func TestMain(m *testing.M) {
	mode := ""
	if len(os.Args) > 1 {
		mode = os.Args[1]
	}
	switch mode {
	case "child":
		Child(os.Stdin, os.Stdout)
	case "deadlock": // a phone that rings for ever in a scene without a clock
		testing.Init()
		testing.Main(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: "x", F: func(t *testing.T) {
			synctest.Test(t, func(*testing.T) { select {} })
		}}}, nil, nil)
	case "endless":
		for {
			time.Sleep(time.Hour)
		}
	case "flood":
		for line := bytes.Repeat([]byte("["), 1<<20); ; {
			if _, err := os.Stdout.Write(line); err != nil {
				os.Exit(1)
			}
		}
	case "chatter":
		os.Stdout.WriteString("PASS\n")
	case "environment":
		_ = json.NewEncoder(os.Stdout).Encode([]call.Event{{Reason: strings.Join(os.Environ(), " ")}})
	default:
		os.Exit(m.Run())
	}
}

func processOf(mode string) *Process { return NewProcess(os.Args[0], mode) }

func sceneOf(t *testing.T) Scene {
	p, err := callback.Packet{Managers: callback.Managers{{Number: "101"}}, Client: "+79161234567", Trunk: "main"}.Normalize("RU")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	return Scene{Created: call.Event{CallID: "call", At: at, Type: call.Created}, StartAt: at.Add(time.Hour), Packet: p, Phones: map[string][]string{"101": {"+74950000001"}}}
}

// "In a child process": it comes to what a bubble here comes to, and nothing
// else is on its output.
func TestAChildPlaysAsWeDo(t *testing.T) {
	s := sceneOf(t)
	var here []call.Event
	synctest.Test(t, func(t *testing.T) {
		var err error
		if here, err = Play(t.Context(), s); err != nil {
			t.Error(err)
		}
	})
	there, err := processOf("child").Run(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	// Within one instant the order may differ.
	count := func(events []call.Event) map[string]int {
		n := map[string]int{}
		for _, e := range events {
			n[e.At.UTC().String()+" "+string(e.Type)+" "+e.Leg]++
		}
		return n
	}
	if d := cmp.Diff(count(here), count(there)); d != "" || len(there) < 15 || there[len(there)-1].Status.Code != 200 {
		t.Error(d)
	}
}

func TestAChildGoneWrongHarmsNobody(t *testing.T) {
	for mode, want := range map[string]string{
		"deadlock": "deadlock: all goroutines in bubble are blocked",
		"flood":    "",
		"chatter":  "its answer",
	} {
		if _, err := processOf(mode).Run(t.Context(), sceneOf(t)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", mode, err)
		}
	}
	p := processOf("endless")
	p.limit = 100 * time.Millisecond
	if _, err := p.Run(t.Context(), sceneOf(t)); !errors.Is(err, errTooLong) {
		t.Errorf("endless: %v", err)
	}
	if _, err := NewProcess("/nowhere/perezvon").Run(t.Context(), sceneOf(t)); err == nil {
		t.Error("a program that is not there ran")
	}
}

func TestAChildKnowsNoSecretsOfItsParent(t *testing.T) {
	t.Setenv("PEREZVON_ADMIN_KEY", "very-secret")
	events, err := processOf("environment").Run(t.Context(), Scene{})
	if err != nil || len(events) != 1 {
		t.Fatal(events, err)
	}
	if events[0].Reason != "GOMAXPROCS=1 GOMEMLIMIT=256MiB" {
		t.Errorf("it knows %s", events[0].Reason)
	}
}

func TestTwoAreTriedAtATimeAndTheOthersWait(t *testing.T) {
	p := processOf("child")
	for range atOnce {
		p.slots <- struct{}{}
	}
	p.limit = 50 * time.Millisecond
	if _, err := p.Run(t.Context(), sceneOf(t)); !errors.Is(err, ErrBusy) {
		t.Errorf("all slots are taken: %v", err)
	}
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	if _, err := p.Run(ctx, sceneOf(t)); !errors.Is(err, gone) {
		t.Errorf("given up: %v", err)
	}
	p.limit = time.Minute
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if events, err := p.Run(t.Context(), sceneOf(t)); err != nil || len(events) < 15 {
				t.Errorf("%d events, %v", len(events), err)
			}
		})
	}
	for range atOnce {
		<-p.slots
	}
	all.Wait()
	if len(p.slots) != 0 {
		t.Errorf("%d slots are not given back", len(p.slots))
	}
}
