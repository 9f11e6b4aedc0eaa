package speech

import (
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/speech/prompts"
)

func TestTheLengthOfATextIsKnownWithoutSpeakingIt(t *testing.T) {
	p := &stub{name: "p"}
	l := New("", p)
	const unknown, chain = "Заявка от Марии", "Звонок клиенту. Клиент завершил разговор"
	greeting := prompts.Text("ru", prompts.Greeting)
	if d, known := l.Length(t.Context(), female, unknown); known || d != Estimate(unknown) || d < time.Second/2 || d > 2*time.Second {
		t.Errorf("%v %v", d, known)
	}
	for _, text := range []string{greeting, chain, "…"} {
		if d, known := l.Length(t.Context(), female, text); !known || d <= 0 {
			t.Errorf("%s: %v %v", text, d, known)
		}
	}
	if p.spoke.Load() != 0 {
		t.Errorf("spoken %d times", p.spoke.Load())
	}
	for _, text := range []string{unknown, greeting} {
		if d, known := l.Length(t.Context(), female, text); d == 0 || known != (text == greeting) {
			t.Errorf("%s: %v %v", text, d, known)
		}
		clip := say(t, l, female, text)
		if d, known := l.Length(t.Context(), female, text); !known || d != clip.Duration() {
			t.Errorf("%s: %v %v, spoken %v", text, d, known, clip.Duration())
		}
	}
}

// The estimate is to be within a third of the voices that ship.
func TestTheEstimateIsNearToWhatShips(t *testing.T) {
	l := New("")
	for _, language := range prompts.Languages {
		var estimated, spoken time.Duration
		for _, p := range prompts.All(language) {
			estimated += Estimate(p.Text)
			spoken += say(t, l, Voice{language, Female}, p.Text).Duration()
		}
		if ratio := estimated.Seconds() / spoken.Seconds(); ratio < 0.67 || ratio > 1.5 {
			t.Errorf("%s: %v estimated, %v spoken", language, estimated, spoken)
		}
	}
}
