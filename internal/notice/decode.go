package notice

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/media/resample"
	"github.com/perezvon/perezvon/internal/media/wav"
)

// The media types of what may be uploaded.
const (
	WAV = "audio/wav"
	MP3 = "audio/mpeg"
)

// UnsupportedError says that a file of this kind cannot be read here. Always
// used as a pointer.
type UnsupportedError struct {
	Kind string
	// Hint is what can be done about it.
	Hint string
}

func (e *UnsupportedError) Error() string { return e.Kind + " cannot be read here: " + e.Hint }

// decodeTime is the longest a decoder may run.
const decodeTime = 20 * time.Second

// rates that clips have.
const narrow, wide = 8000, 16000

// maxDecoded is more than MaxLength of WAV at the rates decoders are asked for.
const maxDecoded = 2 * 48000 * int64(MaxLength/time.Second)

// decode makes a clip of an uploaded file. The error is an *UnsupportedError,
// an invalid.Error, or a failure.
func decode(ctx context.Context, kind string, content []byte) (*audio.Clip, error) {
	switch kind {
	case WAV:
	case MP3:
		var err error
		if content, err = decodeMP3(ctx, content); err != nil {
			return nil, err
		}
	default:
		return nil, &UnsupportedError{Kind: kind, Hint: "want " + WAV + " or " + MP3}
	}
	clip, err := wav.Read(bytes.NewReader(content))
	if errors.Is(err, wav.ErrFormat) {
		return nil, invalid.Error{{Path: "audio", Message: err.Error()}}
	}
	if err != nil {
		return nil, err
	}
	if clip.Duration() > MaxLength {
		return nil, invalid.Error{{Path: "audio", Message: fmt.Sprintf("is longer than %d minutes", int(MaxLength.Minutes()))}}
	}
	if clip.Rate != narrow && clip.Rate != wide {
		rate := wide
		if clip.Rate < wide {
			rate = narrow
		}
		clip = &audio.Clip{Rate: rate, Samples: resample.Convert(clip.Samples, clip.Rate, rate)}
	}
	return clip, nil
}

// decoder is a program that makes a WAV file of MP3, from its standard input to
// its standard output: no file of an uploader's has a name here. What it may
// open is settled by its arguments.
type decoder struct {
	name string
	args []string
}

var decoders = []decoder{
	{"mpg123", []string{"-q", "--mono", "-r", "16000", "-w", "-", "-"}},
	{"lame", []string{"--quiet", "--mp3input", "--decode", "-", "-"}},
	{"ffmpeg", []string{"-nostdin", "-loglevel", "error", "-protocol_whitelist", "pipe", "-f", "mp3", "-i", "pipe:0", "-vn", "-ac", "1", "-ar", "16000", "-f", "wav", "pipe:1"}},
}

func decodeMP3(ctx context.Context, content []byte) ([]byte, error) {
	for _, d := range decoders {
		path, err := exec.LookPath(d.name)
		if err != nil {
			continue
		}
		return d.run(ctx, path, content)
	}
	return nil, &UnsupportedError{Kind: MP3, Hint: "install lame, mpg123 or ffmpeg on the server, or send " + WAV}
}

func (d decoder) run(ctx context.Context, path string, content []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, decodeTime)
	defer cancel()
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, path, d.args...)
	cmd.Stdin, cmd.Stderr, cmd.WaitDelay = bytes.NewReader(content), &said, time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", d.name, err)
	}
	decoded, err := io.ReadAll(io.LimitReader(out, maxDecoded+1))
	if int64(len(decoded)) > maxDecoded {
		cancel() // it need not go on
		_ = cmd.Wait()
		return nil, invalid.Error{{Path: "audio", Message: fmt.Sprintf("is longer than %d minutes", int(MaxLength.Minutes()))}}
	}
	failed := cmd.Wait()
	var exit *exec.ExitError
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", d.name, err)
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s: %w", d.name, context.Cause(ctx))
	case errors.As(failed, &exit) || failed == nil && len(decoded) == 0:
		return nil, invalid.Error{{Path: "audio", Message: "is no MP3 file: " + firstLine(said.String())}}
	case failed != nil:
		return nil, fmt.Errorf("%s: %w", d.name, failed)
	}
	return decoded, nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	if line == "" {
		return "nothing could be decoded"
	}
	return fmt.Sprintf("%.200s", line)
}
