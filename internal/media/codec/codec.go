// Package codec makes encoders and decoders by the name of the codec, and
// encodes whole clips once for all legs that will hear them.
package codec

import (
	"runtime"
	"sync"
	"weak"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/media/g711"
	"github.com/perezvon/perezvon/internal/media/g722"
	"github.com/perezvon/perezvon/internal/media/resample"
)

// Encoder turns samples at the codec's SampleRate into payload. It may keep
// state from call to call, so each direction of each leg has its own.
type Encoder interface {
	// Encode appends the payload of src to dst. G.722 takes samples in pairs.
	Encode(dst []byte, src []int16) []byte
}

// Decoder turns payload into samples at the codec's SampleRate. Like an
// Encoder it belongs to one stream.
type Decoder interface {
	// Decode appends the samples of src to dst.
	Decode(dst []int16, src []byte) []int16
}

type (
	encode func([]byte, []int16) []byte
	decode func([]int16, []byte) []int16
)

func (f encode) Encode(dst []byte, src []int16) []byte  { return f(dst, src) }
func (f decode) Decode(dst []int16, src []byte) []int16 { return f(dst, src) }

// NewEncoder makes an encoder. For media.NoCodec it makes no payload at all.
func NewEncoder(c media.Codec) Encoder {
	switch c {
	case media.PCMA:
		return encode(g711.EncodeALaw)
	case media.PCMU:
		return encode(g711.EncodeULaw)
	case media.G722:
		return new(g722.Encoder)
	}
	return encode(func(dst []byte, _ []int16) []byte { return dst })
}

// NewDecoder makes a decoder. For media.NoCodec it makes no samples at all.
func NewDecoder(c media.Codec) Decoder {
	switch c {
	case media.PCMA:
		return decode(g711.DecodeALaw)
	case media.PCMU:
		return decode(g711.DecodeULaw)
	case media.G722:
		return new(g722.Decoder)
	}
	return decode(func(dst []int16, _ []byte) []int16 { return dst })
}

// encoded holds what Clip has made, as long as the clip itself is alive: a
// prompt is encoded once however many calls play it, and forgotten with it.
var encoded sync.Map // encodedKey → []byte

type encodedKey struct {
	clip  weak.Pointer[audio.Clip]
	codec media.Codec
}

// Clip is the whole clip as payload of c, resampled if need be. The result is
// remembered for the clip's life and shared: it must not be changed.
func Clip(c media.Codec, clip *audio.Clip) []byte {
	key := encodedKey{weak.Make(clip), c}
	if b, ok := encoded.Load(key); ok {
		return b.([]byte)
	}
	samples := clip.Samples
	if clip.Rate != c.SampleRate() {
		samples = resample.Convert(samples, clip.Rate, c.SampleRate())
	}
	b := NewEncoder(c).Encode(make([]byte, 0, len(samples)*media.ClockRate/c.SampleRate()), samples)
	kept, loaded := encoded.LoadOrStore(key, b)
	if !loaded {
		runtime.AddCleanup(clip, func(k encodedKey) { encoded.Delete(k) }, key)
	}
	return kept.([]byte)
}
