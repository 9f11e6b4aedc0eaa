package prompts

import (
	"bytes"
	"io/fs"
	"math"
	"testing"

	"github.com/perezvon/perezvon/internal/media/wav"
)

// maxTotal keeps the binary small.
const maxTotal = 5e6

func TestEveryPromptShipsInEveryVoice(t *testing.T) {
	files := make(map[string]bool)
	total := 0
	for _, language := range Languages {
		for _, voice := range Voices {
			for _, p := range All(language) {
				file, ok := Sound(language, voice, p.ID)
				if !ok {
					t.Fatalf("%s %s %s is missing: go generate ./internal/speech/prompts", language, voice, p.ID)
				}
				files[FileName(language, voice, p.ID)] = true
				total += len(file)
				clip, err := wav.Read(bytes.NewReader(file))
				if err != nil {
					t.Fatalf("%s %s %s: %v", language, voice, p.ID, err)
				}
				peak, energy := 0.0, 0.0
				for _, s := range clip.Samples {
					peak = max(peak, math.Abs(float64(s)))
					energy += float64(s) * float64(s)
				}
				rms := 20 * math.Log10(math.Sqrt(energy/float64(len(clip.Samples)))/32768)
				if clip.Rate != 16000 || clip.Duration().Seconds() < 0.2 || peak > 31000 || rms < -27 || rms > -18 {
					t.Errorf("%s %s %s: %v at %d, peak %.0f, %.1f dB", language, voice, p.ID, clip.Duration(), clip.Rate, peak, rms)
				}
			}
		}
	}
	if total > maxTotal {
		t.Errorf("%d bytes of prompts", total)
	}
	err := fs.WalkDir(sounds, ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !files[path] {
			t.Errorf("%s is no prompt's", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestLanguagesHaveTheSamePrompts(t *testing.T) {
	for i, p := range All("ru") {
		if All("en")[i].ID != p.ID {
			t.Errorf("%s and %s", p.ID, All("en")[i].ID)
		}
	}
	if len(All("ru")) != len(All("en")) || All("de") != nil {
		t.Error("tables of different length")
	}
}

func TestWordsAreThoseOfTheLanguage(t *testing.T) {
	for language, want := range map[string]string{
		"": "Звонок клиенту", "ru": "Звонок клиенту", "ru-RU": "Звонок клиенту", "en": "Calling the client", "de": "Calling the client",
	} {
		if got := Text(language, Connecting); got != want {
			t.Errorf("Text(%q) = %q", language, got)
		}
	}
	if got := Press("ru", PressToCancel, '*'); got != "Чтобы отменить звонок, нажмите звёздочку" {
		t.Error(got)
	}
	if Text("ru", "nothing") != "" {
		t.Error("words for no prompt")
	}
}
