package g711

import (
	"math"
	"testing"
)

// The corners of G.711 tables 1 and 2, at 16-bit scale.
func TestKnownCodes(t *testing.T) {
	for _, c := range []struct {
		sample     int16
		alaw, ulaw byte
	}{
		{0, 0xd5, 0xff},
		{-1, 0x55, 0x7f},
		{32767, 0xaa, 0x80},
		{-32768, 0x2a, 0x00},
		{256, 0xc5, 0xe7},
		{-256, 0x5a, 0x67},
	} {
		if got := EncodeALaw(nil, []int16{c.sample})[0]; got != c.alaw {
			t.Errorf("A-law of %d is %#02x, want %#02x", c.sample, got, c.alaw)
		}
		if got := EncodeULaw(nil, []int16{c.sample})[0]; got != c.ulaw {
			t.Errorf("µ-law of %d is %#02x, want %#02x", c.sample, got, c.ulaw)
		}
	}
}

func TestEveryCodeSurvivesDecodingAndEncoding(t *testing.T) {
	for i := range 256 {
		b := []byte{byte(i)}
		if got := EncodeALaw(nil, DecodeALaw(nil, b))[0]; got != b[0] {
			t.Errorf("A-law %#02x came back as %#02x", b[0], got)
		}
		// µ-law has two zeros, which are one sample.
		if got := EncodeULaw(nil, DecodeULaw(nil, b))[0]; got != b[0] && i != 0x7f {
			t.Errorf("µ-law %#02x came back as %#02x", b[0], got)
		}
	}
}

func TestErrorIsWithinHalfAStep(t *testing.T) {
	for s := math.MinInt16; s <= math.MaxInt16; s++ {
		allowed := (math.Abs(float64(s))+ulawBias)/32 + 8
		if a := DecodeALaw(nil, EncodeALaw(nil, []int16{int16(s)}))[0]; math.Abs(float64(a)-float64(s)) > allowed {
			t.Fatalf("A-law turns %d into %d", s, a)
		}
		if s > ulawClip || s < -ulawClip {
			continue
		}
		if u := DecodeULaw(nil, EncodeULaw(nil, []int16{int16(s)}))[0]; math.Abs(float64(u)-float64(s)) > allowed {
			t.Fatalf("µ-law turns %d into %d", s, u)
		}
	}
}

func TestConversionEqualsDecodingAndEncoding(t *testing.T) {
	for i := range 256 {
		a, u := []byte{byte(i)}, []byte{byte(i)}
		wantU, wantA := EncodeULaw(nil, DecodeALaw(nil, a))[0], EncodeALaw(nil, DecodeULaw(nil, u))[0]
		ALawToULaw(a)
		ULawToALaw(u)
		if a[0] != wantU || u[0] != wantA {
			t.Errorf("%#02x: µ-law %#02x want %#02x, A-law %#02x want %#02x", i, a[0], wantU, u[0], wantA)
		}
	}
}

func BenchmarkDecodeALaw20ms(b *testing.B) {
	src, dst := make([]byte, 160), make([]int16, 0, 160)
	b.ReportAllocs()
	for b.Loop() {
		DecodeALaw(dst[:0], src)
	}
}

func BenchmarkEncodeALaw20ms(b *testing.B) {
	src, dst := make([]int16, 160), make([]byte, 0, 160)
	for i := range src {
		src[i] = int16(i * 200)
	}
	b.ReportAllocs()
	for b.Loop() {
		EncodeALaw(dst[:0], src)
	}
}
