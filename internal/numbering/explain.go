package numbering

import (
	"fmt"
	"slices"
	"strings"
)

// Explanation says in words how the numbers were chosen: where each end is,
// which technical number counts there, what each is shown and why. language is
// "ru", anything else is English.
func (c Choice) Explanation(language string) string {
	w := wordsIn(language)
	return strings.Join([]string{
		w.place(TowardManager, c.ends[TowardManager]), w.place(TowardClient, c.ends[TowardClient]),
		w.shown(TowardManager, c.TowardManager, c.Why(TowardManager, language)),
		w.shown(TowardClient, c.TowardClient, c.Why(TowardClient, language)),
	}, " ")
}

// Why says in a few words why the number toward one end was chosen. language
// is "ru", anything else is English.
func (c Choice) Why(d Direction, language string) string {
	w, by, other := wordsIn(language), c.by[d], 1-d
	text := w.why[by]
	if owner := c.ends[d].owner(); strings.Contains(text, "%s") && owner != nil {
		text = fmt.Sprintf(text, w.name(owner.Name))
	}
	if (by == ruleOff || by == ruleSame) && c.ends[other].number == "" {
		text += w.hasNone[other]
	}
	return text
}

// words are the phrases of a language; those in pairs are by Direction: of the
// manager, of the client.
type words struct {
	language string
	// who begins a sentence, sees takes the number and why, hasNone goes on
	// after a comma.
	who, sees, hasNone [2]string
	// is and nearest take who, the number, where; nearest the nearest too.
	is, nearest, noNumber string
	// technical takes the number and its location.
	technical, noTechnical string
	outside                string          // of all locations
	open                   string          // in place of a number
	why                    map[rule]string // %s is the end's own location
}

func wordsIn(language string) *words {
	if language == "ru" {
		return &russian
	}
	return &english
}

var english = words{
	language:    "en",
	who:         [2]string{"The manager", "The client"},
	sees:        [2]string{"The manager sees %s: %s.", "The client sees %s: %s."},
	hasNone:     [2]string{", but the manager has none", ", but the client has none"},
	is:          "%s %s is in %s",
	nearest:     "%s %s is in %s, which is no location; the nearest one is %s",
	noNumber:    "%s has no number to tell a location by.",
	technical:   "; the technical number there is %s (%s).",
	noTechnical: "; no technical number is set there or above.",
	outside:     "no country",
	open:        "the default number of the order, or else the trunk's own",
	why: map[rule]string{
		ruleOff:      "substitution is switched off in this direction, so the real number is shown",
		ruleSame:     "both are in one location (%s) and country, so the real number is shown",
		ruleCustom:   "both are in one location (%s) and country, where the custom number has priority",
		ruleOwn:      "the two are in different locations, so each is shown the number of its own (%s)",
		ruleCountry:  "the two are in one location (%s) but in different countries, so its technical number is shown",
		ruleNoNumber: "the manager has no number to be shown, so it is that of the client's location (%s)",
		ruleAsked:    "the location rules do not apply, so it is the custom number of the order",
		ruleNothing:  "no technical number is set for the location",
		ruleUnused:   "no technical number is set for either end, so the location rules do not apply",
	},
}

var russian = words{
	language:    "ru",
	who:         [2]string{"Менеджер", "Клиент"},
	sees:        [2]string{"Менеджер видит %s: %s.", "Клиент видит %s: %s."},
	hasNone:     [2]string{", но у менеджера его нет", ", но у клиента его нет"},
	is:          "%s %s: %s",
	nearest:     "%s %s: %s, это не локация, ближайшая — %s",
	noNumber:    "%s: нет номера, по которому видна локация.",
	technical:   "; технический номер там — %s (%s).",
	noTechnical: "; технический номер там и выше не задан.",
	outside:     "вне стран",
	open:        "номер по умолчанию из заказа, а без него — номер транка",
	why: map[rule]string{
		ruleOff:      "подстановка в эту сторону выключена, поэтому показан настоящий номер",
		ruleSame:     "обе стороны в одной локации (%s) и стране, поэтому показан настоящий номер",
		ruleCustom:   "обе стороны в одной локации (%s) и стране, там главнее номер, заданный в заказе для клиента",
		ruleOwn:      "стороны в разных локациях, поэтому каждой показан номер её локации (%s)",
		ruleCountry:  "стороны в одной локации (%s), но в разных странах, поэтому показан её технический номер",
		ruleNoNumber: "у менеджера нет номера, который можно показать, поэтому показан номер локации клиента (%s)",
		ruleAsked:    "правила локаций не действуют, поэтому показан номер, заданный в заказе для клиента",
		ruleNothing:  "технический номер для локации не задан",
		ruleUnused:   "технические номера не заданы ни для одной из сторон, правила локаций не действуют",
	},
}

func (w *words) name(n Name) string { return n.In(w.language) }

func (w *words) shown(d Direction, number, why string) string {
	if number == "" {
		number = w.open
	}
	return fmt.Sprintf(w.sees[d], number, why)
}

// place says where an end is and which technical number counts there.
func (w *words) place(d Direction, p place) string {
	if p.number == "" {
		return fmt.Sprintf(w.noNumber, w.who[d])
	}
	where := w.outside
	if p.country != "" {
		where = w.name(countryName(p.country))
	}
	var text string
	switch {
	case p.nearest:
		text = fmt.Sprintf(w.nearest, w.who[d], p.number, where, w.path(p.node))
	case p.node != nil && p.node.parent != nil:
		text = fmt.Sprintf(w.is, w.who[d], p.number, w.path(p.node))
	default:
		text = fmt.Sprintf(w.is, w.who[d], p.number, where)
	}
	if owner := p.owner(); owner != nil {
		return text + fmt.Sprintf(w.technical, owner.Number, w.name(owner.Name))
	}
	return text + w.noTechnical
}

// path is the way from the largest location to the node, without the world.
func (w *words) path(n *node) string {
	names := []string{w.name(n.Name)}
	for n = n.parent; n != nil && n.parent != nil; n = n.parent {
		names = append(names, w.name(n.Name))
	}
	slices.Reverse(names)
	return strings.Join(names, " › ")
}
