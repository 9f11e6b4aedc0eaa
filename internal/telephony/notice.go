package telephony

import "slices"

// notices are functions that wait to be called, once, when something has come
// about. Its owner's lock guards it.
type notices []*func()

// add returns what remove wants.
func (n *notices) add(f func()) *func() {
	*n = append(*n, &f)
	return &f
}

func (n *notices) remove(f *func()) {
	*n = slices.DeleteFunc(*n, func(g *func()) bool { return g == f })
}

// take empties it; the caller calls what it returns without the lock.
func (n *notices) take() notices {
	all := *n
	*n = nil
	return all
}

func (n notices) call() {
	for _, f := range n {
		(*f)()
	}
}
