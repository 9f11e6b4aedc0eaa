package recording

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/media/wav"
)

// watchEvery is how much of a leg that has gone quiet a crash may cost.
const watchEvery = time.Second

// Archive is where recordings are kept: a folder a day, in it a folder a call.
type Archive struct {
	// DropConsultations keeps nothing of what operators say to each other while
	// the client waits. It counts for tapes opened afterwards.
	DropConsultations bool

	dir   string
	clips Clips

	mu   sync.Mutex
	live map[*Tape]struct{}
}

// NewArchive keeps recordings in dir, and takes from clips what was played on
// calls.
func NewArchive(dir string, clips Clips) *Archive {
	return &Archive{dir: dir, clips: clips, live: make(map[*Tape]struct{})}
}

// Folder is where the recording of a call lies. The day is that of the call's
// identifier (UTC), so it is found without asking anybody.
func (a *Archive) Folder(callID string) string {
	day := call.MadeAt(callID).UTC().Format("2006/01/02")
	return filepath.Join(a.dir, filepath.FromSlash(day), filepath.Base(callID))
}

// Open begins the tape of a call, or goes on with the one that a process left
// that has died (Reopen).
func (a *Archive) Open(callID string) (*Tape, error) {
	t, err := Create(a.Folder(callID))
	if errors.Is(err, fs.ErrExist) {
		t, err = Reopen(a.Folder(callID))
	}
	if err != nil {
		return nil, err
	}
	t.public = a.DropConsultations
	a.mu.Lock()
	defer a.mu.Unlock()
	a.live[t] = struct{}{}
	return t, nil
}

// Watch writes out what live tapes hold back, once a second and when ctx
// ends, until it does.
func (a *Archive) Watch(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			a.Flush()
			return
		}
		a.Flush()
	}
}

// Flush writes out what live tapes hold back.
func (a *Archive) Flush() {
	for _, t := range a.tapes() {
		t.Flush()
	}
}

// tapes are those that are not closed.
func (a *Archive) tapes() []*Tape {
	a.mu.Lock()
	defer a.mu.Unlock()
	tapes := make([]*Tape, 0, len(a.live))
	for t := range a.live {
		if t.ended() {
			delete(a.live, t)
			continue
		}
		tapes = append(tapes, t)
	}
	return tapes
}

// Render makes the recording of a call from its tape.
func (a *Archive) Render(ctx context.Context, callID string) (time.Duration, error) {
	res, err := Render(ctx, a.Folder(callID), a.clips)
	return res.Duration, err
}

// Channel is one side of a finished recording, to be read and closed.
type Channel struct {
	*wav.Channel
	io.Closer
}

// Channel opens one side of the recording of a call; fs.ErrNotExist if there is
// no recording.
func (a *Archive) Channel(callID string, side Side) (*Channel, error) {
	file, err := os.Open(filepath.Join(a.Folder(callID), wavFile))
	if err != nil {
		return nil, err
	}
	c, err := wav.OpenChannel(file, int(side))
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &Channel{c, file}, nil
}

// Discard removes the tape of a call once its recording is known to be ready:
// it holds the same sound again. The recording stays.
func (a *Archive) Discard(callID string) error {
	dir := a.Folder(callID)
	tracks, err := filepath.Glob(filepath.Join(dir, trackPattern))
	for _, name := range append(tracks, filepath.Join(dir, tapeFile)) {
		if e := os.Remove(name); e != nil && !errors.Is(e, os.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}
