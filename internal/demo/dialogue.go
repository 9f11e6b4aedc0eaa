package demo

import (
	"bytes"
	"context"
	"embed"
	"fmt"

	"github.com/perezvon/perezvon/internal/demo/lines"
	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/media/wav"
	"github.com/perezvon/perezvon/internal/telephony"
)

//go:generate go run ./generate

// The conversation, already spoken: files made by the program in generate.
//
//go:embed voices
var voices embed.FS

// turn is who says what.
type turn struct {
	manager bool
	clip    *audio.Clip
}

// dialogue is the conversation in one language; the manager speaks first.
func dialogue(language string) ([]turn, error) {
	if _, ok := lines.Dialogue[language]; !ok {
		return nil, fmt.Errorf("the demo speaks ru and en, not %q", language)
	}
	var turns []turn
	for i := range lines.Dialogue[language] {
		b, err := voices.ReadFile(lines.File(language, i))
		if err != nil {
			return nil, err
		}
		clip, err := wav.Read(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		turns = append(turns, turn{manager: i%2 == 0, clip: clip})
	}
	return turns, nil
}

// converse lets the two speak in turns, and the manager hang up after the last
// word. It returns early when somebody hangs up first.
func converse(ctx context.Context, m, c *person, turns []turn) {
	manager, client := <-m.answered, <-c.answered
	defer manager.Hangup(0)
	for _, t := range turns {
		leg := client
		if t.manager {
			leg = manager
		}
		if err := leg.Play(ctx, telephony.Prompt{Clip: t.clip}); err != nil {
			return
		}
	}
}
