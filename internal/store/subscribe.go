package store

import (
	"context"

	"github.com/perezvon/perezvon/internal/call"
)

// readerBacklog is how many events a subscriber may be behind.
const readerBacklog = 1024

// reader is one subscriber.
type reader struct {
	events chan call.Event
}

// Subscribe gives the events of all calls from now on, each after it is stored.
// They are those of every account: who shows them must look at Event.Account.
// The channel is closed when ctx ends, when the store is closed, and when the
// subscriber is more than a thousand events behind: it must then read the
// timelines and subscribe again.
func (j *Journal) Subscribe(ctx context.Context) <-chan call.Event {
	r := &reader{events: make(chan call.Event, readerBacklog)}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		close(r.events)
		return r.events
	}
	j.readers[r] = struct{}{}
	context.AfterFunc(ctx, func() { j.drop(r) })
	return r.events
}

// drop ends a subscription, once.
func (j *Journal) drop(r *reader) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.remove(r)
}

func (j *Journal) remove(r *reader) {
	if _, ok := j.readers[r]; ok {
		delete(j.readers, r)
		close(r.events)
	}
}

func (j *Journal) publish(list []call.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range list {
		for r := range j.readers {
			select {
			case r.events <- e:
			default:
				j.stats.SlowReaders++
				j.remove(r)
				j.store.log.Warn("subscriber dropped, too slow")
			}
		}
	}
}
