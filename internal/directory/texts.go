package directory

import "fmt"

// Texts are what callers of the queue are told in the administrator's words, by
// the path of the field.
func (q Queue) Texts() map[string]string {
	t := texts{}
	if q.Announce != nil {
		t.add("announce.text", q.Announce.Text)
	}
	if q.CallbackOffer != nil {
		t.add("callback_offer.text", q.CallbackOffer.Text)
	}
	t.steps("fallback", q.Fallback)
	return t
}

// Texts are what callers are told in the administrator's words, by the path of
// the field.
func (r Route) Texts() map[string]string {
	t := texts{}
	t.steps("steps", r.Steps)
	return t
}

type texts map[string]string

// add notes a text that is given.
func (t texts) add(path, text string) {
	if text != "" {
		t[path] = text
	}
}

func (t texts) steps(path string, list Steps) {
	for i, s := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case s.Announce != nil:
			t.add(at+".announce.text", s.Announce.Text)
		case s.CallbackOffer != nil:
			t.add(at+".callback_offer.text", s.CallbackOffer.Text)
		case s.Menu != nil:
			t.add(at+".menu.text", s.Menu.Text)
			for key, steps := range s.Menu.Keys {
				t.steps(fmt.Sprintf("%s.menu.keys[%q]", at, key), steps)
			}
		}
	}
}
