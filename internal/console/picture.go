package console

import (
	"time"

	"github.com/perezvon/perezvon/internal/call"
)

// picture is the call as bars: a lane for each leg, time from left to right.
// Units are those of the drawing.
type picture struct {
	Width, Height int
	Lanes         []lane
	Ticks         []tick
}

type lane struct {
	Name string
	Who  string
	Y    int
	Bars []bar
}

// bar is a stretch of a leg: dialing, ringing, answered (alone), joined.
type bar struct {
	X, Width float64
	Kind     string
	From, To time.Duration
}

type tick struct {
	X    float64
	Text string
}

const (
	pictureWidth = 1000
	laneHeight   = 34
	laneStart    = 120 // room for names
)

// draw makes the picture; now ends what is still going on.
func draw(events []call.Event, now time.Time) picture {
	var p picture
	if len(events) == 0 {
		return p
	}
	begin, end := events[0].At, now
	for _, e := range events {
		if e.Type == call.Ended {
			end = e.At
		}
	}
	span := max(end.Sub(begin), time.Second)
	scale := func(at time.Time) float64 {
		x := float64(at.Sub(begin)) / float64(span)
		return laneStart + min(max(x, 0), 1)*(pictureWidth-laneStart-10)
	}
	legs := legStates(events)
	for i, leg := range legs {
		l := lane{Name: leg.name, Who: leg.who, Y: i * laneHeight}
		for j, s := range leg.states {
			until := end
			if j+1 < len(leg.states) {
				until = leg.states[j+1].at
			}
			if s.kind == "" || !until.After(s.at) {
				continue
			}
			x := scale(s.at)
			l.Bars = append(l.Bars, bar{X: x, Width: max(scale(until)-x, 2), Kind: s.kind, From: s.at.Sub(begin), To: until.Sub(begin)})
		}
		p.Lanes = append(p.Lanes, l)
	}
	step := tickStep(span)
	for at := time.Duration(0); at <= span; at += step {
		p.Ticks = append(p.Ticks, tick{scale(begin.Add(at)), clock(at)})
	}
	p.Width, p.Height = pictureWidth, len(p.Lanes)*laneHeight+24
	return p
}

type legState struct {
	kind string // "" once it is over
	at   time.Time
}

type legLife struct {
	name, who string
	states    []legState
}

// legStates tells what each leg did, in the order they appeared.
func legStates(events []call.Event) []*legLife {
	var legs []*legLife
	find := func(name string) *legLife {
		for _, l := range legs {
			if l.name == name {
				return l
			}
		}
		legs = append(legs, &legLife{name: name})
		return legs[len(legs)-1]
	}
	set := func(name, kind string, at time.Time) {
		l := find(name)
		l.states = append(l.states, legState{kind, at})
	}
	for _, e := range events {
		switch e.Type {
		case call.Dialing:
			set(e.Leg, "dialing", e.At)
			find(e.Leg).who = first(e.Operator, e.Number)
		case call.Ringing:
			set(e.Leg, "ringing", e.At)
		case call.Answered:
			set(e.Leg, "answered", e.At)
		case call.Joined:
			set(e.Leg, "joined", e.At)
			set(e.Other, "joined", e.At)
		case call.Parted:
			set(e.Leg, "answered", e.At)
			set(e.Other, "answered", e.At)
		case call.LegEnded, call.DialFailed, call.DialCancelled:
			set(e.Leg, "", e.At)
		case call.Ended:
			for _, l := range legs {
				set(l.name, "", e.At)
			}
		}
	}
	for _, l := range legs {
		// After its end a leg does not come back (a parting told late).
		for i, s := range l.states {
			if s.kind == "" {
				l.states = l.states[:i+1]
				break
			}
		}
	}
	return legs
}

// tickStep is a round step that gives up to ten ticks.
func tickStep(span time.Duration) time.Duration {
	for _, s := range []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute} {
		if span/s <= 10 {
			return s
		}
	}
	return span/10 + 1
}
