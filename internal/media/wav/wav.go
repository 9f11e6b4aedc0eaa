// Package wav reads and writes RIFF WAVE files of telephone sound.
package wav

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/media/g711"
)

// Format tags (RFC 2361 and mmreg.h).
const (
	tagPCM        = 1
	tagALaw       = 6
	tagULaw       = 7
	tagExtensible = 0xfffe
)

// maxRate and maxChannels bound what Read believes of a header.
const (
	maxRate     = 192000
	maxChannels = 8
)

// ErrFormat is what Read returns, wrapped, for what is no WAV file or one of a
// kind we do not read.
var ErrFormat = errors.New("not a WAV file we can read")

// Read reads a file of 16-bit PCM, A-law or µ-law, of any rate; several
// channels are mixed to one. The clip has no key. Sizes in the headers are not
// trusted: a file cut short, or written as a stream with no sizes, gives the
// sound that is there. Memory is taken only for sound that came, so who reads
// from a stranger bounds r (io.LimitReader).
func Read(r io.Reader) (*audio.Clip, error) {
	br := bufio.NewReader(r)
	f, size, err := toData(br)
	if err != nil {
		return nil, err
	}
	return f.read(br, size)
}

// toData reads up to the sound, and returns its format and the size it says.
func toData(br *bufio.Reader) (f *format, size uint32, err error) {
	var riff [12]byte
	if _, err := io.ReadFull(br, riff[:]); err != nil {
		return nil, 0, wrap(err, "no header")
	}
	if string(riff[:4]) != "RIFF" || string(riff[8:]) != "WAVE" {
		return nil, 0, fmt.Errorf("%w: no RIFF WAVE header", ErrFormat)
	}
	for {
		id, size, err := chunk(br)
		if err != nil {
			return nil, 0, wrap(err, "no data chunk")
		}
		switch id {
		case "fmt ":
			if f, err = readFormat(br, size); err != nil {
				return nil, 0, err
			}
		case "data":
			if f == nil {
				return nil, 0, fmt.Errorf("%w: data before its format", ErrFormat)
			}
			return f, size, nil
		default:
			if _, err := io.CopyN(io.Discard, br, padded(size)); err != nil {
				return nil, 0, wrap(err, "no data chunk")
			}
		}
	}
}

// wrap makes an early end a matter of format, and keeps other errors.
func wrap(err error, what string) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %s", ErrFormat, what)
	}
	return fmt.Errorf("reading WAV: %w", err)
}

func chunk(r io.Reader) (id string, size uint32, err error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", 0, err
	}
	return string(head[:4]), binary.LittleEndian.Uint32(head[4:]), nil
}

// padded is the room a chunk takes: chunks start at even places.
func padded(size uint32) int64 { return int64(size) + int64(size&1) }

type format struct {
	tag      uint16
	channels int
	rate     int
}

func readFormat(r io.Reader, size uint32) (*format, error) {
	if size < 16 || size > 1024 {
		return nil, fmt.Errorf("%w: format chunk of %d bytes", ErrFormat, size)
	}
	b := make([]byte, padded(size))
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, wrap(err, "format cut short")
	}
	f := &format{
		tag:      binary.LittleEndian.Uint16(b),
		channels: int(binary.LittleEndian.Uint16(b[2:])),
		rate:     int(binary.LittleEndian.Uint32(b[4:])),
	}
	if f.tag == tagExtensible && size >= 26 {
		f.tag = binary.LittleEndian.Uint16(b[24:]) // the first bytes of the sub-format's GUID
	}
	bits := binary.LittleEndian.Uint16(b[14:])
	if f.channels < 1 || f.channels > maxChannels || f.rate < 1 || f.rate > maxRate {
		return nil, fmt.Errorf("%w: %d channels at %d Hz", ErrFormat, f.channels, f.rate)
	}
	if f.tag == tagPCM && bits == 16 || (f.tag == tagALaw || f.tag == tagULaw) && bits == 8 {
		return f, nil
	}
	return nil, fmt.Errorf("%w: encoding %d with %d bits (16-bit PCM, A-law and µ-law are read)", ErrFormat, f.tag, bits)
}

