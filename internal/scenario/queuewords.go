package scenario

import (
	"context"
	"errors"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/speech/prompts"
)

// entertain lets the caller hear music, and now and then what the queue
// announces. It ends when ctx does.
func (w *waiter) entertain(ctx context.Context) error {
	var a directory.QueueAnnounce
	if set := w.place.Settings().Announce; set != nil {
		a = *set
	}
	if err := w.say(ctx, w.client, promptAnnouncement, a.Text); err != nil {
		return err
	}
	// Who is served at once need not hear where he stands.
	if !w.place.Ringing() {
		if err := w.sayPlace(ctx, a); err != nil {
			return err
		}
	}
	var placeAt, offerAt time.Time // zero: not any more
	every := time.Duration(a.PositionEveryS) * time.Second
	if every > 0 && (a.Position || a.Wait) {
		placeAt = time.Now().Add(every)
	}
	if w.offer != nil {
		offerAt = w.since.Add(time.Duration(w.offer.AfterS) * time.Second)
	}
	for {
		if err := w.musicUntil(ctx, earlier(placeAt, offerAt)); err != nil {
			return err
		}
		if due(placeAt) {
			if err := w.sayPlace(ctx, a); err != nil {
				return err
			}
			placeAt = time.Now().Add(every)
			if w.offered.Load() {
				offerAt = time.Now()
			}
		}
		if due(offerAt) {
			if err := w.sayOffer(ctx); err != nil {
				return err
			}
			offerAt = time.Time{}
		}
	}
}

func due(at time.Time) bool { return !at.IsZero() && time.Until(at) <= 0 }

// earlier is the earlier of two times, of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// sayOffer offers a callback instead of waiting. From now on the key works.
func (w *waiter) sayOffer(ctx context.Context) error {
	w.offered.Store(true)
	text := w.offer.Text
	if text == "" {
		text = w.words(pressForCall, w.offer.Key)
	}
	return w.say(ctx, w.client, promptOffer, text)
}

// keys waits for the key that accepts the offer, and orders the callback. It
// returns errWantsCallback, or why nobody waits any more.
func (w *waiter) keys(ctx context.Context) error {
	if w.offer == nil {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	for {
		key, err := w.anyKey(ctx, w.client)
		if err != nil {
			return err
		}
		if key != w.offer.Key || !w.offered.Load() {
			continue
		}
		w.event(call.Event{Type: call.KeyPressed, Leg: w.client.ID(), Digits: key, Action: promptOffer})
		err = w.keep(ctx)
		if err == nil {
			return errWantsCallback
		}
		w.log.ErrorContext(ctx, "the callback that the caller wants is not planned", "err", err)
		w.note("callback: " + err.Error())
	}
}

// musicUntil lets the caller hear music until then; zero: as long as he waits.
func (w *waiter) musicUntil(ctx context.Context, at time.Time) error {
	if at.IsZero() {
		return w.music(ctx, w.client)
	}
	ctx, cancel := context.WithDeadlineCause(ctx, at, errPauseOver)
	defer cancel()
	if err := w.music(ctx, w.client); !errors.Is(err, errPauseOver) {
		return err
	}
	return nil
}

// sayPlace tells how many are before the caller, and how long it will take.
func (w *waiter) sayPlace(ctx context.Context, a directory.QueueAnnounce) error {
	var parts []string
	if n := w.place.Position(); a.Position && n > 0 {
		parts = append(parts, w.numbered(prompts.YouAreNumber, n, prompts.YouAreFarBack))
	}
	if d, known := w.place.Expected(); a.Wait && known {
		parts = append(parts, w.expected(d))
	}
	if len(parts) == 0 {
		return context.Cause(ctx)
	}
	parts = append(parts, w.words(prompts.PleaseWait))
	return w.say(ctx, w.client, promptPlace, sentences(parts...))
}

// expected is the expected wait in words: minutes, rounded up.
func (w *waiter) expected(d time.Duration) string {
	if d < time.Minute {
		return w.words(prompts.WaitUnderMinute)
	}
	minutes := int((d + time.Minute - 1) / time.Minute)
	return w.numbered(prompts.WaitAbout, min(minutes, mostNumber), prompts.WaitAbout)
}

// mostNumber is the greatest number that ships spoken.
const mostNumber = 20

// numbered is a prompt and a number behind it; more is for who is beyond the
// numbers.
func (w *waiter) numbered(id prompts.ID, n int, more prompts.ID) string {
	if n > mostNumber {
		return w.words(more)
	}
	return w.words(id) + " " + w.words(prompts.Number(n))
}
