package asterisk

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/perezvon/perezvon/internal/media"
)

// ear puts what a voice hears to where it was said. A voice's track gets everything
// through it.
//
// A snoop is read by Asterisk's timer and not by the phone's packets. What the
// phone sends waits in a queue, in order, and each tick takes 20 ms of it, or
// silence when it is empty. So a tick that is missed makes all that follows
// later, until the queue is empty again; and a packet that is later than any
// before makes a silence that nobody heard, and all that follows later by it.
// Asterisk's timestamps follow its ticks while these are less than 80 ms late
// and its clock after that (MAX_TIMESTAMP_SKEW of res_rtp_asterisk.c), so they do
// not tell where a sound belongs. Its order does: what comes is put behind what
// came before. The snoop's own silence is not put anywhere. It cannot be told from
// that of a phone which sends zeros, so its length decides: longer than packets are
// late, it is a pause of the phone; longer than can wait in the queue, what follows
// belongs to the moment it comes.
//
// What comes straight from the phone is put by the phone's own timestamps. While it
// goes from bridge to bridge nobody reads it, and what it sends waits in its socket:
// the first packets may all come at once, so the ones after them tell when these
// were sent. Before there is a snoop it passes as it is.
type ear struct {
	media.Track
	*source

	began time.Time // of all
	ssrc  uint32    // of what is put; 0: there was no snoop yet
	heard bool      // there was sound
	place int64     // behind the newest of it, in samples since began
	// zeros is the silence since the last sound, quiet what of it is no lateness,
	// and early how much of it has been left out: all in samples.
	zeros, quiet, early int64

	snooped  snooped
	straight straight
}

// source tells where a voice's sound is from.
type source struct {
	// snoops: it is heard through a snoop.
	snoops atomic.Bool
	// moved is when the phone was last brought somewhere, in nanoseconds of Unix
	// time; it is on its way until then.
	moved atomic.Int64
}

// snooped is how a snoop is read. It and all of an ear belong to the goroutine
// that reads.
type snooped struct {
	on    bool      // the last packet was the snoop's
	began time.Time // when its first one came
	ssrc  uint32
	next  uint32 // the timestamp that follows on the newest packet
	ticks int64  // what Asterisk's timer has told since, in samples
	// late is by how much the newest packets came after their ticks: the least
	// of it is Asterisk's, the rest the way's and ours.
	late [earWindow]time.Duration
	n    int
}

// straight is what comes from the phone itself since the last change.
type straight struct {
	on    bool
	began time.Time // when its first packet came
	ssrc  uint32
	from  uint32 // the timestamp that belongs to place
	place int64
	// waits is what came before it was known where it belongs.
	waits []packet
}

type packet struct {
	codec     media.Codec
	timestamp uint32
	payload   []byte
}

const (
	// tick is how often Asterisk reads a snoop.
	tick = 20 * time.Millisecond
	// earWindow is how many packets are asked how late Asterisk is: longer than
	// this process sleeps on a busy machine.
	earWindow = 20
	// flushed is the longest silence that is taken for late packets, in samples:
	// Asterisk lets half a second wait before it throws all of it away
	// (AST_AUDIOHOOK_LONG_QUEUE_TOLERANCE), and a packet.
	flushed = media.ClockRate/2 + media.ClockRate/50
	// pause is the shortest silence that is taken for the phone's own: packets that
	// are later than that are rare even on a busy machine, and each of them costs a
	// gap. Ticks that are made up for count for nothing: with them the packets are
	// late, too. Nor does what was silent while the phone was on its way.
	pause = media.ClockRate * 240 / 1000
	// arrives is how long after its way a phone may be silent for it, or its packets
	// late.
	arrives = 100 * time.Millisecond
	// earliest is how early words may be by the pauses that were left out.
	earliest = media.ClockRate
	// skew is MAX_TIMESTAMP_SKEW: what timestamps leave out below it was lost on
	// the way to us, and above it Asterisk was late.
	skew = 640
)

// Packet implements media.Listener.
func (e *ear) Packet(at time.Time, codec media.Codec, ssrc, timestamp uint32, payload []byte) {
	if e.began.IsZero() {
		e.began = at
	}
	if e.snoops.Load() {
		e.arrived()
		e.straight.on = false
		e.snoop(at, codec, ssrc, timestamp, payload)
		return
	}
	e.snooped.on = false
	if e.ssrc != 0 {
		e.phone(at, codec, ssrc, timestamp, payload)
		return
	}
	e.Track.Packet(at, codec, ssrc, timestamp, payload)
	e.heard, e.place = true, samples(at.Sub(e.began))+int64(len(payload))
}

