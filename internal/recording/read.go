package recording

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/perezvon/perezvon/internal/media"
)

// maxLength bounds a recording: no call lasts a day, and no damaged file may
// ask for more.
const maxLength = 24 * 3600 * media.ClockRate

// reel is what a first look over a call's folder tells.
type reel struct {
	length int64 // of the recording
	tracks []trackInfo
}

// trackInfo is what a first look over a track tells.
type trackInfo struct {
	path   string
	side   Side
	leg    string
	begin  int64 // of the first thing that is known; −1: there is none
	end    int64 // behind the last
	wide   bool  // G.722 is in it
	narrow bool  // G.711 is in it
	plays  []play
}

// play is a sound that the server played.
type play struct {
	key   string
	began int64 // when its first sample sounded, or would have
	from  int64 // when the track takes it up; negative: it played already when the tape started
	to    int64 // math.MaxInt64: until it was over by itself
	loop  bool
}

// look reads the whole folder once, without keeping sound. Tracks that are
// none are left out, as is what a crash tore.
func look(dir string) (*reel, error) {
	paths, err := filepath.Glob(filepath.Join(dir, trackPattern))
	if err != nil {
		return nil, fmt.Errorf("recording: %w", err)
	}
	slices.Sort(paths)
	r := &reel{length: -1}
	if err := eachChunk(filepath.Join(dir, tapeFile), func(c chunk) {
		if c.kind == kindClose {
			r.length = c.at
		}
	}); err != nil {
		return nil, fmt.Errorf("recording: %w", err)
	}
	last := int64(0)
	for _, path := range paths {
		t := trackInfo{path: path, begin: -1}
		if err := eachChunk(path, t.add); err != nil {
			if errors.Is(err, errNoTape) {
				continue
			}
			return nil, fmt.Errorf("recording: %w", err)
		}
		last = max(last, t.end)
		r.tracks = append(r.tracks, t)
	}
	if r.length < 0 { // not closed: the process died
		r.length = last
	}
	r.length = min(r.length, maxLength)
	return r, nil
}

func (t *trackInfo) add(c chunk) {
	switch c.kind {
	case kindLeg:
		t.side, t.leg = Side(c.detail), string(c.body)
	case kindSound:
		t.starts(c.at)
		t.wide = t.wide || c.codec() == media.G722
		t.narrow = t.narrow || c.codec() != media.G722
		t.end = max(t.end, c.at+int64(len(c.body)))
	case kindPlay, kindPlayOn:
		key, into := c.body, int64(0)
		if c.kind == kindPlayOn {
			if len(key) < 8 {
				return
			}
			into, key = int64(binary.BigEndian.Uint64(key)), key[8:]
		}
		t.starts(c.at)
		t.stop(c.at) // a new sound takes over
		t.plays = append(t.plays, play{key: string(key), began: c.at - max(0, min(into, maxLength)), from: c.at, to: math.MaxInt64, loop: c.detail == 1})
		t.end = max(t.end, c.at)
	case kindPlayEnded:
		if n := len(t.plays); n > 0 && t.plays[n-1].key == string(c.body) {
			t.stop(c.at)
		}
		t.end = max(t.end, c.at)
	}
}

// starts tells of something at that place.
func (t *trackInfo) starts(at int64) {
	if t.begin < 0 || at < t.begin {
		t.begin = max(at, 0)
	}
}

// stop ends the newest sound if it still plays.
func (t *trackInfo) stop(at int64) {
	if n := len(t.plays); n > 0 {
		t.plays[n-1].to = min(t.plays[n-1].to, at)
	}
}

// eachChunk hands every whole chunk of a file to f.
func eachChunk(path string, f func(chunk)) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	r, err := newChunkReader(file)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	for {
		c, err := r.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
		f(c)
	}
}
