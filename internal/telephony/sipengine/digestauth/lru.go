package digestauth

import "container/list"

// lru is a map with room for a fixed number of entries: the one that was not
// touched for longest goes first. Not for concurrent use.
type lru[K comparable, V any] struct {
	room  int
	order *list.List // of lruEntry[K, V], latest first
	index map[K]*list.Element
}

type lruEntry[K comparable, V any] struct {
	key   K
	value V
}

func newLRU[K comparable, V any](room int) *lru[K, V] {
	return &lru[K, V]{room: room, order: list.New(), index: map[K]*list.Element{}}
}

// get finds a value and touches it.
func (l *lru[K, V]) get(key K) (value V, ok bool) {
	e, ok := l.index[key]
	if !ok {
		return value, false
	}
	l.order.MoveToFront(e)
	return e.Value.(lruEntry[K, V]).value, true
}

// put adds a value under a key that is not there, and returns the one that had
// to go for it, if any.
func (l *lru[K, V]) put(key K, value V) (old V, evicted bool) {
	if l.order.Len() >= l.room {
		last := l.order.Back()
		e := l.order.Remove(last).(lruEntry[K, V])
		delete(l.index, e.key)
		old, evicted = e.value, true
	}
	l.index[key] = l.order.PushFront(lruEntry[K, V]{key, value})
	return old, evicted
}

func (l *lru[K, V]) remove(key K) {
	if e, ok := l.index[key]; ok {
		l.order.Remove(e)
		delete(l.index, key)
	}
}
