package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/media/wav"
)

// stretch is a part of a recording: a stage of the call. The zero stretch is
// all of it.
type stretch struct {
	number   int
	from, to time.Duration // of the recording
}

func (s stretch) whole() bool { return s.number == 0 }

// suffix tells the files of a part from those of the whole.
func (s stretch) suffix() string {
	if s.whole() {
		return ""
	}
	return fmt.Sprintf(".stage%d", s.number)
}

// stage finds where a stage of a call is in its recording.
func (a *API) stage(ctx context.Context, id string, number int) (stretch, error) {
	c, err := a.c.Store.Call(ctx, account(ctx), id)
	if err != nil {
		return stretch{}, a.problem(ctx, err)
	}
	if number > len(c.Stages) {
		return stretch{}, huma.Error404NotFound(fmt.Sprintf("the call has %d stages", len(c.Stages)))
	}
	events, err := a.c.Store.Events(ctx, account(ctx), id, 0)
	if err != nil {
		return stretch{}, a.problem(ctx, err)
	}
	for _, e := range events {
		if e.Type != call.RecordingStarted {
			continue
		}
		one := c.Stages[number-1]
		s := stretch{number: number, from: max(0, one.From.Sub(e.At)), to: time.Duration(c.RecordingS * float64(time.Second))}
		if one.To != nil {
			s.to = max(s.from, one.To.Sub(e.At))
		}
		return s, nil
	}
	return stretch{}, huma.Error404NotFound("the call was not recorded")
}

// of finds the sound of the stretch in a file that readHeader understands.
// size in head is that of the sound found.
func (s stretch) of(file *os.File) (head wavHeader, sound *io.SectionReader, err error) {
	if head, err = readHeader(file); err != nil {
		return head, nil, err
	}
	begin, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		return head, nil, err
	}
	if !s.whole() {
		frames := head.size / 2
		from, to := min(s.frame(head.rate, s.from), frames), min(s.frame(head.rate, s.to), frames)
		begin, head.size = begin+2*from, 2*(to-from)
	}
	return head, io.NewSectionReader(file, begin, head.size), nil
}

// frame is the number of samples to a side before a moment.
func (stretch) frame(rate int, at time.Duration) int64 {
	return at.Microseconds() * int64(rate) / 1e6
}

// cut serves a part of a WAV file as one of its own.
func (a *API) cut(ctx context.Context, name string, s stretch, as string) (*huma.StreamResponse, error) {
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		a.c.Logger.WarnContext(ctx, "recording is gone", "file", name)
		return nil, huma.Error404NotFound("the file is gone")
	}
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	head, sound, err := s.of(f)
	if err != nil {
		f.Close()
		return nil, a.problem(ctx, fmt.Errorf("%s: %w", name, err))
	}
	c := chained{wav.StereoHeader(head.rate, int(head.size)), sound}
	return a.serve(ctx, f, io.NewSectionReader(c, 0, int64(len(c.head))+head.size), "audio/wav", as)
}

// chained is a head and what follows it.
type chained struct {
	head []byte
	body io.ReaderAt
}

// ReadAt implements io.ReaderAt.
func (c chained) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(c.head)) {
		return c.body.ReadAt(p, off-int64(len(c.head)))
	}
	n := copy(p, c.head[off:])
	if n == len(p) {
		return n, nil
	}
	m, err := c.body.ReadAt(p[n:], 0)
	return n + m, err
}
