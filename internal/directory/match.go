package directory

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/perezvon/perezvon/internal/numbering"
)

// MatchRoute is the route of an inbound call, and in words why; or ok is false,
// and reason says why there is none. called and caller are as the trunk sent
// them, region is whose customs numbers without a country code follow.
//
// A route fits if the call fits its Match and now is within its Hours. Of
// several that fit, the first of this order is taken:
//
//  1. by called: an exact number, then masks from the most specific on
//     (Mask.Compare), then those for any number;
//  2. those that name the trunk;
//  3. by caller, as by called;
//  4. by Priority, the greatest first;
//  5. by name.
func MatchRoute(routes []Route, called, trunk, caller string, now time.Time, region string) (route Route, reason string, ok bool) {
	to, from := spell(called, region), spell(caller, region)
	var (
		best   fit
		closed []string
	)
	for _, r := range routes {
		f, fits := fitOf(r, to, trunk, from)
		switch {
		case !fits:
		case !r.Hours.Open(now):
			closed = append(closed, r.Name)
		case !ok || f.compare(best) < 0:
			best, ok = f, true
		}
	}
	if !ok {
		reason = "no route matches"
		if len(closed) > 0 {
			slices.Sort(closed)
			reason = "outside the hours of " + strings.Join(closed, ", ")
		}
		return Route{}, reason, false
	}
	return best.route, best.reason(), true
}

// fit is a route that a call fits, and by what.
type fit struct {
	route          Route
	called, caller word
	trunk          string // empty: any
}

func fitOf(r Route, called spelling, trunk string, caller spelling) (f fit, ok bool) {
	f.route = r
	if f.called, ok = called.in(r.Match.Called); !ok {
		return f, false
	}
	if f.caller, ok = caller.in(r.Match.Caller); !ok {
		return f, false
	}
	if trunks := listed(r.Match.Trunk); trunks != nil {
		f.trunk = trunk
		return f, slices.Contains(trunks, trunk)
	}
	return f, true
}

func (f fit) compare(o fit) int {
	return cmp.Or(
		f.called.compare(o.called),
		boolFirst(f.trunk != "", o.trunk != ""),
		f.caller.compare(o.caller),
		cmp.Compare(o.route.Priority, f.route.Priority),
		cmp.Compare(f.route.Name, o.route.Name),
	)
}

func boolFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

func (f fit) reason() string {
	var by []string
	for _, part := range []struct{ what, fit string }{{"called", f.called.text}, {"trunk", f.trunk}, {"caller", f.caller.text}} {
		if part.fit != "" {
			by = append(by, part.what+" "+part.fit)
		}
	}
	if by == nil {
		return fmt.Sprintf("route %s takes every call", f.route.Name)
	}
	return fmt.Sprintf("route %s matches by %s", f.route.Name, strings.Join(by, ", "))
}

// word is one of those in a field of Match, the zero word for an empty field.
type word struct {
	text string
	mask *Mask // nil: an exact number
}

// compare is negative if w is the more specific.
func (w word) compare(o word) int {
	if c := boolFirst(w.text != "", o.text != ""); c != 0 {
		return c
	}
	if c := boolFirst(w.mask == nil, o.mask == nil); c != 0 || w.mask == nil {
		return c
	}
	return w.mask.Compare(*o.mask)
}

// spelling is a number of a call in every way that a route may write it.
type spelling struct {
	e164   string // empty: it has none
	forms  []string
	region string
}

func spell(number, region string) spelling {
	s := spelling{region: region}
	number = strings.TrimSpace(number)
	if number == "" || strings.EqualFold(number, Anonymous) {
		number = Anonymous
	}
	s.forms = append(s.forms, number)
	e164, err := numbering.Normalize(number, region)
	if err != nil {
		return s
	}
	s.e164 = e164
	for _, format := range []string{numbering.FormatE164, numbering.FormatDigits, numbering.FormatRU8} {
		form, err := numbering.Format(e164, format)
		// ru8 is how numbers are dialled in Russia, and nowhere else.
		if err == nil && !slices.Contains(s.forms, form) && (format != numbering.FormatRU8 || strings.EqualFold(region, "RU")) {
			s.forms = append(s.forms, form)
		}
	}
	return s
}

// in is the most specific word of the field that the number fits.
func (s spelling) in(field string) (best word, ok bool) {
	if field == "" {
		return word{}, true
	}
	for _, text := range listed(field) {
		w := word{text: text}
		if strings.HasPrefix(text, "_") {
			mask, err := ParseMask(text)
			if err != nil || !slices.ContainsFunc(s.forms, mask.Match) {
				continue
			}
			w.mask = &mask
		} else if !s.is(text) {
			continue
		}
		if !ok || w.compare(best) < 0 {
			best, ok = w, true
		}
	}
	return best, ok
}

// is tells that an exact number of a route is this one.
func (s spelling) is(text string) bool {
	if slices.ContainsFunc(s.forms, func(form string) bool { return strings.EqualFold(form, text) }) {
		return true
	}
	if s.e164 == "" || lastDigits(text) != lastDigits(s.e164) {
		return false // without a look into the numbering plans, which takes its time
	}
	e164, err := numbering.Normalize(text, s.region)
	return err == nil && e164 == s.e164
}

// lastDigits are the last four digits of a number, which every way of writing
// it has.
func lastDigits(number string) string {
	var last [4]byte
	n := len(last)
	for i := len(number) - 1; i >= 0 && n > 0; i-- {
		if c := number[i]; '0' <= c && c <= '9' {
			n--
			last[n] = c
		}
	}
	return string(last[n:])
}
