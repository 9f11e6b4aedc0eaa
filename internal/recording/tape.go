package recording

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/perezvon/perezvon/internal/media"
)

// Files of a call's folder.
const (
	tapeFile     = "tape"          // when the tape started and was closed
	trackPattern = "*.track"       // one a leg
	wavFile      = "recording.wav" // what Render makes
	privateFile  = "consultation.wav"
	peaksFile    = "peaks.json"
)

// ErrClosed is what Close and Flush return on a tape that is closed.
var ErrClosed = errors.New("the tape is closed")

// Tape is the recording of one call while it runs. Its methods may be called
// from several goroutines.
type Tape struct {
	dir    string
	public bool // what is private is not kept
	before int  // tracks of a process that has died (Reopen)

	mu     sync.Mutex // of the fields below, not of the tracks
	zero   time.Time
	tracks []*track
	closed bool
}

// Create makes the folder and a tape in it. A folder that holds a tape already
// is an error (fs.ErrExist): nothing recorded is ever written over.
func Create(dir string) (*Tape, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("recording: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, tapeFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("recording: %w", err)
	}
	_, err = file.WriteString(magic)
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("recording: %w", err)
	}
	return &Tape{dir: dir}, nil
}

// Start sets the recording's zero. What came before is dropped, except that a
// sound being played goes on. Only the first Start counts. at should carry the
// monotonic clock (time.Now). Trouble with the disk is told by Close.
func (t *Tape) Start(at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || !t.zero.IsZero() {
		return
	}
	t.zero = at
	for _, tr := range t.tracks {
		tr.start(at)
	}
	// A lost start mark costs only the date in the file.
	_ = t.mark(kindStart, 0, binary.BigEndian.AppendUint64(nil, uint64(at.UnixNano())))
}

// Track is the part of one leg on one side. The same leg has the same track on
// the same side, and may leave it and come back. It is nil where the tape does
// not keep what is private.
func (t *Tape) Track(leg string, side Side) media.Track {
	t.mu.Lock()
	defer t.mu.Unlock()
	if side == Private && t.public {
		return nil
	}
	for _, tr := range t.tracks {
		if tr.leg == leg && tr.side == side {
			return tr
		}
	}
	name := fmt.Sprintf("%02d-%s.track", t.before+len(t.tracks)+1, fileName(leg))
	tr := newTrack(filepath.Join(t.dir, name), leg, side, t.zero)
	tr.closed = t.closed
	t.tracks = append(t.tracks, tr)
	return tr
}

// Flush writes what waits in memory. Packets do it by themselves once a
// second; this is for whoever watches over legs that have gone quiet.
func (t *Tape) Flush() {
	t.mu.Lock()
	tracks := t.tracks
	t.mu.Unlock()
	for _, tr := range tracks {
		tr.Flush()
	}
}

// Close ends the tape and marks its length. The tracks may be used on; they
// take nothing more. The error tells what could not be written: Render makes
// the best of the rest.
func (t *Tape) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return ErrClosed
	}
	t.closed = true
	var errs []error
	for _, tr := range t.tracks {
		errs = append(errs, tr.close())
	}
	if !t.zero.IsZero() {
		errs = append(errs, t.mark(kindClose, toTicks(time.Since(t.zero)), nil))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("recording: %w", err)
	}
	return nil
}

// ended tells that the tape is closed.
func (t *Tape) ended() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closed
}

// mark appends a chunk to the tape file, which is open only for that.
func (t *Tape) mark(k kind, at int64, body []byte) error {
	file, err := os.OpenFile(filepath.Join(t.dir, tapeFile), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = file.Write(appendChunk(nil, k, 0, at, body))
	return errors.Join(err, file.Close())
}

// fileName makes a leg's name fit for a file.
func fileName(leg string) string {
	safe := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, leg)
	return safe[:min(len(safe), 64)]
}

func toTicks(d time.Duration) int64 {
	return int64(d) * (media.ClockRate / 1000) / int64(time.Millisecond)
}

func fromTicks(n int64) time.Duration {
	return time.Duration(n) * time.Second / media.ClockRate
}
