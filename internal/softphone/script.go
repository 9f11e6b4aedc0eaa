package softphone

import (
	"context"
	"time"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/telephony"
)

// Script is what the person at a phone does during one call.
type Script struct {
	// RingFor is how long the phone rings before it is picked up (calls in
	// only).
	RingFor time.Duration
	// Refuse, if not 0, is the SIP status the call is refused with after
	// RingFor, instead of being picked up: 486 busy, 603 declined.
	Refuse int
	// Lines are spoken one after the other from the answer on.
	Lines []Line
	// Keys are pressed at their times, also while speaking is paused for them.
	Keys []Key
	// HangupAfter is the length of the call from the answer; 0: until the far
	// end hangs up or everything is said and StayOn is false.
	HangupAfter time.Duration
	// StayOn keeps the phone off the hook after the last line.
	StayOn bool
	// Record takes what is heard from the far end; nil: nobody.
	Record media.Track
}

// Line is something said, or a tone.
type Line struct {
	// Pause is the silence before it.
	Pause time.Duration
	Clip  *audio.Clip
	Loop  bool
}

// Key is keys pressed After the answer.
type Key struct {
	After  time.Duration
	Digits string
}

// Receive plays the script on a call in: rings, answers or refuses, talks.
func (s Script) Receive(ctx context.Context, leg telephony.Leg) error {
	if err := leg.Ringing(ctx); err != nil {
		return err
	}
	ctx, cancel := withLeg(ctx, leg)
	defer cancel()
	if err := pause(ctx, s.RingFor); err != nil {
		return err
	}
	if s.Refuse != 0 {
		leg.Hangup(s.Refuse)
		return nil
	}
	if err := leg.Answer(ctx); err != nil {
		return err
	}
	return s.Talk(ctx, leg)
}

// Talk plays the part of the script that follows the answer, and hangs up
// where the script says so. It returns nil when the script came to its end and
// the *telephony.HangupError when the far end was first.
func (s Script) Talk(ctx context.Context, leg telephony.Leg) error {
	if s.Record != nil {
		leg.Record(s.Record)
	}
	ctx, cancel := withLeg(ctx, leg)
	defer cancel()
	if s.HangupAfter > 0 {
		timer := time.AfterFunc(s.HangupAfter, func() { leg.Hangup(0) })
		defer timer.Stop()
	}
	keys := make(chan struct{})
	go func() {
		defer close(keys)
		s.press(ctx, leg)
	}()
	err := s.speak(ctx, leg)
	if err == nil && (s.StayOn || s.HangupAfter > 0) {
		<-ctx.Done()
		err = context.Cause(ctx)
	}
	cancel()
	<-keys
	leg.Hangup(0)
	return err
}

func (s Script) speak(ctx context.Context, leg telephony.Leg) error {
	for _, line := range s.Lines {
		if err := pause(ctx, line.Pause); err != nil {
			return err
		}
		if err := leg.Play(ctx, telephony.Prompt{Clip: line.Clip, Loop: line.Loop}); err != nil {
			return err
		}
	}
	return nil
}

func (s Script) press(ctx context.Context, leg telephony.Leg) {
	start := time.Now()
	for _, key := range s.Keys {
		if pause(ctx, key.After-time.Since(start)) != nil {
			return
		}
		if leg.SendDigits(ctx, key.Digits) != nil {
			return
		}
	}
}

// withLeg gives a context that ends with ctx or with the leg, with the cause
// of whichever came first.
func withLeg(ctx context.Context, leg telephony.Leg) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(leg.Context(), func() { cancel(context.Cause(leg.Context())) })
	return ctx, func() {
		stop()
		cancel(context.Canceled)
	}
}

// pause waits, or returns the cause if ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
