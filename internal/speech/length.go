package speech

import (
	"context"
	"time"
	"unicode/utf8"
)

// charactersPerSecond is how fast the prompts that ship are spoken: 12 to 15
// characters of Russian and English.
const charactersPerSecond = 14

// Estimate is about how long it takes to say a text, by its length alone.
func Estimate(text string) time.Duration {
	return time.Duration(utf8.RuneCountInString(clean(text))) * time.Second / charactersPerSecond
}

// Length is how long it takes to say a text, without speaking it: known for
// what was spoken before and what shipped prompts can say, else the Estimate.
func (l *Library) Length(ctx context.Context, v Voice, text string) (d time.Duration, known bool) {
	v, text = v.defaults(), clean(text)
	parts := l.builtin.parts(v, text)
	if len(parts) == 1 || !speakable(text) {
		if clip, err := l.Say(ctx, v, text); err == nil { // no provider is asked
			return clip.Duration(), true
		}
	}
	for _, p := range l.providers {
		if clip := l.kept(key(p.Name(), v, text)); clip != nil {
			return clip.Duration(), true
		}
	}
	if parts != nil {
		if clip, err := joined(parts); err == nil {
			return clip.Duration(), true
		}
	}
	return Estimate(text), false
}
