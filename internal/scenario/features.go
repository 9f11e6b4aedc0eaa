package scenario

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/telephony"
)

// Features are the keys by which operators transfer, and how long is waited
// for what. The zero Features are DefaultFeatures.
type Features struct {
	// Attended and Blind are pressed during a conversation and followed by the
	// colleague's number; Back and ThreeWay while the colleague is consulted.
	// None begins with another that can be pressed at the same time.
	Attended, Blind, Back, ThreeWay string
	// PickUp is dialled before a colleague's extension to take the call that
	// rings there, PickUpAny by itself to take the one that rings longest
	// anywhere. Empty: there is no such code.
	PickUp, PickUpAny string
	// InterDigit ends the dialling of a number: no key for so long ('#' ends
	// it at once). Digit is how long after one key of a code the next must
	// come, or it was no code.
	InterDigit, Digit time.Duration
	// Ring is how long a colleague is called.
	Ring time.Duration
	// NoReturn: a client whom the colleague of a blind transfer does not take
	// is not given back to the operator.
	NoReturn bool
}

// DefaultFeatures are those of the specification (2-transfers-and-crm); the
// times not named there are Asterisk's, but for the ringing.
var DefaultFeatures = Features{
	Attended: "*2", Blind: "##", Back: "*1", ThreeWay: "*3", PickUp: "**", PickUpAny: "*8",
	InterDigit: 3 * time.Second, Digit: time.Second, Ring: 20 * time.Second,
}

func (c *Services) features() Features {
	if c.Features == (Features{}) {
		return DefaultFeatures
	}
	return c.Features
}

// What the codes mean, as the timeline names it.
const (
	actAttended action = "attended"
	actBlind    action = "blind"
	actBack     action = "back"
	actThreeWay action = "three_way"
)

// codes are what can be pressed now.
type codes map[string]action

// talking are the codes during a conversation.
func (f Features) talking() codes { return codes{f.Attended: actAttended, f.Blind: actBlind} }

// ringing is the code while the colleague is called.
func (f Features) ringing() codes { return codes{f.Back: actBack} }

// consulting are the codes while the colleague is consulted.
func (f Features) consulting() codes { return codes{f.Back: actBack, f.ThreeWay: actThreeWay} }

// begun tells that keys may become a code.
func (c codes) begun(keys string) bool {
	for code := range c {
		if strings.HasPrefix(code, keys) {
			return true
		}
	}
	return false
}

// code waits for a code on an operator's phone. Keys that are none go on to
// the other as soon as that is clear; nil: to nobody.
func (s *course) code(ctx context.Context, l, other *line, cs codes) (action, error) {
	pressed := "" // may become a code
	heard := false
	for {
		limit := time.Duration(0)
		if pressed != "" {
			limit = s.features().Digit
		}
		none := "" // what is no code
		switch key, err := s.key(ctx, l, limit); {
		case errors.Is(err, errNoKey):
			none, pressed = pressed, ""
		case err != nil:
			return "", err
		default:
			heard = key.Method == "inband"
			for pressed += string(rune(key.Key)); !cs.begun(pressed); {
				none, pressed = none+pressed[:1], pressed[1:]
			}
		}
		if a, ok := cs[pressed]; ok && pressed != "" {
			s.event(call.Event{Type: call.KeyPressed, Leg: l.ID(), Digits: pressed, Action: string(a)})
			return a, nil
		}
		// Tones that are part of the sound have been heard already.
		if other != nil && none != "" && !heard {
			// Whoever cannot be sent keys any more ends the conversation himself.
			_ = s.sendDigits(ctx, other, none)
		}
	}
}

// key waits for the next key, up to limit (0: for ever; then errNoKey).
func (s *course) key(ctx context.Context, l *line, limit time.Duration) (telephony.Digit, error) {
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, errNoKey)
		defer cancel()
	}
	d, err := l.Digits().Next(ctx)
	if err == nil {
		s.event(call.Event{Type: call.DigitReceived, Leg: l.ID(), Digits: string(rune(d.Key)), Method: d.Method})
	}
	return d, err
}
