package directory

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/invalid"
)

// Limits of a Webhook.
const (
	maxWebhookEvents      = 50
	maxWebhookDescription = 500
)

// Webhook is a subscription: an address that is told of the events of all the
// account's calls (specification 2-transfers-and-crm, "Other systems get the
// same through signed webhooks").
type Webhook struct {
	// URL is where events are POSTed.
	URL string `json:"url" doc:"Where events are POSTed: http or https"`
	// Events are the types wanted: a type ("call.ended"), all that begin so
	// ("leg.*"), or all ("*").
	Events []string `json:"events" nullable:"false" doc:"Types of events (call.ended), groups of them (leg.*), or * for all"`
	// Directions narrow it to calls of these directions. Empty: all calls.
	Directions []call.Direction `json:"directions" nullable:"false" required:"false" doc:"Only of calls in these directions: inbound, outbound, callback, internal. Empty: of all"`
	// Enabled is whether anything is sent. Default true.
	Enabled *bool `json:"enabled,omitempty" doc:"Default true. What waits when it is switched off is given up; it can be replayed"`
	// Description is for people.
	Description string `json:"description" required:"false" doc:"For people"`
}

// Validate finds what is wrong, as an invalid.Error. allow are the private
// networks that addresses may be in.
func (w Webhook) Validate(allow ...netip.Prefix) error {
	var bad invalid.Error
	if err, ok := callback.CheckURL("url", w.URL, allow...).(invalid.Error); ok { //nolint:errorlint // it is nothing else
		bad = append(bad, err...)
	}
	switch {
	case len(w.Events) == 0:
		bad.Add("events", `name at least one type of event; "*" is all of them`)
	case len(w.Events) > maxWebhookEvents:
		bad.Add("events", fmt.Sprintf("at most %d", maxWebhookEvents))
	}
	for i, pattern := range w.Events {
		if !slices.ContainsFunc(call.Types(), func(t call.Type) bool { return matchesType(pattern, t) }) {
			bad.Add(fmt.Sprintf("events[%d]", i), "there is no such type of event; give one (call.ended), a group (leg.*) or *")
		}
	}
	known := []call.Direction{call.Inbound, call.Outbound, call.Callback, call.Internal}
	for i, d := range w.Directions {
		if !slices.Contains(known, d) {
			bad.Add(fmt.Sprintf("directions[%d]", i), "want inbound, outbound, callback or internal")
		}
	}
	if utf8.RuneCountInString(w.Description) > maxWebhookDescription {
		bad.Add("description", fmt.Sprintf("longer than %d characters", maxWebhookDescription))
	}
	return bad.Err()
}

// On tells whether it is to be sent anything.
func (w Webhook) On() bool { return w.Enabled == nil || *w.Enabled }

// Wants tells whether an event of a call in that direction is subscribed to.
func (w Webhook) Wants(d call.Direction, t call.Type) bool {
	return (len(w.Directions) == 0 || slices.Contains(w.Directions, d)) &&
		slices.ContainsFunc(w.Events, func(pattern string) bool { return matchesType(pattern, t) })
}

// matchesType: the pattern is the type, or its beginning up to a dot and "*",
// or "*".
func matchesType(pattern string, t call.Type) bool {
	group, isGroup := strings.CutSuffix(pattern, "*")
	if !isGroup {
		return pattern == string(t)
	}
	return group == "" || strings.HasSuffix(group, ".") && strings.HasPrefix(string(t), group)
}
