package tone

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/media/audio"
)

func TestRussianRingbackIsOneSecondOnFourSecondsOff(t *testing.T) {
	c := Ringback()
	if c.Duration() != 5*time.Second || c.Key != RingbackKey {
		t.Fatalf("%v long, key %q", c.Duration(), c.Key)
	}
	if s := Strength(c.Samples[:c.Rate], c.Rate, 425); s < 0.95 {
		t.Errorf("425 Hz has %.2f of the first second", s)
	}
	for i, s := range c.Samples[c.Rate:] {
		if s != 0 {
			t.Fatalf("sample %d of the pause is %d", i, s)
		}
	}
}

func TestToneIsFoundByItsFrequency(t *testing.T) {
	for _, rate := range []int{8000, 16000} {
		c := Sine(700, time.Second, rate, 300)
		for _, x := range []struct {
			freq      float64
			low, high float64
		}{{700, 0.95, 1}, {600, 0, 0.05}, {800, 0, 0.05}, {440, 0, 0.02}, {1400, 0, 0.02}} {
			if s := Strength(c.Samples, rate, x.freq); s < x.low || s > x.high {
				t.Errorf("at %d/s: %v Hz has %.3f of a 700 Hz tone", rate, x.freq, s)
			}
		}
	}
}

func TestTwoTonesShareTheEnergy(t *testing.T) {
	a, b := Sine(500, time.Second, 8000, 5000), Sine(900, time.Second, 8000, 5000)
	for i := range a.Samples {
		a.Samples[i] += b.Samples[i]
	}
	for _, freq := range []float64{500, 900} {
		if s := Strength(a.Samples, 8000, freq); s < 0.4 || s > 0.6 {
			t.Errorf("%v Hz has %.2f, want a half", freq, s)
		}
	}
}

func TestGapsDoNotHideATone(t *testing.T) {
	c := Sine(500, time.Second, 8000, 5000)
	cut := append(append([]int16{}, c.Samples[:3003]...), c.Samples[3500:]...)
	clear(cut[5000:5160])
	if s := Strength(cut, 8000, 500); s < 0.85 {
		t.Errorf("500 Hz has %.2f of a tone with gaps", s)
	}
}

func TestNoToneInSilenceAndNoise(t *testing.T) {
	noise := make([]int16, 8000)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = int16(r.IntN(20000) - 10000)
	}
	for name, s := range map[string][]int16{"nothing": nil, "silence": Silence(time.Second).Samples, "noise": noise} {
		if got := Strength(s, 8000, 500); got > 0.03 {
			t.Errorf("500 Hz has %.3f of %s", got, name)
		}
	}
}

func TestKeyedTonesAreFoundAgain(t *testing.T) {
	for _, c := range []*audio.Clip{Ringback(), Beep(), Music()} {
		if got, ok := ByKey(c.Key); !ok || got != c {
			t.Errorf("%q is not found", c.Key)
		}
	}
	if _, ok := ByKey("tts:1"); ok {
		t.Error("found a tone that is none")
	}
}
