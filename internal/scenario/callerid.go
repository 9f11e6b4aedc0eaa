package scenario

import (
	"context"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/numbering"
)

// Locations are what the choice of caller ID knows of the world.
type Locations interface {
	// LocationTree is the account's; it may be nil.
	LocationTree(ctx context.Context, account string) (*numbering.Tree, error)
}

// callerID chooses the number that to is shown when it is joined with the
// other, and says why. An empty number leaves the choice to the trunk. The
// rules by location come first (specification 1-callback §4); where they yield
// nothing it is the packet's default, then the trunk's own.
func callerID(p callback.Packet, tree *numbering.Tree, to, other target) (number, why string) {
	direction, manager, client := numbering.TowardManager, to, other
	fallback, of := p.DefaultCallerIDManager, "the packet's default toward the manager"
	if to.role == call.Client {
		direction, manager, client = numbering.TowardClient, other, to
		fallback, of = p.DefaultCallerIDClient, "the packet's default toward the client"
	}
	choice := numbering.Choose(manager.number, client.number, p.ClientCallerID, tree, directions(p)...)
	number, why = choice.TowardManager, choice.Why(direction, "en")
	if direction == numbering.TowardClient {
		number = choice.TowardClient
	}
	switch {
	case number != "":
		return number, why
	case fallback != "":
		return fallback, of + " (" + why + ")"
	case to.operator != "":
		return client.number, "the client's number: an operator's own phone needs no carrier's consent"
	}
	return "", "the trunk's own (" + why + ")"
}

// directions are those in which the packet wants no substitution.
func directions(p callback.Packet) (off []numbering.Direction) {
	if p.SubstituteForManager != nil && !*p.SubstituteForManager {
		off = append(off, numbering.TowardManager)
	}
	if p.SubstituteForClient != nil && !*p.SubstituteForClient {
		off = append(off, numbering.TowardClient)
	}
	return off
}

// locations is the account's tree. A call without it is better than no call.
func (s *course) locations(ctx context.Context) *numbering.Tree {
	if s.Locations == nil {
		return nil
	}
	tree, err := s.Locations.LocationTree(ctx, s.account)
	if err != nil {
		s.log.ErrorContext(ctx, "no locations", "err", err)
		s.note("caller ID without locations: " + err.Error())
	}
	return tree
}

// withCallerIDs chooses for both sides, before anybody is called. With several
// managers the client's is for the first of them: see answeredBy.
func (s *callbackCourse) withCallerIDs(managers [][]target, client target) ([][]target, target) {
	var first target
	for i, together := range managers {
		for j, m := range together {
			if i == 0 && j == 0 {
				first = m
			}
			together[j] = s.withCallerID(m, client)
		}
	}
	return managers, s.withCallerID(client, first)
}

// answeredBy is the client's target now that it is known which manager it will
// be joined with.
func (s *callbackCourse) answeredBy(manager, client target) target {
	if number, _ := callerID(s.packet, s.tree, client, manager); number != client.callerID {
		return s.withCallerID(client, manager)
	}
	return client
}

func (s *callbackCourse) withCallerID(t, other target) target {
	var why string
	t.callerID, why = callerID(s.packet, s.tree, t, other)
	s.event(call.Event{
		Type: call.CallerIDChosen, Leg: t.leg, Role: t.role, Number: t.number, Operator: t.who(), CallerID: t.callerID, Reason: why,
	})
	return t
}
