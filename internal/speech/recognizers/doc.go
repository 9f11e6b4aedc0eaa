// Package recognizers are the services that understand speech, one file each:
// a Vosk server, whatever speaks the HTTP API of OpenAI, Yandex SpeechKit. Each
// is a speech.Recognizer.
//
// Their addresses are settings of the administrator's, so they may be private.
// Their answers are not trusted: they are bounded, and only their text is used.
package recognizers

import (
	"fmt"

	"github.com/perezvon/perezvon/internal/speech"
)

// The services, as the setting recognizer names them.
const (
	NameVosk   = "vosk"
	NameOpenAI = "openai"
	NameYandex = "yandex"
)

// Options are what the administrator sets.
type Options struct {
	// URL is the service's address. Default: that of OpenAI and of Yandex;
	// there is none for Vosk.
	URL string
	// Key is the secret of OpenAI or Yandex. It stands in no error.
	Key string
	// Model is OpenAI's model (default whisper-1) or Yandex's topic (default
	// general). A Vosk server has the one that it was started with.
	Model string
	// Language is the only one that is understood; empty: the service decides.
	Language string
}

// New makes the hearing of a server by the service of that name; none without
// a name.
func New(name string, o Options) (*speech.Hearing, error) {
	var r speech.Recognizer
	switch name {
	case "":
		return nil, nil
	case NameVosk:
		r = &Vosk{URL: o.URL}
	case NameOpenAI:
		r = NewOpenAI(o)
	case NameYandex:
		r = NewYandex(o)
	default:
		return nil, fmt.Errorf("there is no recogniser %q", name)
	}
	return speech.NewHearing(r, o.Language), nil
}
