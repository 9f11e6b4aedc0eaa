package dtmf

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/media/g711"
)

// detect runs a new detector over the sound in packets of 20 ms.
func detect(sound []int16) string {
	var d Detector
	var found strings.Builder
	for p := range slices.Chunk(sound, 160) {
		d.Process(p, func(k byte) { found.WriteByte(k) })
	}
	return found.String()
}

// tones makes two sines of any frequency and amplitude.
func tones(row, rowLevel, column, columnLevel float64, d time.Duration) []int16 {
	s := make([]int16, d*Rate/time.Second)
	for i := range s {
		t := 2 * math.Pi * float64(i) / Rate
		s[i] = int16(rowLevel*math.Sin(row*t) + columnLevel*math.Sin(column*t))
	}
	return s
}

func silence(d time.Duration) []int16 { return make([]int16, d*Rate/time.Second) }

// at puts the sound after n samples of silence and before 50 ms of it.
func at(n int, sound []int16) []int16 {
	return slices.Concat(make([]int16, n), sound, silence(50*time.Millisecond))
}

func db(x float64) float64 { return math.Pow(10, x/20) }

func TestEveryKeyOf40msIsFoundWhereverItBegins(t *testing.T) {
	for _, key := range []byte(keys) {
		for offset := range hop {
			if got := detect(at(offset, Generate(key, 40*time.Millisecond))); got != string(key) {
				t.Fatalf("key %c at %d: found %q", key, offset, got)
			}
		}
	}
}

func TestSequenceWithPausesOf40ms(t *testing.T) {
	want := "1223334444*0#ABCD9"
	var sound []int16
	for _, key := range []byte(want) {
		sound = append(append(sound, Generate(key, 40*time.Millisecond)...), silence(40*time.Millisecond)...)
	}
	if got := detect(sound); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	coded := g711.DecodeALaw(nil, g711.EncodeALaw(nil, sound))
	if got := detect(coded); got != want {
		t.Errorf("over A-law: %q, want %q", got, want)
	}
}

func TestLongPressIsOneKeyInSpiteOfGapsOf10ms(t *testing.T) {
	for offset := range hop {
		sound := Generate('5', time.Second)
		for i := 1000; i+80 < len(sound); i += 1500 {
			clear(sound[i : i+80])
		}
		if got := detect(at(offset, sound)); got != "5" {
			t.Fatalf("at %d: %q", offset, got)
		}
	}
}

func TestTonesOf20msAreNoKey(t *testing.T) {
	for _, key := range []byte(keys) {
		for offset := range hop {
			if got := detect(at(offset, Generate(key, 20*time.Millisecond))); got != "" {
				t.Fatalf("key %c at %d: found %q", key, offset, got)
			}
		}
	}
}

func TestToleranceOfLevelTwistAndFrequency(t *testing.T) {
	for _, c := range []struct {
		name        string
		row, column float64 // dB of full scale
		off         float64 // of both frequencies
		want        bool
	}{
		{"loud", -7, -7, 1, true},
		{"quiet", -40, -40, 1, true},
		{"too quiet", -55, -55, 1, false},
		{"row 6 dB above", -13, -19, 1, true},
		{"row 12 dB above", -13, -25, 1, false},
		{"column 5 dB above", -18, -13, 1, true},
		{"column 9 dB above", -22, -13, 1, false},
		{"1.5 % high", -13, -13, 1.015, true},
		{"1.5 % low", -13, -13, 0.985, true},
		{"4 % high", -13, -13, 1.04, false},
		{"4 % low", -13, -13, 0.96, false},
		{"row alone", -13, -200, 1, false},
		{"column alone", -200, -13, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i, key := range keys {
				sound := tones(c.off*frequencies[i/4], 32767*db(c.row), c.off*frequencies[4+i%4], 32767*db(c.column), 60*time.Millisecond)
				want := ""
				if c.want {
					want = string(key)
				}
				if got := detect(at(77, sound)); got != want {
					t.Errorf("key %c: found %q", key, got)
				}
			}
		})
	}
}

