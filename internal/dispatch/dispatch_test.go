package dispatch_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/dispatch"
	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/scenario"
	"github.com/perezvon/perezvon/internal/speech"
	"github.com/perezvon/perezvon/internal/store"
	"github.com/perezvon/perezvon/internal/store/storetest"
)

const mine = storetest.Mine

// runner is a scenario that dials, waits to be told how the call ends, and
// says so on the timeline.
type runner struct {
	store *store.Store
	ends  chan call.Status // one for each call
	hook  func(ctx context.Context, a scenario.Attempt) call.Status

	mu  sync.Mutex
	ran []scenario.Attempt
}

func (r *runner) Run(ctx context.Context, a scenario.Attempt) call.Status {
	r.mu.Lock()
	r.ran = append(r.ran, a)
	r.mu.Unlock()
	if r.hook != nil {
		return r.hook(ctx, a)
	}
	j := r.store.Journal()
	j.Append(call.Event{CallID: a.CallID, Type: call.Dialing, Leg: "m1"})
	_ = j.Flush(context.Background())
	var status call.Status
	select {
	case status = <-r.ends:
	case <-ctx.Done():
		switch {
		case errors.Is(context.Cause(ctx), scenario.ErrCancelled):
			status = call.Cancelled
		case errors.Is(context.Cause(ctx), scenario.ErrStopped):
			status = call.Interrupted
		}
	}
	j.Append(call.Event{CallID: a.CallID, Type: call.Ended, Status: &status})
	_ = j.Flush(context.Background())
	return status
}

func (r *runner) attempts() []scenario.Attempt {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ran
}

// voice speaks everything but what has "unspeakable" in it, and in the language
// "xx" not what the keys do.
type voice struct{}

func (voice) Check(_ context.Context, v speech.Voice, text string) error {
	if strings.Contains(text, "unspeakable") || v.Language == "xx" && strings.Contains(text, "press") {
		return &speech.UnavailableError{Text: text, Voice: v, Hint: "install espeak-ng"}
	}
	return nil
}

// Length is a second, known of texts in capitals.
func (voice) Length(_ context.Context, _ speech.Voice, text string) (time.Duration, bool) {
	return time.Second, text == strings.ToUpper(text)
}

// bench is a store with a trunk and an operator, and a service on it.
type bench struct {
	store   *store.Store
	runner  *runner
	service *dispatch.Service
	events  <-chan call.Event
}

