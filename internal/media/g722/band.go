package g722

// band is the adaptive quantizer and predictor of one sub-band (§3.2–3.6),
// the same in the encoder and the decoder.
type band struct {
	s, sz int    // the predicted signal, and its part from the zeros
	a     [2]int // coefficients of the two poles
	r     [2]int // reconstructed signal, newest first
	p     [2]int // partially reconstructed signal, newest first
	b     [6]int // coefficients of the six zeros
	d     [6]int // quantized differences, newest first
	nb    int    // logarithmic scale factor
}

// encodeLow quantizes with 6 bits (blocks SUBTRA, QUANTL) and adapts.
func (b *band) encodeLow(x int) int {
	e := saturate(x - b.s)
	magnitude, codes := e, &lowPositive
	if e < 0 {
		magnitude, codes = ^e, &lowNegative
	}
	det := b.scaleLow()
	// The first decision level above the magnitude, by halving.
	i, j := 0, len(lowLevels)
	for i < j {
		if m := (i + j) / 2; magnitude < lowLevels[m]*det>>12 {
			j = m
		} else {
			i = m + 1
		}
	}
	code := codes[i]
	b.adaptLow(code>>2, det)
	return code
}

// decodeLow gives the signal of a 6-bit code (INVQBL, LIMIT) and adapts.
func (b *band) decodeLow(code int) int {
	det := b.scaleLow()
	x := clamp(b.s+(det*low6[code]>>15), -1<<14, 1<<14-1)
	b.adaptLow(code>>2, det)
	return x
}

// adaptLow follows the four upper bits of the code only (INVQAL, LOGSCL), so
// the lower two may be stolen for data on the way.
func (b *band) adaptLow(code, det int) {
	b.nb = clamp(b.nb*127>>7+lowScale[lowMagnitude[code]], 0, 18432)
	b.predict(det * low4[code] >> 15)
}

func (b *band) encodeHigh(x int) int {
	e := saturate(x - b.s)
	det := b.scaleHigh()
	magnitude, code := e, 3 // positive, small
	if e < 0 {
		magnitude, code = ^e, 1
	}
	if magnitude >= highLevel*det>>12 {
		code--
	}
	b.adaptHigh(code, det)
	return code
}

func (b *band) decodeHigh(code int) int {
	det := b.scaleHigh()
	x := clamp(b.s+(det*high2[code]>>15), -1<<14, 1<<14-1)
	b.adaptHigh(code, det)
	return x
}

func (b *band) adaptHigh(code, det int) {
	b.nb = clamp(b.nb*127>>7+highScale[code&1], 0, 22528)
	b.predict(det * high2[code] >> 15)
}

// scaleLow and scaleHigh turn the logarithmic factor into the linear one
// (SCALEL, SCALEH). A new band's are 32 and 8.
func (b *band) scaleLow() int  { return b.scale(8) }
func (b *band) scaleHigh() int { return b.scale(10) }

func (b *band) scale(shift int) int {
	v := inverseLog[b.nb>>6&31]
	if shift -= b.nb >> 11; shift < 0 {
		return v << -shift << 2
	}
	return v >> shift << 2
}

// predict takes the newest quantized difference into the predictor (§3.6,
// blocks PARREC to PREDIC).
func (b *band) predict(d int) {
	r, p := saturate(b.s+d), saturate(b.sz+d)

	// UPPOL2, UPPOL1: the poles follow the signs of p.
	sign := func(x int) int { return x >> 15 }
	same0, same1 := sign(p) == sign(b.p[0]), sign(p) == sign(b.p[1])
	a2 := saturate(b.a[0] << 2)
	if same0 {
		a2 = min(-a2, 1<<15-1)
	}
	a2 = a2>>7 + b.a[1]*32512>>15
	if same1 {
		a2 += 128
	} else {
		a2 -= 128
	}
	a2 = clamp(a2, -12288, 12288)
	a1 := b.a[0] * 32640 >> 15
	if same0 {
		a1 += 192
	} else {
		a1 -= 192
	}
	limit := saturate(15360 - a2)
	a1 = clamp(saturate(a1), -limit, limit)

	// UPZERO: the zeros follow the signs of d.
	step := 128
	if d == 0 {
		step = 0
	}
	sz := 0
	last := d
	for i := range b.b {
		zero := b.b[i] * 32640 >> 15
		if sign(d) == sign(b.d[i]) {
			zero += step
		} else {
			zero -= step
		}
		b.b[i] = saturate(zero)
		// DELAYA and FILTEZ: d moves on, and gives its part of the next s.
		last, b.d[i] = b.d[i], last
		sz += b.b[i] * saturate(2*b.d[i]) >> 15
	}

	b.a = [2]int{a1, a2}
	b.r = [2]int{r, b.r[0]}
	b.p = [2]int{p, b.p[0]}
	b.sz = saturate(sz)
	sp := saturate(b.a[0]*saturate(2*b.r[0])>>15 + b.a[1]*saturate(2*b.r[1])>>15) // FILTEP
	b.s = saturate(sp + b.sz)
}
