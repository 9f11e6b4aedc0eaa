package speech

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/media/tone"
)

// Library says texts, each spoken once and then kept. It is safe for use by
// several goroutines.
//
// Where a text comes from, in this order: the prompts that ship inside; what
// was spoken before, in memory or on disk; the providers in their order; and
// at last a chain of shipped prompts that says the same ("… press" and "5").
type Library struct {
	// Logger hears of what went wrong without stopping speech: a provider that
	// failed before another spoke, a cache that cannot be written. Nil: nobody
	// does. Set it before the first use.
	Logger *slog.Logger

	builtin   *builtin
	providers []Provider
	disk      *disk

	mu      sync.Mutex
	memory  memory
	flights map[string]*flight
}

// flight is a sound being made, for all who want it at the same time.
type flight struct {
	done chan struct{}
	clip *audio.Clip
	err  error
	// quit tells that who made it gave up (its context), which says nothing
	// of the sound.
	quit bool
}

// New makes a library that keeps what was spoken in the folder dir (made when
// needed; empty: in memory only) and speaks through providers in their order.
func New(dir string, providers ...Provider) *Library {
	return &Library{
		builtin:   newBuiltin(),
		providers: providers,
		disk:      &disk{dir: dir, max: diskBytes},
		memory:    memory{max: memoryBytes},
		flights:   make(map[string]*flight),
	}
}

// key names the sound of a text. A provider's name stands in it, so that
// another provider's sound of the same text is another sound.
func key(provider string, v Voice, text string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{provider, v.Language, v.Name, text}, "\x00")))
	return keyPrefix + hex.EncodeToString(sum[:])
}

const keyPrefix = "tts:"

// Say is the sound of a text: 16 kHz, as loud as speech on the phone, without
// silence around it. The same text and voice give the same clip while it is
// remembered, so that what is derived from a clip can be remembered too. A
// text without letters and digits is a short silence.
//
// Errors: ErrTextTooLong, *UnavailableError, what the last provider reported,
// context.Cause(ctx).
func (l *Library) Say(ctx context.Context, v Voice, text string) (*audio.Clip, error) {
	v, text = v.defaults(), clean(text)
	if utf8.RuneCountInString(text) > MaxText {
		return nil, ErrTextTooLong
	}
	if !speakable(text) {
		return tone.Silence(200 * time.Millisecond), nil
	}
	parts := l.builtin.parts(v, text)
	if len(parts) == 1 {
		return l.Clip(ctx, key(builtinName, parts[0].voice, parts[0].prompt.Text))
	}
	for _, p := range l.providers {
		if clip := l.kept(key(p.Name(), v, text)); clip != nil {
			return clip, nil
		}
	}
	var failed error
	for _, p := range l.providers {
		if p.Check(ctx, v) != nil {
			continue
		}
		clip, err := l.once(ctx, key(p.Name(), v, text), func() (*audio.Clip, error) {
			return Render(ctx, p, v, text)
		})
		if err == nil || ctx.Err() != nil {
			return clip, err
		}
		failed = fmt.Errorf("speech provider %s: %w", p.Name(), err)
		l.log().WarnContext(ctx, "a speech provider failed", "provider", p.Name(), "err", err)
	}
	if parts != nil {
		return l.once(ctx, key(builtinName, v, text), func() (*audio.Clip, error) { return joined(parts) })
	}
	if failed != nil {
		return nil, failed
	}
	return nil, l.unavailable(ctx, v, text)
}

// Check tells without speaking whether Say could speak a text: nil,
// ErrTextTooLong or *UnavailableError. It is quick enough for the door.
func (l *Library) Check(ctx context.Context, v Voice, text string) error {
	v, text = v.defaults(), clean(text)
	if utf8.RuneCountInString(text) > MaxText {
		return ErrTextTooLong
	}
	if !speakable(text) || l.builtin.parts(v, text) != nil {
		return nil
	}
	for _, p := range l.providers {
		if p.Check(ctx, v) == nil || l.kept(key(p.Name(), v, text)) != nil {
			return nil
		}
	}
	return l.unavailable(ctx, v, text)
}

func (l *Library) unavailable(ctx context.Context, v Voice, text string) error {
	var hints []string
	for _, p := range l.providers {
		if err := p.Check(ctx, v); err != nil {
			hints = append(hints, err.Error())
		}
	}
	if hints == nil {
		hints = append(hints, espeakHint)
	}
	return &UnavailableError{Text: text, Voice: v, Hint: strings.Join(hints, "; or ")}
}

// Clip is the sound with a key, for who reads in a recording what was played:
// of shipped prompts, of what was spoken and is still kept, and of the tones.
// Any other key is ErrUnknownKey.
func (l *Library) Clip(ctx context.Context, key string) (*audio.Clip, error) {
	if clip, ok := tone.ByKey(key); ok {
		return clip, nil
	}
	if p, ok := l.builtin.byKey[key]; ok {
		return l.once(ctx, key, p.sound)
	}
	if clip := l.kept(key); clip != nil {
		return clip, nil
	}
	return nil, fmt.Errorf("%w: %q", ErrUnknownKey, key)
}

// kept is the sound with a key from memory or disk, nil if it is in neither.
func (l *Library) kept(key string) *audio.Clip {
	l.mu.Lock()
	clip := l.memory.get(key)
	l.mu.Unlock()
	if clip != nil {
		return clip
	}
	clip, err := l.disk.load(key)
	if err != nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if first := l.memory.get(key); first != nil { // somebody was quicker: one clip for all
		return first
	}
	l.memory.put(key, clip)
	return clip
}

// once makes the sound with a key, unless it is kept or being made: then all
// who ask get that one.
func (l *Library) once(ctx context.Context, key string, produce func() (*audio.Clip, error)) (*audio.Clip, error) {
	for {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		if clip := l.kept(key); clip != nil {
			return clip, nil
		}
		l.mu.Lock()
		f := l.flights[key]
		if f == nil {
			f = l.takeOff(key)
			l.mu.Unlock()
			l.fly(ctx, key, f, produce)
			return f.clip, f.err
		}
		l.mu.Unlock()
		select {
		case <-f.done:
			if !f.quit {
				return f.clip, f.err
			}
		case <-ctx.Done():
		}
	}
}

func (l *Library) takeOff(key string) *flight {
	f := &flight{done: make(chan struct{})}
	l.flights[key] = f
	return f
}

func (l *Library) fly(ctx context.Context, key string, f *flight, produce func() (*audio.Clip, error)) {
	made, err := produce()
	if err == nil {
		f.clip = &audio.Clip{Key: key, Rate: made.Rate, Samples: made.Samples}
		if _, shipped := l.builtin.byKey[key]; !shipped {
			if err := l.disk.store(key, f.clip); err != nil {
				l.log().WarnContext(ctx, "speech cannot be kept on disk", "err", err)
			}
		}
	}
	f.err, f.quit = err, err != nil && ctx.Err() != nil
	l.mu.Lock()
	defer l.mu.Unlock()
	if f.clip != nil {
		l.memory.put(key, f.clip)
	}
	delete(l.flights, key)
	close(f.done)
}

func (l *Library) log() *slog.Logger { return cmp.Or(l.Logger, slog.New(slog.DiscardHandler)) }

// errNotKept is what disk.load returns for a key it has nothing for.
var errNotKept = errors.New("not kept on disk")
