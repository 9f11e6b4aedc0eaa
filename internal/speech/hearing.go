package speech

import (
	"context"
	"fmt"
	"strings"
)

// Hearing is what the server understands of what people say. A nil Hearing is
// one without a recogniser: it says so.
type Hearing struct {
	recognizer Recognizer
	language   string
}

// NewHearing hears by r. language is the only one that r understands, such as
// "ru"; empty: r decides.
func NewHearing(r Recognizer, language string) *Hearing { return &Hearing{r, language} }

// Check tells whether speech in a language can be written down: nil,
// ErrNoRecognizer, or words for an administrator.
func (h *Hearing) Check(language string) error {
	if h == nil {
		return ErrNoRecognizer
	}
	v := Voice{Language: language}.defaults()
	if only := (Voice{Language: h.language}); h.language != "" && only.primary() != v.primary() {
		return fmt.Errorf("the recogniser is set up for the language %q only (--recognizer-language)", h.language)
	}
	return h.recognizer.Check(v.Language)
}

// CheckKeys tells whether keys can be spoken in a language: as Check, and
// ErrNoKeyNames.
func (h *Hearing) CheckKeys(language string) error {
	if err := h.Check(language); err != nil {
		return err
	}
	if keyNames[(Voice{Language: language}).defaults().primary()] == nil {
		return ErrNoKeyNames
	}
	return nil
}

// Transcribe writes down a sound. Segments without words are left out.
func (h *Hearing) Transcribe(ctx context.Context, s Sound, language string) ([]Segment, error) {
	if err := h.Check(language); err != nil {
		return nil, err
	}
	all, err := h.recognizer.Transcribe(ctx, s, Question{Language: Voice{Language: language}.defaults().Language})
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("recogniser %s: %w", h.recognizer.Name(), err)
	}
	var said []Segment
	for _, one := range all {
		if one.Text = clean(one.Text); strings.Trim(one.Text, " .,!?…-–—") != "" {
			said = append(said, one)
		}
	}
	return said, nil
}
