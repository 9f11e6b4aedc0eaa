// Package utterance cuts sound into utterances: what somebody says between two
// pauses. It goes by energy alone, against the noise of the line, which it
// learns as it hears it.
package utterance

import (
	"math"
	"math/bits"
	"time"
)

// Limits say where an utterance ends.
type Limits struct {
	// Pause is how long it must be quiet. From two thirds of Longest on a
	// quarter of it is enough, so that long speech is cut between words.
	Pause time.Duration
	// Longest is the length at which an utterance is cut in any case.
	Longest time.Duration
}

const (
	frames = 100 // a second
	// The start of an utterance: that many of the last loud frames.
	startLoud, startOf = 5, 8
	// preRoll is what is kept from before the first loud frame, tail from after
	// the last: the quiet beginnings and ends of words.
	preRoll, tail = 25, 20
	// shortest is how many loud frames make speech; less is a click.
	shortest = 10

	// A frame is loud from aboveNoise times the noise on (10 dB), and goes on
	// being so at half of that; never below quiet (RMS, −46 dB of full scale).
	aboveNoise = 3.2
	quiet      = 160
	// The noise follows a quieter frame by 10 % a frame, a louder one by 1 %:
	// speech has enough quiet frames to keep it down.
	noiseFall, noiseRise = 0.9, 1.01

	quietestNoise, loudestNoise = quiet / aboveNoise, 700
)

// Utterance is one of them.
type Utterance struct {
	// From is where Samples begin, since the beginning of the sound.
	From    time.Duration
	Samples []int16
}

// Cutter finds the utterances of one sound. It is not safe for use by several
// goroutines.
type Cutter struct {
	rate, frame    int
	pause, longest int // in frames

	rest  []int16 // not a frame yet
	at    int     // frames heard
	noise float64

	recent  uint8   // loud frames among the last ones, a bit each
	before  []int16 // what preRoll may want
	current []int16 // the utterance; nil between them
	from    int     // its first frame
	loud    int     // loud frames of it
	silent  int     // frames since the last loud one
}

// New makes a cutter for sound of that many samples a second.
func New(rate int, l Limits) *Cutter {
	return &Cutter{
		rate: rate, frame: max(rate/frames, 1), noise: quietestNoise,
		pause: int(l.Pause.Seconds() * frames), longest: int(l.Longest.Seconds() * frames),
	}
}

// Open tells that an utterance has begun and not ended.
func (c *Cutter) Open() bool { return c.current != nil }

// Feed takes the next piece of sound and returns what has ended in it.
func (c *Cutter) Feed(samples []int16) []Utterance {
	var ended []Utterance
	c.rest = append(c.rest, samples...)
	n := 0
	for ; n+c.frame <= len(c.rest); n += c.frame {
		if u, ok := c.hear(c.rest[n : n+c.frame]); ok {
			ended = append(ended, u)
		}
	}
	c.rest = append(c.rest[:0], c.rest[n:]...)
	return ended
}

// Flush ends the utterance that has begun: the sound is over, or nothing more
// of it comes.
func (c *Cutter) Flush() (Utterance, bool) {
	c.recent = 0
	return c.end()
}

// hear takes one frame.
func (c *Cutter) hear(f []int16) (Utterance, bool) {
	loud := c.isLoud(level(f))
	c.at++
	c.recent <<= 1
	if loud {
		c.recent |= 1
	}
	if c.current == nil {
		c.before = append(c.before, f...)
		if extra := len(c.before) - (preRoll+startOf)*c.frame; extra > 0 {
			c.before = append(c.before[:0], c.before[extra:]...)
		}
		if bits.OnesCount8(c.recent) >= startLoud {
			c.current = append(make([]int16, 0, c.rate), c.before...)
			c.from = c.at - len(c.before)/c.frame
			c.before = c.before[:0]
			c.loud, c.silent = bits.OnesCount8(c.recent), 0
		}
		return Utterance{}, false
	}
	c.current = append(c.current, f...)
	c.silent++
	if loud {
		c.loud++
		c.silent = 0
	}
	length, pause := c.at-c.from, c.pause
	if length*3 > c.longest*2 {
		pause /= 4
	}
	if c.silent < max(pause, 1) && length < c.longest {
		return Utterance{}, false
	}
	return c.end()
}

// end closes the utterance; false if it was a click.
func (c *Cutter) end() (Utterance, bool) {
	u := Utterance{From: time.Duration(c.from) * time.Second / frames, Samples: c.current}
	speech := c.current != nil && c.loud >= shortest
	if extra := (c.silent - tail) * c.frame; extra > 0 && speech {
		u.Samples = u.Samples[:len(u.Samples)-extra]
	}
	c.current, c.recent = nil, 0
	return u, speech
}

// isLoud judges a frame and learns the noise from it.
func (c *Cutter) isLoud(rms float64) bool {
	threshold := c.noise * aboveNoise
	if c.current != nil {
		threshold /= 2
	}
	loud := rms >= max(threshold, quiet)
	if rms < c.noise {
		c.noise = max(c.noise*noiseFall, rms)
	} else {
		c.noise = min(c.noise*noiseRise, rms)
	}
	c.noise = min(max(c.noise, quietestNoise), loudestNoise)
	return loud
}

func level(f []int16) float64 {
	sum := 0.0
	for _, s := range f {
		sum += float64(s) * float64(s)
	}
	return math.Sqrt(sum / float64(len(f)))
}
