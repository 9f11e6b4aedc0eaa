package recording

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/perezvon/perezvon/internal/media"
)

const (
	// bufferSize is what a track holds in memory: half a second of sound.
	bufferSize = 4096
	// flushEvery is how long sound may wait in memory while packets come: what
	// a crash can cost.
	flushEvery = time.Second
	// maxPayload is far more than a packet holds; the rest of a longer one is
	// left out.
	maxPayload = bufferSize - headerSize
	// maxKey bounds the name of a sound.
	maxKey = 512
)

// track is a leg's part of a tape; it implements media.Track.
type track struct {
	leg  string
	side Side
	path string

	mu     sync.Mutex
	zero   time.Time // of the tape; the zero Time before its start
	closed bool
	line   timeline

	buf   []byte    // chunks not yet written
	since time.Time // when the first byte of buf came
	open  int       // where in buf the chunk of sound begins that may grow, −1 none
	codec media.Codec
	end   int64 // place behind the open chunk

	playing sound // what plays while the tape has not started

	file *os.File // nil until the first flush
	size int64    // of the file, all whole chunks
	lost int      // bytes that could not be written
	err  error    // why: the first one
}

// sound is something the server plays; no key: nothing.
type sound struct {
	key  string
	at   time.Time
	loop bool
	into time.Duration // how far it was at that moment
}

var _ media.Track = (*track)(nil)

func newTrack(path, leg string, side Side, zero time.Time) *track {
	return &track{path: path, leg: leg, side: side, zero: zero, buf: make([]byte, 0, bufferSize), open: -1}
}

// ticks is the place of a moment on the tape.
func (t *track) ticks(at time.Time) int64 { return toTicks(at.Sub(t.zero)) }

// running tells that the tape takes what happens at that moment.
func (t *track) running() bool { return !t.zero.IsZero() && !t.closed }

// Packet implements media.Track.
// hot path
func (t *track) Packet(at time.Time, codec media.Codec, ssrc, timestamp uint32, payload []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.running() || at.Before(t.zero) || len(payload) == 0 {
		return
	}
	place := t.line.place(t.ticks(at), codec, ssrc, timestamp)
	if place < 0 {
		return
	}
	payload = payload[:min(len(payload), maxPayload)]
	grows := t.open >= 0 && t.codec == codec && t.end == place
	room := len(payload)
	if !grows {
		t.seal()
		room += headerSize
	}
	if len(t.buf)+room > bufferSize {
		t.flush()
		grows = false
	}
	if len(t.buf) == 0 {
		t.since = at
	}
	if !grows {
		t.open, t.codec = len(t.buf), codec
		t.buf = beginChunk(t.buf, kindSound, byte(codec), place)
	}
	t.buf = append(t.buf, payload...)
	t.end = place + int64(len(payload))
	if at.Sub(t.since) >= flushEvery {
		t.flush()
	}
}

// PlayStarted implements media.Track.
func (t *track) PlayStarted(at time.Time, key string, loop bool, into time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed || key == "":
	case t.zero.IsZero():
		t.playing = sound{key, at, loop, into}
	default:
		t.notePlay(sound{key, at, loop, into})
	}
}

// PlayEnded implements media.Track.
func (t *track) PlayEnded(at time.Time, key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed || key == "":
	case t.zero.IsZero():
		if t.playing.key == key {
			t.playing = sound{}
		}
	default:
		t.note(kindPlayEnded, at, 0, nil, key)
	}
}

// notePlay notes that the phone hears something from now on.
func (t *track) notePlay(s sound) {
	detail := byte(0)
	if s.loop {
		detail = 1
	}
	if s.into <= 0 {
		t.note(kindPlay, s.at, detail, nil, s.key)
		return
	}
	var into [8]byte
	binary.BigEndian.PutUint64(into[:], uint64(toTicks(s.into)))
	t.note(kindPlayOn, s.at, detail, into[:], s.key)
}

// note appends a chunk about what the server plays: its body is first and the
// key.
func (t *track) note(k kind, at time.Time, detail byte, first []byte, key string) {
	key = key[:min(len(key), maxKey)]
	t.seal()
	if len(t.buf)+headerSize+len(first)+len(key) > bufferSize {
		t.flush()
	}
	if len(t.buf) == 0 {
		t.since = at
	}
	begin := len(t.buf)
	t.buf = beginChunk(t.buf, k, detail, t.ticks(at))
	t.buf = append(append(t.buf, first...), key...)
	sealChunk(t.buf[begin:])
}

// start sets the tape's zero. A sound that plays already is noted as begun
// before it.
func (t *track) start(zero time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.zero = zero
	if t.playing.key != "" {
		t.notePlay(t.playing)
		t.playing = sound{}
	}
}

// Flush writes what waits in memory.
func (t *track) Flush() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.flush()
	}
}

// close writes what waits and ends the track. The error is the first of its
// life.
func (t *track) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	t.flush()
	t.closed = true
	t.buf = nil
	if t.file != nil {
		if err := t.file.Close(); err != nil && t.err == nil {
			t.err = err
		}
	}
	if t.err != nil {
		return fmt.Errorf("leg %s: %d bytes lost: %w", t.leg, t.lost, t.err)
	}
	return nil
}

// seal completes the chunk of sound that was growing.
func (t *track) seal() {
	if t.open >= 0 {
		sealChunk(t.buf[t.open:])
		t.open = -1
	}
}

// flush writes the buffer. On an error its content is given up and the file
// set back to whole chunks, so that what comes later can be read if the disk
// recovers.
func (t *track) flush() {
	t.seal()
	if len(t.buf) == 0 {
		return
	}
	if err := t.write(); err != nil {
		t.lost += len(t.buf)
		if t.err == nil {
			t.err = err
		}
	}
	t.buf = t.buf[:0]
}

func (t *track) write() error {
	if t.file == nil {
		file, err := os.OpenFile(t.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		t.file = file
	}
	if t.size == 0 {
		head := appendChunk([]byte(magic), kindLeg, byte(t.side), 0, []byte(t.leg))
		if err := t.append(head); err != nil {
			return err
		}
	}
	return t.append(t.buf)
}

func (t *track) append(b []byte) error {
	if _, err := t.file.WriteAt(b, t.size); err != nil {
		// Best effort: the next write goes over what is left of this one.
		_ = t.file.Truncate(t.size)
		return err
	}
	t.size += int64(len(b))
	return nil
}
