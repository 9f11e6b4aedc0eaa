// Package telephony is what a scenario needs of a phone system, in the words of
// a person on the phone: dial, answer, say something, hear keys, join, hang up.
// Engines (the built-in SIP stack, Asterisk) implement it; telephonytest holds
// the suite they must pass.
//
// Every call that waits takes a context and returns context.Cause of it when
// it ends, so a reason is never lost. None outlives its leg: when the phone
// hangs up, what waits on it returns the leg's *HangupError.
package telephony

import (
	"context"
	"time"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/audio"
)

// Engine is a phone system.
type Engine interface {
	// Dial calls out and waits until the far end answers. It gives up when ctx
	// ends (the far end is cancelled and never rings on; an answer that
	// crosses the cancel is acknowledged and hung up) or after d.Timeout.
	// A call that did not come about is a *DialError.
	Dial(ctx context.Context, d Dial) (Leg, error)

	// Join lets answered legs hear each other, two or more, until one of them
	// ends or ctx does, and returns the cause: the *HangupError of the leg that
	// left, or context.Cause(ctx). All legs are alone again when it returns.
	Join(ctx context.Context, legs ...Leg) error

	// DeviceState tells what the phones of an operator are doing.
	DeviceState(extension string) DeviceState
}

// Leg is one phone's part in a call.
type Leg interface {
	// ID is the name of the leg within its call: m1, c1. One that came in is c1
	// from a trunk and o1 from an operator.
	ID() string

	// Info is what is known of the leg; it does not change once Dial has
	// returned it.
	Info() Info

	// Context ends once, when the leg does; context.Cause is a *HangupError.
	Context() context.Context

	// Answer picks up an inbound leg; Ringing tells its phone that we ring, and
	// Progress that it hears what is played to it although it is not answered
	// (early media). On a leg that is answered, or that Dial returned, they do
	// nothing.
	Answer(ctx context.Context) error
	Ringing(ctx context.Context) error
	Progress(ctx context.Context) error

	// Play lets the phone hear p, and returns when it has been heard to the
	// end, or with the cause when ctx or the leg ended. A second Play on the
	// same leg waits for nothing: it takes over, and the first returns
	// ErrReplaced.
	Play(ctx context.Context, p Prompt) error

	// Digits is the queue of keys pressed on the phone since the answer. One
	// reader at a time.
	Digits() *Digits

	// KeepKeys settles, for the joins to come, whether the keys pressed on the
	// phone are for the server alone. By default whom the leg is joined with
	// hears them too. Where telephone-event was not agreed on, keys are part of
	// the sound and pass in any case.
	KeepKeys(keep bool)
	// Refers is the queue of transfers the phone asked for by its own keys.
	// Only operators' phones may; others are declined by the engine.
	Refers() *Refers
	// Held tells whether the phone has put the call on hold by its own key.
	Held() *Flag
	// SendDigits sends keys to the far end, each tone 100 ms with as much
	// pause, and waits until they are out. ',' is a pause of 500 ms.
	SendDigits(ctx context.Context, digits string) error

	// Record lets t take what is heard on the leg from now on; nil ends it.
	Record(t media.Track)

	// Listen lets l hear what the phone says from now on, beside the
	// recording; nil ends it. ErrCannotListen: this phone system hears legs
	// only when they are over.
	Listen(l media.Listener) error

	// Hangup ends the leg, if it has not ended. A leg that was not answered
	// is refused with code (a SIP final status; 0 is 603 Decline). It does
	// not wait for the far end to agree.
	Hangup(code int)
	// Refuse is Hangup for a leg that was not answered, and tells its phone
	// why, in words that people read (the reason phrase and a Warning, RFC 3261
	// §20.43).
	Refuse(code int, why string)
}

// Info is what is known of a leg from its beginning.
type Info struct {
	// Inbound tells that the phone called us.
	Inbound bool
	// From and To are the numbers as they stood in the signalling.
	From, FromName, To string
	// ANI is the number that the trunk vouches for (P-Asserted-Identity, RFC
	// 3325), where it says one; empty: From is all that is known. A phone's own
	// word is never taken for it.
	ANI string
	// Operator is the extension of the authenticated phone, if it is one of
	// our operators' (never what the phone merely claims).
	Operator string
	// Replaces is the leg whose place the phone wants to take with its call
	// (RFC 3891: it picks up what rings at a colleague's, or takes a call over),
	// nil: none. It is any leg that the engine has, also one that still rings and
	// that no Dial has returned: its name and Info.Call tell whose it is. Only
	// authenticated operators may; whether this one may this is the scenario's
	// affair, as is ending the leg (a Dial with ErrElsewhere).
	Replaces Leg
	// Trunk is the trunk the leg runs through, if any.
	Trunk string
	// Codec is what the leg speaks, NoCodec before the answer.
	Codec media.Codec
	// CallID is the SIP Call-ID or the channel name, for the logs and to find
	// the leg in a capture. Call is what Dial.Call said.
	CallID, Call string
}

// Dial is an order to call somebody. Exactly one of Operator and Trunk is set.
type Dial struct {
	// Call is the identifier of the call, for the logs; Leg the name the leg
	// will have within it.
	Call, Leg string
	// Operator is the extension to call on all its registered phones; the
	// first phone to answer wins, the rest are cancelled.
	Operator string
	// Trunk is the route to the outside, Number whom to call there (E.164
	// with +, to which the engine applies the trunk's own format, or a short
	// number that goes as it stands).
	Trunk, Number string
	// CallerID is the number the far end is shown, CallerName the name;
	// empty: the trunk's own.
	CallerID, CallerName string
	// ANI, if set, is told to an operator's phone beside CallerID
	// (P-Asserted-Identity).
	ANI string
	// Timeout is how long it may ring (from the order to the answer); 0: the
	// engine's own limit, 120 s.
	Timeout time.Duration
	// Listener, if set, hears what the caller of a phone hears meanwhile:
	// ringback when the far end rings, its early media once it sends any.
	Listener Leg
	// Ringback is what Listener hears while the far end rings.
	Ringback Prompt
	// Record takes the leg's sound from its first early media on; nil: none
	// (Leg.Record can be called later).
	Record media.Track
	// OnProgress is told of each provisional answer, in order, from one
	// goroutine, never after Dial has returned. nil: nobody.
	OnProgress func(Progress)
}

// Progress is a provisional answer of the far end.
type Progress struct {
	Code       int // SIP status 180…199
	Ringing    bool
	EarlyMedia bool // the far end sends sound before it answers
}

// Prompt is something a phone can be let to hear.
type Prompt struct {
	Clip *audio.Clip
	// Loop plays the clip over and over until the context ends.
	Loop bool
}

// DeviceState is what the phones of an operator are doing, with the names
// Asterisk's DEVICE_STATE() gives.
type DeviceState string

// The device states.
const (
	NotInUse    DeviceState = "NOT_INUSE"
	Ringing     DeviceState = "RINGING"
	InUse       DeviceState = "INUSE"
	Busy        DeviceState = "BUSY"
	OnHold      DeviceState = "ONHOLD"
	Unavailable DeviceState = "UNAVAILABLE" // no phone is registered
)
