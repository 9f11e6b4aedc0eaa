package recording

import "github.com/perezvon/perezvon/internal/media"

// How far timestamps are trusted, in ticks. docs/decisions/0003 has the why.
const (
	// reorder is how far back a packet may lie behind the newest one and still
	// be a late one of the same run; farther back the sender began anew.
	reorder = media.ClockRate / 2
	// skew is how far a run may be off the arrival clock.
	skew = media.ClockRate * 15 / 1000
	// window is over how long a delay must last to be taken for skew and not
	// for jitter.
	window = 5 * media.ClockRate
	// jump is a delay so long that it is judged after as long a time: the
	// sender's timestamps stood still during a hold.
	jump = media.ClockRate
)

// timeline places the packets of one leg on the tape: at their RTP timestamps,
// counted from an anchor whose place the arrival clock told.
type timeline struct {
	anchored bool
	codec    media.Codec
	ssrc     uint32
	newest   int64 // the highest timestamp since the anchor, unwrapped
	offset   int64 // place = timestamp + offset

	arrived int64 // the newest packet
	since   int64 // when the present window began
	least   int64 // the smallest delay in it; jitter only ever adds
}

// place says where on the tape a packet belongs that came at arrival.
// hot path
func (l *timeline) place(arrival int64, codec media.Codec, ssrc, timestamp uint32) int64 {
	step := int64(int32(timestamp - uint32(l.newest)))
	unwrapped := l.newest + step
	late := arrival - unwrapped - l.offset
	// No network makes a packet come early: then the timestamps jumped ahead,
	// or the anchor was a packet that came late.
	if !l.anchored || codec != l.codec || ssrc != l.ssrc || step < -reorder || late < -skew {
		*l = timeline{
			anchored: true, codec: codec, ssrc: ssrc,
			newest: int64(timestamp), offset: arrival - int64(timestamp),
			arrived: arrival, since: arrival,
		}
		return arrival
	}
	if arrival-l.arrived > jump {
		l.since, l.least = arrival, late
	}
	l.arrived = arrival
	l.least = min(l.least, late)
	if age := arrival - l.since; age >= window || age >= jump && l.least > jump {
		if l.least > skew {
			l.offset += l.least
			late -= l.least
		}
		l.since, l.least = arrival, late
	}
	l.newest = max(l.newest, unwrapped)
	return unwrapped + l.offset
}
