package speech

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/media/audio"
)

// The tests here need the program itself: apt install espeak-ng.

func TestEspeakSpeaksRussianAndEnglishInBothVoices(t *testing.T) {
	e := NewEspeak()
	seen := make(map[int]Voice)
	for _, language := range []string{"ru", "en", "en-GB", "ru-RU", "de"} {
		for _, name := range []string{Female, Male, "Alicia"} {
			v := Voice{language, name}
			clip := speak(t, e, v, "12")
			if d := clip.Duration(); d < 200*time.Millisecond || d > 3*time.Second {
				t.Errorf("%v lasts %v", v, d)
			}
			seen[len(clip.Samples)] = v
		}
	}
	if len(seen) < 6 {
		t.Errorf("voices sound alike: %v", seen)
	}
}

func TestEspeakRefusesVoicesItDoesNotHave(t *testing.T) {
	e := NewEspeak()
	for _, v := range []Voice{{"xx", Female}, {"ru", "nobody"}, {"ru", "f2+f3"}, {"ru", "../../x"}, {"-w", "x"}, {"ru", ""}} {
		if err := e.Check(t.Context(), v); err == nil {
			t.Errorf("Check(%v) takes it", v)
		}
		if _, err := e.Speak(t.Context(), v, "x"); err == nil {
			t.Errorf("Speak(%v) takes it", v)
		}
	}
}

func TestHostileTextIsOnlyRead(t *testing.T) {
	e := NewEspeak()
	for _, text := range []string{
		"-w out.wav", "--version", "$(reboot) `reboot` ; reboot | reboot", "'\"\\",
		`<speak><break time="60s"/>x</speak>`, `<audio src="file:///etc/passwd"/>`, "[[p'a]] [[", "%s%n",
		strings.Repeat("я", MaxText), strings.Repeat("9", MaxText),
	} {
		clip := speak(t, e, Voice{"ru", Female}, text)
		if len(text) < 100 && clip.Duration() > 30*time.Second {
			t.Errorf("%q lasts %v", text, clip.Duration())
		}
	}
}

func TestPhoneNumberIsReadInGroups(t *testing.T) {
	for in, want := range map[string]string{
		"тел. 79161234567": "тел. 7, 916, 123, 45, 67",
		"9161234567":       ", 916, 123, 45, 67",
		"заказ 12345":      "заказ 12345",
		"[[x]]":            "  x  ",
	} {
		if got := espeakScript(in); got != want {
			t.Errorf("espeakScript(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestEspeakStopsWithItsContext(t *testing.T) {
	hungUp := errors.New("hung up")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(hungUp)
	if _, err := NewEspeak().Speak(ctx, Voice{"ru", Female}, "слово"); !errors.Is(err, hungUp) {
		t.Errorf("got %v", err)
	}
}

func TestMissingEspeakSaysHowToInstallIt(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	e := NewEspeak()
	if err := e.Check(t.Context(), Voice{"ru", Female}); err == nil || !strings.Contains(err.Error(), "apt install espeak-ng") {
		t.Errorf("got %v", err)
	}
}

func speak(t *testing.T, e *Espeak, v Voice, text string) *audio.Clip {
	t.Helper()
	clip, err := e.Speak(t.Context(), v, text)
	if err != nil {
		t.Fatalf("Speak(%v, %.40q): %v", v, text, err)
	}
	return clip
}
