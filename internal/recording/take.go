package recording

import (
	"sync"
	"time"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/media/codec"
	"github.com/perezvon/perezvon/internal/media/resample"
)

// Take is what somebody dictates on one leg, kept in memory: sound that is to
// be played to others, and no part of a call's recording. It is a media.Track;
// packets lie at their RTP timestamps by the rules of a Tape.
type Take struct {
	zero time.Time
	most int64 // ticks

	mu      sync.Mutex
	ended   bool
	line    timeline
	payload []byte
	codecs  []media.Codec // of each byte of payload; NoCodec: nothing came
}

var _ media.Track = (*Take)(nil)

// NewTake begins a take now. What comes later than most after is left out: so
// much memory, 16 KB a second, is the most that a talker can take.
func NewTake(most time.Duration) *Take {
	return &Take{zero: time.Now(), most: toTicks(most)}
}

// Packet implements media.Track.
func (t *Take) Packet(at time.Time, codec media.Codec, ssrc, timestamp uint32, payload []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended || at.Before(t.zero) {
		return
	}
	place := t.line.place(toTicks(at.Sub(t.zero)), codec, ssrc, timestamp)
	end := min(place+int64(len(payload)), t.most)
	if place < 0 || place >= end {
		return
	}
	if grow := int(end) - len(t.payload); grow > 0 {
		t.payload = append(t.payload, make([]byte, grow)...)
		t.codecs = append(t.codecs, make([]media.Codec, grow)...)
	}
	copy(t.payload[place:end], payload)
	for i := place; i < end; i++ {
		t.codecs[i] = codec
	}
}

// PlayStarted implements media.Track: what the talker hears is not in the take.
func (t *Take) PlayStarted(time.Time, string, bool, time.Duration) {}

// PlayEnded implements media.Track.
func (t *Take) PlayEnded(time.Time, string) {}

// Clip ends the take and gives its sound, without a key: at 16 kHz if any of it
// came in wideband, else at 8 kHz; silence where nothing came.
func (t *Take) Clip() *audio.Clip {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	clip := &audio.Clip{Rate: 8000}
	for _, c := range t.codecs {
		clip.Rate = max(clip.Rate, c.SampleRate())
	}
	decoders := make(map[media.Codec]codec.Decoder)
	for i := 0; i < len(t.codecs); {
		c, begin := t.codecs[i], i
		for i < len(t.codecs) && t.codecs[i] == c {
			i++
		}
		if c == media.NoCodec {
			clip.Samples = append(clip.Samples, make([]int16, (i-begin)*clip.Rate/media.ClockRate)...)
			continue
		}
		if decoders[c] == nil {
			decoders[c] = codec.NewDecoder(c)
		}
		samples := decoders[c].Decode(nil, t.payload[begin:i])
		if c.SampleRate() != clip.Rate {
			samples = resample.Convert(samples, c.SampleRate(), clip.Rate)
		}
		clip.Samples = append(clip.Samples, samples...)
	}
	return clip
}
