package stream

import (
	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/codec"
	"github.com/perezvon/perezvon/internal/media/g711"
	"github.com/perezvon/perezvon/internal/media/resample"
)

// transcoder turns the payload of one codec into another's, packet by packet,
// with buffers that grow to the largest packet and stay. It remembers the sound
// before; a packet that was lost is a jump in it, no more.
type transcoder struct {
	from, to media.Codec
	decoder  codec.Decoder
	encoder  codec.Encoder
	resample *resample.Resampler // nil: both codecs have one rate

	samples, resampled []int16
	b                  []byte
}

// convert returns b, whose payload follows room for a header, in the other
// codec: b itself for the two laws of G.711, else a buffer that is good until
// the next call. Hot path.
func (t *transcoder) convert(from, to media.Codec, b []byte) []byte {
	payload := b[headerLen:]
	switch {
	case from == media.PCMA && to == media.PCMU:
		g711.ALawToULaw(payload)
		return b
	case from == media.PCMU && to == media.PCMA:
		g711.ULawToALaw(payload)
		return b
	}
	if from != t.from || to != t.to {
		t.reset(from, to)
	}
	t.samples = t.decoder.Decode(t.samples[:0], payload)
	samples := t.samples
	if t.resample != nil {
		t.resampled = t.resample.Process(t.resampled[:0], samples)
		samples = t.resampled
	}
	t.b = t.encoder.Encode(t.b[:headerLen], samples)
	return t.b
}

func (t *transcoder) reset(from, to media.Codec) {
	*t = transcoder{
		from:    from,
		to:      to,
		decoder: codec.NewDecoder(from),
		encoder: codec.NewEncoder(to),
		b:       make([]byte, headerLen, maxPacket),
	}
	if from.SampleRate() != to.SampleRate() {
		t.resample = resample.New(from.SampleRate(), to.SampleRate())
	}
}
