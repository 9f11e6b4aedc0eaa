package callback

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/perezvon/perezvon/internal/invalid"
)

// The separators of the v.11 string.
const (
	betweenManagers = "_"
	beforeExtension = "^"
)

// ParseManagers reads the v.11 string: managers divided by _, each a number or
// an operator's extension, with ^ before digits to dial after the answer. The
// numbers are not judged here, Packet.Normalize does that. An empty place in
// the string is an invalid.Error.
func ParseManagers(s string) (Managers, error) {
	var (
		list Managers
		bad  invalid.Error
	)
	for i, part := range strings.Split(s, betweenManagers) {
		number, extension, has := strings.Cut(part, beforeExtension)
		t := ManagerTarget{Number: strings.TrimSpace(number), Extension: strings.TrimSpace(extension)}
		switch {
		case t.Number == "":
			bad.Add(managerPath(i), "a number is missing; write number_number or number^extension_number")
		case has && t.Extension == "":
			bad.Add(managerPath(i)+".extension", "nothing follows the ^")
		}
		list = append(list, t)
	}
	if err := bad.Err(); err != nil {
		return nil, err
	}
	return list, nil
}

// String is the v.11 string of the list. That form has no place for SIP, such
// a manager is written by his extension alone, nor for groups.
func (m Managers) String() string {
	parts := make([]string, len(m))
	for i, t := range m {
		parts[i] = t.String()
	}
	return strings.Join(parts, betweenManagers)
}

// String is the manager as the v.11 string has him.
func (t ManagerTarget) String() string {
	s := t.Number
	if s == "" {
		s = t.SIP
	}
	if t.Extension != "" {
		s += beforeExtension + t.Extension
	}
	return s
}

// Groups are the managers by group, in the order in which the groups are first
// named.
func (m Managers) Groups() []Managers {
	var (
		groups []Managers
		places = make(map[string]int)
	)
	for _, t := range m {
		at, ok := places[t.Group]
		if !ok {
			at = len(groups)
			places[t.Group] = at
			groups = append(groups, nil)
		}
		groups[at] = append(groups[at], t)
	}
	return groups
}

// Turned is the list with each group beginning with the manager whose turn it
// is, from 0 on and round again; the others follow in their order.
func (m Managers) Turned(turn int64) Managers {
	var list Managers
	for _, group := range m.Groups() {
		first := int(turn % int64(len(group)))
		list = append(append(list, group[first:]...), group[:first]...)
	}
	return list
}

// groupOfFirst is the group that First puts its manager into.
const groupOfFirst = "responsible"

// First is the list with that manager (an operator's extension, or a number in
// E.164) before all others, alone in his group, so that he is called before
// anybody else whatever the dial_mode. Who is not on the list is not put there.
func (m Managers) First(who string) Managers {
	at := slices.IndexFunc(m, func(t ManagerTarget) bool { return t.Operator() == who || t.Number == who })
	if at < 0 || who == "" {
		return m
	}
	first := m[at]
	first.Group = groupOfFirst
	return append(Managers{first}, slices.Delete(slices.Clone(m), at, at+1)...)
}

// UnmarshalJSON takes the list of objects or the v.11 string. What it does
// not understand is an invalid.Error that names the field.
func (m *Managers) UnmarshalJSON(b []byte) error {
	b = bytes.TrimSpace(b)
	switch {
	case bytes.Equal(b, []byte("null")):
		*m = nil
		return nil
	case len(b) > 0 && b[0] == '"':
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return invalid.Error{{Path: "managers", Message: "not a JSON string"}}
		}
		list, err := ParseManagers(s)
		if err != nil {
			return err
		}
		*m = list
		return nil
	}
	// A slice type of its own, so that decoding does not come back here.
	var list []ManagerTarget
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&list); err != nil {
		return invalid.Error{{Path: "managers", Message: "want a string like 74951234567^101_79161234567 or a list of {number, extension, sip}"}}
	}
	*m = list
	return nil
}

func managerPath(i int) string { return fmt.Sprintf("managers[%d]", i) }