func newBench(t testing.TB) *bench {
	t.Helper()
	s := storetest.Open(t)
	for _, err := range []error{
		second(s.PutTrunk(t.Context(), mine, directory.Trunk{Name: "carrier", Host: "192.0.2.1"})),
		second(s.PutOperator(t.Context(), mine, directory.Operator{Extension: "101"})),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	b := &bench{store: s, runner: &runner{store: s, ends: make(chan call.Status, 100)}}
	b.restart()
	b.events = s.Journal().Subscribe(t.Context())
	return b
}

// restart is a new process on the same store.
func (b *bench) restart() {
	b.service = dispatch.New(dispatch.Config{Store: b.store, Runner: b.runner, Speech: voice{}})
}

func second[T any](_ T, err error) error { return err }

func packet() callback.Packet {
	return callback.Packet{Managers: callback.Managers{{Number: "101"}}, Client: "8 (916) 123-45-67"}
}

func (b *bench) accept(t testing.TB) dispatch.Accepted {
	t.Helper()
	a, err := b.service.Accept(t.Context(), mine, packet(), []byte("{}"), "")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// until waits for an event of the call.
func (b *bench) until(t testing.TB, callID string, typ call.Type) call.Event {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		select {
		case e := <-b.events:
			if e.CallID == callID && e.Type == typ {
				return e
			}
		case <-timeout:
			t.Fatalf("no %s", typ)
		}
	}
}

func (b *bench) state(t testing.TB, id string) (state string, status call.Status) {
	t.Helper()
	r, err := b.store.Callback(t.Context(), mine, id)
	if err != nil || len(r.Attempts) != 1 {
		t.Fatal(r, err)
	}
	return r.State, r.Attempts[0].Status
}

func (b *bench) wants(t testing.TB, id, state string, status call.Status) {
	t.Helper()
	if got, is := b.state(t, id); got != state || is != status {
		t.Errorf("state %s, status %v; want %s, %v", got, is, state, status)
	}
}

func (b *bench) drain(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := b.service.Drain(ctx); err != nil {
		t.Error(err)
	}
}

func TestAnOrderIsStoredThenCarriedOut(t *testing.T) {
	b := newBench(t)
	a := b.accept(t)
	r, err := b.store.Callback(t.Context(), mine, a.ID)
	if err != nil || r.Client != "+79161234567" || r.Attempts[0].CallID != a.CallID {
		t.Fatal(r, err)
	}
	b.until(t, a.CallID, call.Dialing)
	b.wants(t, a.ID, callback.StateRunning, call.Status{})
	b.runner.ends <- call.Completed
	b.until(t, a.CallID, call.Ended)
	b.wants(t, a.ID, callback.StateDone, call.Completed)
	b.drain(t)
	want := []scenario.Attempt{{CallID: a.CallID, CallbackID: a.ID, Account: mine, Number: 1, Packet: r.Packet}}
	if d := cmp.Diff(want, b.runner.attempts()); d != "" {
		t.Error(d)
	}
	if r.Packet.Trunk != "carrier" {
		t.Errorf("the only trunk is not the default: %q", r.Packet.Trunk)
	}
	if n := b.service.Live(); n != 0 {
		t.Error(n, "calls live after the drain")
	}
}

func TestWhatIsWrongIsNamedAndNothingIsStored(t *testing.T) {
	b := newBench(t)
	for want, change := range map[string]func(*callback.Packet){
		"client":             func(p *callback.Packet) { p.Client = "12" },
		"managers[1].number": func(p *callback.Packet) { p.Managers = append(p.Managers, callback.ManagerTarget{Number: "102"}) },
		"managers[0].sip":    func(p *callback.Packet) { p.Managers = callback.Managers{{SIP: "777"}} },
		"trunk":              func(p *callback.Packet) { p.Trunk = "nowhere" },
		"trunks_client[0]":   func(p *callback.Packet) { p.TrunksClient = []string{"nowhere"} },
		"trunks_manager[1]":  func(p *callback.Packet) { p.TrunksManager = []string{"carrier", "nowhere"} },
		"greeting":           func(p *callback.Packet) { p.Greeting = "unspeakable" },
		"language":           func(p *callback.Packet) { p.Language, p.DTMFConnect = "xx", "5" },
		"extra_info":         func(p *callback.Packet) { p.ExtraInfo, p.DTMFExtraInfo = "unspeakable", "#" },
	} {
		p := packet()
		change(&p)
		_, err := b.service.Accept(t.Context(), mine, p, nil, "")
		var bad invalid.Error
		if !errors.As(err, &bad) || len(bad) != 1 || bad[0].Path != want {
			t.Errorf("%s: got %v", want, err)
		}
	}
	if _, err := b.store.PutTrunk(t.Context(), mine, directory.Trunk{Name: "second", Host: "192.0.2.2"}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.service.Accept(t.Context(), mine, packet(), nil, ""); err == nil || !strings.Contains(err.Error(), "carrier, second") {
		t.Error("two trunks and none named:", err)
	}
	if _, err := b.service.Accept(t.Context(), "other", packet(), nil, ""); err == nil || !strings.Contains(err.Error(), "no trunk yet") {
		t.Error("an account without trunks:", err)
	}
	if calls, _, err := b.store.Calls(t.Context(), mine, store.Page{}, store.CallFilter{}); len(calls) != 0 || err != nil {
		t.Error(len(calls), "calls were made", err)
	}
	if b.service.Live() != 0 || len(b.runner.attempts()) != 0 {
		t.Error("something was started")
	}
}

func TestARepeatedPostReturnsTheFirstAnswer(t *testing.T) {
	b := newBench(t)
	var (
		group   sync.WaitGroup
		answers = make([]dispatch.Accepted, 10)
	)
	for i := range answers {
		group.Go(func() {
			var err error
			if answers[i], err = b.service.Accept(t.Context(), mine, packet(), []byte("body"), "key"); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	fresh := 0
	for _, a := range answers {
		if !a.Replayed {
			fresh++
		}
		if a.ID != answers[0].ID || a.CallID != answers[0].CallID {
			t.Error("two answers to one key", a, answers[0])
		}
	}
	if fresh != 1 {
		t.Error(fresh, "orders were made of one key")
	}
	if _, err := b.service.Accept(t.Context(), mine, packet(), []byte("other body"), "key"); !errors.Is(err, dispatch.ErrKeyReused) {
		t.Error("the key with another body:", err)
	}
	// Even if the order would not be accepted any more.
	if err := b.store.DeleteTrunk(t.Context(), mine, "carrier"); err != nil {
		t.Fatal(err)
	}
	if a, err := b.service.Accept(t.Context(), mine, packet(), []byte("body"), "key"); err != nil || !a.Replayed {
		t.Error(a, err)
	}
	b.drain(t)
	if n := len(b.runner.attempts()); n != 1 {
		t.Error(n, "calls")
	}
}

func TestCancelEndsTheCallAs710(t *testing.T) {
	b := newBench(t)
	a := b.accept(t)
	b.until(t, a.CallID, call.Dialing)
	if err := b.service.Cancel(t.Context(), "other", a.ID); !errors.Is(err, store.ErrNotFound) {
		t.Error("somebody else's callback:", err)
	}
	if err := b.service.CancelCall(t.Context(), "other", a.CallID); !errors.Is(err, store.ErrNotFound) {
		t.Error("somebody else's call:", err)
	}
	for range 3 {
		if err := b.service.Cancel(t.Context(), mine, a.ID); err != nil {
			t.Fatal(err)
		}
	}
	b.until(t, a.CallID, call.Ended)
	b.wants(t, a.ID, callback.StateCancelled, call.Cancelled)
	if err := errors.Join(b.service.Cancel(t.Context(), mine, a.ID), b.service.CancelCall(t.Context(), mine, a.CallID)); err != nil {
		t.Error("again:", err)
	}
	other := b.accept(t)
	if err := b.service.CancelCall(t.Context(), mine, other.CallID); err != nil {
		t.Error(err)
	}
	b.until(t, other.CallID, call.Ended)
	b.wants(t, other.ID, callback.StateCancelled, call.Cancelled)
	b.drain(t)
	events, err := b.store.Events(t.Context(), mine, a.CallID, 0)
	if err != nil || len(events) != 4 {
		t.Error("created, node chosen, dialling, ended:", events, err)
	}
}

func TestAPanicEndsItsCallAloneAs712(t *testing.T) {
	b := newBench(t)
	b.runner.hook = func(context.Context, scenario.Attempt) call.Status { panic("a bug") }
	broken := b.accept(t)
	b.until(t, broken.CallID, call.Ended)
	b.wants(t, broken.ID, callback.StateDone, call.Interrupted)

	b.runner.hook = func(context.Context, scenario.Attempt) call.Status { return call.Status{} }
	silent := b.accept(t)
	b.until(t, silent.CallID, call.Ended)
	b.wants(t, silent.ID, callback.StateDone, call.Interrupted)
	b.drain(t)
}

func TestDrainLetsCallsFinishThenEndsThem(t *testing.T) {
	b := newBench(t)
	finishes, hangs := b.accept(t), b.accept(t)
	for dialling := 0; dialling < 2; {
		if e := <-b.events; e.Type == call.Dialing {
			dialling++
		}
	}
	b.runner.ends <- call.Completed // whichever of the two takes it
	for e := range b.events {
		if e.Type == call.Ended {
			break
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- b.service.Drain(ctx) }()
	// As soon as the drain has begun, nothing new is taken.
	for {
		_, err := b.service.Accept(t.Context(), mine, packet(), nil, "")
		if errors.Is(err, dispatch.ErrDraining) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-done:
		t.Fatal("the drain did not wait for the calls:", err)
	default:
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	_, first := b.state(t, finishes.ID)
	_, second := b.state(t, hangs.ID)
	if first == second || first == (call.Status{}) || second == (call.Status{}) {
		t.Errorf("one was to finish and one to be ended: %v, %v", first, second)
	}
	if left, err := b.store.Unfinished(t.Context()); len(left) != 0 || err != nil {
		t.Error(len(left), "calls are not accounted for", err)
	}
}

func TestACallThatDoesNotEndIsEndedInTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		release := make(chan struct{})
		b.runner.hook = func(context.Context, scenario.Attempt) call.Status {
			<-release
			return call.Completed
		}
		a := b.accept(t)
		b.drain(t)
		b.wants(t, a.ID, callback.StateDone, call.Interrupted)
		close(release)
		synctest.Wait()
		b.wants(t, a.ID, callback.StateDone, call.Interrupted)
	})
}

func TestRecoverAccountsForWhatADeadProcessLeft(t *testing.T) {
	b := newBench(t)
	// Left by a dead process: acknowledged only, dialled, ended.
	queued, dialled, ended := storetest.NewCallback("+79160000001"), storetest.NewCallback("+79160000002"), storetest.NewCallback("+79160000003")
	for _, n := range []store.NewCallback{queued, dialled, ended} {
		if _, err := b.store.CreateCallback(n); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range []call.Event{
		{CallID: queued.CallID, Type: call.CallerIDChosen},
		{CallID: dialled.CallID, Type: call.Dialing, Leg: "m1"},
		{CallID: dialled.CallID, Type: call.RecordingStarted},
		{CallID: ended.CallID, Type: call.Dialing, Leg: "m1"},
		{CallID: ended.CallID, Type: call.Ended, Status: &call.Completed},
	} {
		b.store.Journal().Append(e)
	}
	if err := b.store.Journal().Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.service.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.wants(t, dialled.ID, callback.StateDone, call.Interrupted)
	b.wants(t, ended.ID, callback.StateDone, call.Completed)
	if events, err := b.store.Events(t.Context(), mine, dialled.CallID, 2); err != nil || len(events) != 2 || !events[1].At.Equal(events[0].At) {
		t.Error("the call did not end with the last sign of life:", events, err)
	}
	if c, err := b.store.Call(t.Context(), mine, dialled.CallID); err != nil || c.Recording != call.RecordingRendering {
		t.Error("the tape of the interrupted call is not rendered:", c.Recording, err)
	}
	b.until(t, queued.CallID, call.Dialing)
	b.runner.ends <- call.Completed
	b.until(t, queued.CallID, call.Ended)
	b.wants(t, queued.ID, callback.StateDone, call.Completed)
	b.drain(t)
	if ran := b.runner.attempts(); len(ran) != 1 || ran[0].CallID != queued.CallID {
		t.Errorf("dialled: %+v", ran)
	}
	// The next process finds nothing to do.
	b.restart()
	if err := b.service.Recover(t.Context()); err != nil || len(b.runner.attempts()) != 1 {
		t.Error("something was dialled twice", err)
	}
	b.drain(t)
}

func TestAnOrderThatIsTooOldIsNotStartedAnyMore(t *testing.T) {
	b := newBench(t)
	n := storetest.Create(t, b.store, "+79160000001")
	b.service = dispatch.New(dispatch.Config{Store: b.store, Runner: b.runner, Speech: voice{}, StartWithin: time.Nanosecond})
	if err := b.service.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.wants(t, n.ID, callback.StateDone, call.Expired)
	if len(b.runner.attempts()) != 0 {
		t.Error("it was dialled")
	}
}

func TestACancelledOrderThatNobodyTookUpEnds(t *testing.T) {
	b := newBench(t)
	n := storetest.Create(t, b.store, "+79160000001")
	if err := b.service.Cancel(t.Context(), mine, n.ID); err != nil {
		t.Fatal(err)
	}
	b.wants(t, n.ID, callback.StateCancelled, call.Cancelled)
}

func TestWithoutAWritableDatabaseNothingIsAccepted(t *testing.T) {
	b := newBench(t)
	if _, err := b.store.SQLite().ExecContext(t.Context(), "PRAGMA max_page_count = 1"); err != nil {
		t.Fatal(err)
	}
	for range 20 { // the last free pages are used up first
		if _, err := b.service.Accept(t.Context(), mine, packet(), []byte(strings.Repeat("x", 100_000)), ""); err != nil {
			if !errors.Is(err, dispatch.ErrUnavailable) {
				t.Error(err)
			}
			if _, err := b.store.SQLite().ExecContext(t.Context(), "PRAGMA max_page_count = 1000000"); err != nil {
				t.Fatal(err)
			}
			b.drain(t)
			return
		}
	}
	t.Error("a full disk accepted everything")
}

func BenchmarkAccept(b *testing.B) {
	for _, parallel := range []int{1, 16} {
		b.Run(map[int]string{1: "one", 16: "sixteen"}[parallel], func(b *testing.B) { benchmarkAccept(b, parallel) })
	}
}

// benchmarkAccept measures POST → first INVITE as far as this package and the
// store have part in it: check, store, start, first leg.dialing on the disk.
func benchmarkAccept(b *testing.B, parallel int) {
	w := newBench(b)
	var (
		mu      sync.Mutex
		started = make(map[string]time.Time)
		total   []time.Duration
		answer  []time.Duration
	)
	w.runner.hook = func(_ context.Context, a scenario.Attempt) call.Status {
		j := w.store.Journal()
		j.Append(call.Event{CallID: a.CallID, Type: call.CallerIDChosen, Role: call.Client, CallerID: "+74951234567"})
		j.Append(call.Event{CallID: a.CallID, Type: call.Dialing, Leg: "m1"})
		_ = j.Flush(context.Background())
		now := time.Now()
		mu.Lock()
		total = append(total, now.Sub(started[a.Packet.Greeting]))
		mu.Unlock()
		return call.Completed
	}
	var group sync.WaitGroup
	n := make(chan struct{})
	for range parallel {
		group.Go(func() {
			for range n {
				p := packet()
				p.Greeting = call.NewID()
				begin := time.Now()
				mu.Lock()
				started[p.Greeting] = begin
				mu.Unlock()
				if _, err := w.service.Accept(context.Background(), mine, p, []byte(`{"client":"+79161234567"}`), p.Greeting); err != nil {
					b.Error(err)
				}
				mu.Lock()
				answer = append(answer, time.Since(begin))
				mu.Unlock()
			}
		})
	}
	b.ResetTimer()
	for range b.N {
		n <- struct{}{}
	}
	close(n)
	group.Wait()
	if err := w.service.Drain(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(percentile(answer, 99), "ms-accept-p99")
	b.ReportMetric(percentile(total, 50), "ms-dial-p50")
	b.ReportMetric(percentile(total, 99), "ms-dial-p99")
}

func percentile(d []time.Duration, p int) float64 {
	slices.Sort(d)
	return float64(d[len(d)*p/100]) / 1e6
}
