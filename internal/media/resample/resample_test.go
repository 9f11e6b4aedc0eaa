package resample

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

func sine(freq float64, rate, n int) []int16 {
	s := make([]int16, n)
	for i := range s {
		s[i] = int16(10000 * math.Sin(2*math.Pi*freq*float64(i)/float64(rate)))
	}
	return s
}

// snr is of got against want in dB, away from the edges.
func snr(want, got []int16) float64 {
	n := min(len(want), len(got))
	var signal, noise float64
	for i := n / 10; i < n*9/10; i++ {
		w, d := float64(want[i]), float64(want[i])-float64(got[i])
		signal += w * w
		noise += d * d
	}
	return 10 * math.Log10(signal/(noise+1e-9))
}

func TestConvertKeepsATone(t *testing.T) {
	for _, from := range []int{8000, 16000, 22050, 24000, 44100, 48000} {
		for _, to := range []int{8000, 16000} {
			for _, freq := range []float64{300, 1000, 3000} {
				t.Run(fmt.Sprintf("%d to %d at %v Hz", from, to, freq), func(t *testing.T) {
					got := Convert(sine(freq, from, from/2), from, to)
					if want := to / 2; len(got) != want {
						t.Fatalf("half a second is %d samples, want %d", len(got), want)
					}
					if db := snr(sine(freq, to, to/2), got); db < 50 {
						t.Errorf("signal to noise %.1f dB, want 50", db)
					}
				})
			}
		}
	}
}

func TestGoingDownLetsNothingFoldBack(t *testing.T) {
	got := Convert(sine(5500, 16000, 16000), 16000, 8000)
	var peak int16
	for _, s := range got[1000 : len(got)-1000] {
		peak = max(peak, s, -s)
	}
	if peak > 20 {
		t.Errorf("a tone above the Nyquist frequency leaves %d of 10000", peak)
	}
}

func TestPiecesGiveTheSameAsTheWhole(t *testing.T) {
	for _, rates := range [][2]int{{8000, 16000}, {16000, 8000}, {48000, 8000}, {22050, 16000}} {
		src := sine(700, rates[0], 3000)
		whole := New(rates[0], rates[1]).Process(nil, src)
		var pieces []int16
		r := New(rates[0], rates[1])
		for i, rest := 1, src; len(rest) > 0; i++ {
			n := min(i*7%191, len(rest))
			pieces = r.Process(pieces, rest[:n])
			rest = rest[n:]
		}
		if !slices.Equal(whole, pieces) {
			t.Errorf("%v: the pieces differ from the whole", rates)
		}
		if want := len(src) * rates[1] / rates[0]; len(whole) < want || len(whole) > want+1 {
			t.Errorf("%v: %d samples came out, want %d", rates, len(whole), want)
		}
	}
}

func TestStreamingDoesNotAllocate(t *testing.T) {
	r, src, dst := New(8000, 16000), make([]int16, 160), make([]int16, 0, 320)
	if n := testing.AllocsPerRun(100, func() { r.Process(dst[:0], src) }); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

func TestLoudSoundIsClippedNotWrapped(t *testing.T) {
	src := make([]int16, 400)
	for i := range src {
		src[i] = math.MaxInt16
		if i/20%2 == 1 {
			src[i] = math.MinInt16
		}
	}
	got := Convert(src, 8000, 16000)
	for i := range src {
		if i%20 > 3 && i%20 < 16 && (got[2*i] > 0) != (src[i] > 0) {
			t.Fatalf("sample %d of %d became %d", i, src[i], got[2*i])
		}
	}
}

func BenchmarkProcess8To16At20ms(b *testing.B) {
	r, src, dst := New(8000, 16000), sine(440, 8000, 160), make([]int16, 0, 320)
	b.ReportAllocs()
	for b.Loop() {
		r.Process(dst[:0], src)
	}
}
