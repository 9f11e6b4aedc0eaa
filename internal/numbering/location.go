package numbering

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// World is the id of the root of the tree: every other location is within it.
const World = "world"

// Location is a part of the world for the choice of caller ID (specification
// 1-callback §4): it may own a technical number, which those in it are shown
// when they are called from another location. Locations are a tree; the most
// specific one with a number counts.
//
// A location of an administrator with the id of one that ships changes that
// one: what it leaves out stays as shipped. A list that is there and empty
// takes away what ships.
type Location struct {
	ID     string `json:"id" doc:"Small letters, digits and -" maxLength:"64"`
	Parent string `json:"parent,omitempty" doc:"The location that this one is within; only the world has none" maxLength:"64"`
	Name   Name   `json:"name,omitzero"`
	// Number is the technical number, E.164. Empty: that of the parent counts.
	Number string `json:"number,omitempty" doc:"The technical number, E.164 with +; left out: that of the parent counts"`
	// Countries are those that the location is, as a whole.
	Countries []string `json:"countries,omitzero" doc:"The countries that it is, ISO 3166-1 (DE)"`
	// Prefixes are the first digits of its numbers, with the country code.
	Prefixes []string `json:"prefixes,omitzero" doc:"The first digits of its numbers with the country code, without + (7495); the longest that fits counts"`
	// Nearest are countries outside the tree: it is the nearest to them.
	Nearest []string `json:"nearest,omitzero" doc:"Countries that are no location themselves and take this one as the nearest, ISO 3166-1 (AE)"`
}

// Name is what people call a location or a country.
type Name struct {
	RU string `json:"ru,omitempty" maxLength:"128"`
	EN string `json:"en,omitempty" maxLength:"128"`
}

// In is the name in a language, "ru" or any other for English; in the other
// one if it is missing.
func (n Name) In(language string) string {
	if language == "ru" && n.RU != "" || n.EN == "" {
		return n.RU
	}
	return n.EN
}

// over is the location that ships as l changes it.
func (l Location) over(shipped Location) Location {
	shipped.Number = l.Number // none ships
	if l.Parent != "" {
		shipped.Parent = l.Parent
	}
	if l.Name.RU != "" {
		shipped.Name.RU = l.Name.RU
	}
	if l.Name.EN != "" {
		shipped.Name.EN = l.Name.EN
	}
	if l.Countries != nil {
		shipped.Countries = l.Countries
	}
	if l.Prefixes != nil {
		shipped.Prefixes = l.Prefixes
	}
	if l.Nearest != nil {
		shipped.Nearest = l.Nearest
	}
	return shipped
}

// LocationError is one thing wrong with one field of a location.
type LocationError struct {
	// ID is the location's, Field the name of the field in JSON, with an index
	// where it is a list: "prefixes[1]".
	ID, Field string
	// Message says what is wrong and what would be right.
	Message string
}

// Error implements error.
func (e *LocationError) Error() string {
	return fmt.Sprintf("location %q: %s: %s", e.ID, e.Field, e.Message)
}

// Bounds of what an administrator may write.
const (
	maxName   = 128
	maxPrefix = 15 // digits of an E.164 number
	maxList   = 1000
)

var (
	locationID = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$`)
	prefix     = regexp.MustCompile(`^[1-9][0-9]{0,14}$`)
)

// check finds what is wrong with the location for itself.
func (l Location) check() (bad []*LocationError) {
	add := func(field, format string, args ...any) {
		bad = append(bad, &LocationError{l.ID, field, fmt.Sprintf(format, args...)})
	}
	if !locationID.MatchString(l.ID) {
		add("id", "want 1 to 64 small letters, digits and -, such as ru-mow")
	}
	for _, n := range []struct{ field, text string }{{"name.ru", l.Name.RU}, {"name.en", l.Name.EN}} {
		if utf8.RuneCountInString(n.text) > maxName || !utf8.ValidString(n.text) || strings.ContainsFunc(n.text, unicode.IsControl) {
			add(n.field, "want at most %d characters, none of them a control character", maxName)
		}
	}
	if l.Name == (Name{}) {
		add("name", "want a name, in Russian (ru), in English (en), or both")
	}
	if l.Number != "" {
		if e164, err := Normalize(l.Number, ""); err != nil || e164 != l.Number {
			add("number", "want a number as +74951234567")
		}
	}
	list := func(field string, all []string, good func(string) bool, want string) {
		if len(all) > maxList {
			add(field, "want at most %d", maxList)
			return
		}
		for i, s := range all {
			switch at := fmt.Sprintf("%s[%d]", field, i); {
			case !good(s):
				add(at, "%s", want)
			case slices.Contains(all[:i], s):
				add(at, "named twice")
			}
		}
	}
	const wantCountry = "want a country with telephone numbers: two capital letters of ISO 3166-1, such as DE"
	list("countries", l.Countries, isCountry, wantCountry)
	list("nearest", l.Nearest, isCountry, wantCountry)
	list("prefixes", l.Prefixes, prefix.MatchString, fmt.Sprintf("want 1 to %d digits, the country code first, such as 7495", maxPrefix))
	return bad
}

func isCountry(code string) bool { return regions()[code] }
