package codec

import (
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/tone"
)

var codecs = []media.Codec{media.PCMA, media.PCMU, media.G722}

func TestClipSoundsTheSameInEveryCodecAndRate(t *testing.T) {
	for _, c := range codecs {
		for _, rate := range []int{8000, 16000, 22050} {
			clip := tone.Sine(700, time.Second, rate, 8000)
			b := Clip(c, clip)
			if len(b) != media.ClockRate {
				t.Errorf("%v of %d Hz: a second is %d bytes", c, rate, len(b))
			}
			if s := tone.Strength(NewDecoder(c).Decode(nil, b), c.SampleRate(), 700); s < 0.95 {
				t.Errorf("%v of %d Hz: the tone has %.2f of the energy", c, rate, s)
			}
		}
	}
}

func TestClipIsEncodedOnce(t *testing.T) {
	clip := tone.Sine(700, time.Second, 16000, 8000)
	first, second := Clip(media.PCMA, clip), Clip(media.PCMA, clip)
	if &first[0] != &second[0] {
		t.Error("the clip was encoded twice")
	}
}

func TestPacketsAreCodedWithoutAllocation(t *testing.T) {
	for _, c := range codecs {
		samples := tone.Sine(700, 20*time.Millisecond, c.SampleRate(), 8000).Samples
		e, d := NewEncoder(c), NewDecoder(c)
		payload, heard := make([]byte, 0, 160), make([]int16, 0, 320)
		if n := testing.AllocsPerRun(100, func() {
			payload = e.Encode(payload[:0], samples)
			heard = d.Decode(heard[:0], payload)
		}); n != 0 {
			t.Errorf("%v: %v allocations a packet", c, n)
		}
		if len(payload) != 160 || len(heard) != len(samples) {
			t.Errorf("%v: %d bytes, %d samples", c, len(payload), len(heard))
		}
	}
}

func TestNoCodecIsSilent(t *testing.T) {
	if b := NewEncoder(media.NoCodec).Encode(nil, make([]int16, 160)); len(b) != 0 {
		t.Errorf("%d bytes", len(b))
	}
	if s := NewDecoder(media.NoCodec).Decode(nil, make([]byte, 160)); len(s) != 0 {
		t.Errorf("%d samples", len(s))
	}
}
