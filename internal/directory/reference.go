package directory

import (
	"fmt"
	"maps"
	"slices"
)

// Kinds of what an administrator sets, as references name them.
const (
	KindTrunk    = "trunk"
	KindOperator = "operator"
	KindWidget   = "widget"
	KindQueue    = "queue"
	KindRoute    = "route"
)

// Reference is something that must exist for what names it to work.
type Reference struct {
	// Path is the field that names it: "steps[2].menu.keys[\"1\"][0].queue".
	Path string
	// Kind is one of Kind…, Name the name, or the extension of an operator.
	Kind, Name string
}

type references []Reference

// add notes a name that is given.
func (r *references) add(path, kind, name string) {
	if name != "" {
		*r = append(*r, Reference{path, kind, name})
	}
}

func (r *references) steps(path string, list Steps) {
	for i, s := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case s.Queue != nil:
			r.add(at+".queue", KindQueue, s.Queue.Name)
		case s.Operator != nil:
			r.add(at+".operator", KindOperator, s.Operator.Extension)
		case s.Number != nil:
			r.add(at+".number.trunk", KindTrunk, s.Number.Trunk)
		case s.CallbackOffer != nil:
			r.add(at+".callback_offer.widget", KindWidget, s.CallbackOffer.Widget)
		case s.Route != nil:
			r.add(at+".route", KindRoute, s.Route.Name)
		case s.Menu != nil:
			for _, key := range slices.Sorted(maps.Keys(s.Menu.Keys)) {
				r.steps(fmt.Sprintf("%s.menu.keys[%q]", at, key), s.Menu.Keys[key])
			}
		}
	}
}
