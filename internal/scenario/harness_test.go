package scenario

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perezvon/perezvon/internal/acd"
	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/recording"
	"github.com/perezvon/perezvon/internal/speech"
	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/scripted"
)

const (
	managerNumber = "+74951234567"
	clientNumber  = "+79161234567"
)

// The texts of the tests' packets, and how long each takes to say.
var spoken = map[string]time.Duration{
	"greeting":   2 * time.Second,
	"connecting": time.Second,
	"ivr":        5 * time.Second,
	"extra":      4 * time.Second,
	"nothing":    0,
}

// otherText is how long any other text takes.
const otherText = 3 * time.Second

// simple is one manager outside, one client, and the delays of the defaults.
func simple() callback.Packet {
	return callback.Packet{
		Managers: callback.Managers{{Number: managerNumber}}, Client: clientNumber,
		Greeting: "greeting", ConnectingText: "connecting", Trunk: "main",
	}
}

// tester is what the checks need of a *testing.T or a *rapid.T.
type tester interface {
	Helper()
	Errorf(format string, args ...any)
}

// stage is a call to be tried: change what matters, then run it.
type stage struct {
	engine   *scripted.Engine
	talks    *Talks
	pickups  *Pickups
	features Features
	callID   string
	// second: there is another call on the same phones; sound is asked at the end.
	second    bool
	out       Outcome
	packet    callback.Packet
	operators map[string]directory.Operator
	locations Locations
	hearing   *speech.Hearing
	wrap      func(telephony.Engine) telephony.Engine
	// end ends the call from outside, that long after its start.
	endAfter time.Duration
	end      error
	// dies, if not nil, is called in the moment of the end: the process is killed.
	dies func()
	// lends wraps the leg of a call that comes.
	lends func(telephony.Leg) telephony.Leg

	speechErr, flushErr, tapeErr error
	plan                         plan // of calls that come to us
	notices                      *shelf
	noticeRules                  NoticeRules
	knows                        map[string]string
	later                        []string
	kept                         []acd.Kept
	keepErr                      error
	journal                      *journal
	tapes                        *tapes
	began                        time.Time
	// over is when the call was over, since its start.
	over time.Duration
}

// try sets a stage in virtual time and lets the test act on it.
func try(t *testing.T, f func(t *testing.T, s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &stage{
			engine: scripted.New(), talks: NewTalks(), pickups: NewPickups(), callID: "call", packet: simple(), operators: map[string]directory.Operator{},
			journal: &journal{}, tapes: &tapes{tracks: map[string]recording.Side{}}, began: time.Now(),
		}
		f(t, s)
	})
}

