// Package sdp is the session description of one telephone: a reader that
// forgives what phones and providers get wrong, and the offer/answer rules
// (RFC 3264) for a single stream of audio.
//
// The reader looks at lines, not at their order: line ends may be bare, s= may
// be missing, c= may follow t=, the user in o= may hold spaces (RFC 8866 §5
// allows none of it; the field does it all).
package sdp

import (
	"errors"
	"net/netip"
	"strings"
	"time"
)

// What a description can lack. A caller is answered 488 for any of them
// (RFC 3261 §21.4.26).
var (
	// ErrMalformed is for what cannot be read even with good will.
	ErrMalformed = errors.New("sdp: malformed")
	// ErrNoAudio: no audio stream at all, or only refused ones (port 0).
	ErrNoAudio = errors.New("sdp: no audio stream")
	// ErrSRTP: every audio stream demands encryption (RTP/SAVP and the like),
	// which we do not speak.
	ErrSRTP = errors.New("sdp: audio is offered encrypted (SRTP) only; allow plain RTP/AVP on the phone or trunk")
	// ErrNoAddress: the audio stream has no usable address: none, a multicast
	// group.
	ErrNoAddress = errors.New("sdp: no address to send audio to")
	// ErrNoCommonCodec: nothing we may speak is among the formats.
	ErrNoCommonCodec = errors.New("sdp: no common codec")
)

// Direction is which way sound may flow, seen from the side whose description
// says it (RFC 3264 §5.1). The zero value is both ways, the default.
type Direction uint8

// The directions.
const (
	SendRecv Direction = iota
	SendOnly
	RecvOnly
	Inactive
)

// DirectionOf is the direction with these halves.
func DirectionOf(send, receive bool) Direction {
	switch {
	case send && receive:
		return SendRecv
	case send:
		return SendOnly
	case receive:
		return RecvOnly
	}
	return Inactive
}

// Sends tells that the side sends sound.
func (d Direction) Sends() bool { return d == SendRecv || d == SendOnly }

// Receives tells that the side wants to receive sound.
func (d Direction) Receives() bool { return d == SendRecv || d == RecvOnly }

// Reverse is the same direction seen from the other side.
func (d Direction) Reverse() Direction { return DirectionOf(d.Receives(), d.Sends()) }

// And is what both directions allow.
func (d Direction) And(o Direction) Direction {
	return DirectionOf(d.Sends() && o.Sends(), d.Receives() && o.Receives())
}

// String is the attribute's name in a description.
func (d Direction) String() string {
	return [...]string{"sendrecv", "sendonly", "recvonly", "inactive"}[d&3]
}

func directionByName(name string) (Direction, bool) {
	for d := SendRecv; d <= Inactive; d++ {
		if strings.EqualFold(name, d.String()) {
			return d, true
		}
	}
	return 0, false
}

// Format is one encoding of the audio stream.
type Format struct {
	PT    uint8
	Name  string // as written, e.g. PCMA; empty for a dynamic type without rtpmap
	Clock int    // RTP clock, Hz
	Fmtp  string // parameters, as written
}

// Origin is the o= line (RFC 8866 §5.2). A Version that did not change tells
// that the description did not either.
type Origin struct {
	User, SessionID, Version, Addr string
}

// Session is the far end's description, as far as its audio goes.
type Session struct {
	// Addr is where RTP is to be sent. It is the zero AddrPort where the
	// description has a host name: the address is then learnt from the first
	// packet. While the far end holds by address it is 0.0.0.0.
	Addr netip.AddrPort
	// RTCP is where RTCP is to be sent: the port above Addr's, or what a=rtcp
	// says (RFC 3605).
	RTCP netip.AddrPort
	// Formats are the encodings of the audio stream, the preferred one first.
	Formats []Format
	// EventPT is the payload type of telephone-event/8000 (RFC 4733), 0 none.
	EventPT uint8
	// Ptime is how much sound the far end wants in a packet, 0 if it did not
	// say or asks for less than 10 or more than 200 ms.
	Ptime time.Duration
	// Direction is the far end's. An address of 0.0.0.0 (hold in the manner of
	// RFC 2543) takes the receiving half from it.
	Direction Direction
	Origin    Origin

	media []mediaLine // all m= lines: an answer must have them all
	audio int         // which of them is the audio stream
}

// mediaLine is an m= line: "audio 49170/2 RTP/AVP 8 0 101".
type mediaLine struct {
	kind, proto string
	port        int
	formats     []string
}
