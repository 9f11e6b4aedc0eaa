package g722

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/perezvon/perezvon/internal/media/tone"
)

// reference is a quarter of a second that drives the coder everywhere: two
// triangle waves and noise, from silence to overload. testdata/ holds what
// another implementation (FFmpeg's libavcodec) made of it: the codes, and the
// samples decoded from them.
func reference() []int16 {
	triangle := func(i, period int) int { return 4*max(i%period, period-i%period) - 3*period }
	noise := uint32(1)
	s := make([]int16, 4000)
	for i := range s {
		noise = noise*1664525 + 1013904223
		v := triangle(i, 60)*150 + triangle(i, 7)*600 + int(int32(noise)>>20)
		s[i] = int16(saturate(v * i / 1500))
	}
	return s
}

func testdata(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEncoderIsBitExact(t *testing.T) {
	if got, want := new(Encoder).Encode(nil, reference()), testdata(t, "reference.g722"); !bytes.Equal(got, want) {
		t.Errorf("the codes differ from another implementation's")
	}
}

func TestDecoderIsBitExact(t *testing.T) {
	var got []byte
	for _, s := range new(Decoder).Decode(nil, testdata(t, "reference.g722")) {
		got = binary.LittleEndian.AppendUint16(got, uint16(s))
	}
	if !bytes.Equal(got, testdata(t, "reference.s16le")) {
		t.Errorf("the samples differ from another implementation's")
	}
}

func TestSoundSurvives(t *testing.T) {
	const delay = 22 // of both filter banks, samples
	src := make([]int16, 16000)
	for i := range src {
		src[i] = int16(9000*math.Sin(2*math.Pi*700*float64(i)/16000) + 3000*math.Sin(2*math.Pi*5200*float64(i)/16000))
	}
	got := new(Decoder).Decode(nil, new(Encoder).Encode(nil, src))
	if len(got) != len(src) {
		t.Fatalf("%d samples of %d", len(got), len(src))
	}
	var signal, noise float64
	for i := 1000; i+delay < len(src); i++ {
		d := float64(src[i]) - float64(got[i+delay])
		signal += float64(src[i]) * float64(src[i])
		noise += d * d
	}
	if db := 10 * math.Log10(signal/noise); db < 20 {
		t.Errorf("signal to noise %.1f dB, want 20", db)
	}
	for freq, share := range map[float64]float64{700: 0.85, 5200: 0.08} {
		if s := tone.Strength(got, 16000, freq); s < share {
			t.Errorf("%v Hz has %.2f of the energy, want %.2f", freq, s, share)
		}
	}
}

func TestPiecesOfAnyLengthGiveTheSameAsTheWhole(t *testing.T) {
	src := reference()
	whole := new(Encoder).Encode(nil, src)
	var e Encoder
	var pieces []byte
	for i, rest := 0, src; len(rest) > 0; i++ {
		n := min(i%7, len(rest))
		pieces = e.Encode(pieces, rest[:n])
		rest = rest[n:]
	}
	if !bytes.Equal(pieces, whole) {
		t.Error("the codes of the pieces differ")
	}
	var d Decoder
	var heard []int16
	for b := range slices.Chunk(whole, 33) {
		heard = d.Decode(heard, b)
	}
	if !slices.Equal(heard, new(Decoder).Decode(nil, whole)) {
		t.Error("the samples of the pieces differ")
	}
}

func BenchmarkEncode20ms(b *testing.B) {
	src, dst := reference()[2000:2320], make([]byte, 0, 160)
	var e Encoder
	b.ReportAllocs()
	for b.Loop() {
		e.Encode(dst[:0], src)
	}
}

func BenchmarkDecode20ms(b *testing.B) {
	src, dst := new(Encoder).Encode(nil, reference()[2000:2320]), make([]int16, 0, 320)
	var d Decoder
	b.ReportAllocs()
	for b.Loop() {
		d.Decode(dst[:0], src)
	}
}
