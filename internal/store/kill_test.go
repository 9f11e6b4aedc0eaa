package store_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/store"
	"github.com/perezvon/perezvon/internal/store/storetest"
)

// childDir makes the test binary a writer in that folder that never ends.
const childDir = "PEREZVON_TEST_CHILD_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		fmt.Fprintln(os.Stderr, writeForEver(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeForEver prints a line for everything that was acknowledged: the account's
// call and the position up to which its timeline is stored.
func writeForEver(dir string) error {
	s, err := store.Open(context.Background(), store.Options{DataDir: dir})
	if err != nil {
		return err
	}
	failed := make(chan error)
	for range 8 {
		go func() {
			for {
				if err := writeOne(s); err != nil {
					failed <- err
				}
			}
		}()
	}
	return <-failed
}

func writeOne(s *store.Store) error {
	n := storetest.NewCallback("+79161234567")
	n.Key = n.ID
	if _, err := s.CreateCallback(n); err != nil {
		return err
	}
	fmt.Printf("%s %s 1\n", n.ID, n.CallID)
	for seq := 2; seq < 10; seq++ {
		s.Journal().Append(call.Event{CallID: n.CallID, Type: call.Dialing, Leg: "m1"})
		if seq%3 != 0 {
			continue
		}
		if err := s.Journal().Flush(context.Background()); err != nil {
			return err
		}
		fmt.Printf("%s %s %d\n", n.ID, n.CallID, seq)
	}
	return nil
}

func TestWhatWasAcknowledgedSurvivesAKill(t *testing.T) {
	dir := t.TempDir()
	acknowledged := make(map[[2]string]int) // callback and call → position
	for round := range 3 {
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env = append(os.Environ(), childDir+"="+dir)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines, kill := bufio.NewScanner(out), sync.OnceFunc(func() { _ = child.Process.Kill() })
		for n := 0; lines.Scan(); n++ {
			var (
				ids [2]string
				seq int
			)
			if _, err := fmt.Sscan(lines.Text(), &ids[0], &ids[1], &seq); err != nil {
				t.Fatal(lines.Text(), err)
			}
			acknowledged[ids] = max(acknowledged[ids], seq)
			if n == 100+77*round {
				kill() // what it has printed by then is read to the end
			}
		}
		if err := child.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatal("the child was to be killed:", err)
		}
	}
	s := storetest.OpenIn(t, store.Options{DataDir: dir})
	for ids, seq := range acknowledged {
		if _, err := s.Callback(t.Context(), storetest.Mine, ids[0]); err != nil {
			t.Fatal(ids, err)
		}
		events, err := s.Events(t.Context(), storetest.Mine, ids[1], 0)
		if err != nil || len(events) < seq {
			t.Fatalf("%v: %d of %d events, %v", ids, len(events), seq, err)
		}
		for i, e := range events {
			if e.Seq != int64(i+1) {
				t.Fatalf("%v: event %d has seq %d", ids, i+1, e.Seq)
			}
		}
		if c, err := s.Call(t.Context(), storetest.Mine, ids[1]); err != nil || c.LastSeq != int64(len(events)) {
			t.Fatalf("%v: the row says %d, the timeline %d, %v", ids, c.LastSeq, len(events), err)
		}
	}
	t.Log(len(acknowledged), "calls acknowledged")
}
