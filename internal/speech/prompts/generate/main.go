// Command generate speaks every prompt of package prompts with espeak-ng and
// writes the sounds beside it. go generate runs it in the package's folder.
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/media/g711"
	"github.com/perezvon/perezvon/internal/speech"
	"github.com/perezvon/perezvon/internal/speech/prompts"
)

func main() {
	log.SetFlags(0)
	if err := generate(context.Background()); err != nil {
		log.Fatal("generate: ", err)
	}
}

func generate(ctx context.Context) error {
	if _, err := os.Stat("prompts.go"); err != nil {
		return errors.New("run it by go generate ./internal/speech/prompts: it replaces the folder wav where it is started")
	}
	if err := os.RemoveAll("wav"); err != nil {
		return err
	}
	total := 0
	for _, language := range prompts.Languages {
		for _, voice := range prompts.Voices {
			for _, p := range prompts.All(language) {
				n, err := write(ctx, speech.Voice{Language: language, Name: voice}, p)
				if err != nil {
					return fmt.Errorf("%s %s %s: %w", language, voice, p.ID, err)
				}
				total += n
			}
		}
	}
	log.Printf("%d bytes of prompts", total)
	return nil
}

func write(ctx context.Context, v speech.Voice, p prompts.Prompt) (size int, err error) {
	text := p.Spoken
	if text == "" {
		text = p.Text
	}
	clip, err := speech.Render(ctx, speech.NewEspeak(), v, text)
	if err != nil {
		return 0, err
	}
	name := filepath.FromSlash(prompts.FileName(v.Language, v.Name, p.ID))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return 0, err
	}
	file := alaw(clip)
	return len(file), os.WriteFile(name, file, 0o644)
}

// alaw is a clip as a WAV file of half the size of PCM (format tag 6; RFC
// 2361). A format other than PCM has a cbSize field and a fact chunk.
func alaw(clip *audio.Clip) []byte {
	data := g711.EncodeALaw(nil, clip.Samples)
	n := uint32(len(data))
	var b bytes.Buffer
	put := func(values ...any) {
		for _, v := range values {
			// A bytes.Buffer takes everything.
			_ = binary.Write(&b, binary.LittleEndian, v)
		}
	}
	put([]byte("RIFF"), 4+26+12+8+n+n%2, []byte("WAVE"))
	put([]byte("fmt "), uint32(18), uint16(6), uint16(1), uint32(clip.Rate), uint32(clip.Rate), uint16(1), uint16(8), uint16(0))
	put([]byte("fact"), uint32(4), n)
	put([]byte("data"), n, data)
	if n%2 == 1 {
		put(byte(0))
	}
	return b.Bytes()
}
