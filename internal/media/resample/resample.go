// Package resample changes the sample rate of mono sound.
//
// It is one polyphase filter: a windowed sinc that passes what both rates can
// carry, evaluated only where an output sample falls.
package resample

import (
	"math"
	"sync"
)

// taps is how many input samples an output sample looks at when the rate goes
// up; when it goes down the filter is longer by the ratio. 24 keeps the delay
// of 8 → 16 kHz at 1.5 ms and images below −60 dB outside a transition band of
// about a quarter octave.
const taps = 24

// Resampler converts a stream piece by piece, without seams. It delays the
// sound by half its filter: 12 samples of the lower rate. It is not safe for use by several goroutines.
type Resampler struct {
	*filter
	history []int16 // the newest inputs, oldest first; len is filter.width
	buf     []int16 // history and new input side by side, reused
	phase   int     // of the next output, in 1/up of an input sample; ≥ up: in a later input
}

// filter is what all resamplers of one pair of rates share.
type filter struct {
	up, down int         // to/from in lowest terms
	width    int         // taps a phase
	phases   [][]float32 // up × width
}

// New makes a resampler between two rates in samples a second. Rates that are
// not positive are taken as equal: the sound passes as it is.
func New(from, to int) *Resampler {
	f := filterFor(from, to)
	return &Resampler{filter: f, history: make([]int16, f.width-1)}
}

// Process appends the resampled src to dst. Every call consumes all of src; a
// fraction of an output sample waits for the next call. It allocates only
// while its buffer grows to the largest src seen.
func (r *Resampler) Process(dst, src []int16) []int16 {
	if r.up == r.down {
		return append(dst, src...)
	}
	r.buf = append(append(r.buf[:0], r.history...), src...)
	for at := r.phase / r.up; at < len(src); at = r.phase / r.up {
		dst = append(dst, dot(r.phases[r.phase%r.up], r.buf[at:at+r.width]))
		r.phase += r.down
	}
	r.phase -= len(src) * r.up
	copy(r.history, r.buf[len(src):])
	return dst
}

// Convert resamples a whole sound, without delay: sample i of the result sounds
// when sample i·from/to of src does. The result has len(src)·to/from samples,
// rounded up.
func Convert(src []int16, from, to int) []int16 {
	f := filterFor(from, to)
	if f.up == f.down {
		return append([]int16(nil), src...)
	}
	n := (len(src)*f.up + f.down - 1) / f.down
	out := make([]int16, 0, n)
	// Silence on both sides lets the filter stand on every sample.
	half := f.width / 2
	padded := make([]int16, half-1+len(src)+half+1)
	copy(padded[half-1:], src)
	for i := range n {
		at := i * f.down
		out = append(out, dot(f.phases[at%f.up], padded[at/f.up:at/f.up+f.width]))
	}
	return out
}

// dot is the filter at one place, saturated.
func dot(h []float32, x []int16) int16 {
	x = x[:len(h)]
	var sum float32
	for i, c := range h {
		sum += c * float32(x[i])
	}
	return int16(math.RoundToEven(float64(max(math.MinInt16, min(math.MaxInt16, sum)))))
}

// filters caches what design makes: a pure function of the pair of rates.
var filters sync.Map // [2]int{up, down} → *filter

func filterFor(from, to int) *filter {
	if from <= 0 || to <= 0 {
		from, to = 1, 1
	}
	g := gcd(from, to)
	key := [2]int{to / g, from / g}
	if f, ok := filters.Load(key); ok {
		return f.(*filter)
	}
	f, _ := filters.LoadOrStore(key, design(key[0], key[1]))
	return f.(*filter)
}

// design makes a low-pass at 0.92 of the lower Nyquist frequency under a
// Kaiser window. Phase p holds the taps for an output p/up after the input at
// index width/2−1 of its stretch.
func design(up, down int) *filter {
	f := &filter{up: up, down: down, width: taps}
	scale := 1.0 // of the cutoff, against the input's rate
	if down > up {
		scale = float64(up) / float64(down)
		f.width = 2 * int(math.Ceil(taps/scale/2))
	}
	if up == down {
		return f
	}
	cutoff := 0.92 * scale
	const beta = 6.5
	half := float64(f.width) / 2
	f.phases = make([][]float32, up)
	for p := range f.phases {
		h := make([]float32, f.width)
		var sum float64
		for i := range h {
			t := float64(i) - (half - 1) - float64(p)/float64(up)
			w := 0.0
			if x := t / half; math.Abs(x) <= 1 {
				w = bessel(beta*math.Sqrt(1-x*x)) / bessel(beta)
			}
			v := cutoff * sinc(cutoff*t) * w
			h[i] = float32(v)
			sum += v
		}
		for i := range h { // no ripple from phase to phase at low frequencies
			h[i] /= float32(sum)
		}
		f.phases[p] = h
	}
	return f
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

// bessel is the modified Bessel function of the first kind, order 0.
func bessel(x float64) float64 {
	sum, term := 1.0, 1.0
	for k := 1.0; term > 1e-9*sum; k++ {
		term *= (x / 2 / k) * (x / 2 / k)
		sum += term
	}
	return sum
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
