// Package media holds what every part of the media path shares: the codecs a
// leg may speak and the track that takes what was heard on it. The parts
// themselves are the packages below it, one noun each; none of them knows SIP.
package media

import "time"

// Codec is an audio encoding on the wire. For every codec here one byte of
// payload lasts one tick of the RTP clock (8,000 a second; RFC 3551 §4.5.2
// gives G.722 that clock though it samples at 16 kHz), so lengths, positions
// and timestamps are one unit.
type Codec uint8

// The codecs. The zero value is no codec.
const (
	NoCodec Codec = iota
	PCMA          // G.711 A-law
	PCMU          // G.711 µ-law
	G722          // G.722 at 64 kbit/s
)

// ClockRate is the RTP clock of every Codec, in ticks (and payload bytes) a
// second.
const ClockRate = 8000

// Name is the encoding name in SDP (RFC 3551 §6).
func (c Codec) Name() string {
	switch c {
	case PCMA:
		return "PCMA"
	case PCMU:
		return "PCMU"
	case G722:
		return "G722"
	}
	return ""
}

// String is Name, for logs.
func (c Codec) String() string { return c.Name() }

// PayloadType is the static RTP payload type (RFC 3551 §6).
func (c Codec) PayloadType() uint8 {
	switch c {
	case PCMA:
		return 8
	case G722:
		return 9
	}
	return 0
}

// SampleRate is the rate of the decoded sound, in samples a second.
func (c Codec) SampleRate() int {
	if c == G722 {
		return 16000
	}
	return 8000
}

// CodecByName finds a codec by its SDP name in any case; ok is false for one
// we do not speak.
func CodecByName(name string) (c Codec, ok bool) {
	for _, c := range []Codec{PCMA, PCMU, G722} {
		if equalFold(c.Name(), name) {
			return c, true
		}
	}
	return NoCodec, false
}

func equalFold(upper, s string) bool {
	if len(upper) != len(s) {
		return false
	}
	for i := range len(s) {
		b := s[i]
		if 'a' <= b && b <= 'z' {
			b -= 'a' - 'A'
		}
		if b != upper[i] {
			return false
		}
	}
	return true
}

// Listener hears what the phone of a leg sends, while it sends it.
type Listener interface {
	// Packet takes one received payload. timestamp is the RTP timestamp in
	// ticks, at the monotonic arrival time. payload is only lent. It is called
	// by the goroutine that reads the leg's socket and must return at once.
	Packet(at time.Time, codec Codec, ssrc, timestamp uint32, payload []byte)
}

// Track takes what one leg of a call sounds like: the payload its phone sent
// and the notes of what the server played to it. A Track is used by the
// goroutine that reads the leg's socket and by the one that plays to it, at
// the same time. It never blocks on a disk for longer than a write to the page
// cache, and it never fails: trouble is counted and told at the end.
type Track interface {
	// Packet appends one received payload.
	Listener
	// PlayStarted notes that the phone hears the sound named key from that
	// moment on, over and over if loop. into is how long it had sounded by then:
	// 0, unless the track took a leg over to which something was played.
	PlayStarted(at time.Time, key string, loop bool, into time.Duration)
	// PlayEnded notes that it stopped, finished or not.
	PlayEnded(at time.Time, key string)
}
