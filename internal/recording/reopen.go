package recording

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// errNotStarted: the tape was made, and its recording never began.
var errNotStarted = errors.New("the tape was not started")

// Reopen goes on with a tape whose process has died: on the same clock, so that
// what comes now lies behind what is there by as much time as has passed. What
// was being played is taken to have ended with the last that is known of its
// leg. The legs get new tracks, as their old ones may be torn. A tape that was
// closed, or never started, is an error.
func Reopen(dir string) (*Tape, error) {
	t := &Tape{dir: dir}
	closed := false
	err := eachChunk(filepath.Join(dir, tapeFile), func(c chunk) {
		switch {
		case c.kind == kindStart && len(c.body) == 8:
			// With the monotonic clock of this process: a clock that is set
			// during the call does not move what is recorded from here on.
			since := time.Now().Round(0).Sub(time.Unix(0, int64(binary.BigEndian.Uint64(c.body)))) //nolint:gosec // as it was written
			t.zero = time.Now().Add(-since)
		case c.kind == kindClose:
			closed = true
		}
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("recording: %w", err)
	case closed:
		return nil, fmt.Errorf("recording: %w", ErrClosed)
	case t.zero.IsZero():
		return nil, fmt.Errorf("recording: %w", errNotStarted)
	}
	paths, err := filepath.Glob(filepath.Join(dir, trackPattern))
	if err != nil {
		return nil, fmt.Errorf("recording: %w", err)
	}
	slices.Sort(paths)
	for _, path := range paths {
		if err := hush(path); err != nil {
			return nil, fmt.Errorf("recording: %w", err)
		}
	}
	t.before = len(paths)
	return t, nil
}

// hush ends what a track says to be playing, with the last it knows.
func hush(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	r, err := newChunkReader(file)
	if errors.Is(err, errNoTape) {
		return nil
	}
	if err != nil {
		return err
	}
	playing, last, whole := "", int64(0), int64(len(magic))
	for {
		c, err := r.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		whole += int64(headerSize + len(c.body))
		last = max(last, c.at)
		switch c.kind {
		case kindPlay:
			playing = string(c.body)
		case kindPlayOn:
			if len(c.body) >= 8 {
				playing = string(c.body[8:])
			}
		case kindPlayEnded:
			if playing == string(c.body) {
				playing = ""
			}
		case kindSound:
			last = max(last, c.at+int64(len(c.body)))
		}
	}
	if playing == "" {
		return nil
	}
	// What a crash tore would hide what is behind it.
	if err := file.Truncate(whole); err != nil {
		return err
	}
	if _, err := file.WriteAt(appendChunk(nil, kindPlayEnded, 0, last, []byte(playing)), whole); err != nil {
		return err
	}
	return file.Sync()
}
