// Package g711 is ITU-T G.711: 8-bit logarithmic PCM in its two laws, one byte
// a sample at 8 kHz.
package g711

import "math/bits"

// The tables are the decoders spelled out, and the two conversions between the
// laws that need no samples in between.
var (
	alawSamples = table(decodeALaw)
	ulawSamples = table(decodeULaw)
	alawOfULaw  = table(func(b byte) byte { return encodeALaw(decodeULaw(b)) })
	ulawOfALaw  = table(func(b byte) byte { return encodeULaw(decodeALaw(b)) })
)

func table[T any](f func(byte) T) (t [256]T) {
	for i := range t {
		t[i] = f(byte(i))
	}
	return t
}

// EncodeALaw appends the A-law codes of src to dst.
func EncodeALaw(dst []byte, src []int16) []byte {
	for _, s := range src {
		dst = append(dst, encodeALaw(s))
	}
	return dst
}

// DecodeALaw appends the samples of the A-law codes in src to dst.
func DecodeALaw(dst []int16, src []byte) []int16 {
	for _, b := range src {
		dst = append(dst, alawSamples[b])
	}
	return dst
}

// EncodeULaw appends the µ-law codes of src to dst.
func EncodeULaw(dst []byte, src []int16) []byte {
	for _, s := range src {
		dst = append(dst, encodeULaw(s))
	}
	return dst
}

// DecodeULaw appends the samples of the µ-law codes in src to dst.
func DecodeULaw(dst []int16, src []byte) []int16 {
	for _, b := range src {
		dst = append(dst, ulawSamples[b])
	}
	return dst
}

// ALawToULaw rewrites A-law codes as µ-law codes in place.
func ALawToULaw(b []byte) {
	for i, c := range b {
		b[i] = ulawOfALaw[c]
	}
}

// ULawToALaw rewrites µ-law codes as A-law codes in place.
func ULawToALaw(b []byte) {
	for i, c := range b {
		b[i] = alawOfULaw[c]
	}
}

// A code is a sign, three bits of segment and four bits of position within it.
// Each segment is twice as wide as the one below; A-law's lowest two are of
// one width, µ-law adds a bias that makes all of them regular.
const (
	ulawBias = 33 << 2
	ulawClip = 1<<15 - 1 - ulawBias
)

// encodeALaw follows G.711 table 1: even bits inverted, sign bit set for
// positive values.
func encodeALaw(s int16) byte {
	mask := byte(0xd5)
	if s < 0 {
		mask, s = 0x55, ^s
	}
	if s < 256 {
		return byte(s>>4) ^ mask
	}
	segment := bits.Len16(uint16(s)) - 8
	return (byte(segment)<<4 | byte(s>>(segment+3))&0x0f) ^ mask
}

func decodeALaw(b byte) int16 {
	b ^= 0x55
	segment := b >> 4 & 7
	s := int16(b&0x0f)<<4 | 8 // the middle of the step
	if segment > 0 {
		s = (s | 0x100) << (segment - 1)
	}
	if b&0x80 == 0 {
		return -s
	}
	return s
}

// encodeULaw follows G.711 table 2: all bits inverted.
func encodeULaw(s int16) byte {
	mask := byte(0xff)
	m := int(s)
	if m < 0 {
		mask, m = 0x7f, -m
	}
	m = min(m, ulawClip) + ulawBias
	segment := bits.Len16(uint16(m)) - 8
	return (byte(segment)<<4 | byte(m>>(segment+3))&0x0f) ^ mask
}

func decodeULaw(b byte) int16 {
	b = ^b
	s := (int16(b&0x0f)<<3+ulawBias)<<(b>>4&7) - ulawBias
	if b&0x80 != 0 {
		return -s
	}
	return s
}
