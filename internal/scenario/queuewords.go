package scenario

import (
	"context"
	"errors"
	"time"

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
	every := time.Duration(a.PositionEveryS) * time.Second
	if every == 0 || !a.Position && !a.Wait {
		return w.music(ctx, w.client)
	}
	for {
		if err := w.musicFor(ctx, every); err != nil {
			return err
		}
		if err := w.sayPlace(ctx, a); err != nil {
			return err
		}
	}
}

// musicFor lets the caller hear music for a while.
func (w *waiter) musicFor(ctx context.Context, d time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, d, errPauseOver)
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
