// Package g722 is ITU-T G.722 (11/88) at 64 kbit/s: 7 kHz sound at 16,000
// samples a second, one byte for each two samples. A filter bank splits the
// sound at 4 kHz; the lower band is coded by ADPCM with 6 bits, the upper one
// with 2. The names of steps and variables in comments are the standard's.
package g722

// Encoder codes one stream of sound. The zero value is ready.
type Encoder struct {
	low, high band
	filter    delayLine
	odd       int16 // a sample whose pair has not come yet
	hasOdd    bool
}

// Decoder decodes one stream. The zero value is ready.
type Decoder struct {
	low, high band
	filter    delayLine
}

// Encode appends the codes of src, 16 kHz samples, to dst. The last sample of
// an odd count waits for the next call.
func (e *Encoder) Encode(dst []byte, src []int16) []byte {
	if e.hasOdd && len(src) > 0 {
		dst = append(dst, e.pair(e.odd, src[0]))
		e.hasOdd, src = false, src[1:]
	}
	for ; len(src) >= 2; src = src[2:] {
		dst = append(dst, e.pair(src[0], src[1]))
	}
	if len(src) == 1 {
		e.odd, e.hasOdd = src[0], true
	}
	return dst
}

// pair codes two samples.
func (e *Encoder) pair(first, second int16) byte {
	odd, even := e.filter.push(int(first), int(second))
	il := e.low.encodeLow((even + odd) >> 14)
	ih := e.high.encodeHigh((even - odd) >> 14)
	return byte(ih<<6 | il)
}

// Decode appends the 16 kHz samples of the codes in src to dst, two a byte.
func (d *Decoder) Decode(dst []int16, src []byte) []int16 {
	for _, code := range src {
		low := d.low.decodeLow(int(code & 0x3f))
		high := d.high.decodeHigh(int(code >> 6))
		odd, even := d.filter.push(low+high, low-high)
		dst = append(dst, int16(saturate(even>>11)), int16(saturate(odd>>11)))
	}
	return dst
}

// delayLine is the 24-tap quadrature mirror filter (§3.1, §4.4): the newest 12
// pairs of samples, in a ring that is written twice so that a window over it
// never wraps.
type delayLine struct {
	odd, even [24]int
	at        int
}

// push takes a pair and gives the sums over the odd and the even taps.
func (l *delayLine) push(first, second int) (sumOdd, sumEven int) {
	l.odd[l.at], l.odd[l.at+12] = first, first
	l.even[l.at], l.even[l.at+12] = second, second
	l.at = (l.at + 1) % 12
	odd, even := l.odd[l.at:l.at+12], l.even[l.at:l.at+12]
	for i, h := range qmf {
		sumOdd += odd[i] * h
		sumEven += even[11-i] * h
	}
	return sumOdd, sumEven
}

// saturate limits to 16 bits.
func saturate(x int) int { return clamp(x, -1<<15, 1<<15-1) }

func clamp(x, low, high int) int { return max(low, min(high, x)) }
