package stream

import "encoding/binary"

// headerLen is the length of an RTP header without CSRC and extension.
const headerLen = 12

// header is what we read of an RTP header (RFC 3550 §5.1):
//
//	 0                   1                   2                   3
//	|V=2|P|X|  CC   |M|     PT      |       sequence number         |
//	|                           timestamp                           |
//	|                             SSRC                              |
type header struct {
	marker bool
	pt     uint8
	seq    uint16
	ts     uint32
	ssrc   uint32
}

// parseHeader reads b, and tells where in it the payload lies. ok is false for
// anything that is not a whole RTP packet. It never panics. Hot path.
func parseHeader(b []byte) (h header, from, to int, ok bool) {
	if len(b) < headerLen || b[0]>>6 != 2 {
		return h, 0, 0, false
	}
	from = headerLen + 4*int(b[0]&0x0f)
	if b[0]&0x10 != 0 { // an extension: two bytes of profile, two of length in words
		if len(b) < from+4 {
			return h, 0, 0, false
		}
		from += 4 + 4*int(binary.BigEndian.Uint16(b[from+2:]))
	}
	to = len(b)
	if b[0]&0x20 != 0 { // padding: the last byte counts itself
		n := int(b[to-1])
		if n == 0 {
			return h, 0, 0, false
		}
		to -= n
	}
	if from > to {
		return h, 0, 0, false
	}
	return header{
		marker: b[1]&0x80 != 0,
		pt:     b[1] & 0x7f,
		seq:    binary.BigEndian.Uint16(b[2:]),
		ts:     binary.BigEndian.Uint32(b[4:]),
		ssrc:   binary.BigEndian.Uint32(b[8:]),
	}, from, to, true
}

// put writes h over the first 12 bytes of b. Hot path.
func (h header) put(b []byte) {
	_ = b[headerLen-1]
	b[0] = 2 << 6
	b[1] = h.pt
	if h.marker {
		b[1] |= 0x80
	}
	binary.BigEndian.PutUint16(b[2:], h.seq)
	binary.BigEndian.PutUint32(b[4:], h.ts)
	binary.BigEndian.PutUint32(b[8:], h.ssrc)
}

// isRTCP tells RTCP from RTP on one port by its packet type (RFC 5761 §4).
func isRTCP(b []byte) bool {
	return len(b) >= 8 && b[0]>>6 == 2 && b[1] >= 192 && b[1] <= 223
}
