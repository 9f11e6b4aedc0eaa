// Package tone makes the sounds a phone system makes by itself, and finds
// tones in what was heard.
package tone

import (
	"math"
	"sync"
	"time"

	"github.com/perezvon/perezvon/internal/media/audio"
)

// Keys of the clips that are always the same sound.
const (
	RingbackKey = "tone:ringback"
	BeepKey     = "tone:beep"
	MusicKey    = "tone:music"
)

// rate of the tones that have a key: they have nothing above 4 kHz.
const rate = 8000

// amplitude of the tones that have a key: −12 dB of full scale, as loud as a
// telephone exchange makes them.
const amplitude = 8000

var (
	ringback = sync.OnceValue(func() *audio.Clip {
		c := Sine(425, time.Second, rate, amplitude)
		return &audio.Clip{Key: RingbackKey, Rate: rate, Samples: append(c.Samples, make([]int16, 4*rate)...)}
	})
	beep = sync.OnceValue(func() *audio.Clip {
		c := *Sine(1000, 200*time.Millisecond, rate, amplitude)
		c.Key = BeepKey
		return &c
	})
)

// Ringback is one turn of the Russian ringing tone, 425 Hz for 1 s and a pause
// of 4 s, to be looped.
func Ringback() *audio.Clip { return ringback() }

// Beep is 200 ms of 1 kHz: speak now.
func Beep() *audio.Clip { return beep() }

// ByKey finds the clip of one of the keys above, for who reads a recording.
func ByKey(key string) (clip *audio.Clip, ok bool) {
	switch key {
	case RingbackKey:
		return Ringback(), true
	case BeepKey:
		return Beep(), true
	case MusicKey:
		return Music(), true
	}
	return nil, false
}

// Sine is a tone of freq Hz at rate samples a second, with its ends faded over
// 5 ms so that it does not click. amplitude is of 32767. It has no key.
func Sine(freq float64, d time.Duration, rate int, amplitude float64) *audio.Clip {
	n := count(d, rate)
	fade := float64(rate) / 200
	c := &audio.Clip{Rate: rate, Samples: make([]int16, n)}
	for i := range c.Samples {
		edge := min(1, float64(i)/fade, float64(n-1-i)/fade)
		c.Samples[i] = int16(math.Round(edge * amplitude * math.Sin(2*math.Pi*freq*float64(i)/float64(rate))))
	}
	return c
}

// Silence is d of nothing, without a key: a recording need not know of it.
func Silence(d time.Duration) *audio.Clip {
	return &audio.Clip{Rate: rate, Samples: make([]int16, count(d, rate))}
}

func count(d time.Duration, rate int) int {
	return int(max(0, d) * time.Duration(rate) / time.Second)
}
