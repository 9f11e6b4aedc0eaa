package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/media/g711"
	"github.com/perezvon/perezvon/internal/media/tone"
)

// stereo is a recording as it was downloaded.
type stereo struct{ left, right channel }

type channel struct {
	name    string
	rate    int
	samples []int16
	// hole is the longest that may be missing in what somebody says, and moved
	// where he is joined with others meanwhile.
	hole, moved time.Duration
}

// readStereo reads a WAV file of two channels in A-law.
func readStereo(t *testing.T, file []byte) stereo {
	t.Helper()
	format, data := bytes.Index(file, []byte("fmt ")), bytes.Index(file, []byte("data"))
	if format < 0 || data < 0 {
		t.Fatalf("not a WAV file: % x", file[:min(16, len(file))])
	}
	f := file[format+8:]
	tag, channels := binary.LittleEndian.Uint16(f), binary.LittleEndian.Uint16(f[2:])
	rate := int(binary.LittleEndian.Uint32(f[4:]))
	if tag != 6 || channels != 2 {
		t.Fatalf("format %d with %d channels, want A-law (6) in stereo", tag, channels)
	}
	all := g711.DecodeALaw(nil, file[data+8:])
	s := stereo{channel{name: "left", rate: rate}, channel{name: "right", rate: rate}}
	for i := 0; i+1 < len(all); i += 2 {
		s.left.samples = append(s.left.samples, all[i])
		s.right.samples = append(s.right.samples, all[i+1])
	}
	return s
}

// between is the sound from one moment to another, as far as there is any.
func (c channel) between(from, to time.Duration) []int16 {
	at := func(d time.Duration) int {
		return min(max(int(d.Seconds()*float64(c.rate)), 0), len(c.samples))
	}
	return c.samples[at(from):max(at(to), at(from))]
}

// window is the pace at which a channel is looked through; at 20 ms a lost
// packet is seen.
const window = 20 * time.Millisecond

// has fails unless each window between the two moments holds the tone.
func (c channel) has(t *testing.T, freq float64, from, to time.Duration) {
	t.Helper()
	if to-from < time.Second {
		t.Fatalf("%s: nothing to look at between %v and %v", c.name, from, to)
	}
	c.without(t, freq, c.hole, from, to, func(at time.Duration) (bool, string) {
		w := c.between(at, at+window)
		s := tone.Strength(w, c.rate, freq)
		return s >= 0.7, fmt.Sprintf("strength %.2f, level %.0f", s, rms(w))
	})
}

// without fails if more of a tone is missing at a stretch than may be.
func (c channel) without(t *testing.T, freq float64, most, from, to time.Duration, there func(at time.Duration) (bool, string)) {
	t.Helper()
	var hole time.Duration
	for at := from; at+window <= to; at += window {
		ok, is := there(at)
		if hole += window; ok {
			hole = 0
		}
		if hole > most {
			t.Errorf("%s: %.0f Hz is missing at %v (%s)", c.name, freq, at, is)
			return
		}
	}
}

// hasNot fails if a window between the two moments holds the tone.
func (c channel) hasNot(t *testing.T, freq float64, from, to time.Duration) {
	t.Helper()
	for at := from; at+window <= to; at += window {
		w := c.between(at, at+window)
		if len(w) < int(window.Seconds()*float64(c.rate)) {
			return // the end: a few samples are any tone
		}
		if rms(w) > 300 && tone.Strength(w, c.rate, freq) > 0.7 {
			t.Errorf("%s: %.0f Hz is heard at %v", c.name, freq, at)
			return
		}
	}
}

// begins is where the tone is heard first, to 5 ms.
func (c channel) begins(t *testing.T, freq float64) time.Duration {
	t.Helper()
	const step = 5 * time.Millisecond
	for at := time.Duration(0); at+2*step <= time.Duration(len(c.samples))*time.Second/time.Duration(c.rate); at += step {
		w := c.between(at, at+2*step)
		if rms(w) > 300 && tone.Strength(w, c.rate, freq) > 0.7 {
			return at
		}
	}
	t.Fatalf("%s: %.0f Hz is never heard", c.name, freq)
	return 0
}

func rms(samples []int16) float64 {
	if len(samples) == 0 {
		return 0
	}
	var sum float64
	for _, s := range samples {
		sum += float64(s) * float64(s)
	}
	return math.Sqrt(sum / float64(len(samples)))
}

func addrOf(t *testing.T, hostPort string) netip.AddrPort {
	t.Helper()
	a, err := netip.ParseAddrPort(hostPort)
	must(t, err)
	return a
}
