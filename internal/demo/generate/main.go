// Command generate speaks the demo's conversation with espeak-ng and writes the
// sounds into the folder voices. go generate runs it in the package's folder.
package main

import (
	"context"
	"errors"
	"log"
	"os"

	"github.com/perezvon/perezvon/internal/demo/lines"
	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/media/resample"
	"github.com/perezvon/perezvon/internal/media/wav"
	"github.com/perezvon/perezvon/internal/speech"
)

func main() {
	log.SetFlags(0)
	for language, said := range lines.Dialogue {
		for i, text := range said {
			if err := speak(language, i, text); err != nil {
				log.Fatalf("generate: %s, line %d: %v", language, i, err)
			}
		}
	}
}

func speak(language string, i int, text string) error {
	voice := speech.Voice{Language: language, Name: speech.Female}
	if i%2 == 1 {
		voice.Name = speech.Male
	}
	clip, err := speech.Render(context.Background(), speech.NewEspeak(), voice, text)
	if err != nil {
		return err
	}
	f, err := os.Create(lines.File(language, i))
	if err != nil {
		return err
	}
	narrow := &audio.Clip{Rate: 8000, Samples: resample.Convert(clip.Samples, clip.Rate, 8000)}
	return errors.Join(wav.Write(f, narrow), f.Close())
}
