package scripted

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/perezvon/perezvon/internal/telephony"
)

// Phone is the script of one phone. Make it with Answers, Refuses, RingsOn,
// Silent or Unreachable and refine it by the methods, each of which returns a
// changed copy.
type Phone struct {
	rings   bool
	early   bool
	crosses bool
	// final is how the call is decided after the delay, nil: answered;
	// never: it is not decided at all.
	after time.Duration
	final *telephony.DialError
	never bool
	// After the answer.
	hangsUp time.Duration
	hangs   bool
	keys    []press
	acts    []act
	says    []talk
	hums    bool
}

// act is something the phone does by a key of its own.
type act struct {
	after time.Duration
	do    func(*leg)
}

type talk struct{ after, length time.Duration }

type press struct {
	after time.Duration
	keys  string
}

// Answers is a phone that rings at once and is answered after that long.
func Answers(after time.Duration) Phone { return Phone{rings: true, after: after} }

// RingsOn is a phone that rings and is never answered.
func RingsOn() Phone { return Phone{rings: true, never: true} }

// Silent is a far end that never says anything: a dead trunk.
func Silent() Phone { return Phone{never: true} }

// Refuses is a far end that refuses with a SIP status after that long, without
// having rung.
func Refuses(after time.Duration, code int) Phone {
	return Phone{after: after, final: &telephony.DialError{Code: code, Reason: cmp.Or(phrases[code], "scripted")}}
}

// phrases are what phones and carriers usually say with a status (RFC 3261 §21).
var phrases = map[int]string{
	404: "Not Found", 480: "Temporarily Unavailable", 486: "Busy Here", 503: "Service Unavailable", 603: "Decline",
}

// Unreachable is a call that fails before anything is sent.
func Unreachable(code int, reason string) Phone {
	return Phone{final: &telephony.DialError{Code: code, Reason: reason, Phase: telephony.PhaseSetup}}
}

// Ringing lets the phone ring before it does what it does.
func (p Phone) Ringing() Phone {
	p.rings = true
	return p
}

// Early lets the far end send sound before the answer, in place of ringing.
func (p Phone) Early() Phone {
	p.rings, p.early = false, true
	return p
}

// Q850 adds a cause to the refusal.
func (p Phone) Q850(cause int) Phone {
	if p.final != nil {
		refusal := *p.final
		refusal.Q850 = cause
		p.final = &refusal
	}
	return p
}

// HangsUp lets the phone hang up that long after its answer.
func (p Phone) HangsUp(after time.Duration) Phone {
	p.hangs, p.hangsUp = true, after
	return p
}

// Presses lets the keys be pressed, one right after the other, that long after
// the answer.
func (p Phone) Presses(after time.Duration, keys string) Phone {
	p.keys = append(slices.Clip(p.keys), press{after, keys})
	return p
}

// Hums lets the phone send sound all the time: a tone of 440 Hz in A-law.
// What nobody records is not there.
func (p Phone) Hums() Phone {
	p.hums = true
	return p
}

// Refers lets the phone's transfer key be pressed that long after the answer:
// whom it talks to is to be connected with to. replaces is the phone's other
// leg, by its name, whose far party is meant (an attended transfer); "": none.
func (p Phone) Refers(after time.Duration, to, replaces string) Phone {
	return p.does(after, func(l *leg) {
		r := telephony.Refer{To: to, Progress: func(code int) { l.engine.tellReferred(l.id, code) }}
		if replaces != "" {
			r.Replaces = l.engine.leg(replaces)
		}
		l.refers.Push(r)
	})
}

// RefersAndLeaves is Refers of a phone that hangs up at once, as many do when
// their transfer is accepted.
func (p Phone) RefersAndLeaves(after time.Duration, to string) Phone {
	p = p.Refers(after, to, "")
	refer := p.acts[len(p.acts)-1].do
	p.acts[len(p.acts)-1].do = func(l *leg) {
		refer(l)
		l.finish(telephony.ByFar, "BYE")
	}
	return p
}

// Holds lets the phone hold the call, that long after the answer, for so long.
func (p Phone) Holds(after, length time.Duration) Phone {
	p = p.does(after, func(l *leg) { l.held.Set(true) })
	return p.does(after+length, func(l *leg) { l.held.Set(false) })
}

// Vanishes lets the phone be gone, that long after the answer, without a word.
func (p Phone) Vanishes(after time.Duration) Phone {
	return p.does(after, func(l *leg) { l.finish(telephony.ByNetwork, "no media") })
}

func (p Phone) does(after time.Duration, do func(*leg)) Phone {
	p.acts = append(slices.Clip(p.acts), act{after, do})
	return p
}

// Says lets something be said into the phone, that long after the answer. What,
// only the recogniser of the test knows.
func (p Phone) Says(after, length time.Duration) Phone {
	p.says = append(slices.Clip(p.says), talk{after, length})
	return p
}

// CrossesCancel lets the phone be answered in the very instant in which it is
// cancelled. The engine hangs such a call up; it is told apart by its outcome.
func (p Phone) CrossesCancel() Phone {
	p.crosses = true
	return p
}

// ring plays the time up to the answer, the refusal or the end of ctx (err is
// its cause), and tells how far the call had come.
func (p Phone) ring(ctx context.Context, d telephony.Dial) (phase telephony.Phase, refused *telephony.DialError, err error) {
	phase = telephony.PhaseTrying
	tell := func(pr telephony.Progress) {
		if d.OnProgress != nil {
			d.OnProgress(pr)
		}
	}
	switch {
	case p.early:
		phase = telephony.PhaseProgress
		tell(telephony.Progress{Code: 183, EarlyMedia: true})
		if l, ok := d.Listener.(*leg); ok {
			defer l.sound("early:"+d.Leg, true)()
		}
	case p.rings:
		phase = telephony.PhaseRinging
		tell(telephony.Progress{Code: 180, Ringing: true})
		if l, ok := d.Listener.(*leg); ok && d.Ringback.Clip != nil {
			defer l.sound(d.Ringback.Clip.Key, d.Ringback.Loop)()
		}
	}
	var decided <-chan time.Time
	if !p.never {
		timer := time.NewTimer(p.after)
		defer timer.Stop()
		decided = timer.C
	}
	select {
	case <-decided:
	case <-ctx.Done():
		return phase, nil, context.Cause(ctx)
	}
	return phase, p.final, nil
}
