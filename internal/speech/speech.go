// Package speech turns text into sound and sound into text.
//
// What the server says by itself ships inside (package prompts); other texts are
// spoken by a Provider, once, and kept by their content (Library).
//
// What is said to it is understood by a Recognizer (Hearing): short utterances
// while a call lasts, for keys that are spoken (Ear), and whole recordings
// afterwards. The recognisers are in package recognizers.
package speech

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/perezvon/perezvon/internal/media/audio"
)

// Voice is who speaks.
type Voice struct {
	// Language is a BCP 47 tag such as "ru" or "en-GB". Empty: Russian.
	Language string
	// Name is "female", "male", or a voice's name that only a provider knows.
	// Empty: female.
	Name string
}

// The voices that every provider has.
const (
	Female = "female"
	Male   = "male"
)

// defaults fills what is empty.
func (v Voice) defaults() Voice {
	return Voice{Language: cmp.Or(v.Language, "ru"), Name: cmp.Or(v.Name, Female)}
}

// primary is the language without its region and script: "en" for "en-GB".
func (v Voice) primary() string {
	primary, _, _ := strings.Cut(strings.ToLower(v.Language), "-")
	return primary
}

func (v Voice) String() string { return v.Language + "/" + v.Name }

// Rate is the sample rate of every clip this package makes, in samples a
// second: wideband phones (G.722) hear all of it.
const Rate = 16000

// MaxText is the longest text that is spoken, in characters: some two minutes
// of speech.
const MaxText = 2000

// Errors of Say, Check and Clip beside *UnavailableError.
var (
	ErrTextTooLong = fmt.Errorf("text is longer than %d characters", MaxText)
	ErrUnknownKey  = errors.New("no sound has this key")
)

// UnavailableError says that no provider here speaks with a voice. Always used
// as a pointer.
type UnavailableError struct {
	Text  string
	Voice Voice
	// Hint is what the administrator can do, a sentence without a full stop.
	Hint string
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("cannot be spoken by the voice %s: %s", e.Voice, e.Hint)
}

// Provider is something that speaks. Its methods may be called by several
// goroutines at once.
type Provider interface {
	// Name tells it from other providers, for ever: it is part of the key of
	// everything it spoke.
	Name() string
	// Check tells quickly whether it could speak with a voice now; the error
	// says in words for an administrator what would have to be done.
	Check(ctx context.Context, v Voice) error
	// Speak makes the sound of a text: mono, any rate, any loudness. The text
	// is as clean leaves it, never empty.
	Speak(ctx context.Context, v Voice, text string) (*audio.Clip, error)
}

// clean makes one line of printable characters of a text: control and
// formatting characters and broken UTF-8 go, white space becomes single
// spaces. Texts that sound the same should be the same.
func clean(text string) string {
	var b strings.Builder
	b.Grow(len(text))
	space := false
	for _, r := range text {
		switch {
		case unicode.IsSpace(r):
			space = b.Len() > 0
		case r == utf8.RuneError || !unicode.IsPrint(r): // control, format, private, unassigned
		default:
			if space {
				b.WriteByte(' ')
				space = false
			}
			b.WriteRune(r)
		}
	}
	return b.String()
}

// speakable tells that there is anything to say in a text.
func speakable(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) })
}
