// Package audio is decoded sound: a mono clip of 16-bit samples. Files, codecs,
// tones and speech all meet in it.
package audio

import "time"

// Clip is a piece of mono sound. It is never changed once made, so it may be
// shared between legs and calls.
type Clip struct {
	// Key names the content, so that a recording can say what was played
	// without holding it: the same key is always the same sound. Empty: the
	// sound is of no interest to a recording (silence).
	Key string
	// Rate is in samples a second: 8000 or 16000.
	Rate int
	// Samples are signed 16-bit linear PCM.
	Samples []int16
}

// Duration is how long the clip sounds.
func (c *Clip) Duration() time.Duration {
	if c.Rate == 0 {
		return 0
	}
	return time.Duration(len(c.Samples)) * time.Second / time.Duration(c.Rate)
}