// phone takes what comes from the phone itself.
func (e *ear) phone(at time.Time, codec media.Codec, ssrc, timestamp uint32, payload []byte) {
	s, now := &e.straight, samples(at.Sub(e.began))
	place := s.place + int64(int32(timestamp-s.from)) //nolint:gosec // wraps as timestamps do
	if far := now - place; !s.on || ssrc != s.ssrc || far > flushed || far < -flushed {
		e.arrived()
		*s = straight{on: true, began: at, ssrc: ssrc, from: timestamp, place: now, waits: s.waits}
		place = now
	}
	if at.Sub(s.began) < arrives {
		s.place -= max(place-now, 0) // this one is late by less than those before
		s.waits = append(s.waits, packet{codec, timestamp, slices.Clone(payload)})
		return
	}
	e.arrived()
	e.put(place, codec, payload)
	e.heard, e.zeros, e.quiet, e.early = true, 0, 0, 0
}

// arrived puts what has waited.
func (e *ear) arrived() {
	s := &e.straight
	for _, p := range s.waits {
		e.put(s.place+int64(int32(p.timestamp-s.from)), p.codec, p.payload) //nolint:gosec // wraps as timestamps do
		e.heard, e.zeros, e.quiet, e.early = true, 0, 0, 0
	}
	s.waits = s.waits[:0]
}

// snoop takes what comes from the snoop.
func (e *ear) snoop(at time.Time, codec media.Codec, ssrc, timestamp uint32, payload []byte) {
	s := &e.snooped
	if !s.on || ssrc != s.ssrc {
		*s = snooped{on: true, began: at, ssrc: ssrc, next: timestamp}
		if e.ssrc == 0 {
			e.ssrc = max(^ssrc, 1) // another source than the phone, so that the track begins anew with it
		}
	}
	switch gap := int32(timestamp - s.next); { //nolint:gosec // wraps as timestamps do
	case 0 < gap && gap < skew:
		s.ticks += int64(gap)
		e.place += int64(gap)
	case -skew < gap && gap < 0:
		if !silent(payload) {
			e.put(e.place+int64(gap), codec, payload)
		}
		return
	}
	size := int64(len(payload))
	s.next = timestamp + uint32(size) //nolint:gosec // of a packet
	now, onTime := s.now(at)
	now += samples(s.began.Sub(e.began))
	s.ticks += size
	if silent(payload) {
		e.zeros += size
		if onTime && at.UnixNano() > e.moved.Load()+int64(arrives) {
			e.quiet += size
		}
		return
	}
	lag := max(now-e.place, 0)
	left := min(e.early+e.zeros, lag)
	switch {
	case !e.heard, e.zeros > flushed, lag-left > flushed, left > earliest && e.zeros > 0:
		e.place, left = now, 0
	case e.quiet >= pause:
		// What shorter ones have left out is made up for, but not by much: they
		// are between words, this one may be between sentences.
		again := min(e.quiet+e.quiet/8, left)
		e.place += again
		left -= again
	}
	e.heard, e.zeros, e.quiet, e.early = true, 0, 0, left
	e.put(e.place, codec, payload)
}

// now is the moment of the tick whose packet came at a time, in samples since the
// first, and whether it came when it was due.
func (s *snooped) now(at time.Time) (now int64, onTime bool) {
	late := at.Sub(s.began) - duration(s.ticks)
	s.late[s.n%earWindow] = late
	s.n++
	least := s.late[0]
	for _, l := range s.late[1:min(s.n, earWindow)] {
		least = min(least, l)
	}
	return s.ticks + samples(least), late-least < tick
}

// put hands a sound on, as a phone would send it whose clock is perfect.
func (e *ear) put(place int64, codec media.Codec, payload []byte) {
	e.Track.Packet(e.began.Add(duration(place)), codec, e.ssrc, uint32(place), payload) //nolint:gosec // wraps as timestamps do
	e.place = max(e.place, place+int64(len(payload)))
}

func samples(d time.Duration) int64 { return int64(d * media.ClockRate / time.Second) }

func duration(samples int64) time.Duration {
	return time.Duration(samples) * time.Second / media.ClockRate
}

// silent tells whether a payload in A-law is the snoop's own silence: zeros, of
// which a resampler may make ones.
func silent(payload []byte) bool {
	for _, b := range payload {
		if b != 0xD5 && b != 0x55 {
			return false
		}
	}
	return true
}
