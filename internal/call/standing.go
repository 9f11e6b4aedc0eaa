package call

import (
	"slices"
	"time"
)

// Standing is how a call stands that has not ended, as far as its timeline tells:
// what whoever goes on with it must know.
type Standing struct {
	// Legs are those that are on the phone or ring, in the order they came.
	Legs []StandingLeg
	// Left and Right are the legs of the two sides of the conversation, left the
	// client's or the caller's, as they were joined last; empty: nobody was.
	Left, Right string
	// Newest is whose stage is open; empty: they do not talk.
	Newest string
	// Third is who talks with the two as well; empty: nobody.
	Third string
	// Transfer is the one under way; zero: there is none.
	Transfer Event
	// Returning is the leg of the operator who is to get the other back, because
	// nobody else took the call; empty: nobody.
	Returning string
	// Queue is where the caller waits, since QueuedAt; empty: in none.
	Queue    string
	QueuedAt time.Time
	// Recorded tells that the recording was begun.
	Recorded bool
}

// StandingLeg is a leg of a call that has not ended.
type StandingLeg struct {
	Leg  string
	Role Role
	// Operator, Number, Trunk and CallerID are as in the leg's first event.
	Operator, Number, Trunk, CallerID string
	// SIPCallID is that of its arrival or answer, empty while it rings.
	SIPCallID string
	// Arrived: the phone called us. Answered: it was picked up.
	Arrived, Answered bool
	// Held: its phone holds the call.
	Held bool
}

// StandingOf reads a timeline.
func StandingOf(events []Event) Standing {
	var s Standing
	for _, e := range events {
		s.apply(e)
	}
	return s
}

// Leg is the one of that name, nil if it is not on the phone.
func (s *Standing) Leg(name string) *StandingLeg {
	for i := range s.Legs {
		if s.Legs[i].Leg == name {
			return &s.Legs[i]
		}
	}
	return nil
}

func (s *Standing) apply(e Event) {
	switch e.Type {
	case Arrived, Dialing:
		s.gone(e.Leg)
		s.Legs = append(s.Legs, StandingLeg{
			Leg: e.Leg, Role: e.Role, Operator: e.Operator, Number: e.Number, Trunk: e.Trunk, CallerID: e.CallerID,
			SIPCallID: e.SIPCallID, Arrived: e.Type == Arrived,
		})
	case Answered:
		if l := s.Leg(e.Leg); l != nil {
			l.Answered, l.SIPCallID = true, e.SIPCallID
		}
	case Merged:
		// Who went to the other call has no role in this one any more.
		if s.gone(e.Leg); e.Role != "" {
			s.Legs = append(s.Legs, StandingLeg{
				Leg: e.Leg, Role: e.Role, Operator: e.Operator, Number: e.Number, SIPCallID: e.SIPCallID, Answered: true,
			})
		}
	case DialFailed, DialCancelled, LegEnded:
		s.gone(e.Leg)
	case Held, Resumed:
		if l := s.Leg(e.Leg); l != nil {
			l.Held = e.Type == Held
		}
	case Joined:
		s.joined(e)
	case Parted:
		switch {
		case s.Third == "":
			s.Newest = ""
		case e.Leg == s.Third: // the others go on
			s.Third = ""
		default: // the third has his place
			s.replace(e.Leg, s.Third)
			s.Newest, s.Third = s.Third, ""
		}
	case TransferStarted:
		s.Transfer, s.Returning = e, ""
	case TransferDone:
		// Who passed the call on is replaced, unless all three talk.
		if by := s.Transfer.Leg; e.Action != threeWay && by != "" {
			s.replace(by, e.Leg)
		}
		s.Transfer = Event{}
	case TransferFailed:
		s.Transfer = Event{}
	case TransferReturned:
		s.Returning = e.Leg
	case QueueJoined:
		s.Queue, s.QueuedAt = e.Queue, e.At
	case QueueLeft:
		s.Queue, s.QueuedAt = "", time.Time{}
	case RecordingStarted:
		s.Recorded = true
	}
}

// threeWay is the Action of a transfer after which all three talk.
const threeWay = "three_way"

// joined takes in that two hear each other: one of the sides and somebody new.
func (s *Standing) joined(e Event) {
	switch {
	case s.Newest != "": // and they did before
		s.Third = e.Leg
		return
	case s.Left == "":
		s.Left, s.Right = e.Other, e.Leg
	case e.Other == s.Left:
		s.Right = e.Leg
	case e.Other == s.Right:
		s.Left = e.Leg
	}
	s.Newest, s.Returning = e.Leg, ""
}

func (s *Standing) replace(who, by string) {
	switch who {
	case s.Left:
		s.Left = by
	case s.Right:
		s.Right = by
	}
}

func (s *Standing) gone(leg string) {
	s.Legs = slices.DeleteFunc(s.Legs, func(l StandingLeg) bool { return l.Leg == leg })
}
