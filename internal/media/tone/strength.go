package tone

import "math"

// Strength is the share, 0 to 1, that the tone of freq Hz has in the energy of
// the samples: 1 for the pure tone at any loudness, about 0 for silence, speech
// and other tones. It looks at stretches of 50 ms, so it does not mind gaps or
// jumps of phase between them, and takes tones less than 40 Hz apart for the
// same.
func Strength(samples []int16, rate int, freq float64) float64 {
	block := min(max(rate/20, 1), len(samples))
	var found, all float64
	for ; block > 0 && len(samples) >= block; samples = samples[block:] {
		f, a := goertzel(samples[:block], rate, freq)
		found += f
		all += a
	}
	// What rounding leaves of silence is no tone.
	if all < 1 {
		return 0
	}
	return min(1, found/all)
}

// goertzel gives the energy of the samples at one frequency and in all.
func goertzel(samples []int16, rate int, freq float64) (found, all float64) {
	c := 2 * math.Cos(2*math.Pi*freq/float64(rate))
	var s1, s2 float64
	for _, x := range samples {
		v := float64(x)
		all += v * v
		s1, s2 = v+c*s1-s2, s1
	}
	power := s1*s1 + s2*s2 - c*s1*s2
	return 2 * power / float64(len(samples)), all
}
