package checkup

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/perezvon/perezvon/internal/telephony/asterisk/ari"
)

// ear hears the events of our application.
type ear struct {
	connected chan struct{} // closed at the first connection
	lost      chan struct{} // closed when it could not be opened, or broke
	once      sync.Once     // guards lost and why
	why       error
	stop      context.CancelFunc

	mu    sync.Mutex
	heard []note
	more  chan struct{} // closed and made anew at each event
}

// note is an event and when it came, by our clock.
type note struct {
	ari.Event

	at time.Time
}

// Connected implements ari.Listener.
func (e *ear) Connected(context.Context) error {
	close(e.connected) // once: Lost ends the listening
	return nil
}

// Event implements ari.Listener.
func (e *ear) Event(ev ari.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard = append(e.heard, note{ev, time.Now()})
	close(e.more)
	e.more = make(chan struct{})
}

// Lost implements ari.Listener.
func (e *ear) Lost(err error) {
	e.once.Do(func() { e.why = err; close(e.lost) })
	e.stop()
}

// next waits for an event that is wanted, from the beginning of the listening.
func (e *ear) next(ctx context.Context, wanted func(ari.Event) bool) (note, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errSilence)
	defer cancel()
	for seen := 0; ; {
		e.mu.Lock()
		heard, more := e.heard[seen:], e.more
		seen = len(e.heard)
		e.mu.Unlock()
		for _, n := range heard {
			if wanted(n.Event) {
				return n, nil
			}
		}
		select {
		case <-more:
		case <-e.lost:
			return note{}, e.why
		case <-ctx.Done():
			return note{}, context.Cause(ctx)
		}
	}
}

// started waits until a channel of ours is in our application.
func (e *ear) started(ctx context.Context, channel string) (note, error) {
	return e.next(ctx, func(ev ari.Event) bool {
		return ev.Type == ari.StasisStart && ev.Channel != nil && ev.Channel.ID == channel
	})
}

var errSilence = errors.New("the event did not come")

// listen opens the WebSocket of events, under a name of our own: under the
// server's it would take its events away.
func (k *checkup) listen(ctx context.Context) (ok bool, done func()) {
	listening, stop := context.WithCancel(ctx)
	k.ear = &ear{connected: make(chan struct{}), lost: make(chan struct{}), more: make(chan struct{}), stop: stop}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = k.ari.Listen(listening, k.ear) // Lost tells why
	}()
	done = func() { stop(); <-ended }
	select {
	case <-k.ear.connected:
		return true, done
	case <-k.ear.lost:
		k.found(Fault, "events.closed", "", reason(k.ear.why))
	case <-ctx.Done():
	}
	return false, done
}
