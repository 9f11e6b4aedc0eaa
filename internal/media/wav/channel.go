package wav

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
)

// Channel reads one channel of a file piece by piece, in memory of constant
// size.
type Channel struct {
	f       *format
	r       io.Reader // of the data chunk
	channel int
	frame   int // bytes of all channels
	bytes   []byte
	samples []int16
}

// OpenChannel reads the header of a file that Read could read, and stands at the
// beginning of its channel n (0 is the left one). The error wraps ErrFormat if
// there is none. Like Read it does not trust the sizes.
func OpenChannel(r io.Reader, n int) (*Channel, error) {
	br := bufio.NewReaderSize(r, 64<<10)
	f, size, err := toData(br)
	if err != nil {
		return nil, err
	}
	if n < 0 || n >= f.channels {
		return nil, fmt.Errorf("%w: it has no channel %d", ErrFormat, n)
	}
	c := &Channel{f: f, r: br, channel: n, frame: f.channels}
	if f.tag == tagPCM {
		c.frame *= 2
	}
	if size != 0 && size != math.MaxUint32 {
		c.r = io.LimitReader(br, int64(size))
	}
	return c, nil
}

// Rate is in samples a second.
func (c *Channel) Rate() int { return c.f.rate }

// Skip passes over n samples; io.EOF if there are fewer.
func (c *Channel) Skip(n int64) error {
	_, err := io.CopyN(io.Discard, c.r, n*int64(c.frame))
	return err
}

// Read fills p with the samples that come, and returns io.EOF at the end.
func (c *Channel) Read(p []int16) (int, error) {
	if need := len(p) * c.frame; cap(c.bytes) < need {
		c.bytes = make([]byte, need)
	}
	n, err := io.ReadFull(c.r, c.bytes[:len(p)*c.frame])
	n /= c.frame
	c.samples = c.f.decode(c.samples[:0], c.bytes[:n*c.frame])
	for i := range n {
		p[i] = c.samples[i*c.f.channels+c.channel]
	}
	switch {
	case err == nil || n > 0 && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)):
		return n, nil
	case errors.Is(err, io.ErrUnexpectedEOF):
		return 0, io.EOF
	}
	return n, err
}