// read takes the data chunk; a size of 0 or the largest one means "to the end".
func (f *format) read(r io.Reader, size uint32) (*audio.Clip, error) {
	if size != 0 && size != math.MaxUint32 {
		r = io.LimitReader(r, int64(size))
	}
	clip := &audio.Clip{Rate: f.rate}
	frame := f.channels
	if f.tag == tagPCM {
		frame *= 2
	}
	buf := make([]byte, frame*1024)
	samples := make([]int16, 0, f.channels*1024)
	for {
		n, err := io.ReadFull(r, buf)
		samples = f.decode(samples[:0], buf[:n-n%frame])
		clip.Samples = appendMono(clip.Samples, samples, f.channels)
		switch err {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF:
			return clip, nil
		default:
			return nil, fmt.Errorf("reading WAV: %w", err)
		}
	}
}

func (f *format) decode(dst []int16, b []byte) []int16 {
	switch f.tag {
	case tagALaw:
		return g711.DecodeALaw(dst, b)
	case tagULaw:
		return g711.DecodeULaw(dst, b)
	}
	for i := 0; i+1 < len(b); i += 2 {
		dst = append(dst, int16(binary.LittleEndian.Uint16(b[i:])))
	}
	return dst
}

func appendMono(dst, src []int16, channels int) []int16 {
	for ; len(src) >= channels; src = src[channels:] {
		sum := 0
		for _, s := range src[:channels] {
			sum += int(s)
		}
		dst = append(dst, int16(sum/channels))
	}
	return dst
}

// Write writes the clip as mono 16-bit PCM.
func Write(w io.Writer, clip *audio.Clip) error {
	b := make([]byte, 0, 44+2*len(clip.Samples))
	b = header(b, tagPCM, 1, clip.Rate, 2*len(clip.Samples))
	for _, s := range clip.Samples {
		b = binary.LittleEndian.AppendUint16(b, uint16(s))
	}
	_, err := w.Write(b)
	return err
}

// WriteALaw writes the clip as mono A-law (G.711): half the size, and what a
// telephone carries anyway.
func WriteALaw(w io.Writer, clip *audio.Clip) error {
	b := make([]byte, 0, 58+len(clip.Samples))
	b = header(b, tagALaw, 1, clip.Rate, len(clip.Samples))
	_, err := w.Write(g711.EncodeALaw(b, clip.Samples))
	return err
}

// header appends everything before the sound: the RIFF header, the format,
// for encodings other than PCM the fact chunk, and the data chunk's head.
func header(b []byte, tag uint16, channels, rate, size int) []byte {
	bytes := 2
	if tag != tagPCM {
		bytes = 1
	}
	var f []byte
	f = append(f, "WAVEfmt "...)
	if tag == tagPCM {
		f = binary.LittleEndian.AppendUint32(f, 16)
	} else {
		f = binary.LittleEndian.AppendUint32(f, 18)
	}
	f = binary.LittleEndian.AppendUint16(f, tag)
	f = binary.LittleEndian.AppendUint16(f, uint16(channels))
	f = binary.LittleEndian.AppendUint32(f, uint32(rate))
	f = binary.LittleEndian.AppendUint32(f, uint32(rate*channels*bytes))
	f = binary.LittleEndian.AppendUint16(f, uint16(channels*bytes))
	f = binary.LittleEndian.AppendUint16(f, uint16(8*bytes))
	if tag != tagPCM {
		f = binary.LittleEndian.AppendUint16(f, 0) // no extension follows
		f = append(f, "fact"...)
		f = binary.LittleEndian.AppendUint32(f, 4)
		f = binary.LittleEndian.AppendUint32(f, clamp(size/channels/bytes))
	}
	f = append(f, "data"...)
	f = binary.LittleEndian.AppendUint32(f, clamp(size))
	b = append(b, "RIFF"...)
	b = binary.LittleEndian.AppendUint32(b, clamp(size+len(f)))
	return append(b, f...)
}

// clamp: a file beyond 4 GB has the largest size there is, which readers take
// for "to the end".
func clamp(n int) uint32 { return uint32(min(n, math.MaxUint32)) }
