package scenario

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/speech/prompts"
)

// Why a question got no answer.
var (
	errNoKey    = errors.New("no key was pressed")
	errWrongKey = errors.New("a key was pressed that means nothing here")
)

// ask says a text and waits for one of the keys, which may be pressed while it
// is spoken, and before it (type-ahead). wait is how long after the text. The
// error is errNoKey, errWrongKey, or why nobody can be asked any more.
func (s *course) ask(ctx context.Context, l *line, prompt, text, keys string, wait time.Duration) (key string, err error) {
	_, err = first(ctx,
		func(ctx context.Context) error {
			var err error
			key, err = s.anyKey(ctx, l)
			return err
		},
		func(ctx context.Context) error {
			if err := s.say(ctx, l, prompt, text); err != nil {
				return err
			}
			if err := s.pause(ctx, l, "for a key", wait); err != nil {
				return err
			}
			return errNoKey
		},
	)
	if cause := context.Cause(ctx); cause != nil {
		return "", cause
	}
	if err == nil && !strings.Contains(keys, key) {
		return key, errWrongKey
	}
	if err == nil {
		s.event(call.Event{Type: call.KeyPressed, Leg: l.ID(), Digits: key, Action: prompt})
	}
	return key, err
}

// anyKey waits for a key, and puts it on the timeline.
func (s *course) anyKey(ctx context.Context, l *line) (string, error) {
	d, err := l.Digits().Next(ctx)
	if err != nil {
		return "", err
	}
	key := string(rune(d.Key))
	s.event(call.Event{Type: call.DigitReceived, Leg: l.ID(), Digits: key, Method: d.Method})
	return key, nil
}

// Shipped words by short names, for scenarios that read like prose.
const (
	wrongKey     = prompts.WrongKey
	pressForCall = prompts.PressForCall
	weWillCall   = prompts.WeWillCall
)

// words is a shipped prompt in the call's language, and a key behind it.
func (s *course) words(id prompts.ID, key ...string) string {
	if len(key) > 0 && key[0] != "" {
		return prompts.Press(s.voice.Language, id, key[0][0])
	}
	return prompts.Text(s.voice.Language, id)
}