// run carries the call out and checks what is true of every call's end.
func (s *stage) run(t tester) Outcome {
	t.Helper()
	p, err := s.packet.Normalize("RU")
	if err != nil {
		t.Errorf("the test's packet: %v", err)
		return Outcome{}
	}
	s.journal.flushErr, s.tapes.err = s.flushErr, s.tapeErr
	c := &Callbacks{Services{
		Engine: s.engine, Journal: s.journal, Tapes: s.tapes, Speech: voices{s.speechErr}, Operators: operators(s.operators), Locations: s.locations, Hearing: s.hearing,
		Directory: s.plan, Talks: s.talks, Pickups: s.pickups, Features: s.features, Logger: slog.New(slog.DiscardHandler),
	}}
	if s.wrap != nil {
		c.Engine = s.wrap(s.engine)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	if s.end != nil {
		defer time.AfterFunc(s.endAfter, func() { s.ending(); cancel(s.end) }).Stop()
	}
	out := c.Perform(ctx, Attempt{CallID: s.callID, CallbackID: "callback", Account: directory.DefaultAccount, Number: 1, Packet: p})
	s.over = time.Since(s.began)
	if !s.second {
		synctest.Wait()
		s.sound(t, out)
	}
	return out
}

func (s *stage) ending() {
	if s.dies != nil {
		s.dies()
	}
}

// sound checks what every call must leave behind.
func (s *stage) sound(t tester, out Outcome) {
	t.Helper()
	if alive := s.engine.Alive(); len(alive) > 0 {
		t.Errorf("left on the phone: %v", alive)
	}
	es := s.journal.events
	ends := 0
	legs := map[string]int{} // +1 answered, 0 ended
	for _, e := range es {
		switch e.Type {
		case call.Ended:
			ends++
			if *e.Status != out.Status {
				t.Errorf("the timeline says %v, the outcome %v", e.Status, out.Status)
			}
		case call.Answered:
			legs[e.Leg]++
		case call.LegEnded:
			legs[e.Leg]--
		}
		if e.Type == "" || e.CallID != s.callID || e.At.IsZero() {
			t.Errorf("unfinished event %+v", e)
		}
	}
	if ends != 1 || len(es) == 0 || es[len(es)-1].Type != call.Ended {
		t.Errorf("call.ended must come once and last; it came %d times in\n%s", ends, s.timeline())
	}
	for leg, n := range legs {
		if n > 0 {
			t.Errorf("%s was answered but did not end", leg)
		}
	}
	if s.journal.flushErr == nil && s.journal.flushed != len(es) {
		t.Errorf("call.ended is not flushed")
	}
	if s.tapes.open != 0 {
		t.Errorf("the tape is still open")
	}
	for _, d := range s.engine.Dials() {
		if d.Outcome == "" {
			t.Errorf("%s still rings", d.Leg)
		}
	}
	for _, talk := range s.engine.Talks() {
		if talk.To < talk.From {
			t.Errorf("%s and %s are still joined", talk.A, talk.B)
		}
	}
}

// timeline writes the events short, one a line.
func (s *stage) timeline() string {
	var b strings.Builder
	for _, e := range s.journal.events {
		fmt.Fprintln(&b, s.line(e))
	}
	return b.String()
}

func (s *stage) line(e call.Event) string {
	words := []string{e.At.Sub(s.began).String(), string(e.Type)}
	for _, w := range []string{e.Leg, e.Other, e.Number, e.Operator, e.Trunk, e.CallerID, e.Prompt, e.Digits, e.Action, e.By} {
		if w != "" {
			words = append(words, w)
		}
	}
	if e.SIPCode != 0 {
		words = append(words, fmt.Sprint(e.SIPCode))
	}
	if e.Status != nil {
		words = append(words, e.Status.String())
	}
	switch e.Type {
	case call.Waiting, call.Note, call.DialCancelled, call.Parted, call.PromptEnded:
		words = append(words, "("+e.Reason+")")
	}
	return strings.Join(words, " ")
}

// has checks that the lines stand on the timeline in this order, others
// between them or not.
func (s *stage) has(t *testing.T, lines ...string) {
	t.Helper()
	rest := s.timeline()
	for _, l := range lines {
		_, after, ok := strings.Cut("\n"+rest, "\n"+l+"\n")
		if !ok {
			t.Errorf("missing, or out of order: %s\nin\n%s", l, s.timeline())
			return
		}
		rest = after
	}
}

func (s *stage) hasNot(t *testing.T, what string) {
	t.Helper()
	if strings.Contains(s.timeline(), what) {
		t.Errorf("unwanted %q in\n%s", what, s.timeline())
	}
}

func (s *stage) ends(t *testing.T, out Outcome, status call.Status, after time.Duration) {
	t.Helper()
	if out.Status != status || s.over != after {
		t.Errorf("ended as %v after %v, want %v after %v\n%s", out.Status, s.over, status, after, s.timeline())
	}
}

// heard is what a leg heard: "greeting 3s-5s", with … for what was cut short
// or looped.
func (s *stage) heard(leg string) []string {
	var hs []string
	for _, h := range s.engine.Heard(leg) {
		name := h.Key
		if name == "" {
			name = "silence"
		}
		mark := ""
		if !h.Whole {
			mark = "…"
		}
		hs = append(hs, fmt.Sprintf("%s%s %v-%v", name, mark, h.From, h.To))
	}
	return hs
}

// journal keeps events in memory.
type journal struct {
	mu       sync.Mutex
	events   []call.Event
	flushed  int
	flushErr error
	dead     bool // nothing is stored any more
}

func (j *journal) Append(e call.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.dead {
		return
	}
	e.Seq = int64(len(j.events) + 1)
	j.events = append(j.events, e)
}

func (j *journal) Flush(context.Context) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.flushErr != nil {
		return j.flushErr
	}
	j.flushed = len(j.events)
	return nil
}

// tapes notes which legs are recorded on which side.
type tapes struct {
	mu      sync.Mutex
	err     error
	open    int
	started time.Time
	tracks  map[string]recording.Side
}

func (ts *tapes) Open(string) (Tape, error) {
	if ts.err != nil {
		return nil, ts.err
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.open++
	return ts, nil
}

func (ts *tapes) Start(at time.Time) { ts.started = at }

func (ts *tapes) Track(leg string, side recording.Side) media.Track {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if side != recording.Private {
		ts.tracks[leg] = side
	}
	return track{leg: leg, side: side}
}

// track is a part of the tape that keeps nothing.
type track struct {
	media.Track
	leg  string
	side recording.Side
}

func (ts *tapes) Close() error {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.open--
	return nil
}

// voices speaks at once; its clips only have a length.
type voices struct{ err error }

func (v voices) Say(_ context.Context, _ speech.Voice, text string) (*audio.Clip, error) {
	if v.err != nil {
		return nil, v.err
	}
	d, ok := spoken[text]
	if !ok {
		d = otherText
	}
	const rate = 10
	return &audio.Clip{Key: text, Rate: rate, Samples: make([]int16, rate*int(d/time.Second))}, nil
}

type operators map[string]directory.Operator

func (os operators) Operator(_ context.Context, _, extension string) (directory.Operator, error) {
	o, ok := os[extension]
	if !ok {
		return directory.Operator{}, errors.New("no such operator")
	}
	return o, nil
}

func (os operators) SetPaused(_ context.Context, _, extension string, paused bool) error {
	o := os[extension]
	o.Paused = paused
	os[extension] = o
	return nil
}

func ptr(n int) *int { return &n }
