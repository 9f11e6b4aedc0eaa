package httpapi

import (
	"context"
	"sync"

	"github.com/perezvon/perezvon/internal/call"
)

// Feed hands the events of all calls, as they are stored, to whoever listens
// now: browsers, backends, metrics. It remembers the latest, so that a listener
// who lost the line for a moment misses nothing.
type Feed struct {
	subscribe func(context.Context) <-chan call.Event
	observe   []func(call.Event)

	mu        sync.Mutex
	recent    []call.Event               // the latest, oldest first
	listeners map[chan call.Event]string // account
	closed    bool
}

const (
	remembered = 2048 // events kept for those who come back
	patience   = 256  // events a listener may lag behind
)

// NewFeed makes a feed of what subscribe yields (the journal's Subscribe,
// whose channel closes when its context ends or its reader is too slow).
// Observers see each event first, one after the other; they must be quick.
func NewFeed(subscribe func(context.Context) <-chan call.Event, observe ...func(call.Event)) *Feed {
	return &Feed{subscribe: subscribe, observe: observe, listeners: make(map[chan call.Event]string)}
}

// Open takes every event that is stored once it has returned. run passes them
// on until ctx ends; then all listeners' channels are closed. It must be called.
func (f *Feed) Open(ctx context.Context) (run func()) {
	events := f.subscribe(ctx)
	return func() {
		defer f.close()
		for {
			for e := range events {
				for _, see := range f.observe {
					see(e)
				}
				f.pass(e)
			}
			// Dropped as too slow: what was missed is in the store. Listeners are
			// sent away, so that they come back and ask for it.
			f.dismiss()
			if ctx.Err() != nil {
				return
			}
			events = f.subscribe(ctx)
		}
	}
}

// Listen gives a channel of the account's events to come. It is closed when the listener
// is too slow, the feed ends, or leave is called. After is the last event the
// listener has seen, if any: what has been since and is still remembered comes
// first. found tells that the event was among the remembered.
func (f *Feed) Listen(account string, after EventID) (events <-chan call.Event, missed []call.Event, found bool, leave func()) {
	ch := make(chan call.Event, patience)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.recent {
		switch {
		case e.Account != account:
		case found:
			missed = append(missed, e)
		case after == (EventID{e.CallID, e.Seq}):
			found = true
		}
	}
	if f.closed {
		close(ch)
		return ch, missed, found, func() {}
	}
	f.listeners[ch] = account
	return ch, missed, found, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.drop(ch)
	}
}

func (f *Feed) pass(e call.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.recent) >= 2*remembered {
		f.recent = append(f.recent[:0], f.recent[remembered:]...)
	}
	f.recent = append(f.recent, e)
	for ch, account := range f.listeners {
		if account != e.Account {
			continue
		}
		select {
		case ch <- e:
		default:
			f.drop(ch)
		}
	}
}

func (f *Feed) drop(ch chan call.Event) {
	if _, ok := f.listeners[ch]; ok {
		delete(f.listeners, ch)
		close(ch)
	}
}

func (f *Feed) dismiss() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for ch := range f.listeners {
		f.drop(ch)
	}
	f.recent = nil
}

func (f *Feed) close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.dismiss()
}
