package numbering

import "slices"

// Direction is one of the two in which a number is shown.
type Direction int

// The directions.
const (
	TowardManager Direction = iota
	TowardClient
)

// Choice is what the two ends of a callback are shown, and why. An empty number
// is none of the rules' making: it is the packet's default then, or else the
// trunk's own.
type Choice struct {
	// TowardManager is shown to the manager, TowardClient to the client: E.164,
	// or the custom one as it was given.
	TowardManager, TowardClient string

	ends [2]place // by Direction: where the manager is, where the client is
	by   [2]rule  // by Direction: which rule chose the number
}

// rule is why a number was chosen.
type rule int

const (
	ruleOff      rule = iota // substitution is switched off: the real number
	ruleSame                 // within one location: the real number
	ruleCustom               // within one location: the custom one has priority
	ruleOwn                  // between locations: that of the end's own location
	ruleCountry              // one location, two countries: likewise
	ruleNoNumber             // the other end has no number: that of the own location
	ruleAsked                // no location says anything: the custom one
	ruleNothing              // no location above the end has a technical number
	ruleUnused               // nor above the other
)

// Choose says which numbers a manager and a client are shown when they are
// joined by a callback (specification 1-callback §4). manager and client are
// E.164; one that is empty or is no number (an operator's own phone) is in no
// location. custom is what the order wants the client to see, as it is. tree
// may be nil: then there are no locations. off lists the directions in which
// substitution is switched off (substitute_for_manager, substitute_for_client):
// the real number is shown there.
//
// The rules: an end's location is the most specific one around it that has a
// technical number. If it is the same for both ends and they are in the same
// country, each sees the other's real number, the client rather the custom
// one. Otherwise each sees the number of its own location, and nothing of ours
// where none has one. What the rules leave open, this settles: where neither
// end has such a location, they are not in use, and the custom number is shown
// if there is one; so it is where the manager's phone has no number to tell a
// location by.
func Choose(manager, client, custom string, tree *Tree, off ...Direction) Choice {
	from, to := tree.place(manager), tree.place(client)
	c := Choice{ends: [2]place{from, to}}
	here, there := from.owner(), to.owner()
	same := here != nil && here == there && from.country != "" && from.country == to.country

	switch {
	case slices.Contains(off, TowardManager):
		c.TowardManager, c.by[TowardManager] = to.number, ruleOff
	case same:
		c.TowardManager, c.by[TowardManager] = to.number, ruleSame
	case here != nil:
		c.TowardManager, c.by[TowardManager] = here.Number, across(here, there)
	default:
		c.by[TowardManager] = nothing(there)
	}

	switch {
	case slices.Contains(off, TowardClient):
		c.TowardClient, c.by[TowardClient] = from.number, ruleOff
	case same && custom != "":
		c.TowardClient, c.by[TowardClient] = custom, ruleCustom
	case same:
		c.TowardClient, c.by[TowardClient] = from.number, ruleSame
	case custom != "" && (here == nil && there == nil || from.number == ""):
		c.TowardClient, c.by[TowardClient] = custom, ruleAsked
	case there != nil && from.number == "":
		c.TowardClient, c.by[TowardClient] = there.Number, ruleNoNumber
	case there != nil:
		c.TowardClient, c.by[TowardClient] = there.Number, across(there, here)
	default:
		c.by[TowardClient] = nothing(here)
	}
	return c
}

// across tells the rules of two locations and of two countries apart.
func across(own, other *node) rule {
	if own == other {
		return ruleCountry
	}
	return ruleOwn
}

// nothing is the rule of an end without a location; other is the other end's.
func nothing(other *node) rule {
	if other == nil {
		return ruleUnused
	}
	return ruleNothing
}
