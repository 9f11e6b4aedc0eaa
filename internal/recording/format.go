package recording

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"github.com/perezvon/perezvon/internal/media"
)

// A file is eight bytes that say what it is, then chunks to its end:
//
//	kind   byte    one of the kinds
//	detail byte    of sound: the codec; of what is played: 1 if looped
//	length uint16  of the body
//	at     int64   ticks from the tape's start
//	sum    uint32  CRC-32C of the twelve bytes above and the body
//	body
//
// in the byte order of the network. A chunk that does not match its sum ends
// the file: nothing was written behind it before the process died.
const (
	magic      = "PZVTAPE1"
	headerSize = 16
	maxBody    = 1<<16 - 1
)

type kind byte

const (
	kindLeg       kind = 'L' // first in a track; detail: the side; body: the leg's name
	kindSound     kind = 'S' // body: payload
	kindPlay      kind = 'P' // the server began to play; body: the key
	kindPlayOn    kind = 'R' // the track took over what was played; body: how far it was in ticks, int64, and the key
	kindPlayEnded kind = 'E' // and stopped; body: the key
	kindStart     kind = '0' // in the tape file; body: Unix time in nanoseconds, for people
	kindClose     kind = 'Z' // in the tape file; at: how long the recording is
)

// chunk is one chunk as it is read.
type chunk struct {
	kind   kind
	detail byte
	at     int64
	body   []byte
}

var sums = crc32.MakeTable(crc32.Castagnoli)

// beginChunk appends a header that sealChunk will complete.
func beginChunk(b []byte, k kind, detail byte, at int64) []byte {
	b = append(b, byte(k), detail, 0, 0)
	b = binary.BigEndian.AppendUint64(b, uint64(at))
	return append(b, 0, 0, 0, 0)
}

// sealChunk completes the chunk that reaches from the beginning of b to its
// end.
func sealChunk(b []byte) {
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)-headerSize))
	binary.BigEndian.PutUint32(b[12:], sum(b))
}

func sum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:12], sums), sums, b[headerSize:])
}

func appendChunk(b []byte, k kind, detail byte, at int64, body []byte) []byte {
	begin := len(b)
	b = append(beginChunk(b, k, detail, at), body...)
	sealChunk(b[begin:])
	return b
}

// errNoTape is for a file that is none of ours.
var errNoTape = errors.New("not a track")

// chunkReader reads a file chunk by chunk.
type chunkReader struct {
	r   *bufio.Reader
	buf []byte // of the newest chunk, reused
}

func newChunkReader(r io.Reader) (*chunkReader, error) {
	c := &chunkReader{r: bufio.NewReaderSize(r, 32<<10), buf: make([]byte, headerSize+maxBody)}
	if _, err := io.ReadFull(c.r, c.buf[:len(magic)]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			err = errNoTape
		}
		return nil, err
	}
	if string(c.buf[:len(magic)]) != magic {
		return nil, errNoTape
	}
	return c, nil
}

// next reads a chunk; its body is valid until the next call. The error is
// io.EOF at the end, whole or torn, otherwise the disk's.
func (c *chunkReader) next() (chunk, error) {
	if _, err := io.ReadFull(c.r, c.buf[:headerSize]); err != nil {
		return chunk{}, torn(err)
	}
	b := c.buf[:headerSize+int(binary.BigEndian.Uint16(c.buf[2:]))]
	if _, err := io.ReadFull(c.r, b[headerSize:]); err != nil {
		return chunk{}, torn(err)
	}
	if sum(b) != binary.BigEndian.Uint32(b[12:]) {
		return chunk{}, io.EOF
	}
	return chunk{kind: kind(b[0]), detail: b[1], at: int64(binary.BigEndian.Uint64(b[4:])), body: b[headerSize:]}, nil
}

func torn(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return err
}

// codec is the codec of a chunk of sound, NoCodec of any other chunk.
func (c chunk) codec() media.Codec {
	if c.kind == kindSound && c.detail <= byte(media.G722) {
		return media.Codec(c.detail)
	}
	return media.NoCodec
}
