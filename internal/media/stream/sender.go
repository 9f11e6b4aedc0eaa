package stream

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/perezvon/perezvon/internal/media"
)

// frame is the step that timestamps are rounded to where one voice follows
// another: 20 ms.
const frame = media.ClockRate / 50

// A source whose sequence number or timestamp leaps further than this has begun
// anew (the first two: RFC 3550 §A.1).
const (
	maxDropout  = 3000
	maxMisorder = 100
	maxLeap     = media.ClockRate // ticks off the clock: 1 s
)

// sender is the one RTP stream that a phone hears.
type sender struct {
	mu   sync.Mutex
	conn Conn
	to   netip.AddrPort
	open bool // it may be sent

	ssrc uint32
	seq  uint16    // of the newest packet
	ts   uint32    // the newest timestamp
	at   time.Time // when ts was sent; zero: nothing was yet
	last *voice    // who sent the last packet
	owed int64     // ticks by which the clock is ahead of ts after the last switch

	keys  *voice  // of SendDigits
	play  *player // of Play
	relay *voice  // of the route that leads here

	packets, bytes uint64
}

// voice is the place of one speaker in a sender's stream: what must be added to
// its own numbers. It belongs to the sender's lock.
type voice struct {
	seqOff uint16
	tsOff  uint32
	floor  uint16 // earlier sequence numbers belong to a former place, or leap

	ssrc uint32    // the speaker's own
	seq  uint16    // the newest of its numbers
	ts   uint32    // the newest of its timestamps of sound
	at   time.Time // when ts came
}

func (o *sender) init(c Conn) {
	o.conn = c
	o.ssrc = rand.Uint32()
	o.seq = uint16(rand.Uint32())
	o.ts = rand.Uint32()
}

func (o *sender) configure(to netip.AddrPort, open bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.to, o.open = to, open
	o.last = nil // after a change of the far end the stream is marked anew
}

// redirect sends to a source that was just latched on.
func (o *sender) redirect(to netip.AddrPort) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.to = to
}

func (o *sender) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open, o.relay = false, nil
}

// speaker is who is heard at present: keys before a sound before the relay.
func (o *sender) speaker() *voice {
	switch {
	case o.keys != nil:
		return o.keys
	case o.play != nil:
		return &o.play.voice
	}
	return o.relay
}

// send gives b, whose payload begins after room for a header, the place that v
// and h have in the stream, and sends it; nothing happens unless v is the
// speaker. h carries the speaker's own numbers; event tells that it is a
// telephone-event, whose timestamp stands still. Hot path.
func (o *sender) send(now time.Time, v *voice, h header, event bool, b []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.open {
		return
	}
	if o.speaker() != v {
		if o.last == v {
			o.last = nil // what v does not say now is no loss: it begins anew
		}
		return
	}
	if o.last != v || v.ssrc != h.ssrc || v.leaps(now, h, event) {
		if !o.begin(now, v, h) {
			return
		}
		h.marker = true
	} else if int16(h.seq-v.floor) < 0 {
		return // it came too late: its number is another's now
	}
	if int16(h.seq-v.seq) > 0 {
		v.seq = h.seq
		if h.seq-v.floor > maxMisorder {
			v.floor = h.seq - maxMisorder
		}
	}
	if !event && int32(h.ts-v.ts) > 0 {
		v.ts, v.at = h.ts, now
	}

	h.seq += v.seqOff
	h.ts += v.tsOff
	h.ssrc = o.ssrc
	h.put(b)
	if int16(h.seq-o.seq) > 0 {
		o.seq = h.seq
	}
	if int32(h.ts-o.ts) > 0 {
		o.ts, o.at = h.ts, now
	}
	// A lost datagram is a lost datagram: an error here says no more.
	if _, err := o.conn.WriteToUDPAddrPort(b, o.to); err == nil {
		o.packets++
		o.bytes += uint64(len(b) - headerLen)
	}
}

// begin places v after what was sent last: the next sequence number, and the
// timestamp further by the time that passed, in whole frames and at least one.
// What this is off the clock is made good at the next switch. It returns false,
// and the packet must not be sent, if voices that cut each other short have
// filled the phone with a frame more than it could play meanwhile.
func (o *sender) begin(now time.Time, v *voice, h header) bool {
	step := int64(frame)
	if !o.at.IsZero() {
		passed := int64(ticks(now.Sub(o.at))) + o.owed
		if passed < 0 {
			return false
		}
		step = max(step, (passed+frame/2)/frame*frame)
		o.owed = passed - step
	}
	*v = voice{
		seqOff: o.seq + 1 - h.seq,
		tsOff:  o.ts + uint32(step) - h.ts,
		floor:  h.seq,
		ssrc:   h.ssrc,
		seq:    h.seq,
		ts:     h.ts,
		at:     now,
	}
	o.last = v
	return true
}

// leaps tells that h does not continue what v sent before. Loss, reordering,
// jitter and pauses do.
func (v *voice) leaps(now time.Time, h header, event bool) bool {
	if d := int16(h.seq - v.seq); d > maxDropout || d < -maxMisorder {
		return true
	}
	if event {
		return false
	}
	off := int64(int32(h.ts-v.ts)) - int64(ticks(now.Sub(v.at)))
	return off > maxLeap || off < -maxLeap
}

// withhold closes the gap that a packet of v leaves which is not sent on.
func (o *sender) withhold(v *voice, h header) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.last == v && v.ssrc == h.ssrc && int16(h.seq-v.seq) > 0 {
		// What was lost before h stays lost; only h itself is taken out.
		v.seqOff--
		v.seq = h.seq
		v.floor = h.seq + 1
	}
}

// ticks is d on the RTP clock, 0 if d is negative.
func ticks(d time.Duration) uint32 {
	return uint32(max(d, 0).Microseconds() * media.ClockRate / 1e6)
}
