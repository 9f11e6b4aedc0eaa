package speech

import (
	"bytes"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/media/wav"
	"github.com/perezvon/perezvon/internal/speech/prompts"
)

// builtinName takes the place of a provider's name in the keys of the sounds
// that ship inside and of what is put together from them.
const builtinName = "builtin"

// builtin is what ships inside, by words and by key.
type builtin struct {
	byWords map[string]map[string]prompts.Prompt // language → words → prompt
	byKey   map[string]part
}

// part is one shipped sound in a text, and the pause after it.
type part struct {
	voice  Voice
	prompt prompts.Prompt
	pause  time.Duration
}

func newBuiltin() *builtin {
	b := &builtin{byWords: make(map[string]map[string]prompts.Prompt), byKey: make(map[string]part)}
	for _, language := range prompts.Languages {
		b.byWords[language] = make(map[string]prompts.Prompt)
		for _, p := range prompts.All(language) {
			words, _ := split(p.Text)
			b.byWords[language][strings.Join(words, " ")] = p
			for _, name := range prompts.Voices {
				v := Voice{language, name}
				b.byKey[key(builtinName, v, p.Text)] = part{voice: v, prompt: p}
			}
		}
	}
	return b
}

// parts are the shipped sounds that say the whole text, nil if they cannot.
// Of several ways it takes the one that begins with the longest prompt, and so
// on; no prompt is the beginning of another that would spoil this.
func (b *builtin) parts(v Voice, text string) []part {
	v.Language = v.primary()
	known := b.byWords[v.Language]
	if known == nil || v.Name != Female && v.Name != Male {
		return nil
	}
	words, pauses := split(text)
	var parts []part
	for start := 0; start < len(words); {
		end := len(words)
		for ; end > start; end-- {
			if p, ok := known[strings.Join(words[start:end], " ")]; ok {
				parts = append(parts, part{v, p, pauses[end-1]})
				break
			}
		}
		if end == start {
			return nil
		}
		start = end
	}
	return parts
}

// Pauses between shipped sounds, which have 80 ms of their own.
const (
	wordPause     = 20 * time.Millisecond
	commaPause    = 150 * time.Millisecond
	sentencePause = 350 * time.Millisecond
)

// split takes a text apart into words, in lower case and without punctuation,
// and the pauses after them.
func split(text string) (words []string, pauses []time.Duration) {
	isWord := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r) }
	for _, field := range strings.Fields(strings.ToLower(text)) {
		inside := strings.FieldsFunc(field, func(r rune) bool { return !isWord(r) })
		if len(inside) == 0 {
			continue
		}
		for _, w := range inside {
			words = append(words, w)
			pauses = append(pauses, wordPause)
		}
		last := &pauses[len(pauses)-1]
		switch {
		case strings.HasSuffix(field, ","):
			*last = commaPause
		case strings.HasSuffix(field, "."), strings.HasSuffix(field, "!"), strings.HasSuffix(field, "?"), strings.HasSuffix(field, ";"):
			*last = sentencePause
		}
	}
	return words, pauses
}

// sound is the shipped sound itself, without a key.
func (p part) sound() (*audio.Clip, error) {
	file, ok := prompts.Sound(p.voice.Language, p.voice.Name, p.prompt.ID)
	if !ok {
		return nil, fmt.Errorf("the prompt %s does not ship for %s", p.prompt.ID, p.voice)
	}
	return wav.Read(bytes.NewReader(file))
}

// joined is one clip of several parts, without a key.
func joined(parts []part) (*audio.Clip, error) {
	out := &audio.Clip{Rate: Rate}
	for i, p := range parts {
		clip, err := p.sound()
		if err != nil {
			return nil, err
		}
		out.Samples = append(out.Samples, clip.Samples...)
		if i < len(parts)-1 {
			out.Samples = append(out.Samples, make([]int16, p.pause*Rate/time.Second)...)
		}
	}
	return out, nil
}
