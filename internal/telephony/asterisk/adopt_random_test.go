package asterisk_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/asterisk/ari/aritest"
)

// Whenever the process is killed, between any two requests: the next one is told
// of each phone that is on the line once, and when it is done with them nothing
// is left in Asterisk.
func TestKilledAtAnyMomentNothingIsLeftInAsterisk(t *testing.T) {
	check := func(rt *rapid.T) {
		legs := rapid.IntRange(1, 3).Draw(rt, "legs")
		joined, plays := rapid.Bool().Draw(rt, "joined"), rapid.Bool().Draw(rt, "plays")
		killed := time.Duration(rapid.IntRange(0, 400).Draw(rt, "killed after ms")) * time.Millisecond
		joins := rapid.Bool().Draw(rt, "the next joins them")
		synctest.Test(t, func(t *testing.T) {
			n := newNode(t)
			n.Answers = func(request string, r *http.Request) aritest.Answer {
				time.Sleep(5 * time.Millisecond) // each request takes its time
				return n.answers(request, r)
			}
			first := newMortal(n.Config())
			e := engineAt(t, first.Config, carrier, nil)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var life sync.WaitGroup
			life.Go(func() {
				var all []telephony.Leg
				for range legs {
					l, err := e.Dial(ctx, telephony.Dial{Leg: "c1", Trunk: "carrier", Number: "+74951234567"})
					if err != nil {
						return // killed
					}
					all = append(all, l)
				}
				if plays {
					life.Go(func() {
						_ = all[0].Play(ctx, telephony.Prompt{Clip: &audio.Clip{Rate: 8000, Samples: make([]int16, 800)}, Loop: true})
					})
				}
				if joined && legs > 1 {
					_ = e.Join(ctx, all...)
				}
			})
			time.Sleep(killed)
			first.kill(t, e)
			cancel()
			life.Wait()
			time.Sleep(time.Second)

			e = engineAt(t, n.Config(), carrier, nil)
			left, _, err := e.Survivors(t.Context())
			if err != nil {
				rt.Fatal(err)
			}
			seen := map[string]bool{}
			for _, l := range left {
				if seen[l.Info().CallID] || l.Context().Err() != nil {
					rt.Errorf("%s is told twice, or has ended", l.Info().CallID)
				}
				seen[l.Info().CallID] = true
			}
			if joins && len(left) > 1 {
				talk, part := context.WithTimeout(t.Context(), time.Second)
				if err := e.Join(talk, left...); talk.Err() == nil {
					rt.Errorf("joined: %v", err)
				}
				part()
			}
			for _, l := range left {
				l.Hangup(0)
			}
			if err := e.Stop(t.Context()); err != nil {
				rt.Error(err)
			}
			if all := n.left(); all != "map[] map[]" {
				rt.Errorf("left behind: %s", all)
			}
		})
	}
	rapid.Check(t, check)
}
