package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/apiclient"
	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/serverproc"
	"github.com/perezvon/perezvon/internal/telephony/telephonytest"
	"github.com/perezvon/perezvon/internal/telephony/telephonytest/peers"
)

// program is the binary under test, with the race detector in it.
var program string

func TestMain(m *testing.M) {
	telephonytest.Steady()
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "perezvon-e2e-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		program = filepath.Join(dir, "perezvon")
		build := exec.Command("go", "build", "-race", "-o", program, "github.com/perezvon/perezvon/cmd/perezvon")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// server is a running server and what the tests ask of it.
type server struct {
	*serverproc.Process
	t *testing.T
	// SIP is where phones and carriers speak to, host:port: the server itself,
	// or the Asterisk that it drives.
	SIP string
	pbx *pbx // nil: it has an engine of its own
	// args are flags of it, beside those of the engine.
	args []string
}

// in is the same server for a part of the test.
func (s *server) in(t *testing.T) *server {
	part := *s
	part.t = t
	return &part
}

// patience bounds every wait of a test.
const patience = 2 * time.Minute

func limit(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// lockedBuffer takes the log of a server while a test may read it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// start runs a server that ends with the test. Its log is shown if the test
// fails; a data race in it fails the test.
func start(t *testing.T, o serverproc.Options) *server {
	t.Helper()
	var log lockedBuffer
	o.Binary, o.Log = program, &log
	args := o.Args
	o.Args = append(slices.Clip(args), "--drain", "1s")
	p, err := serverproc.Start(limit(t), o)
	if err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	t.Cleanup(func() {
		select {
		case <-p.Ended():
		default:
			if err := p.Stop(); err != nil {
				t.Errorf("stop: %v", err)
			}
		}
		if t.Failed() || bytes.Contains([]byte(log.String()), []byte("DATA RACE")) {
			t.Errorf("the server's log:\n%s", &log)
		}
	})
	return &server{Process: p, t: t, SIP: p.SIP, args: args}
}

// trunk makes a peer known as a trunk.
func (s *server) trunk(name string, peer *peers.Sipp) {
	s.t.Helper()
	s.trunkTo(name, peer.Addr(), nil)
}

// packet is the body of a request for a callback.
type packet map[string]any

// The people of the tests. Neither number is anybody's.
const (
	managerNumber = "+74951110001"
	clientNumber  = "+79160000001"
)

// order is the packet of a callback from one manager, through the trunk
// "managers", to the client, through the trunk "clients"; more changes it.
func order(more packet) packet {
	p := packet{
		"managers": managerNumber, "client": clientNumber,
		"trunks_manager": []string{"managers"}, "trunks_client": []string{"clients"},
		"greeting": "Звонок клиенту", "client_delay_ms": 0,
	}
	for k, v := range more {
		p[k] = v
	}
	return p
}

// callback asks for one.
func (s *server) callback(p packet) apiclient.Accepted {
	s.t.Helper()
	var a apiclient.Accepted
	must(s.t, s.API.Do(limit(s.t), "POST", "/api/v1/callbacks", p, &a))
	return a
}

// until follows a call until an event is there, and returns all up to it.
func (s *server) until(callID string, is func(call.Event) bool) []call.Event {
	s.t.Helper()
	var all []call.Event
	err := s.API.Follow(limit(s.t), callID, func(e call.Event) bool {
		all = append(all, e)
		return !is(e)
	})
	if err != nil {
		s.t.Fatalf("follow: %v after %v", err, all)
	}
	return all
}

// ended waits for the end of a call and returns its status and timeline.
func (s *server) ended(callID string) (call.Status, []call.Event) {
	s.t.Helper()
	events := s.until(callID, func(e call.Event) bool { return e.Type == call.Ended })
	for i, e := range events {
		if e.Seq != int64(i+1) {
			s.t.Errorf("event %d has seq %d", i+1, e.Seq)
		}
	}
	last := events[len(events)-1]
	if last.Status == nil {
		s.t.Fatal("call.ended has no status")
	}
	return *last.Status, events
}

// expect waits for the end of a call, which must have this status.
func (s *server) expect(callID string, want call.Status) []call.Event {
	s.t.Helper()
	got, events := s.ended(callID)
	if got != want {
		for _, e := range events {
			s.t.Logf("%+v", e)
		}
		s.t.Errorf("status is %v, want %v", got, want)
	}
	return events
}

// recording waits for the recording of a call and reads it.
func (s *server) recording(callID string) stereo {
	s.t.Helper()
	s.until(callID, func(e call.Event) bool { return e.Recording == call.RecordingReady })
	var file bytes.Buffer
	must(s.t, s.API.Recording(limit(s.t), callID, &file))
	rec := readStereo(s.t, file.Bytes())
	if s.pbx != nil {
		rec.left.hole, rec.right.hole = snoopHole, snoopHole
		rec.left.moved, rec.right.moved = s.gap(), s.gap()
	}
	return rec
}

// is tells an event by its type and leg; an empty leg is any.
func is(what call.Type, leg string) func(call.Event) bool {
	return func(e call.Event) bool { return e.Type == what && (leg == "" || e.Leg == leg) }
}

// find is the first such event, or a failure.
func find(t *testing.T, events []call.Event, what call.Type, leg string) call.Event {
	t.Helper()
	for _, e := range events {
		if is(what, leg)(e) {
			return e
		}
	}
	t.Fatalf("no %s of %q on the timeline", what, leg)
	return call.Event{}
}
