package softphone

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/recording"
)

// Recorder takes what a phone hears during one call and writes it into a WAV
// file afterwards. It is the Script's Record.
type Recorder struct {
	media.Track
	tape *recording.Tape
	dir  string
}

// NewRecorder begins to record now.
func NewRecorder() (*Recorder, error) {
	dir, err := os.MkdirTemp("", "perezvon-phone-")
	if err != nil {
		return nil, err
	}
	tape, err := recording.Create(filepath.Join(dir, "tape"))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	tape.Start(time.Now())
	return &Recorder{Track: tape.Track("phone", recording.Left), tape: tape, dir: dir}, nil
}

// Save ends the recording and writes it to path: stereo, what was heard on the
// left.
func (r *Recorder) Save(ctx context.Context, path string) error {
	return errors.Join(r.save(ctx, path), os.RemoveAll(r.dir))
}

func (r *Recorder) save(ctx context.Context, path string) error {
	if err := r.tape.Close(); err != nil {
		return err
	}
	res, err := recording.Render(ctx, filepath.Join(r.dir, "tape"), noClips{})
	if err != nil {
		return err
	}
	b, err := os.ReadFile(res.File)
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o644)
}

// noClips: a phone notes nothing of what it plays, so nothing is asked for.
type noClips struct{}

var errNoClip = errors.New("a phone's recording holds no prompts")

func (noClips) Clip(context.Context, string) (*audio.Clip, error) { return nil, errNoClip }
