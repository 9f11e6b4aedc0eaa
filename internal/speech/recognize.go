package speech

import (
	"context"
	"errors"
	"time"

	"github.com/perezvon/perezvon/internal/media/audio"
)

// LongestUtterance is the longest clip that a Recognizer is given at once.
const LongestUtterance = 25 * time.Second

// Recognizer is something that understands speech. Its methods may be called by
// several goroutines at once. They return as soon as ctx ends, whatever their
// service does, and their errors hold no secrets.
type Recognizer interface {
	// Name is vosk, openai…: for logs.
	Name() string
	// Check tells without asking the service whether it could understand a
	// language; the error says in words for an administrator why not.
	Check(language string) error
	// Recognize is what is said in a clip of at most LongestUtterance; "" if it
	// is nothing that can be understood.
	Recognize(ctx context.Context, clip *audio.Clip, q Question) (string, error)
	// Transcribe writes down a long sound, in order. It reads the sound to its
	// end, or fails; nothing of a failure is kept.
	Transcribe(ctx context.Context, s Sound, q Question) ([]Segment, error)
}

// Question is what a Recognizer is told of the speech.
type Question struct {
	// Language is a BCP 47 tag, never empty.
	Language string
	// Phrases are what is expected to be said; none: anything.
	Phrases []string
}

// Sound is mono sound read piece by piece: 16-bit samples, Rate a second. Read
// returns io.EOF at the end, as io.Reader does.
type Sound interface {
	Rate() int
	Read(samples []int16) (n int, err error)
}

// Segment is something that was said, in words. The times are since the
// beginning of the sound.
type Segment struct {
	From, To time.Duration
	Text     string
}

// Errors of Hearing beside those of its recogniser.
var (
	ErrNoRecognizer = errors.New("no speech recogniser is set up; start the server with --recognizer and --recognizer-url")
	ErrNoKeyNames   = errors.New("the names of keys are known in Russian and English only (language ru or en)")
)
