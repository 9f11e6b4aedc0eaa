package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/perezvon/perezvon/internal/call"
)

// answerTime is how long the manager has to press a key after each speaking of
// the instructions.
const answerTime = 3 * time.Second

// errRepeatLimit: everything was spoken as often as the packet wants, nobody
// pressed a key, and the packet wants the call ended then.
var errRepeatLimit = errors.New("the repeat limit is reached and no key was pressed")

// smartcall speaks the IVR text and the instructions over and over
// (specification 1-callback §2.6). It returns nil when the client is to be
// called by itself, errRepeatLimit when the call is to end, and ctx's cause
// when a key decided.
func (s *callbackCourse) smartcall(ctx context.Context, manager *line, keys *keys) error {
	automatic := ""
	if s.packet.DTMFExtraInfo == "#" {
		automatic = s.packet.ExtraInfo
	}
	if s.packet.IVRText == "" && !s.packet.Smartcall() {
		return s.tell(ctx, manager, keys, promptExtraInfo, automatic)
	}
	repeats, hangUp := number(s.packet.RepeatsBeforeConnect), false
	if s.packet.RepeatsBeforeHangup != nil {
		repeats, hangUp = *s.packet.RepeatsBeforeHangup, true
	}
	for round := 1; round <= repeats; round++ {
		s.note(fmt.Sprintf("speaking %d of %d", round, repeats))
		if err := s.tell(ctx, manager, keys, promptIVR, s.packet.IVRText); err != nil {
			return err
		}
		if s.packet.Smartcall() {
			if err := s.tell(ctx, manager, keys, promptInstructions, instructions(s.packet)); err != nil {
				return err
			}
		}
		// By itself the extra info is spoken once; the key repeats it.
		if err := s.tell(ctx, manager, keys, promptExtraInfo, automatic); err != nil {
			return err
		}
		automatic = ""
		err := keys.orInfo(ctx, func(ctx context.Context) error { return s.pause(ctx, manager, "for a key", answerTime) })
		if err != nil {
			return err
		}
	}
	if hangUp {
		return errRepeatLimit
	}
	s.note("the repeat limit is reached: the client is called")
	return nil
}

// errAfterCallOver is the end of the time for the after-call keys.
var errAfterCallOver = errors.New("no key was pressed after the call")

// afterCall keeps the manager on the line once the client has gone, if he may
// press something then (specification 1-callback §2.9). Both have talked,
// whatever happens here.
func (s *callbackCourse) afterCall(ctx context.Context, manager *line) error {
	keys, limit := s.keysAfterCall(), seconds(s.packet.AfterCallS)
	if len(keys) == 0 || limit == 0 {
		return errTalked
	}
	ctx, _, free := s.whileOn(ctx, manager)
	defer free()
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errAfterCallOver)
	defer cancel()
	s.event(call.Event{Type: call.Waiting, Leg: manager.ID(), Reason: "for a key after the call", TimeoutMS: limit.Milliseconds()})
	pressed, err := beside(ctx,
		func(ctx context.Context) (action, error) { return s.nextKey(ctx, manager, keys) },
		func(ctx context.Context) error {
			if err := s.say(ctx, manager, promptAfterCall, afterCallInstructions(s.packet)); err != nil {
				return err
			}
			return s.silence(ctx, manager)
		},
		func(ctx context.Context) error {
			s.heed(ctx, manager)
			return nil
		},
	)
	switch {
	case err == nil && pressed == actCancelRecalls:
		return errTalkedCancelRecalls
	case err == nil && pressed == actReschedule:
		return errTalkedReschedule
	}
	return errTalked
}
