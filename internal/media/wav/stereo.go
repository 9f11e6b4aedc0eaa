package wav

import (
	"bufio"
	"io"

	"github.com/perezvon/perezvon/internal/media/g711"
)

// Stereo writes a stereo A-law file (format tag 6) piece by piece, in memory of
// constant size: half of what 16-bit PCM takes, and every player knows it.
type Stereo struct {
	file   io.WriteSeeker
	w      *bufio.Writer
	rate   int
	size   int // of the data chunk, bytes
	codes  [2][]byte
	frames []byte
	err    error // the first one, told by Close too
}

// StereoHeader is what stands before size bytes of sound in such a file.
func StereoHeader(rate, size int) []byte { return header(nil, tagALaw, 2, rate, size) }

// NewStereo starts a file at the writer's place, which must be its beginning.
// The header is right once Close has returned; before that it says 0 bytes,
// which readers take for "to the end".
func NewStereo(file io.WriteSeeker, rate int) *Stereo {
	s := &Stereo{file: file, w: bufio.NewWriterSize(file, 64<<10), rate: rate}
	_, s.err = s.w.Write(StereoHeader(rate, 0))
	return s
}

// Write appends samples, as many of the left as of the right; of the longer
// one the rest is left out.
func (s *Stereo) Write(left, right []int16) error {
	if s.err != nil {
		return s.err
	}
	s.codes[0] = g711.EncodeALaw(s.codes[0][:0], left)
	s.codes[1] = g711.EncodeALaw(s.codes[1][:0], right)
	s.frames = s.frames[:0]
	for i := range min(len(left), len(right)) {
		s.frames = append(s.frames, s.codes[0][i], s.codes[1][i])
	}
	s.size += len(s.frames)
	_, s.err = s.w.Write(s.frames)
	return s.err
}

// Close writes the sizes into the header. It does not close the file.
func (s *Stereo) Close() error {
	if s.err != nil {
		return s.err
	}
	if s.err = s.w.Flush(); s.err != nil {
		return s.err
	}
	if _, s.err = s.file.Seek(0, io.SeekStart); s.err != nil {
		return s.err
	}
	if _, s.err = s.file.Write(StereoHeader(s.rate, s.size)); s.err != nil {
		return s.err
	}
	_, s.err = s.file.Seek(0, io.SeekEnd)
	return s.err
}
