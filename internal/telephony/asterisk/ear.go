package asterisk

import (
	"sync/atomic"
	"time"

	"github.com/perezvon/perezvon/internal/media"
)

// ear puts what a snoop hears to where it was said. A voice's track gets
// everything through it; what comes straight from the phone passes as it is.
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
type ear struct {
	media.Track
	// snoops tells whether the voice hears the phone through its snoop.
	snoops *atomic.Bool

	hearing
}

// hearing is what an ear has heard. It belongs to the goroutine that reads.
type hearing struct {
	on    bool      // the last packet was the snoop's
	began time.Time // when its first one came
	ssrc  uint32
	next  uint32 // the timestamp that follows on the newest packet
	ticks int64  // what Asterisk's timer has told since, in samples
	place int64  // where the next sound belongs
	heard bool   // there was sound
	// zeros is the silence since the last sound, quiet what of it came on time, and
	// early how much of it has been left out: all in samples.
	zeros, quiet, early int64
	// late is by how much the newest packets came after their ticks: the least
	// of it is Asterisk's, the rest the way's and ours.
	late [earWindow]time.Duration
	n    int
}

const (
	// earWindow is how many packets are asked how late Asterisk is: longer than
	// this process sleeps on a busy machine, and no longer than pause.
	earWindow = 20
	// flushed is the longest silence that is taken for late packets, in samples:
	// Asterisk lets half a second wait before it throws all of it away
	// (AST_AUDIOHOOK_LONG_QUEUE_TOLERANCE), and a packet. So the sound of a phone
	// that sends nothing in its pauses may be early by as much until it pauses
	// for longer.
	flushed = media.ClockRate/2 + media.ClockRate/50
	// pause is the shortest silence that is taken for the phone's own: packets that
	// are later than that are rare even on a busy machine, and each of them costs a
	// gap. Ticks that are made up for count for nothing: with them the packets are
	// late, too.
	pause = media.ClockRate * 240 / 1000
	// earliest is how early words may be by the pauses that were left out.
	earliest = media.ClockRate
	// skew is MAX_TIMESTAMP_SKEW: what timestamps leave out below it was lost on
	// the way to us, and above it Asterisk was late.
	skew = 640
)

// tick is how often Asterisk reads a snoop.
const tick = 20 * time.Millisecond

// Packet implements media.Listener.
func (e *ear) Packet(at time.Time, codec media.Codec, ssrc, timestamp uint32, payload []byte) {
	if !e.snoops.Load() {
		e.on = false
		e.Track.Packet(at, codec, ssrc, timestamp, payload)
		return
	}
	if !e.on || ssrc != e.ssrc {
		e.hearing = hearing{on: true, began: at, ssrc: ssrc, next: timestamp}
	}
	switch gap := int32(timestamp - e.next); { //nolint:gosec // wraps as timestamps do
	case 0 < gap && gap < skew:
		e.ticks += int64(gap)
		e.place += int64(gap)
	case -skew < gap && gap < 0:
		if !silent(payload) {
			e.put(e.place+int64(gap), codec, payload)
		}
		return
	}
	size := int64(len(payload))
	e.next = timestamp + uint32(size) //nolint:gosec // of a packet
	now, onTime := e.now(at)
	e.ticks += size
	if silent(payload) {
		e.zeros += size
		if onTime {
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
	e.place += size
}

// now is the moment of the tick whose packet came at a time, in samples, and
// whether it came when it was due.
func (e *ear) now(at time.Time) (now int64, onTime bool) {
	late := at.Sub(e.began) - duration(e.ticks)
	e.late[e.n%earWindow] = late
	e.n++
	least := e.late[0]
	for _, l := range e.late[1:min(e.n, earWindow)] {
		least = min(least, l)
	}
	return e.ticks + int64(least*media.ClockRate/time.Second), late-least < tick
}

// put hands a sound on, as a phone would send it whose clock is perfect.
func (e *ear) put(place int64, codec media.Codec, payload []byte) {
	// Another source than the phone, so that the track begins anew with it.
	e.Track.Packet(e.began.Add(duration(place)), codec, ^e.ssrc, uint32(place), payload) //nolint:gosec // wraps as timestamps do
}

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
