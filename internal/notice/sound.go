package notice

import (
	"math"
	"time"

	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/media/dtmf"
	"github.com/perezvon/perezvon/internal/media/resample"
)

const (
	// quiet is the level, RMS of full scale, below which 10 ms are silence:
	// −46 dB, above the noise of a line and below any speech.
	quiet = 0.005
	// clicks are shorter than this: so many frames of 10 ms must sound.
	clicks = 3
	// air is left before and after what is said.
	airBefore, airAfter = 50 * time.Millisecond, 150 * time.Millisecond
	// keyTail is how much of a take's end the tone of the key that ended it can
	// be in, and keyLead how long before it is recognised it begins.
	keyTail, keyLead = 400 * time.Millisecond, 40 * time.Millisecond
)

// trimmed is the clip without the silence at its ends; empty if it is all
// silence.
func trimmed(clip *audio.Clip) *audio.Clip {
	frame := clip.Rate / 100
	first, last, run := -1, 0, 0
	for i := 0; i+frame <= len(clip.Samples); i += frame {
		if level(clip.Samples[i:i+frame]) < quiet {
			run = 0
			continue
		}
		if run++; run >= clicks {
			if first < 0 {
				first = i - (clicks-1)*frame
			}
			last = i + frame
		}
	}
	if first < 0 {
		return &audio.Clip{Rate: clip.Rate}
	}
	from := max(0, first-samples(airBefore, clip.Rate))
	to := min(len(clip.Samples), last+samples(airAfter, clip.Rate))
	return &audio.Clip{Rate: clip.Rate, Samples: clip.Samples[from:to]}
}

// withoutKey is the clip without the tone of a key at its end, which phones send
// as sound, or let through before they send it as an event.
func withoutKey(clip *audio.Clip) *audio.Clip {
	begin := max(0, len(clip.Samples)-samples(keyTail, clip.Rate))
	tail := clip.Samples[begin:]
	if clip.Rate != dtmf.Rate {
		tail = resample.Convert(tail, clip.Rate, dtmf.Rate)
	}
	var d dtmf.Detector
	const step = dtmf.Rate / 100
	for i := 0; i < len(tail); i += step {
		found := false
		d.Process(tail[i:min(i+step, len(tail))], func(byte) { found = true })
		if found {
			cut := max(0, i+step-samples(keyLead, dtmf.Rate))
			return &audio.Clip{Rate: clip.Rate, Samples: clip.Samples[:begin+cut*clip.Rate/dtmf.Rate]}
		}
	}
	return clip
}

func samples(d time.Duration, rate int) int { return int(d * time.Duration(rate) / time.Second) }

func level(samples []int16) float64 {
	var energy float64
	for _, s := range samples {
		energy += float64(s) * float64(s)
	}
	return math.Sqrt(energy/float64(len(samples))) / 32768
}
