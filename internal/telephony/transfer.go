package telephony

import (
	"context"
	"sync"
)

// Refer is a transfer that a phone asked for with a key of its own (RFC 3515):
// it wants whom it talks to to be connected with somebody else.
type Refer struct {
	// To is the number in Refer-To, as the phone wrote it, of up to 128 bytes
	// without control characters. It may be empty if Replaces is set.
	To string
	// Replaces is the phone's other leg, its consultation call, whose far party
	// is to be connected (an attended transfer, RFC 3891); nil: a blind one. It
	// is a leg of the same operator, perhaps one that nobody has answered yet,
	// and may end at any time.
	Replaces Leg
	// Progress tells the phone how its transfer goes (RFC 3515 §2.4.5): 100 to
	// 199 on the way, then one final status, after which nothing is said any
	// more: 200 lets the phone hang up, any other gives it the call back. It
	// does not wait, and may be called after the leg has ended. A phone that
	// hears nothing for three minutes is told 408.
	Progress func(code int)
}

// Refers is the queue of transfers that a phone asked for. Many phones hang up
// as soon as a blind transfer is accepted: the leg ends then as ever, and what
// waits in its queue can be read afterwards (with Drain, or Next under a context
// that has not ended with the leg). While a transfer has no final Progress the
// phone is refused another.
type Refers = Queue[Refer]

// NewRefers makes an empty queue; it holds 4 transfers.
func NewRefers() *Refers { return NewQueue[Refer](4) }

// Flag is a state of a leg that can be waited for. The zero Flag is off.
type Flag struct {
	mu      sync.Mutex
	on      bool
	changed chan struct{} // closed at the next change; nil: nobody waits
	notices notices       // of the next time it is on
}

// Set changes the state.
func (f *Flag) Set(on bool) {
	f.change(on).call()
}

// change returns who is to be told of it.
func (f *Flag) change(on bool) (told notices) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.on == on {
		return nil
	}
	f.on = on
	if f.changed != nil {
		close(f.changed)
		f.changed = nil
	}
	if on {
		told = f.notices.take()
	}
	return told
}

// WhenOn calls tell once, as soon as the flag is on, perhaps at once: so nobody
// needs to stand in Wait for what mostly never comes. tell must not wait; it runs
// in the goroutine of who sets the flag. stop forgets tell if it was not called
// yet.
func (f *Flag) WhenOn(tell func()) (stop func()) {
	f.mu.Lock()
	if f.on {
		f.mu.Unlock()
		tell()
		return func() {}
	}
	defer f.mu.Unlock()
	notice := f.notices.add(tell)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.notices.remove(notice)
	}
}

// On tells the state.
func (f *Flag) On() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.on
}

// Wait returns nil when the state is as wanted, or context.Cause(ctx).
func (f *Flag) Wait(ctx context.Context, on bool) error {
	for {
		f.mu.Lock()
		if f.on == on {
			f.mu.Unlock()
			return nil
		}
		if f.changed == nil {
			f.changed = make(chan struct{})
		}
		changed := f.changed
		f.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
