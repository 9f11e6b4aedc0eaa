package scripted

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/telephony"
)

var errEnough = errors.New("enough")

func sound(key string, d time.Duration) telephony.Prompt {
	return telephony.Prompt{Clip: &audio.Clip{Key: key, Rate: 10, Samples: make([]int16, 10*d/time.Second)}}
}

func TestScriptedDials(t *testing.T) {
	for _, tt := range []struct {
		name    string
		phone   Phone
		outcome string
		after   time.Duration
		code    int
		phase   telephony.Phase
	}{
		{"answers", Answers(2 * time.Second), "answered", 2 * time.Second, 0, ""},
		{"busy", Refuses(time.Second, 486).Ringing(), "refused", time.Second, 486, telephony.PhaseRinging},
		{"unreachable", Unreachable(503, "down"), "refused", 0, 503, telephony.PhaseSetup},
		{"dead", Silent(), "timeout", 10 * time.Second, 408, telephony.PhaseTrying},
		{"rings on", RingsOn(), "timeout", 10 * time.Second, 408, telephony.PhaseRinging},
		{"early", RingsOn().Early(), "timeout", 10 * time.Second, 408, telephony.PhaseProgress},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := New()
				e.Phone("1", tt.phone)
				leg, err := e.Dial(t.Context(), telephony.Dial{Leg: "a", Trunk: "x", Number: "1", Timeout: 10 * time.Second})
				var refusal *telephony.DialError
				if errors.As(err, &refusal) != (tt.code != 0) || refusal != nil && (refusal.Code != tt.code || refusal.Phase != tt.phase || refusal.Elapsed != tt.after) {
					t.Errorf("got %+v", err)
				}
				if d := e.Dials()[0]; d.Outcome != tt.outcome || d.Ended != tt.after {
					t.Errorf("got %s after %v", d.Outcome, d.Ended)
				}
				if leg != nil {
					leg.Hangup(0)
				}
				if alive := e.Alive(); len(alive) > 0 {
					t.Errorf("alive: %v", alive)
				}
			})
		})
	}
}

func TestScriptedGivesUpWithTheContextsCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New()
		e.Phone("101", RingsOn(), RingsOn().CrossesCancel())
		for _, want := range []string{"cancelled", "crossed"} {
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errEnough)
			_, err := e.Dial(ctx, telephony.Dial{Leg: "a", Operator: "101"})
			cancel()
			if !errors.Is(err, errEnough) {
				t.Errorf("got %v", err)
			}
			if ds := e.Dials(); ds[len(ds)-1].Outcome != want {
				t.Errorf("got %s, want %s", ds[len(ds)-1].Outcome, want)
			}
		}
	})
}

// The contract of telephony.Leg: a second Play takes over, the phone's hanging
// up ends what waits on it, keys come in order.
func TestScriptedLeg(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New()
		e.Phone("1", Answers(0).Presses(time.Second, "42").HangsUp(10*time.Second))
		e.Phone("2", Answers(0))
		a, err := e.Dial(t.Context(), telephony.Dial{Leg: "a", Trunk: "x", Number: "1"})
		if err != nil {
			t.Fatal(err)
		}
		first := make(chan error, 1)
		go func() { first <- a.Play(t.Context(), sound("long", 5*time.Second)) }()
		time.Sleep(2 * time.Second)
		if err := a.Play(t.Context(), sound("short", time.Second)); err != nil {
			t.Errorf("the second: %v", err)
		}
		if err := <-first; !errors.Is(err, telephony.ErrReplaced) {
			t.Errorf("the first: %v", err)
		}
		for _, want := range []byte("42") {
			if d, err := a.Digits().Next(t.Context()); err != nil || d.Key != want {
				t.Errorf("got %c, %v", d.Key, err)
			}
		}
		b, err := e.Dial(t.Context(), telephony.Dial{Leg: "b", Trunk: "x", Number: "2", Listener: a})
		if err != nil {
			t.Fatal(err)
		}
		var gone *telephony.HangupError
		if err := e.Join(t.Context(), a, b); !errors.As(err, &gone) || gone.Leg != "a" || gone.By != telephony.ByFar {
			t.Errorf("joined until %v", err)
		}
		if err := a.Play(t.Context(), sound("late", time.Second)); !errors.As(err, &gone) {
			t.Errorf("played to nobody: %v", err)
		}
		if d := cmp.Diff([]string{"b"}, e.Alive()); d != "" {
			t.Error(d)
		}
		b.Hangup(0)
		s := time.Second
		if d := cmp.Diff([]Heard{{Leg: "a", Key: "long", From: 0, To: 2 * s}, {Leg: "a", Key: "short", From: 2 * s, To: 3 * s, Whole: true}}, e.Heard("a")); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]Talk{{A: "a", B: "b", From: 3 * s, To: 10 * s}}, e.Talks()); d != "" {
			t.Error(d)
		}
	})
}

// A leg's script holds for each of its tries, but not on a trunk that fails all.
func TestScriptedByLeg(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New()
		e.Phone("1", Answers(0))
		e.Leg("c1", Refuses(0, 486))
		e.Trunk("down", Unreachable(503, "down"))
		for _, tt := range []struct {
			leg, trunk string
			code       int
		}{{"c1", "down", 503}, {"c1.2", "up", 486}, {"c1.3", "other", 486}, {"c12", "up", 0}} {
			leg, err := e.Dial(t.Context(), telephony.Dial{Leg: tt.leg, Trunk: tt.trunk, Number: "1"})
			var refusal *telephony.DialError
			if errors.As(err, &refusal) != (tt.code != 0) || refusal != nil && refusal.Code != tt.code {
				t.Errorf("%s on %s: %v", tt.leg, tt.trunk, err)
			}
			if leg != nil {
				leg.Hangup(0)
			}
		}
	})
}
