package recording

import (
	"errors"
	"io"
	"math"
	"os"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/codec"
	"github.com/perezvon/perezvon/internal/media/resample"
)

const (
	// ringSize is the stretch of a track that is in memory: 4 s. A power of
	// two.
	ringSize = 1 << 15
	// ahead is how far the file is read before the sound is decoded: more than
	// a chunk may lie before the place of one that was written earlier
	// (reorder and skew).
	ahead = media.ClockRate
	// block is the step of rendering: 20 ms.
	block = media.ClockRate / 50
)

// player gives the sound of one track from its beginning to its end, in
// blocks.
type player struct {
	file    *os.File
	r       *chunkReader
	pending *chunk // read, but far ahead; nil at the end of the file

	// Payload lies in a ring at its place, with the codec of each byte.
	payload [ringSize]byte
	codecs  [ringSize]media.Codec
	at      int64 // of the next block
	filled  int64 // behind the last byte that was put

	rate     int
	decoders [media.G722 + 1]codec.Decoder
	upsample *resample.Resampler // of G.711 in a recording of 16 kHz, else nil

	narrow []int16 // G.711 part of a block, 8 kHz
	wide   []int16 // G.722 part of a block, 16 kHz
	out    []int16
}

// newPlayer opens a track for a recording of that rate, from that place on.
func newPlayer(t trackInfo, rate int, from int64) (*player, error) {
	file, err := os.Open(t.path)
	if err != nil {
		return nil, err
	}
	p := &player{file: file, rate: rate, at: from}
	if p.r, err = newChunkReader(file); err == nil {
		err = p.read()
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	if rate == 16000 && t.narrow {
		p.upsample = resample.New(8000, 16000)
	}
	for c := media.PCMA; c <= media.G722; c++ {
		p.decoders[c] = codec.NewDecoder(c)
	}
	return p, nil
}

func (p *player) Close() error { return p.file.Close() }

// read takes the next chunk of sound into pending.
func (p *player) read() error {
	for {
		c, err := p.r.next()
		if err != nil {
			p.pending = nil
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if c.codec() != media.NoCodec {
			p.pending = &c
			return nil
		}
	}
}

// next gives the next block, at the recording's rate; none at all if it is
// silent: of a leg that has come and gone most are. It is valid until the call
// after.
func (p *player) next() ([]int16, error) {
	for p.pending != nil && p.pending.at < p.at+block+ahead {
		p.put(p.pending)
		if err := p.read(); err != nil {
			return nil, err
		}
	}
	if p.at >= p.filled+block { // and filters have rung out
		p.at += block
		return nil, nil
	}
	p.narrow, p.wide = p.narrow[:0], p.wide[:0]
	for i, end := p.at, p.at+block; i < end; {
		run := p.run(i, end)
		p.decode(i, run)
		i += run
	}
	p.at += block
	return p.mix(), nil
}

// put lays a chunk into the ring. A later chunk wins over an earlier one at
// the same place; what is too late or too long has no place.
func (p *player) put(c *chunk) {
	at, end := max(c.at, p.at), min(c.at+int64(len(c.body)), p.at+ringSize)
	p.filled = max(p.filled, end)
	for at < end {
		body := c.body[at-c.at : end-c.at]
		place := at % ringSize
		n := copy(p.payload[place:], body)
		codecs := p.codecs[place : place+int64(n)]
		for i := range codecs {
			codecs[i] = c.codec()
		}
		at += int64(n)
	}
}

// run is how many ticks from i on are of one codec, without a seam of the ring.
func (p *player) run(i, end int64) int64 {
	place := i % ringSize
	codecs := p.codecs[place:min(place+end-i, ringSize)]
	for n, c := range codecs {
		if c != codecs[0] {
			return int64(n)
		}
	}
	return int64(len(codecs))
}

// decode appends a run to both parts of the block, silence to the one it is
// not of, and clears its place.
func (p *player) decode(i, n int64) {
	from := i % ringSize
	payload, codecs := p.payload[from:from+n], p.codecs[from:from+n]
	switch c := codecs[0]; c {
	case media.NoCodec:
		p.narrow, p.wide = silence(p.narrow, n), silence(p.wide, 2*n)
	case media.G722:
		p.narrow, p.wide = silence(p.narrow, n), p.decoders[c].Decode(p.wide, payload)
	default:
		p.narrow, p.wide = p.decoders[c].Decode(p.narrow, payload), silence(p.wide, 2*n)
	}
	clear(codecs)
}

// mix makes one block of both parts.
func (p *player) mix() []int16 {
	switch {
	case p.rate == 8000:
		return p.narrow
	case p.upsample == nil:
		return p.wide
	}
	p.out = p.upsample.Process(p.out[:0], p.narrow)
	for i, s := range p.wide {
		p.out[i] = saturate(int32(p.out[i]) + int32(s))
	}
	return p.out
}

func saturate(x int32) int16 { return int16(max(math.MinInt16, min(math.MaxInt16, x))) }

func silence(dst []int16, n int64) []int16 {
	for range n {
		dst = append(dst, 0)
	}
	return dst
}
