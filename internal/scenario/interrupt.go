package scenario

import (
	"context"
	"errors"
	"sync"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/telephony"
)

// action is what a key means.
type action string

// The actions, as the timeline names them.
const (
	actConnect       action = "connect"
	actExtraInfo     action = "extra_info"
	actCancel        action = "cancel"
	actReschedule    action = "reschedule"
	actCancelRecalls action = "cancel_recalls"
)

// Causes that the manager's keys give.
var (
	errConnectKey    = errors.New("the manager pressed the connect key")
	errCancelKey     = errors.New("the manager pressed the cancel key")
	errRescheduleKey = errors.New("the manager pressed the reschedule key")
	// errDeaf ends the listening when the client is joined.
	errDeaf = errors.New("the keys are over")
)

// keys is what the manager's keys do before the client is joined.
type keys struct {
	// untilConnect ends with errConnectKey, and whenever the waiting does.
	untilConnect context.Context
	// stop ends the listening and the waiting.
	stop func()

	waiting  context.Context
	info     *telephony.Digits // presses of the extra-info key
	sayExtra func(context.Context) error
}

// listen takes the manager's keys from now on. Cancel and reschedule end the
// context it returns with their cause, and so does the manager's hanging up.
func (s *callbackCourse) listen(ctx context.Context, manager *line) (context.Context, *keys) {
	waiting, end, free := s.whileOn(ctx, manager)
	untilConnect, connect := context.WithCancelCause(waiting)
	k := &keys{
		untilConnect: untilConnect,
		waiting:      waiting,
		info:         telephony.NewDigits(),
		sayExtra: func(ctx context.Context) error {
			return s.say(ctx, manager, promptExtraInfo, s.packet.ExtraInfo)
		},
	}
	meanings := s.keysBeforeJoin()
	var listener sync.WaitGroup
	listener.Go(func() {
		for {
			pressed, err := s.nextKey(waiting, manager, meanings)
			if err != nil {
				return
			}
			switch pressed {
			case actCancel:
				end(errCancelKey)
			case actReschedule:
				end(errRescheduleKey)
			case actConnect:
				connect(errConnectKey)
			case actExtraInfo:
				k.info.Push(telephony.Digit{})
			}
		}
	})
	listener.Go(func() { s.heed(waiting, manager) })
	k.stop = sync.OnceFunc(func() {
		if cause := context.Cause(manager.Context()); cause != nil {
			end(cause) // its own way here may not be through yet
		}
		end(errDeaf)
		listener.Wait()
		free()
	})
	return waiting, k
}

// finish is stop, and returns what had ended the waiting before, nil if
// nothing had.
func (k *keys) finish() error {
	k.stop()
	if cause := context.Cause(k.waiting); !errors.Is(cause, errDeaf) {
		return cause
	}
	return nil
}

// infoPressed waits for the extra-info key.
func (k *keys) infoPressed(ctx context.Context) error {
	_, err := k.info.Next(ctx)
	return err
}

// orInfo does f, which the extra-info key ends: the extra info is spoken in
// its place, from the beginning again if the key is pressed again.
func (k *keys) orInfo(ctx context.Context, f func(context.Context) error) error {
	for {
		which, err := first(ctx, f, k.infoPressed)
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		if which == 0 || err != nil {
			return err
		}
		f = k.sayExtra
	}
}

// tell says a text that the extra-info key cuts short.
func (s *callbackCourse) tell(ctx context.Context, manager *line, keys *keys, prompt, text string) error {
	return keys.orInfo(ctx, func(ctx context.Context) error { return s.say(ctx, manager, prompt, text) })
}

// nextKey waits for a key that means something. Every key is put on the
// timeline.
func (s *course) nextKey(ctx context.Context, l *line, meanings map[byte]action) (action, error) {
	for {
		d, err := l.Digits().Next(ctx)
		if err != nil {
			return "", err
		}
		key := string(rune(d.Key))
		s.event(call.Event{Type: call.DigitReceived, Leg: l.ID(), Digits: key, Method: d.Method, Text: d.Said})
		if a, ok := meanings[d.Key]; ok {
			s.event(call.Event{Type: call.KeyPressed, Leg: l.ID(), Digits: key, Action: string(a)})
			return a, nil
		}
	}
}

// noteKeys puts keys that mean nothing here on the timeline until ctx ends.
func (s *course) noteKeys(ctx context.Context, l *line) error {
	_, err := s.nextKey(ctx, l, nil)
	return err
}

func (s *callbackCourse) keysBeforeJoin() map[byte]action {
	m := meanings{}
	m.set(s.packet.DTMFConnect, actConnect)
	m.set(s.packet.DTMFCancel, actCancel)
	m.set(s.packet.DTMFReschedule, actReschedule)
	if s.packet.ExtraInfo != "" {
		m.set(s.packet.DTMFExtraInfo, actExtraInfo)
	}
	return m
}

// keysAfterCall are the keys of the manager once the client has gone. The
// cancel key cancels what can still be cancelled: the recalls.
func (s *callbackCourse) keysAfterCall() map[byte]action {
	m := meanings{}
	m.set(s.packet.DTMFCancel, actCancelRecalls)
	m.set(s.packet.DTMFCancelRecalls, actCancelRecalls)
	m.set(s.packet.DTMFReschedule, actReschedule)
	return m
}

type meanings map[byte]action

func (m meanings) set(key string, a action) {
	if key != "" {
		m[key[0]] = a
	}
}
