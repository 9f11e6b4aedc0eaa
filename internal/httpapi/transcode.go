package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/perezvon/perezvon/internal/media/g711"
)

// encodeTime is the longest an encoder may run: an hour of talk takes seconds.
const encodeTime = 2 * time.Minute

// encoder makes compressed copies of recordings with the programs that the
// machine has, and keeps them beside the original. One at a time of each call,
// and one at a time in all: live calls go before.
type encoder struct {
	group singleflight.Group
	slot  chan struct{}
}

func newEncoder() *encoder { return &encoder{slot: make(chan struct{}, 1)} }

// noEncoderError says that the machine has no program for a format.
type noEncoderError struct{ format, install string }

func (e *noEncoderError) Error() string {
	return fmt.Sprintf("this server has no %s encoder: install %s, or ask for wav", e.format, e.install)
}

// program is one way to encode raw 16-bit little-endian stereo from its
// standard input into a file.
type program struct {
	name string
	args func(rate, file string) []string
}

// format is a compressed format: its programs in order of preference, and what
// to install if none is there.
type format struct {
	mime, install string
	programs      []program
}

var ffmpegInput = []string{"-nostdin", "-loglevel", "error", "-y", "-f", "s16le", "-ac", "2"}

var formats = map[string]format{
	"mp3": {"audio/mpeg", "lame (or ffmpeg)", []program{
		// -m s: left and right are different people, nothing is shared.
		{"lame", func(rate, file string) []string {
			return []string{"--silent", "-r", "-s", kilohertz(rate), "--bitwidth", "16", "--signed", "--little-endian", "-m", "s", "-V", "6", "-", file}
		}},
		{"ffmpeg", func(rate, file string) []string {
			return append(ffmpegInput, "-ar", rate, "-i", "pipe:0", "-f", "mp3", "-q:a", "6", "-joint_stereo", "0", file)
		}},
	}},
	"ogg": {"audio/ogg", "opus-tools (or ffmpeg)", []program{
		{"opusenc", func(rate, file string) []string {
			return []string{"--quiet", "--speech", "--no-phase-inv", "--bitrate", "32", "--raw", "--raw-rate", rate, "--raw-chan", "2", "--raw-bits", "16", "-", file}
		}},
		{"ffmpeg", func(rate, file string) []string {
			return append(ffmpegInput, "-ar", rate, "-i", "pipe:0", "-f", "ogg", "-c:a", "libopus", "-b:a", "32k", file)
		}},
	}},
}

func kilohertz(rate string) string {
	hz, _ := strconv.Atoi(rate)
	return strconv.FormatFloat(float64(hz)/1000, 'f', -1, 64)
}

// encode gives the file of the recording, or of a part of it, in a format, made
// now if it was not before. The error is a *noEncoderError if the machine cannot.
func (e *encoder) encode(ctx context.Context, wav, name string, part stretch) (string, error) {
	f := formats[name]
	made := strings.TrimSuffix(wav, filepath.Ext(wav)) + part.suffix() + "." + name
	if fresh(made, wav) {
		return made, nil
	}
	// Who leaves does not take the work from the others who wait for it.
	result := e.group.DoChan(made, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), encodeTime)
		defer cancel()
		select {
		case e.slot <- struct{}{}:
			defer func() { <-e.slot }()
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		return nil, f.run(ctx, wav, made, name, part)
	})
	select {
	case r := <-result:
		return made, r.Err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

func fresh(made, from string) bool {
	m, err := os.Stat(made)
	if err != nil {
		return false
	}
	f, err := os.Stat(from)
	return err == nil && !m.ModTime().Before(f.ModTime())
}

func (f format) run(ctx context.Context, wav, made, name string, part stretch) error {
	for _, p := range f.programs {
		path, err := exec.LookPath(p.name)
		if err != nil {
			continue
		}
		return p.run(ctx, path, wav, made, part)
	}
	return &noEncoderError{name, f.install}
}

func (p program) run(ctx context.Context, path, wav, made string, s stretch) error {
	file, err := os.Open(wav)
	if err != nil {
		return err
	}
	defer file.Close()
	head, sound, err := s.of(file)
	if err != nil {
		return fmt.Errorf("%s: %w", wav, err)
	}
	in := bufio.NewReaderSize(sound, 64<<10)
	part := made + ".part"
	defer os.Remove(part) // gone by then if all went well
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, path, p.args(strconv.Itoa(head.rate), part)...)
	cmd.Stdin, cmd.Stderr = &alawReader{src: in}, &said
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", p.name, err, bytes.TrimSpace(said.Bytes()))
	}
	return os.Rename(part, made)
}

// wavHeader is what matters of the recordings' own header.
type wavHeader struct {
	rate int
	size int64 // of the samples, bytes
}

// readHeader reads up to the samples of a stereo A-law file, the form that
// recordings have.
func readHeader(r io.Reader) (wavHeader, error) {
	var h wavHeader
	var riff [12]byte
	if _, err := io.ReadFull(r, riff[:]); err != nil || string(riff[:4]) != "RIFF" || string(riff[8:]) != "WAVE" {
		return h, errors.New("not a WAV file")
	}
	for {
		var chunk [8]byte
		if _, err := io.ReadFull(r, chunk[:]); err != nil {
			return h, fmt.Errorf("no samples: %w", err)
		}
		size := int64(binary.LittleEndian.Uint32(chunk[4:]))
		switch string(chunk[:4]) {
		case "data":
			if h.rate == 0 {
				return h, errors.New("samples before their format")
			}
			h.size = size
			return h, nil
		case "fmt ":
			if size < 16 || size > 256 {
				return h, errors.New("bad format chunk")
			}
			b := make([]byte, size+size%2)
			if _, err := io.ReadFull(r, b); err != nil {
				return h, err
			}
			if tag, channels := binary.LittleEndian.Uint16(b), binary.LittleEndian.Uint16(b[2:]); tag != 6 || channels != 2 {
				return h, fmt.Errorf("format %d with %d channels is not stereo A-law", tag, channels)
			}
			h.rate = int(binary.LittleEndian.Uint32(b[4:]))
		default:
			if _, err := io.CopyN(io.Discard, r, size+size%2); err != nil {
				return h, err
			}
		}
	}
}

// alawReader decodes A-law as it is read, into 16-bit little-endian samples.
type alawReader struct {
	src     io.Reader
	codes   [8 << 10]byte
	samples []int16
	out     []byte // decoded, not read yet
	buf     []byte
}

// Read implements io.Reader.
func (a *alawReader) Read(p []byte) (int, error) {
	for len(a.out) == 0 {
		n, err := a.src.Read(a.codes[:])
		if n == 0 {
			if err == nil {
				continue
			}
			return 0, err
		}
		a.samples = g711.DecodeALaw(a.samples[:0], a.codes[:n])
		a.buf = a.buf[:0]
		for _, s := range a.samples {
			a.buf = binary.LittleEndian.AppendUint16(a.buf, uint16(s))
		}
		a.out = a.buf
	}
	n := copy(p, a.out)
	a.out = a.out[n:]
	return n, nil
}
