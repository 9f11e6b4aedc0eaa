package dryrun

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/telephony/scripted"
)

// Order is what is to be tried: a request as it would come, and how the people
// behave who would be called. Left out, they answer, and the client hangs up
// after a minute of talk.
type Order struct {
	Packet  callback.Packet `json:"packet" doc:"The request; its widget is the one that is tried"`
	Manager []Script        `json:"manager,omitempty" maxItems:"20" doc:"How each manager behaves, in the order in which they are called; those without an entry answer"`
	Client  Script          `json:"client,omitzero" doc:"How the client behaves"`
	// TrunksDown are trunks through which nothing goes out.
	TrunksDown []string   `json:"trunks_down,omitempty" maxItems:"32" doc:"Trunks that are out of order: what goes through them fails as 503 before anything is sent"`
	At         *time.Time `json:"at,omitempty" doc:"When the request comes, within a year of now. Default: now" example:"2026-11-23T09:00:00Z"`
}

// Script is how a person and his phone behave when called. The zero Script
// picks up after three seconds.
type Script struct {
	Answer string   `json:"answer,omitempty" enum:"answers,no_answer,busy,declined,unavailable,unknown,fails" doc:"What becomes of the call to him: he answers (default), it rings on, he is busy, he declines, his phone is off, the number does not exist, the network fails"`
	AfterS *float64 `json:"after_s,omitempty" minimum:"0" maximum:"600" doc:"After how many seconds. Default: 3 to answer, 2 to decline, else 0"`
	Keys   []Press  `json:"keys,omitempty" maxItems:"64" doc:"Keys that he presses"`
	// HangsUpAfterS counts from the answer. nil: the client after a minute, the
	// manager never.
	HangsUpAfterS *float64 `json:"hangs_up_after_s,omitempty" minimum:"0" maximum:"14400" doc:"After how many seconds from his answer he hangs up. Default: 60 of the client, a manager does not"`
}

// Press is a key pressed on a phone.
type Press struct {
	Key    string  `json:"key" enum:"0,1,2,3,4,5,6,7,8,9,*,#" doc:"One key"`
	AfterS float64 `json:"after_s" minimum:"0" maximum:"14400" doc:"Seconds from his answer"`
}

// What becomes of a call to somebody.
const (
	Answers     = "answers"
	NoAnswer    = "no_answer"   // it rings on
	Busy        = "busy"        // 486
	Declined    = "declined"    // 603, after it rang
	Unavailable = "unavailable" // 480: off, out of reach
	Unknown     = "unknown"     // 404: there is no such number
	Fails       = "fails"       // 503: the network
)

// The bounds of scripts, in seconds, and their defaults.
const (
	maxRing     = 600
	maxTalk     = 4 * 3600
	maxKeys     = 64
	maxPeople   = 20
	maxDown     = 32
	maxAway     = 366 * 24 * time.Hour // of Order.At
	pickUpAfter = 3 * time.Second
	refuseAfter = 2 * time.Second
	talkFor     = time.Minute
)

// Check finds what is wrong with an order that comes at now, but for its
// packet: nil or an invalid.Error.
func (o Order) Check(now time.Time) error {
	var bad invalid.Error
	if len(o.Manager) > maxPeople {
		bad.Add("manager", fmt.Sprintf("want at most %d", maxPeople))
	}
	for i, a := range o.Manager {
		a.check(&bad, fmt.Sprintf("manager[%d]", i))
	}
	o.Client.check(&bad, "client")
	if len(o.TrunksDown) > maxDown {
		bad.Add("trunks_down", fmt.Sprintf("want at most %d", maxDown))
	}
	if o.At != nil && o.At.Sub(now).Abs() > maxAway {
		bad.Add("at", "want a moment within a year of now")
	}
	return bad.Err()
}

func (a Script) check(bad *invalid.Error, path string) {
	switch a.Answer {
	case "", Answers:
	case NoAnswer, Busy, Declined, Unavailable, Unknown, Fails:
		if len(a.Keys) > 0 {
			bad.Add(path+".keys", "only who answers can press keys")
		}
		if a.HangsUpAfterS != nil {
			bad.Add(path+".hangs_up_after_s", "only who answers can hang up")
		}
	default:
		bad.Add(path+".answer", "want answers, no_answer, busy, declined, unavailable, unknown or fails")
	}
	between(bad, path+".after_s", a.AfterS, maxRing)
	between(bad, path+".hangs_up_after_s", a.HangsUpAfterS, maxTalk)
	if len(a.Keys) > maxKeys {
		bad.Add(path+".keys", fmt.Sprintf("want at most %d", maxKeys))
	}
	for i, k := range a.Keys {
		if len(k.Key) != 1 || !strings.Contains("0123456789*#", k.Key) {
			bad.Add(fmt.Sprintf("%s.keys[%d].key", path, i), "want one key of 0-9*#")
		}
		between(bad, fmt.Sprintf("%s.keys[%d].after_s", path, i), &k.AfterS, maxTalk)
	}
}

func between(bad *invalid.Error, path string, s *float64, most float64) {
	if s != nil && !(*s >= 0 && *s <= most) { // the other way round it lets NaN through
		bad.Add(path, fmt.Sprintf("want 0 to %v seconds", most))
	}
}

// phone is the script of a phone of his. HangsUp is his own; a client's default
// is the caller's to add.
func (a Script) phone() scripted.Phone {
	switch a.Answer {
	case NoAnswer:
		return scripted.RingsOn()
	case Busy:
		return scripted.Refuses(orElse(a.AfterS, 0), 486)
	case Declined:
		return scripted.Refuses(orElse(a.AfterS, refuseAfter), 603).Ringing()
	case Unavailable:
		return scripted.Refuses(orElse(a.AfterS, 0), 480)
	case Unknown:
		return scripted.Refuses(orElse(a.AfterS, 0), 404)
	case Fails:
		return scripted.Refuses(orElse(a.AfterS, 0), 503)
	}
	p := scripted.Answers(orElse(a.AfterS, pickUpAfter))
	for _, k := range a.Keys {
		p = p.Presses(duration(k.AfterS), k.Key)
	}
	if a.HangsUpAfterS != nil {
		p = p.HangsUp(duration(*a.HangsUpAfterS))
	}
	return p
}

// picksUp tells that he answers.
func (a Script) picksUp() bool { return a.Answer == "" || a.Answer == Answers }

func orElse(s *float64, d time.Duration) time.Duration {
	if s == nil {
		return d
	}
	return duration(*s)
}

// duration is to the millisecond, as the timeline is.
func duration(s float64) time.Duration {
	return time.Duration(s*1000) * time.Millisecond
}

// UnmarshalJSON reads the packet by its own rules; what is wrong with it is an
// invalid.Error whose paths begin with "packet".
func (o *Order) UnmarshalJSON(b []byte) error {
	type plain Order
	outer := struct {
		*plain

		Packet json.RawMessage `json:"packet"` // before the one within
	}{plain: (*plain)(o)}
	if err := json.Unmarshal(b, &outer); err != nil {
		return err
	}
	if len(bytes.TrimSpace(outer.Packet)) == 0 {
		return nil
	}
	err := json.Unmarshal(outer.Packet, &o.Packet)
	var (
		typed  *json.UnmarshalTypeError
		fields invalid.Error
	)
	switch {
	case errors.As(err, &typed):
		fields.Add(typed.Field, "does not fit: want "+typed.Type.String())
		return fields.Within("packet")
	case errors.As(err, &fields):
		return fields.Within("packet")
	}
	return err
}
