package dispatch_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/dispatch"
	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/recording"
	"github.com/perezvon/perezvon/internal/scenario"
	"github.com/perezvon/perezvon/internal/speech"
	"github.com/perezvon/perezvon/internal/store"
	"github.com/perezvon/perezvon/internal/store/storetest"
	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/scripted"
)

// childDir makes the test binary a server on that folder, which orders one
// callback and sees it through; with childKill, "before 7" or "after 7", it
// kills itself before or after the commit of the seventh event it stores.
const (
	childDir  = "PEREZVON_TEST_CHILD_DIR"
	childKill = "PEREZVON_TEST_CHILD_KILL"
)

func TestMain(m *testing.M) {
	dir := os.Getenv(childDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	if err := serveOne(dir, os.Getenv(childKill)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// dialsFile gets a line for every call that goes out: which call, which leg.
const dialsFile = "dials"

// server is the child: the real scenario on scripted phones.
type server struct {
	store  *store.Store
	engine *scripted.Engine
	dials  *os.File
}

func serveOne(dir, kill string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	st, err := store.Open(ctx, store.Options{DataDir: dir})
	if err != nil {
		return err
	}
	s := &server{store: st, engine: scripted.New()}
	if s.dials, err = os.OpenFile(filepath.Join(dir, dialsFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return err
	}
	// The first attempt finds the client busy, the second has them talk.
	s.engine.Phone("101", scripted.Answers(10*time.Millisecond))
	s.engine.Phone("+79161234567", scripted.Refuses(5*time.Millisecond, 486).Ringing(), scripted.Answers(5*time.Millisecond).HangsUp(10*time.Millisecond))
	w := directory.Widget{Name: "site"}
	for range 5 {
		w.RecallIntervals = append(w.RecallIntervals, directory.Duration(time.Hour))
	}
	for _, err := range []error{
		second(st.PutTrunk(ctx, mine, directory.Trunk{Name: "carrier", Host: "192.0.2.1"})),
		second(st.PutOperator(ctx, mine, directory.Operator{Extension: "101"})),
		second(st.PutWidget(ctx, mine, w)),
	} {
		if err != nil {
			return err
		}
	}
	stored := s.killAt(ctx, kill)
	d := dispatch.New(dispatch.Config{Store: st, Runner: s, Speech: voice{}})
	if err := d.Recover(ctx); err != nil {
		return err
	}
	calling, stop := context.WithCancel(ctx)
	defer stop()
	recalls := make(chan struct{})
	go func() { defer close(recalls); d.Recall(calling) }()
	if err := s.see(ctx, d); err != nil {
		return err
	}
	stop()
	<-recalls
	if err := d.Drain(ctx); err != nil {
		return err
	}
	fmt.Println("stored", stored.Load())
	return st.Close()
}

// killAt lets this process die at an event, and counts events.
func (s *server) killAt(ctx context.Context, kill string) *atomic.Int64 {
	when, number, _ := strings.Cut(kill, " ")
	at, _ := strconv.ParseInt(number, 10, 64)
	die := func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL); select {} }
	committed, stored := s.store.Journal().Subscribe(ctx), new(atomic.Int64)
	s.store.Journal().OnEvent(func(context.Context, *store.Tx, call.Call, call.Event) error {
		if stored.Add(1) == at && when == "before" {
			die()
		}
		return nil
	})
	go func() {
		for n := int64(1); ; n++ {
			if _, ok := <-committed; !ok {
				return
			}
			if n == at && when == "after" {
				die()
			}
		}
	}()
	return stored
}

// see orders the callback, unless it is there, and sees it through. What is
// planned is brought forward: in turn by its time coming and by hand.
func (s *server) see(ctx context.Context, d *dispatch.Service) error {
	list, _, err := s.store.Callbacks(ctx, mine, store.Page{}, store.CallbackFilter{})
	if err != nil {
		return err
	}
	if len(list) == 0 {
		p := packet()
		p.Widget, p.ClientDelayMS, p.Greeting, p.ConnectingText = "site", new(int), "hello", "calling"
		a, err := d.Accept(ctx, mine, p, []byte("{}"), "")
		if err != nil {
			return err
		}
		fmt.Println("accepted", a.ID)
	}
	poll := time.NewTicker(2 * time.Millisecond) // of the work of other goroutines
	defer poll.Stop()
	for ctx.Err() == nil {
		list, _, err := s.store.Callbacks(ctx, mine, store.Page{}, store.CallbackFilter{})
		if err != nil {
			return err
		}
		r := list[0]
		switch {
		case r.State == callback.StateDone:
			return nil
		case r.State != callback.StateScheduled:
			<-poll.C
		case len(r.Attempts)%2 == 1:
			err = s.store.MoveRecall(store.Recall{Account: mine, CallbackID: r.ID, At: *r.NextAttemptAt}, time.Now())
		default:
			_, err = d.StartNow(ctx, mine, r.ID)
		}
		if err != nil && !errors.Is(err, store.ErrNotScheduled) {
			return err
		}
	}
	return ctx.Err()
}

// Run implements dispatch.Runner.
func (s *server) Run(ctx context.Context, a scenario.Attempt) call.Status {
	c := scenario.Callbacks{Services: scenario.Services{
		Engine: dialNoter{s.engine, s.dials, a.CallID}, Journal: s.store.Journal(), Tapes: noTapes{}, Speech: clicks{},
		Operators: s.store, Logger: slog.New(slog.DiscardHandler),
	}}
	return c.Run(ctx, a)
}

type dialNoter struct {
	telephony.Engine
	dials  *os.File
	callID string
}

func (n dialNoter) Dial(ctx context.Context, d telephony.Dial) (telephony.Leg, error) {
	if _, err := fmt.Fprintln(n.dials, n.callID, d.Leg, d.Operator+d.Number); err != nil {
		return nil, err
	}
	return n.Engine.Dial(ctx, d)
}

type noTapes struct{}

func (noTapes) Open(string) (scenario.Tape, error)       { return noTapes{}, nil }
func (noTapes) Start(time.Time)                          {}
func (noTapes) Track(string, recording.Side) media.Track { return nil }
func (noTapes) Close() error                             { return nil }

// clicks says everything in 10 ms.
type clicks struct{}

func (clicks) Say(_ context.Context, _ speech.Voice, text string) (*audio.Clip, error) {
	return &audio.Clip{Key: text, Rate: 8000, Samples: make([]int16, 80)}, nil
}

// child runs the test binary as a server until it has seen its callback
// through, or is dead, and returns what it has printed.
func child(t *testing.T, dir, kill string) (printed map[string]string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir, childKill+"="+kill)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if killed := err != nil && strings.Contains(err.Error(), "killed"); killed != (kill != "") {
		t.Fatalf("killed: %v, %v\n%s", killed, err, out)
	}
	printed = make(map[string]string)
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), " ")
		printed[key] = value
	}
	return printed
}

