package tone

import (
	"math"
	"sync"

	"github.com/perezvon/perezvon/internal/media/audio"
)

// The music is eight bars of eight quavers, 24 s, at eighty crotchets a minute.
const (
	quaver = 3 * rate / 8
	bar    = 8 * quaver
)

// chord is a bar: what the bass plays, what is broken up above it, and the two
// notes that sing. Notes are MIDI's: 69 is 440 Hz, each step a semitone.
type chord struct {
	bass   int
	broken [4]int
	sung   [2]int
}

// tune is a falling bass from C and back, with nothing above 1.3 kHz where a
// narrow line and a small loudspeaker are at their worst.
var tune = []chord{
	{48, [4]int{60, 64, 67, 72}, [2]int{76, 79}}, // C
	{47, [4]int{59, 62, 67, 71}, [2]int{79, 74}}, // G over B
	{45, [4]int{57, 60, 64, 69}, [2]int{72, 76}}, // A minor
	{52, [4]int{59, 64, 67, 71}, [2]int{79, 71}}, // E minor
	{53, [4]int{57, 60, 65, 69}, [2]int{69, 72}}, // F
	{48, [4]int{60, 64, 67, 72}, [2]int{76, 72}}, // C
	{50, [4]int{57, 62, 65, 69}, [2]int{77, 74}}, // D minor
	{55, [4]int{59, 62, 67, 71}, [2]int{74, 71}}, // G
}

// order is how a chord is broken up: quaver by quaver.
var order = [8]int{0, 1, 2, 3, 2, 1, 3, 2}

var music = sync.OnceValue(func() *audio.Clip {
	mix := make([]float64, bar*len(tune))
	for i, c := range tune {
		at := i * bar
		pluck(mix, at, c.bass, 0.6, 5)
		for q, n := range order {
			pluck(mix, at+q*quaver, c.broken[n], 0.4, 3)
		}
		pluck(mix, at, c.sung[0], 0.45, 5)
		pluck(mix, at+5*quaver, c.sung[1], 0.45, 4)
	}
	var energy float64
	for _, x := range mix {
		energy += x * x
	}
	// −20 dB of full scale: below the tones and the voices before and after it.
	scale := 3277 / math.Sqrt(energy/float64(len(mix)))
	c := &audio.Clip{Key: MusicKey, Rate: rate, Samples: make([]int16, len(mix))}
	for i, x := range mix {
		c.Samples[i] = int16(math.Round(scale * x))
	}
	return c
})

// Music is music on hold, 24 s to be looped without a seam: calm, made here, so
// that nobody's rights are in it, and soft (−20 dB of full scale).
func Music() *audio.Clip { return music() }

// pluck adds a string that rings out to a thousandth in about so many seconds.
// What rings beyond the end is heard at the beginning: the loop has no seam.
func pluck(mix []float64, at, note int, loud, seconds float64) {
	const attack = rate / 50
	freq := 440 * math.Exp2(float64(note-69)/12)
	for partial, share := range []float64{1, 0.3, 0.08} {
		w := 2 * math.Pi * freq * float64(partial+1) / rate
		if w > 0.85*math.Pi {
			break // a line carries 3.4 kHz
		}
		length := seconds / (1 + 0.5*float64(partial)) // what is higher is over sooner
		decay := math.Pow(0.001, 1/(length*rate))
		// A damped resonance: y[n] = 2·d·cos(w)·y[n−1] − d²·y[n−2].
		a, b := 2*decay*math.Cos(w), -decay*decay
		y1, y2 := 0.0, -math.Sin(w)/decay
		for i := range int(length * rate) {
			y := a*y1 + b*y2
			y1, y2 = y, y1
			// The end fades over 50 ms, the beginning over 20.
			edge := min(1, float64(i)/attack, (length*rate-float64(i))/(rate/20))
			mix[(at+i)%len(mix)] += loud * share * edge * y
		}
	}
}