func TestKeysAreFoundInNoise(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for i := range 50 {
		sound := at(i, Generate(keys[i%16], 60*time.Millisecond))
		for j := range sound {
			sound[j] += int16(r.NormFloat64() * 6500 * db(-15)) // 15 dB below the tones
		}
		if got := detect(sound); got != string(keys[i%16]) {
			t.Errorf("key %c: found %q", keys[i%16], got)
		}
	}
}

// speech is a voice of no language: pulses of a gliding pitch through three
// wandering formants, with hisses and pauses.
func speech(seed uint64, d time.Duration) []int16 {
	r := rand.New(rand.NewPCG(seed, 1))
	sound := make([]int16, d*Rate/time.Second)
	var y [3][2]float64
	var f, target [3]float64
	pitch, pitchTarget, phase, loud, hiss := 120.0, 120.0, 0.0, 0.0, false
	for i := range sound {
		if i%800 == 0 { // a new sound each 100 ms
			pitchTarget = 80 + 320*r.Float64()
			target = [3]float64{250 + 700*r.Float64(), 900 + 1400*r.Float64(), 2300 + 900*r.Float64()}
			hiss, loud = r.IntN(5) == 0, float64(r.IntN(5))/4
		}
		pitch += (pitchTarget - pitch) / 400
		x := 0.0
		if phase += pitch / Rate; phase >= 1 {
			phase--
			x = 3000 * loud
		}
		if hiss {
			x = 400 * loud * r.NormFloat64()
		}
		sum := 0.0
		for j := range y {
			f[j] += (target[j] - f[j]) / 300
			const radius = 0.975 // a bandwidth of about 60 Hz, as of a clear vowel
			v := x + 2*radius*math.Cos(2*math.Pi*f[j]/Rate)*y[j][0] - radius*radius*y[j][1]
			y[j] = [2]float64{v, y[j][0]}
			sum += v
		}
		sound[i] = int16(max(-32768, min(32767, sum)))
	}
	return sound
}

// The voice glides through every pair of frequencies with narrower formants
// than people have, so one key in half an hour is let pass.
func TestSpeechIsHardlyEverTakenForKeys(t *testing.T) {
	if got := detect(speech(1, 30*time.Minute)); len(got) > 1 {
		t.Errorf("half an hour of speech has %q", got)
	}
}

func TestNoiseTonesAndMusicAreNotTakenForKeys(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	noise := make([]int16, 60*Rate)
	music := make([]int16, 60*Rate)
	for i := range noise {
		noise[i] = int16(r.NormFloat64() * 5000)
		for _, note := range []float64{220, 440, 554.4, 659.3, 880} {
			music[i] += int16(3000 * math.Sin(2*math.Pi*note*math.Pow(2, float64(i/4000%12)/12)*float64(i)/Rate))
		}
	}
	for name, sound := range map[string][]int16{
		"noise":     noise,
		"music":     music,
		"ringback":  tones(425, 8000, 0, 0, time.Second),
		"dial tone": tones(350, 8000, 440, 8000, time.Second),
		"fax":       tones(1100, 8000, 2100, 8000, time.Second),
	} {
		if got := detect(sound); got != "" {
			t.Errorf("%s has %q", name, got)
		}
	}
}

func TestPiecesOfAnyLength(t *testing.T) {
	sound := at(33, Generate('7', 45*time.Millisecond))
	for size := 1; size < len(sound); size += 13 {
		var d Detector
		found := ""
		for p := range slices.Chunk(sound, size) {
			d.Process(p, func(k byte) { found += string(k) })
		}
		if found != "7" {
			t.Fatalf("pieces of %d: %q", size, found)
		}
	}
}

func TestUnknownKeyIsSilent(t *testing.T) {
	if s := Generate('x', time.Second); len(s) != Rate || slices.Max(s) != 0 {
		t.Error("not a second of silence")
	}
}

func BenchmarkDetector20ms(b *testing.B) {
	var d Detector
	sound := speech(2, 20*time.Millisecond)
	b.ReportAllocs()
	for b.Loop() {
		d.Process(sound, func(byte) {})
	}
}

func ExampleDetector() {
	var d Detector
	d.Process(Generate('5', 100*time.Millisecond), func(key byte) { fmt.Printf("%c\n", key) })
	// Output: 5
}
