package stream

import (
	"time"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/codec"
	"github.com/perezvon/perezvon/internal/media/dtmf"
	"github.com/perezvon/perezvon/internal/media/resample"
)

// inbandReceiver finds keys in the sound itself, for phones that did not agree
// on telephone-event.
type inbandReceiver struct {
	codec    media.Codec
	decoder  codec.Decoder
	resample *resample.Resampler // to 8 kHz; nil: not needed
	detector dtmf.Detector
	now      time.Time      // when the present packet came
	found    func(key byte) // made once, for the packets' sake

	samples, resampled []int16
}

// take listens to one packet.
func (r *inbandReceiver) take(s *Stream, now time.Time, c media.Codec, payload []byte) {
	r.now = now
	if r.found == nil {
		r.found = func(key byte) { s.o.OnDigit(key, r.now, MethodInband) }
	}
	if r.codec != c {
		r.codec, r.decoder, r.resample = c, codec.NewDecoder(c), nil
		if c.SampleRate() != media.ClockRate {
			r.resample = resample.New(c.SampleRate(), media.ClockRate)
		}
	}
	r.samples = r.decoder.Decode(r.samples[:0], payload)
	samples := r.samples
	if r.resample != nil {
		r.resampled = r.resample.Process(r.resampled[:0], samples)
		samples = r.resampled
	}
	r.detector.Process(samples, r.found)
}
