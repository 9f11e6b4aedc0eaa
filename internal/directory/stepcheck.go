package directory

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/numbering"
)

const (
	maxRingS    = 300
	maxPriority = 1000
	maxWindow   = Duration(10 * 366 * 24 * time.Hour)
	maxSteps    = 50
	maxSpoken   = 2000 // characters
	// maxMenus is how deep menus may be nested.
	maxMenus = 4
)

var menuKey = regexp.MustCompile(`^[0-9*#]$`)

// stepCheck judges steps and normalises their numbers.
type stepCheck struct {
	bad invalid.Error
	// region is whose customs numbers follow; strict: they must be E.164.
	region string
	strict bool
}

// steps are the steps with their numbers in E.164. menus is how many menus
// they are within.
func (c *stepCheck) steps(path string, list Steps, menus int) Steps {
	if len(list) > maxSteps {
		c.bad.Add(path, fmt.Sprintf("want at most %d", maxSteps))
		return list
	}
	list = slices.Clone(list)
	for i := range list {
		c.step(fmt.Sprintf("%s[%d]", path, i), &list[i], menus)
	}
	return list
}

func (c *stepCheck) step(path string, s *Step, menus int) {
	if s.kinds() != 1 {
		c.bad.Add(path, "want exactly one of responsible, queue, operator, number, announce, menu, callback_offer, route, hangup")
		return
	}
	switch {
	case s.Responsible != nil:
		c.responsible(path+".responsible", *s.Responsible)
	case s.Queue != nil:
		c.name(path+".queue", s.Queue.Name)
		between(&c.bad, path+".queue.priority", s.Queue.Priority, 0, maxPriority)
	case s.Operator != nil:
		if !IsExtension(s.Operator.Extension) {
			c.bad.Add(path+".operator", "want an operator's extension")
		}
		between(&c.bad, path+".operator.ring_s", s.Operator.RingS, 1, maxRingS)
	case s.Number != nil:
		n := *s.Number
		n.Number = c.number(path+".number", n.Number)
		between(&c.bad, path+".number.ring_s", n.RingS, 1, maxRingS)
		if n.Trunk != "" {
			c.name(path+".number.trunk", n.Trunk)
		}
		s.Number = &n
	case s.Announce != nil:
		c.needed(path+".announce.text", s.Announce.Text)
	case s.Menu != nil:
		s.Menu = c.menu(path+".menu", *s.Menu, menus+1)
	case s.CallbackOffer != nil:
		o := *s.CallbackOffer
		c.offer(path+".callback_offer", o)
		if o.Widget == "" {
			c.bad.Add(path+".callback_offer.widget", "is needed: the callback gets its managers and settings")
		}
		if o.AfterS != 0 {
			c.bad.Add(path+".callback_offer.after_s", "belongs to a queue: a step is done when its turn comes")
		}
	case s.Route != nil:
		c.name(path+".route", s.Route.Name)
	case s.Hangup != nil:
		if s.Hangup.Code != 0 {
			between(&c.bad, path+".hangup.code", s.Hangup.Code, 400, 699)
		}
	}
}

// kinds is how many of the step's fields are set.
func (s Step) kinds() (n int) {
	for _, set := range []bool{
		s.Responsible != nil, s.Queue != nil, s.Operator != nil, s.Number != nil, s.Announce != nil, s.Menu != nil,
		s.CallbackOffer != nil, s.Route != nil, s.Hangup != nil,
	} {
		if set {
			n++
		}
	}
	return n
}

func (c *stepCheck) responsible(path string, r Responsible) {
	if r.Window < minPeriod || r.Window > maxWindow {
		c.bad.Add(path+".window", "want 1s to 3660d, as \"24h\", \"30d\" or seconds")
	}
	if r.Policy != ResponsibleLast && r.Policy != ResponsibleFirst {
		c.bad.Add(path+".policy", "want last or first")
	}
	between(&c.bad, path+".ring_s", r.RingS, 1, maxRingS)
	checkSource(&c.bad, path+".source", path+".crm_timeout_ms", r.Source, r.CRMTimeoutMS)
	if r.Outcomes != nil && len(r.Outcomes) == 0 {
		c.bad.Add(path+".outcomes", "want at least one of "+strings.Join(outcomes, ", "))
	}
	for i, o := range r.Outcomes {
		at := fmt.Sprintf("%s.outcomes[%d]", path, i)
		switch {
		case !slices.Contains(outcomes, o):
			c.bad.Add(at, "want one of "+strings.Join(outcomes, ", "))
		case slices.Contains(r.Outcomes[:i], o):
			c.bad.Add(at, "named twice")
		}
	}
}

func (c *stepCheck) menu(path string, m Menu, depth int) *Menu {
	c.needed(path+".text", m.Text)
	between(&c.bad, path+".timeout_s", m.TimeoutS, 1, 60)
	between(&c.bad, path+".repeats", m.Repeats, 1, 10)
	if len(m.Keys) == 0 {
		c.bad.Add(path+".keys", "want the steps of at least one key")
	}
	if depth > maxMenus {
		c.bad.Add(path, fmt.Sprintf("menus may be nested %d deep; go on with another route", maxMenus))
		return &m
	}
	keys := make(map[string]Steps, len(m.Keys))
	for _, key := range slices.Sorted(maps.Keys(m.Keys)) {
		at := fmt.Sprintf("%s.keys[%q]", path, key)
		switch {
		case !menuKey.MatchString(key):
			c.bad.Add(at, "want 0 to 9, * or #")
		case len(m.Keys[key]) == 0:
			c.bad.Add(at, "want at least one step")
		default:
			keys[key] = c.steps(at, m.Keys[key], depth)
		}
	}
	m.Keys = keys
	return &m
}

func (c *stepCheck) offer(path string, o CallbackOffer) {
	spoken(&c.bad, path+".text", o.Text)
	if !menuKey.MatchString(o.Key) {
		c.bad.Add(path+".key", "want 0 to 9, * or #")
	}
	if o.Widget != "" {
		c.name(path+".widget", o.Widget)
	}
}

func (c *stepCheck) name(path, name string) {
	if !trunkName.MatchString(name) {
		c.bad.Add(path, "want a name: 1 to 64 letters, digits, - and _")
	}
}

func (c *stepCheck) needed(path, text string) {
	if strings.TrimSpace(text) == "" {
		c.bad.Add(path, "is needed")
		return
	}
	spoken(&c.bad, path, text)
}

// spoken is a text to be said aloud.
func spoken(bad *invalid.Error, path, value string) { longText(bad, path, value, maxSpoken) }

// number is the number in E.164.
func (c *stepCheck) number(path, number string) string {
	e164, err := numbering.Normalize(number, c.region)
	switch {
	case err != nil:
		c.bad.Add(path, err.Error())
	case c.strict && e164 != number:
		c.bad.Add(path, "want a number as +74951234567")
	default:
		return e164
	}
	return number
}
