package tone

import (
	"math"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/media/g711"
)

func TestMusicIsSoftLongAndHasNoSeam(t *testing.T) {
	c := Music()
	if c.Duration() < 20*time.Second || c.Rate != 8000 || c.Key != MusicKey || c != Music() {
		t.Fatalf("%v of %d/s, key %q", c.Duration(), c.Rate, c.Key)
	}
	n := len(c.Samples)
	peak, step, seam, quiet := 0, 0, 0, 0
	for i, s := range c.Samples {
		d := int(c.Samples[(i+1)%n]) - int(s)
		peak, step = max(peak, int(s), -int(s)), max(step, d, -d)
		if i == n-1 {
			seam = max(d, -d)
		}
	}
	if peak > 20000 {
		t.Errorf("peak %d: some phone will clip it", peak)
	}
	if step > peak || seam > step/2 {
		t.Errorf("the largest step is %d, that of the seam %d: it clicks", step, seam)
	}
	if l := level(c.Samples); l < -20.5 || l > -19.5 {
		t.Errorf("%.1f dB, want -20", l)
	}
	for at := 0; at+1600 <= n; at += 1600 {
		if level(c.Samples[at:at+1600]) < -40 {
			quiet++
		}
	}
	if quiet > 0 {
		t.Errorf("%d stretches of 200 ms sound like a dead line", quiet)
	}
}

func TestMusicSurvivesATelephoneLine(t *testing.T) {
	c := Music()
	heard := g711.DecodeALaw(nil, g711.EncodeALaw(nil, c.Samples))
	var off float64
	for i, s := range heard {
		d := float64(s) - float64(c.Samples[i])
		off += d * d
	}
	if l := 10*math.Log10(off/float64(len(heard))/(32768*32768)) + 20; l > -33 {
		t.Errorf("noise of %.0f dB below the music", l)
	}
}

// Each bar begins with the bass and the singing note of its chord.
func TestMusicPlaysItsTune(t *testing.T) {
	c := Music()
	for i, chord := range tune {
		from := c.Samples[i*bar+400 : i*bar+quaver]
		var share float64
		for _, note := range []int{chord.bass, chord.broken[0], chord.sung[0]} {
			share += Strength(from, rate, 440*math.Exp2(float64(note-69)/12))
		}
		if share < 0.5 {
			t.Errorf("bar %d: its notes have %.0f %% of the sound", i+1, 100*share)
		}
	}
}

func level(samples []int16) float64 {
	var sum float64
	for _, s := range samples {
		sum += float64(s) * float64(s)
	}
	return 10 * math.Log10(max(sum/float64(len(samples)), 1e-3)/(32768*32768))
}

func BenchmarkMusicIsMade(b *testing.B) {
	for b.Loop() {
		mix := make([]float64, bar*len(tune))
		for i := range tune {
			for q := range order {
				pluck(mix, i*bar+q*quaver, 60, 0.5, 1.5)
			}
		}
	}
}
