package utterance_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/perezvon/perezvon/internal/media/utterance"
)

const rate = 8000

var limits = utterance.Limits{Pause: 500 * time.Millisecond, Longest: 10 * time.Second}

// sound is a piece of noise of that level (RMS).
func sound(length time.Duration, rms float64) []int16 {
	dice := rand.New(rand.NewPCG(1, 2))
	samples := make([]int16, int(length.Seconds()*rate))
	for i := range samples {
		samples[i] = int16((dice.Float64()*2 - 1) * rms * math.Sqrt(3))
	}
	return samples
}

type piece struct {
	length time.Duration
	rms    float64
}

// span is where an utterance lies, to the tenth of a second.
type span struct{ from, to float64 }

func cut(l utterance.Limits, pieces ...piece) (spans []span) {
	var all []int16
	for _, p := range pieces {
		all = append(all, sound(p.length, p.rms)...)
	}
	c := utterance.New(rate, l)
	note := func(u utterance.Utterance) {
		from := u.From.Seconds()
		spans = append(spans, span{math.Round(from*10) / 10, math.Round((from+float64(len(u.Samples))/rate)*10) / 10})
	}
	for len(all) > 0 { // in packets of 20 ms
		n := min(160, len(all))
		for _, u := range c.Feed(all[:n]) {
			note(u)
		}
		all = all[n:]
	}
	if u, ok := c.Flush(); ok {
		note(u)
	}
	return spans
}

func TestAnUtteranceIsWhatIsSaidBetweenTwoPauses(t *testing.T) {
	const s, ms = time.Second, time.Millisecond
	tests := map[string]struct {
		pieces []piece
		want   []span
	}{
		"silence":            {[]piece{{5 * s, 0}}, nil},
		"noise of a line":    {[]piece{{5 * s, 40}}, nil},
		"one word":           {[]piece{{s, 0}, {400 * ms, 3000}, {s, 0}}, []span{{0.7, 1.6}}},
		"a quiet word":       {[]piece{{s, 20}, {400 * ms, 300}, {s, 20}}, []span{{0.7, 1.6}}},
		"a short gap":        {[]piece{{s, 0}, {300 * ms, 3000}, {300 * ms, 0}, {300 * ms, 3000}, {s, 0}}, []span{{0.7, 2.1}}},
		"two utterances":     {[]piece{{s, 0}, {300 * ms, 3000}, {s, 0}, {300 * ms, 3000}, {s, 0}}, []span{{0.7, 1.5}, {2, 2.8}}},
		"a click":            {[]piece{{s, 0}, {60 * ms, 9000}, {s, 0}}, nil},
		"at the very start":  {[]piece{{400 * ms, 3000}, {s, 0}}, []span{{0, 0.6}}},
		"cut off at the end": {[]piece{{s, 0}, {400 * ms, 3000}}, []span{{0.7, 1.4}}},
		"above loud noise":   {[]piece{{3 * s, 250}, {500 * ms, 4000}, {2 * s, 250}}, []span{{0, 1.4}, {2.7, 3.7}}},
		"endless":            {[]piece{{12 * s, 3000}, {s, 0}}, []span{{0, 10}, {10, 12.2}}},
		"long, cut at a word": {
			[]piece{{8 * s, 3000}, {150 * ms, 0}, {4 * s, 3000}, {s, 0}},
			[]span{{0, 8.1}, {8.1, 12.3}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := cut(limits, tt.pieces...)
			if len(got) != len(tt.want) {
				t.Fatalf("got %v, want %v", got, tt.want)
			}
			for i := range got {
				if math.Abs(got[i].from-tt.want[i].from) > 0.11 || math.Abs(got[i].to-tt.want[i].to) > 0.11 {
					t.Errorf("got %v, want %v", got, tt.want)
				}
			}
		})
	}
}

// The noise of a line that gets louder is taken for speech for a moment, not
// for ever.
func TestALouderLineIsLearned(t *testing.T) {
	if got := cut(limits, piece{5 * time.Second, 0}, piece{60 * time.Second, 600}); len(got) > 2 {
		t.Errorf("got %v", got)
	}
}

func TestUtterancesAreInOrderAndNoLongerThanAllowed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var pieces []piece
		for range rapid.IntRange(1, 8).Draw(t, "pieces") {
			pieces = append(pieces, piece{
				time.Duration(rapid.IntRange(1, 4000).Draw(t, "ms")) * time.Millisecond,
				float64(rapid.SampledFrom([]int{0, 40, 250, 1000, 8000}).Draw(t, "rms")),
			})
		}
		last := -1.0
		for _, u := range cut(limits, pieces...) {
			if u.from < last || u.to-u.from > limits.Longest.Seconds()+0.1 || u.to <= u.from {
				t.Fatalf("from %v to %v after %v", u.from, u.to, last)
			}
			last = u.from
		}
	})
}
