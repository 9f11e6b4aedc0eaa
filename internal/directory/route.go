package directory

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/perezvon/perezvon/internal/callback"
)

// Route says what is done with inbound calls: the most specific one that
// matches a call is its route (see MatchRoute).
type Route struct {
	Name  string `json:"name" doc:"Letters, digits, - and _" maxLength:"64"`
	Match Match  `json:"match" required:"false" doc:"Which calls it is for. Default: all"`
	Hours *Hours `json:"hours,omitempty" doc:"When it is open: outside its hours it matches nothing. Default: always"`
	// Priority decides between routes that match equally well.
	Priority int `json:"priority,omitempty" minimum:"0" maximum:"1000" doc:"Of routes that match equally well, the one with more is taken. Default 0"`
	// Language and Voice are the server's own on these calls.
	Language   string `json:"language,omitempty" doc:"What the server speaks: ru (default), en, …"`
	Voice      string `json:"voice,omitempty" doc:"female (default), male, or a voice of the provider by name"`
	Transcribe bool   `json:"transcribe,omitempty" doc:"Write down the conversation, default false"`
	Steps      Steps  `json:"steps" doc:"What is done, one after the other: a step that does not take the call passes it on"`
}

// Match says which calls a route is for. Each field is a list separated by
// commas, one of which must fit; an empty field fits every call.
type Match struct {
	// Called and Caller hold numbers and masks (see Mask). A number fits in any
	// usual spelling; a mask fits if it does any of the spellings with +, with
	// the country code alone, as dialled within the country, and as it came.
	Called string `json:"called,omitempty" maxLength:"1000" doc:"The number that was called: +74951234567, a list separated by commas, or Asterisk's masks: _7495XXXXXXX. Default: any"`
	Trunk  string `json:"trunk,omitempty" maxLength:"1000" doc:"The trunk that the call came by, or a list separated by commas. Default: any"`
	Caller string `json:"caller,omitempty" maxLength:"1000" doc:"The caller's number, as called; anonymous: callers who hide it. Default: any"`
}

// Anonymous stands in Match.Caller for callers who hide their number.
const Anonymous = "anonymous"

const (
	maxMatch   = 1000 // bytes of a field
	maxMatches = 100
)

var exactNumber = regexp.MustCompile(`^[0-9A-Za-z+*#.(-][0-9A-Za-z+*#. ()_-]{0,63}$`)

// UnmarshalJSON reads an object. The error is an invalid.Error.
func (r *Route) UnmarshalJSON(b []byte) error {
	type plain Route
	*r = Route{}
	return readObject(b, (*plain)(r))
}

// UnmarshalJSON reads an object. The error is an invalid.Error.
func (m *Match) UnmarshalJSON(b []byte) error {
	type plain Match
	*m = Match{}
	return readObject(b, (*plain)(m))
}

// Validate finds everything wrong with the route: nil or an invalid.Error.
// Numbers of steps must be in E.164, as Normalize leaves them.
func (r Route) Validate() error {
	_, err := r.check(stepCheck{strict: true})
	return err
}

// Normalize is the route with the numbers of its steps in E.164, read as
// somebody in region (ISO 3166) would dial them, or an invalid.Error with every
// fault.
func (r Route) Normalize(region string) (Route, error) { return r.check(stepCheck{region: region}) }

func (r Route) check(c stepCheck) (Route, error) {
	if !trunkName.MatchString(r.Name) {
		c.bad.Add("name", "want 1 to 64 letters, digits, - and _")
	}
	c.numbers("match.called", r.Match.Called)
	c.numbers("match.caller", r.Match.Caller)
	c.list("match.trunk", r.Match.Trunk, func(trunk string) string {
		if !trunkName.MatchString(trunk) {
			return "want a trunk's name"
		}
		return ""
	})
	if r.Hours != nil {
		r.Hours.validate(&c.bad, "hours")
	}
	between(&c.bad, "priority", r.Priority, 0, maxPriority)
	callback.CheckVoice(&c.bad, cmp.Or(r.Language, "ru"), cmp.Or(r.Voice, "female"))
	if len(r.Steps) == 0 {
		c.bad.Add("steps", "want at least one step")
	}
	r.Steps = c.steps("steps", r.Steps, 0)
	return r, c.bad.Err()
}

func (c *stepCheck) numbers(path, field string) {
	c.list(path, field, func(number string) string {
		if strings.HasPrefix(number, "_") {
			if _, err := ParseMask(number); err != nil {
				return err.Error()
			}
		} else if !exactNumber.MatchString(number) {
			return "want a number, a mask as _7495XXXXXXX, or several separated by commas"
		}
		return ""
	})
}

// list judges each of the words of a field of Match.
func (c *stepCheck) list(path, field string, fault func(string) string) {
	words := listed(field)
	switch {
	case field == "":
		return
	case len(field) > maxMatch || len(words) > maxMatches:
		c.bad.Add(path, fmt.Sprintf("want at most %d, and %d characters", maxMatches, maxMatch))
		return
	}
	for i, word := range words {
		message := fault(word)
		if message == "" && slices.Contains(words[:i], word) {
			message = "named twice"
		}
		if message != "" {
			c.bad.Add(path, fmt.Sprintf("%q: %s", word, message))
			return
		}
	}
}

// listed are the words of a field of Match; none of an empty one.
func listed(field string) []string {
	if field == "" {
		return nil
	}
	words := strings.Split(field, ",")
	for i := range words {
		words[i] = strings.TrimSpace(words[i])
	}
	return words
}

// References are what the route needs to exist.
func (r Route) References() []Reference {
	var list references
	for _, trunk := range listed(r.Match.Trunk) {
		list.add("match.trunk", KindTrunk, trunk)
	}
	list.steps("steps", r.Steps)
	return list
}
