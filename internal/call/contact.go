package call

import "time"

// ContactOutcome is what became of a contact of an operator and a client, in
// the words of a CDR's disposition (Asterisk: ANSWERED, NO ANSWER, BUSY,
// FAILED).
type ContactOutcome string

// The outcomes of a contact.
const (
	ContactAnswered ContactOutcome = "answered"
	ContactNoAnswer ContactOutcome = "no_answer" // rang in vain, or was given up ringing
	ContactBusy     ContactOutcome = "busy"      // busy or declined
	ContactFailed   ContactOutcome = "failed"    // no phone there, no trunk, no such number
)

// ContactOutcomes lists every outcome.
func ContactOutcomes() []ContactOutcome {
	return []ContactOutcome{ContactAnswered, ContactNoAnswer, ContactBusy, ContactFailed}
}

// Contact says that a call brought, or tried to bring, an operator and its
// client together. It is what the look-up of the responsible manager is made
// of (specification 3-responsible-manager, step 1).
type Contact struct {
	// Operator is the extension, or the number of a manager outside.
	Operator string
	// Outside tells that Operator is a number.
	Outside bool
	// At is when he picked up, or came back to the client after another had;
	// if he did not pick up, when he was last rung. Who calls out in vain has
	// picked up when he called.
	At time.Time
	// Outcome is what became of his own phone on a call that came in. On a
	// callback and on a call out, where his answer is not the client's, it is
	// what became of the client's, once he has picked up.
	Outcome ContactOutcome
	// PassedOver tells that he did not pick up and another of the same call
	// did: the client knows that other.
	PassedOver bool
	// LastSeq is of the newest event that changed it.
	LastSeq int64
}

// Contacts are the call's contacts so far. An operator has one on a call,
// however often and on however many phones he was rung; he has none before the
// first of them was answered or has failed.
func (c *Call) Contacts() []Contact { return c.parties.contacts }

// parties is what a call knows of those it rings.
type parties struct {
	contacts []Contact
	tried    []*party
	legs     map[string]*partyLeg
	client   ContactOutcome // of the client's leg; "" before it is dialled
	pickedUp bool           // somebody has
}

// party is one operator.
type party struct {
	who      string
	outside  bool
	at       time.Time
	rung     ContactOutcome // of his phones; "" while they ring
	pickedUp bool
}

type partyLeg struct {
	party *party // nil: the client's
	rang  bool
}

// contact follows who was rung and with what success.
func (c *Call) contact(e Event) {
	p := &c.parties
	switch e.Type {
	case Arrived: // who calls out has picked up before anybody else
		if p.answered(e); e.Role == Client {
			return
		}
	case Dialing:
		p.dialing(e)
	case Progress, Ringing:
		if l := p.legs[e.Leg]; l != nil {
			l.rang = true
		}
		return
	case Answered:
		p.answered(e)
	case DialCancelled:
		p.failed(e.Leg, ContactNoAnswer)
	case DialFailed:
		if l := p.legs[e.Leg]; l != nil {
			p.failed(e.Leg, failure(e, l.rang))
		}
	case Joined:
		p.joined(e)
	case Ended:
		for _, one := range p.tried {
			if one.rung == "" {
				one.rung = ContactNoAnswer
			}
		}
	default:
		return
	}
	if c.Direction != Internal {
		p.settle(e.Seq, c.Direction == Inbound)
	}
}

// leg is what is known of the event's leg, from its first event on.
func (p *parties) leg(e Event) *partyLeg {
	if l := p.legs[e.Leg]; l != nil {
		return l
	}
	l := &partyLeg{}
	if e.Role != Client {
		if l.party = p.of(e); l.party == nil {
			return l // of nobody we could name
		}
	}
	if p.legs == nil {
		p.legs = make(map[string]*partyLeg)
	}
	p.legs[e.Leg] = l
	return l
}

// of is the operator that the event names, nil if it names none.
func (p *parties) of(e Event) *party {
	who := e.Operator
	if who == "" {
		who = e.Number
	}
	if who == "" {
		return nil
	}
	for _, one := range p.tried {
		if one.who == who {
			return one
		}
	}
	one := &party{who: who, outside: e.Operator == "", at: e.At}
	p.tried = append(p.tried, one)
	return one
}

func (p *parties) dialing(e Event) {
	switch one := p.leg(e).party; {
	case e.Role == Client:
		if p.client != ContactAnswered {
			p.client = ContactNoAnswer
		}
	case one != nil && !one.pickedUp:
		one.at = e.At
	}
}

func (p *parties) answered(e Event) {
	switch one := p.leg(e).party; {
	case e.Role == Client:
		if e.Type == Answered {
			p.client = ContactAnswered
		}
	case one != nil:
		one.at, one.rung, one.pickedUp, p.pickedUp = e.At, ContactAnswered, true, true
	}
}

// failed takes in that a leg was not answered. What one phone of an operator
// told is not undone by another that was not there.
func (p *parties) failed(leg string, how ContactOutcome) {
	l := p.legs[leg]
	switch {
	case l == nil:
	case l.party == nil:
		if p.client != ContactAnswered {
			p.client = how
		}
	case l.party.rung == "" || how != ContactFailed:
		if !l.party.pickedUp {
			l.party.rung = how
		}
	}
}

// joined: who hears the client is the last to have him again, if another had
// picked up meanwhile.
func (p *parties) joined(e Event) {
	one, other := p.legs[e.Leg], p.legs[e.Other]
	if one == nil || one.party == nil {
		one, other = other, one
	}
	if one == nil || one.party == nil || other != nil && other.party != nil {
		return // two operators consult each other, or nobody we know
	}
	p.client = ContactAnswered
	for _, another := range p.tried {
		if another.at.After(one.party.at) && another.pickedUp {
			one.party.at = e.At
		}
	}
}

// settle makes the contacts anew and notes which of them seq has changed.
func (p *parties) settle(seq int64, inbound bool) {
	for _, one := range p.tried {
		if one.rung == "" {
			continue
		}
		fresh := Contact{
			Operator: one.who, Outside: one.outside, At: one.at, Outcome: one.rung,
			PassedOver: p.pickedUp && !one.pickedUp,
		}
		if one.pickedUp && !inbound {
			if fresh.Outcome = p.client; p.client == "" {
				fresh.Outcome = ContactNoAnswer
			}
		}
		if at := p.place(one.who); at >= 0 {
			fresh.LastSeq = p.contacts[at].LastSeq
			if fresh != p.contacts[at] {
				fresh.LastSeq = seq
				p.contacts[at] = fresh
			}
		} else {
			fresh.LastSeq = seq
			p.contacts = append(p.contacts, fresh)
		}
	}
}

func (p *parties) place(who string) int {
	for i := range p.contacts {
		if p.contacts[i].Operator == who {
			return i
		}
	}
	return -1
}

// failure is what a leg.failed means for the contact: the causes of Q.850
// §2.2.7 and the statuses of RFC 3261 §21 by which a phone or a person
// refuses are busy; what ran out after it rang is no answer.
func failure(e Event, rang bool) ContactOutcome {
	switch e.SIPCode {
	case 486, 600, 603, 607, 608:
		return ContactBusy
	}
	switch e.Q850 {
	case 17, 21:
		return ContactBusy
	case 19:
		return ContactNoAnswer
	}
	switch e.SIPCode {
	case 408, 480, 487:
		if rang {
			return ContactNoAnswer
		}
	}
	return ContactFailed
}
