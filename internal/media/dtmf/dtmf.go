// Package dtmf finds and makes the tones of telephone keys in sound (ITU-T Q.23
// and Q.24), at 8,000 samples a second. It is the fallback for phones that do
// not send keys as events (RFC 4733).
package dtmf

import (
	"math"
	"strings"
	"time"
)

// Rate is the sample rate of all sound here.
const Rate = 8000

// keys in the order of rows and columns.
const keys = "123A456B789C*0#D"

// frequencies of the rows, then of the columns, in Hz.
var frequencies = [8]float64{697, 770, 852, 941, 1209, 1336, 1477, 1633}

// coefficients of the Goertzel filters for the frequencies.
var coefficients = func() (c [8]float64) {
	for i, f := range frequencies {
		c[i] = 2 * math.Cos(2*math.Pi*f/Rate)
	}
	return c
}()

// The detector looks at blocks of 12.75 ms, each beginning half a block after
// the one before. The length is the usual compromise: it still tells a tone
// 1.5 % off from one 3.5 % off.
const (
	block = 102
	hop   = block / 2
)

const (
	// minHits blocks in a row make a key: it takes a tone of 23 to 29 ms, so
	// that 40 ms are always enough and 20 ms never (Q.24 table A-1).
	minHits = 4
	// maxMisses blocks in a row end it: a gap of 10 ms does not, a pause of
	// 40 ms does.
	maxMisses = 4
	// minShare of the block's energy must be in the two tones. This is what
	// keeps speech from being taken for keys.
	minShare = 0.70
	// minLevel is the energy of a block below which nothing is looked for:
	// two tones of −45 dB of full scale each.
	minLevel = 2 * block * 184 * 184 / 2
	// peak is by how much the best row and column stand above the others of
	// their group (8 dB).
	peak = 6.3
	// A row may be some 8 dB above the column, since lines weaken high tones more;
	// a column 6 dB above the row.
	maxRowOverColumn = 6.3
	maxColumnOverRow = 4.0
)

// Detector finds keys in a stream of sound. The zero value is ready. It is not
// safe for use by several goroutines.
type Detector struct {
	buf    [block]int16
	filled int

	candidate    byte // what the newest blocks showed, 0 nothing
	hits, misses int
	pressed      byte // the key that was reported and has not ended
}

// Process takes the next samples, in pieces of any length, and calls found for
// each key, once, about 30 ms after its tone began.
func (d *Detector) Process(samples []int16, found func(key byte)) {
	for len(samples) > 0 {
		n := copy(d.buf[d.filled:], samples)
		samples = samples[n:]
		if d.filled += n; d.filled < block {
			return
		}
		if key := d.step(classify(&d.buf)); key != 0 {
			found(key)
		}
		copy(d.buf[:], d.buf[hop:])
		d.filled = block - hop
	}
}

// step takes what one block showed and gives the key that it completes, or 0.
func (d *Detector) step(key byte) byte {
	if d.pressed != 0 {
		if key == d.pressed {
			d.misses = 0
		} else if d.misses++; d.misses == maxMisses {
			d.pressed = 0
		}
	}
	if key != d.candidate {
		d.candidate, d.hits = key, 0
	}
	d.hits++
	if key == 0 || key == d.pressed || d.hits != minHits {
		return 0
	}
	d.pressed, d.misses = key, 0
	return key
}

// classify names the key whose tones fill the block, or 0.
func classify(b *[block]int16) byte {
	var energy float64
	for _, s := range b {
		energy += float64(s) * float64(s)
	}
	if energy < minLevel {
		return 0
	}
	var power [8]float64
	for i, c := range coefficients {
		var s1, s2 float64
		for _, x := range b {
			s1, s2 = float64(x)+c*s1-s2, s1
		}
		power[i] = (s1*s1 + s2*s2 - c*s1*s2) * 2 / block
	}
	row, rowClear := strongest(power[:4])
	column, columnClear := strongest(power[4:])
	r, c := power[row], power[4+column]
	switch {
	case !rowClear || !columnClear,
		r+c < minShare*energy,
		r > maxRowOverColumn*c, c > maxColumnOverRow*r:
		return 0
	}
	return keys[4*row+column]
}

// strongest finds the largest of the powers, and whether it stands out.
func strongest(power []float64) (best int, clear bool) {
	for i, p := range power {
		if p > power[best] {
			best = i
		}
	}
	for i, p := range power {
		if i != best && p*peak > power[best] {
			return best, false
		}
	}
	return best, true
}

// Generate makes the sound of a key, 0…9, *, # or A…D: each tone at −14 dB of
// full scale, the ends faded over 2 ms. Any other key gives silence.
func Generate(key byte, d time.Duration) []int16 {
	s := make([]int16, max(0, d)*Rate/time.Second)
	at := strings.IndexByte(keys, key)
	if at < 0 {
		return s
	}
	row, column := frequencies[at/4], frequencies[4+at%4]
	const amplitude, fade = 6500, Rate / 500
	for i := range s {
		t := 2 * math.Pi * float64(i) / Rate
		edge := min(1, float64(i)/fade, float64(len(s)-1-i)/fade)
		s[i] = int16(edge * amplitude * (math.Sin(row*t) + math.Sin(column*t)))
	}
	return s
}
