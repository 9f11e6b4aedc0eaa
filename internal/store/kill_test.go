package store_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/store"
	"github.com/perezvon/perezvon/internal/store/storetest"
)

// childDir makes the test binary a process that works in that folder; childJob
// says at what.
const (
	childDir = "PEREZVON_TEST_CHILD_DIR"
	childJob = "PEREZVON_TEST_CHILD_JOB"
)

func TestMain(m *testing.M) {
	dir := os.Getenv(childDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	jobs := map[string]func(string) error{"write": writeForEver, "limit": writeToALimit}
	if err := jobs[os.Getenv(childJob)](dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// child is the test binary at that job.
func child(t *testing.T, job, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir, childJob+"="+job)
	cmd.Stderr = os.Stderr
	return cmd
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
		child := child(t, "write", dir)
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

func TestAfterAnIOErrorEverythingIsStoredOnce(t *testing.T) {
	dir := t.TempDir()
	out, err := child(t, "limit", dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	id := strings.TrimSpace(string(out))
	s := storetest.OpenIn(t, store.Options{DataDir: dir})
	events, err := s.Events(t.Context(), storetest.Mine, id, 1)
	if err != nil || len(events) != limitedEvents {
		t.Fatal(len(events), err)
	}
	for i, e := range events {
		if e.Seq != int64(i+2) || e.Reason != fmt.Sprint(i) {
			t.Fatalf("event %d is %d %s", i, e.Seq, e.Reason)
		}
	}
}

const limitedEvents = 2000

// writeToALimit writes until the kernel refuses: files of this process may not
// grow further for a while. It prints the call.
func writeToALimit(dir string) error {
	signal.Ignore(syscall.SIGXFSZ)
	s, err := store.Open(context.Background(), store.Options{DataDir: dir})
	if err != nil {
		return err
	}
	n := storetest.NewCallback("+79161234567")
	if _, err := s.CreateCallback(n); err != nil {
		return err
	}
	var free syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &free); err != nil {
		return err
	}
	limited := free
	limited.Cur = 1 << 20
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limited); err != nil {
		return err
	}
	failures := 0
	for i := range limitedEvents {
		s.Journal().Append(call.Event{CallID: n.CallID, Type: call.Note, Reason: fmt.Sprint(i), Text: strings.Repeat("x", 2000)})
		if i%200 == 0 && s.Journal().Flush(context.Background()) != nil {
			failures++
		}
	}
	if failures == 0 || s.Healthy() == nil {
		return fmt.Errorf("%d failures, healthy: %v", failures, s.Healthy())
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &free); err != nil {
		return err
	}
	for tries := 0; ; tries++ {
		err := s.Journal().Flush(context.Background())
		if err == nil {
			break
		}
		if tries == 20 {
			return fmt.Errorf("the disk is well again, the journal is not: %w", err)
		}
	}
	fmt.Println(n.CallID)
	return errors.Join(s.Healthy(), s.Close())
}
