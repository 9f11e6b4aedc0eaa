package speech

import (
	"context"
	"math"

	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/media/resample"
)

const (
	// loudness is the level that speech is brought to, as RMS while it is
	// active, of full scale: −21 dB, which is −15 dBm0, the mean active level
	// of talkers on the telephone network (0 dBm0 is 6.15 dB below full scale
	// in RMS, ITU-T G.711 §4 and G.100.1).
	loudness = 0.089
	// ceiling is the highest peak, −1 dB of full scale: a codec's overshoot
	// must not clip.
	ceiling = 0.89
	// quiet is the RMS, of full scale, under which 10 ms are a pause: −50 dB.
	quiet = 0.00316
	// A voice starts and ends with this much air, in ms.
	airBefore, airAfter = 20, 60
)

// levelled is the clip at Rate, without the silence around the speech and as
// loud as speech on the phone.
func levelled(clip *audio.Clip) *audio.Clip {
	samples := resample.Convert(clip.Samples, clip.Rate, Rate)
	first, last, energy, active := activity(samples)
	if active == 0 {
		return &audio.Clip{Rate: Rate}
	}
	from := max(0, first-airBefore*Rate/1000)
	to := min(len(samples), last+airAfter*Rate/1000)
	samples = samples[from:to]

	peak := 0.0
	for _, s := range samples {
		peak = max(peak, math.Abs(float64(s)))
	}
	gain := loudness * fullScale / math.Sqrt(energy/float64(active))
	gain = min(gain, ceiling*fullScale/peak)
	out := make([]int16, len(samples))
	for i, s := range samples {
		out[i] = int16(math.Round(float64(s) * gain))
	}
	return &audio.Clip{Rate: Rate, Samples: out}
}

const fullScale = 32768

// activity finds where the sound begins and ends, and the energy and number of
// the samples that are no pause.
func activity(samples []int16) (first, last int, energy float64, active int) {
	const frame = Rate / 100
	for i := 0; i < len(samples); i += frame {
		end := min(i+frame, len(samples))
		e := 0.0
		for _, s := range samples[i:end] {
			e += float64(s) * float64(s)
		}
		if math.Sqrt(e/float64(end-i)) < quiet*fullScale {
			continue
		}
		if active == 0 {
			first = i
		}
		last = end
		energy += e
		active += end - i
	}
	return first, last, energy, active
}

// Render speaks a text and brings it to the form that a Library keeps, without
// keeping it.
func Render(ctx context.Context, p Provider, v Voice, text string) (*audio.Clip, error) {
	raw, err := p.Speak(ctx, v, text)
	if err != nil {
		return nil, err
	}
	return levelled(raw), nil
}
