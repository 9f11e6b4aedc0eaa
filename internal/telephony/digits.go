package telephony

import "time"

// Digit is one key pressed on a phone.
type Digit struct {
	Key    byte // one of 0123456789*#ABCD
	At     time.Time
	Method string // rfc4733, info, inband, voice
	// Said is what was said, of a key that was spoken (MethodVoice).
	Said string
}

// MethodVoice is the Method of a key whose name was spoken.
const MethodVoice = "voice"

// Digits is the queue of keys pressed on a leg. It is filled from the answer
// on, so keys pressed during a prompt are not lost (type-ahead); who does not
// want those drains it.
type Digits = Queue[Digit]

// NewDigits makes an empty queue; it holds 64 keys.
func NewDigits() *Digits { return NewQueue[Digit](64) }
