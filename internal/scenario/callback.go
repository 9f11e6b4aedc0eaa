package scenario

import (
	"context"
	"errors"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/media/tone"
	"github.com/perezvon/perezvon/internal/numbering"
	"github.com/perezvon/perezvon/internal/telephony"
)

// callbackCourse is one callback under way.
type callbackCourse struct {
	*course
	packet callback.Packet
	tree   *numbering.Tree // nil: no locations
}

// run is the course of a callback (specification 1-callback §2; the numbers
// below are its own). It returns why the call ended: conclude makes the status
// of it.
func (s *callbackCourse) run(ctx context.Context) error {
	// 2. The caller IDs of both sides are chosen before anybody is called.
	s.tree = s.locations(ctx)
	managers, theClient := s.withCallerIDs(s.managers(ctx), s.client())

	// 3. Managers are called, one after another or all at once.
	manager, err := s.callManagers(ctx, managers)
	if err != nil {
		return err
	}
	defer s.hangUp(manager)

	// 4. Recording starts with the first answer.
	s.startRecording(s.wantsTranscript(isTrue(s.packet.Transcribe)))
	manager.Record(s.track(manager.ID(), call.Manager))

	// 5. From here until the client is joined the keys work. They, and the
	// manager's hanging up, end waiting with their cause.
	waiting, keys := s.listen(ctx, manager)
	defer keys.stop()

	// 4, 6. What the manager is told, until the client is to be called.
	if err := s.prepare(waiting, manager, keys); err != nil {
		return err
	}

	// 7. The client is called while the manager hears it ring.
	client, err := s.callClient(waiting, manager, s.answeredBy(manager.target, theClient), keys)
	if err != nil {
		return err
	}
	defer s.hangUp(client)

	// 8. The client's extension, then the keys are over and they talk.
	if err := s.reachExtension(waiting, client); err != nil {
		return err
	}
	if err := keys.finish(); err != nil {
		return err
	}
	return s.talk(ctx, manager, client)
}

// callManagers calls the managers until one answers. together is who rings at
// the same time.
func (s *callbackCourse) callManagers(ctx context.Context, managers [][]target) (*line, error) {
	err := errNobodyToCall
	for _, together := range managers {
		var manager *line
		if manager, err = s.dialFirst(ctx, together, nil); err == nil {
			return manager, nil
		}
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
	}
	return nil, err
}

// prepare passes the manager's own switchboard and tells him what is coming.
func (s *callbackCourse) prepare(ctx context.Context, manager *line, keys *keys) error {
	if err := s.dialExtension(ctx, manager); err != nil {
		return err
	}
	if err := s.sendDigits(ctx, manager, s.packet.DTMFToManager); err != nil {
		return err
	}
	err := s.inform(keys.untilConnect, manager, keys)
	if errors.Is(err, errConnectKey) {
		return context.Cause(ctx)
	}
	return err
}

// inform speaks to the manager until the client is to be called. The connect
// key ends it early.
func (s *callbackCourse) inform(ctx context.Context, manager *line, keys *keys) error {
	if err := s.tell(ctx, manager, keys, promptGreeting, s.packet.Greeting); err != nil {
		return err
	}
	if err := s.smartcall(ctx, manager, keys); err != nil {
		return err
	}
	if s.packet.Smartcall() {
		return nil
	}
	return keys.orInfo(ctx, func(ctx context.Context) error {
		return s.pause(ctx, manager, "before the client is called", millis(s.packet.ClientDelayMS))
	})
}

// callClient tells the manager that the client is called now, and calls. The
// manager hears the ringing, or what the client's carrier plays.
func (s *callbackCourse) callClient(ctx context.Context, manager *line, whom target, keys *keys) (*line, error) {
	if err := s.tell(ctx, manager, keys, promptConnecting, s.packet.ConnectingText); err != nil {
		return nil, err
	}
	client, err := beside(ctx,
		func(ctx context.Context) (*line, error) { return s.dialFirst(ctx, []target{whom}, manager) },
		func(ctx context.Context) error { return s.infoWhileRinging(ctx, manager, keys) },
	)
	if err == nil {
		return client, nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return nil, cause
	}
	return nil, err
}

// infoWhileRinging speaks the extra info on its key while the client is
// called. What the engine let the manager hear is over then; he hears our
// ringback after it.
func (s *callbackCourse) infoWhileRinging(ctx context.Context, manager *line, keys *keys) error {
	err := keys.infoPressed(ctx)
	for err == nil {
		if err = s.say(ctx, manager, promptExtraInfo, s.packet.ExtraInfo); err != nil && !errors.Is(err, telephony.ErrReplaced) {
			return err
		}
		_, err = first(ctx, keys.infoPressed, func(ctx context.Context) error {
			return manager.Play(ctx, telephony.Prompt{Clip: tone.Ringback(), Loop: true})
		})
	}
	return err
}

// reachExtension dials the client's extension.
func (s *callbackCourse) reachExtension(ctx context.Context, client *line) error {
	err := s.dialExtension(ctx, client)
	if err != nil && context.Cause(ctx) == nil {
		return errClientLeft
	}
	return err
}

// talk joins the two until the call is over, and gives the manager who was on
// the line last the keys after it.
func (s *callbackCourse) talk(ctx context.Context, manager, client *line) error {
	last, why := s.converse(ctx, client, manager)
	return s.afterTalk(ctx, client, last, why)
}

// afterTalk is what comes after the conversation.
func (s *callbackCourse) afterTalk(ctx context.Context, client, last *line, why error) error {
	defer s.hangUp(last)
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if !errors.As(why, new(*telephony.HangupError)) {
		return why
	}
	// 9. Either side has hung up.
	if last.Context().Err() != nil {
		return errTalked
	}
	client.over()
	return s.afterCall(ctx, last)
}