// "kill -9 at every journal event of a callback in turn, then restart: no
// acknowledged request lost, no client called twice by one attempt."
func TestKilledAtEveryEventOfACallbackNothingIsLostAndNobodyIsCalledTwice(t *testing.T) {
	whole := t.TempDir()
	events, err := strconv.Atoi(child(t, whole, "")["stored"])
	if err != nil || events < 20 {
		t.Fatal(events, err)
	}
	if made := sound(t, whole, ""); made != 2 {
		t.Fatal(made, "attempts")
	}
	t.Log(events, "events")
	for n := range events {
		// To the database, after the seventh is before the eighth; the process
		// has come a little farther.
		kill := fmt.Sprintf("%s %d", [...]string{"before", "after"}[n%2], n+1)
		t.Run(kill, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			accepted := child(t, dir, kill)["accepted"]
			child(t, dir, "")
			sound(t, dir, accepted)
		})
	}
}

// sound checks what a server left behind, and returns how many attempts there
// were. accepted is the callback that it acknowledged before it was killed.
func sound(t *testing.T, dir, accepted string) (attempts int) {
	t.Helper()
	s := storetest.OpenIn(t, store.Options{DataDir: dir})
	list, _, err := s.Callbacks(t.Context(), mine, store.Page{}, store.CallbackFilter{})
	if err != nil || len(list) != 1 {
		t.Fatal(len(list), "callbacks", err)
	}
	r := list[0]
	if accepted != "" && r.ID != accepted {
		t.Errorf("%s was acknowledged and is lost", accepted)
	}
	if last := r.Attempts[len(r.Attempts)-1]; r.State != callback.StateDone || last.Status != call.Completed {
		t.Errorf("%s after %+v", r.State, r.Attempts)
	}
	planned := true // as the request is
	for i, a := range r.Attempts {
		if a.Attempt != i+1 || a.Status.IsZero() || !planned {
			t.Errorf("attempt %d is %+v, planned: %v", i+1, a, planned)
		}
		events, err := s.Events(t.Context(), mine, a.CallID, 0)
		if err != nil {
			t.Fatal(err)
		}
		ends := 0
		for j, e := range events {
			if e.Seq != int64(j+1) {
				t.Errorf("attempt %d: event %d has seq %d", i+1, j+1, e.Seq)
			}
			if e.Type == call.Ended {
				ends++
				planned = e.NextAttemptAt != nil
			}
		}
		if ends != 1 || events[len(events)-1].Type != call.Ended {
			t.Errorf("attempt %d ended %d times", i+1, ends)
		}
	}
	if planned {
		t.Error("a planned attempt is lost")
	}
	for policy, of := range map[call.Policy]callback.Attempt{call.PolicyFirst: r.Attempts[0], call.PolicyLast: r.Attempts[len(r.Attempts)-1]} {
		who, err := s.Responsible(t.Context(), mine, "+79161234567", call.ResponsibleRule{Policy: policy})
		if err != nil || who.Operator != "101" || who.CallID != of.CallID {
			t.Errorf("%s is responsible: %+v, %v; want 101 by %s", policy, who, err, of.CallID)
		}
		if talked := who.Outcome == call.ContactAnswered; talked != (of.Status == call.Completed) {
			t.Errorf("the contact of a call that ended as %s is %s", of.Status, who.Outcome)
		}
	}
	dials, err := os.ReadFile(filepath.Join(dir, dialsFile))
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for lines := bufio.NewScanner(bytes.NewReader(dials)); lines.Scan(); {
		callID, leg := "", ""
		if _, err := fmt.Sscan(lines.Text(), &callID, &leg); err != nil {
			t.Fatal(err)
		}
		who := callID + lines.Text()[strings.LastIndexByte(lines.Text(), ' '):]
		if seen[who] {
			t.Error("called twice by one attempt:", who)
		}
		seen[who] = true
	}
	return len(r.Attempts)
}
