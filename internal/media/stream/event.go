package stream

import "encoding/binary"

// keys are the telephone events 0…15 (RFC 4733 §3.2).
const keys = "0123456789*#ABCD"

// eventLen is the length of a telephone-event's payload (RFC 4733 §2.3):
//
//	|     event     |E|R| volume    |          duration             |
const eventLen = 4

// An event longer than maxEvent ticks (8 s) goes on as another whose timestamp
// is this much later (RFC 4733 §2.5.1.3).
const maxEvent = 0xffff

// staleEvent is how far, in ticks, a timestamp may lie behind the last event's
// and be a latecomer of an older one; further behind, the sender's clock was
// set anew.
const staleEvent = 10 * 8000

// eventReceiver finds the keys in telephone-event packets. A key is one
// timestamp: the marker bit and the end packets get lost, so neither is relied
// on and a key counts with the first of its packets that comes.
type eventReceiver struct {
	begun bool
	ssrc  uint32
	ts    uint32 // of the present event
	event uint8
	ended bool
}

// take reads one packet. key is 0 for an event that is no key, such as a hook
// flash; fresh tells that it begins now; ok is false for what is no event.
func (e *eventReceiver) take(h header, payload []byte) (key byte, fresh, ok bool) {
	if len(payload) < eventLen {
		return 0, false, false
	}
	event, ended := payload[0], payload[1]&0x80 != 0
	if int(event) < len(keys) {
		key = keys[event]
	}
	ahead := int32(h.ts - e.ts)
	switch {
	case !e.begun || h.ssrc != e.ssrc || ahead < -staleEvent:
	case ahead == 0:
		e.ended = e.ended || ended
		return key, false, true
	case ahead < 0:
		return key, false, true
	case ahead == maxEvent && event == e.event && !e.ended:
		e.ts, e.ended = h.ts, ended
		return key, false, true
	}
	*e = eventReceiver{begun: true, ssrc: h.ssrc, ts: h.ts, event: event, ended: ended}
	return key, key != 0, true
}

// putEvent writes the payload of one packet of an event.
func putEvent(b []byte, event uint8, end bool, duration uint16) {
	const volume = 10 // -10 dBm0
	b[0] = event
	b[1] = volume
	if end {
		b[1] |= 0x80
	}
	binary.BigEndian.PutUint16(b[2:], duration)
}
