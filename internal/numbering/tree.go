package numbering

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Tree is the locations of the world, ready to be asked. Make it with NewTree;
// it never changes, so any goroutine may use it. A nil *Tree knows no location.
type Tree struct {
	nodes     map[string]*node
	prefixes  map[string]*node
	longest   int // of prefixes
	countries map[string]*node
	nearest   map[string]*node
}

type node struct {
	Location
	parent *node     // nil: the world
	owner  *node     // with the technical number that counts here; nil: none
	own    *Location // what an administrator says of it, nil if nothing
	ships  bool
}

// NewTree builds the tree of the locations that ship and an administrator's own
// (either may be nil; they may come in any order). Those with the same id are
// one, see Location. A country or prefix that an own location names is taken
// from the shipped one that has it.
//
// The error is every *LocationError there is, joined: a malformed field, a
// parent that is not there or is below its own child, a country or a prefix
// that two own locations claim.
func NewTree(ships, own []Location) (*Tree, error) {
	t := &Tree{
		nodes: make(map[string]*node, len(ships)+len(own)), prefixes: map[string]*node{}, countries: map[string]*node{}, nearest: map[string]*node{},
	}
	var bad []error
	add := func(id, field, format string, args ...any) {
		bad = append(bad, &LocationError{id, field, fmt.Sprintf(format, args...)})
	}
	t.nodes[World] = &node{Location: Location{ID: World, Name: Name{RU: "Мир", EN: "World"}}}
	for _, l := range ships {
		t.nodes[l.ID] = &node{Location: l, ships: true}
	}
	seen := make(map[string]bool, len(own))
	for _, l := range own {
		if seen[l.ID] {
			add(l.ID, "id", "is there twice")
			continue
		}
		seen[l.ID] = true
		n := &node{Location: l, own: &l}
		if old := t.nodes[l.ID]; old != nil {
			n.Location, n.ships = l.over(old.Location), old.ships
		}
		t.nodes[l.ID] = n
	}

	sorted := t.sorted()
	for _, n := range sorted {
		for _, e := range n.check() {
			bad = append(bad, e)
		}
		switch parent := t.nodes[n.Parent]; {
		case n.ID == World:
			if n.Parent != "" {
				add(n.ID, "parent", "must be left out: everything is within the world")
			}
		case n.Parent == "":
			add(n.ID, "parent", "want the id of the location that this one is within, such as world")
		case parent == nil:
			add(n.ID, "parent", "there is no location %q", n.Parent)
		default:
			n.parent = parent
		}
	}
	for _, n := range sorted {
		if n.aboveItself(len(sorted)) {
			add(n.ID, "parent", "%q is within this location itself", n.Parent)
		}
	}
	for _, m := range []struct {
		field string
		of    map[string]*node
		list  func(*Location) *[]string
	}{
		{"countries", t.countries, func(l *Location) *[]string { return &l.Countries }},
		{"prefixes", t.prefixes, func(l *Location) *[]string { return &l.Prefixes }},
		{"nearest", t.nearest, func(l *Location) *[]string { return &l.Nearest }},
	} {
		says := func(n *node) bool { return n.own != nil && *m.list(n.own) != nil }
		for _, n := range sorted {
			for i, v := range *m.list(&n.Location) {
				switch other := m.of[v]; {
				case other == nil || says(n) && !says(other):
					m.of[v] = n
				case other != n && says(n) == says(other):
					add(n.ID, fmt.Sprintf("%s[%d]", m.field, i), "%s belongs to the location %q", v, other.ID)
				}
			}
		}
		for _, n := range sorted { // what was taken from it is not its own
			list := m.list(&n.Location)
			if taken := func(v string) bool { return m.of[v] != n }; slices.ContainsFunc(*list, taken) {
				*list = slices.DeleteFunc(slices.Clone(*list), taken)
			}
		}
	}
	if len(bad) > 0 {
		return nil, errors.Join(bad...)
	}
	for p := range t.prefixes {
		t.longest = max(t.longest, len(p))
	}
	for _, n := range sorted {
		for n.owner = n; n.owner != nil && n.owner.Number == ""; {
			n.owner = n.owner.parent
		}
	}
	return t, nil
}

// sorted are the nodes by id: what is made of them must not depend on the order
// they came in.
func (t *Tree) sorted() []*node {
	return slices.SortedFunc(maps.Values(t.nodes), func(a, b *node) int { return cmp.Compare(a.ID, b.ID) })
}

// aboveItself tells that the way up comes back; it is at most steps long.
func (n *node) aboveItself(steps int) bool {
	for at := n.parent; at != nil && steps > 0; at, steps = at.parent, steps-1 {
		if at == n {
			return true
		}
	}
	return false
}

// Listed is a location as the tree has it.
type Listed struct {
	Location
	// Ships: it comes with the server. Changed: an administrator made it or
	// changed something of it.
	Ships, Changed bool
}

// Locations are all, by id.
func (t *Tree) Locations() []Listed {
	if t == nil {
		return nil
	}
	all := make([]Listed, 0, len(t.nodes))
	for _, n := range t.sorted() {
		all = append(all, n.listed())
	}
	return all
}

// Own are the administrator's own, by id, as NewTree was given them.
func (t *Tree) Own() []Location {
	if t == nil {
		return nil
	}
	var own []Location
	for _, n := range t.sorted() {
		if n.own != nil {
			own = append(own, *n.own)
		}
	}
	return own
}

// Location is the one with the id.
func (t *Tree) Location(id string) (Listed, bool) {
	if t == nil || t.nodes[id] == nil {
		return Listed{}, false
	}
	return t.nodes[id].listed(), true
}

func (n *node) listed() Listed { return Listed{n.Location, n.ships, n.own != nil} }

// place is where a number is.
type place struct {
	number  string // E.164; empty: there is none, or it is not one
	country string // empty: none
	node    *node  // nil: no location
	// nearest: its country is no location; node is the nearest to it.
	nearest bool
}

// owner is the location whose technical number counts there, nil if none has.
func (p place) owner() *node {
	if p.node == nil {
		return nil
	}
	return p.node.owner
}

// place finds a number. The longest prefix counts, if it says more than the
// calling code; then the country; then a shorter prefix (a part of the world);
// then the location nearest to the country. A number that has nothing of these
// is in the world and nowhere else.
func (t *Tree) place(number string) place {
	if len(number) < 2 || number[0] != '+' || !isE164Digits(number[1:]) {
		return place{}
	}
	p := place{number: number, country: Country(number)}
	if t == nil {
		return p
	}
	digits := number[1:]
	byPrefix, length := t.byPrefix(digits)
	code, _ := callingCode(digits)
	switch byCountry, nearest := t.countries[p.country], t.nearest[p.country]; {
	case byPrefix != nil && (length > len(code) || byCountry == nil):
		p.node = byPrefix
	case byCountry != nil:
		p.node = byCountry
	case nearest != nil:
		p.node, p.nearest = nearest, true
	default:
		p.node = t.nodes[World]
	}
	return p
}

func (t *Tree) byPrefix(digits string) (n *node, length int) {
	for length = min(t.longest, len(digits)); length > 0; length-- {
		if n = t.prefixes[digits[:length]]; n != nil {
			return n, length
		}
	}
	return nil, 0
}
