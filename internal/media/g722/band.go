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
func (l *band) encodeLow(x int) int {
	e := saturate(x - l.s)
	magnitude, codes := e, &lowPositive
	if e < 0 {
		magnitude, codes = ^e, &lowNegative
	}
	det := l.scaleLow()
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
	l.adaptLow(code>>2, det)
	return code
}

// decodeLow gives the signal of a 6-bit code (INVQBL, LIMIT) and adapts.
func (l *band) decodeLow(code int) int {
	det := l.scaleLow()
	x := clamp(l.s+(det*low6[code]>>15), -1<<14, 1<<14-1)
	l.adaptLow(code>>2, det)
	return x
}

// adaptLow follows the four upper bits of the code only (INVQAL, LOGSCL), so
// the lower two may be stolen for data on the way.
func (l *band) adaptLow(code, det int) {
	l.nb = clamp(l.nb*127>>7+lowScale[lowMagnitude[code]], 0, 18432)
	l.predict(det * low4[code] >> 15)
}

func (h *band) encodeHigh(x int) int {
	e := saturate(x - h.s)
	det := h.scaleHigh()
	magnitude, code := e, 3 // positive, small
	if e < 0 {
		magnitude, code = ^e, 1
	}
	if magnitude >= highLevel*det>>12 {
		code--
	}
	h.adaptHigh(code, det)
	return code
}

func (h *band) decodeHigh(code int) int {
	det := h.scaleHigh()
	x := clamp(h.s+(det*high2[code]>>15), -1<<14, 1<<14-1)
	h.adaptHigh(code, det)
	return x
}

func (h *band) adaptHigh(code, det int) {
	h.nb = clamp(h.nb*127>>7+highScale[code&1], 0, 22528)
	h.predict(det * high2[code] >> 15)
}

// scaleLow and scaleHigh turn the logarithmic factor into the linear one
// (SCALEL, SCALEH). A new band's are 32 and 8.
func (l *band) scaleLow() int  { return l.scale(8) }
func (h *band) scaleHigh() int { return h.scale(10) }

func (l *band) scale(shift int) int {
	v := inverseLog[l.nb>>6&31]
	if shift -= l.nb >> 11; shift < 0 {
		return v << -shift << 2
	}
	return v >> shift << 2
}

// predict takes the newest quantized difference into the predictor (§3.6,
// blocks PARREC to PREDIC).
func (l *band) predict(d int) {
	r, p := saturate(l.s+d), saturate(l.sz+d)

	// UPPOL2, UPPOL1: the poles follow the signs of p.
	sign := func(x int) int { return x >> 15 }
	same0, same1 := sign(p) == sign(l.p[0]), sign(p) == sign(l.p[1])
	a2 := saturate(l.a[0] << 2)
	if same0 {
		a2 = min(-a2, 1<<15-1)
	}
	a2 = a2>>7 + l.a[1]*32512>>15
	if same1 {
		a2 += 128
	} else {
		a2 -= 128
	}
	a2 = clamp(a2, -12288, 12288)
	a1 := l.a[0] * 32640 >> 15
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
	for i := range l.b {
		b := l.b[i] * 32640 >> 15
		if sign(d) == sign(l.d[i]) {
			b += step
		} else {
			b -= step
		}
		l.b[i] = saturate(b)
		// DELAYA and FILTEZ: d moves on, and gives its part of the next s.
		last, l.d[i] = l.d[i], last
		sz += l.b[i] * saturate(2*l.d[i]) >> 15
	}

	l.a = [2]int{a1, a2}
	l.r = [2]int{r, l.r[0]}
	l.p = [2]int{p, l.p[0]}
	l.sz = saturate(sz)
	sp := saturate(l.a[0]*saturate(2*l.r[0])>>15 + l.a[1]*saturate(2*l.r[1])>>15) // FILTEP
	l.s = saturate(sp + l.sz)
}
