package dispatch_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/dispatch"
	"github.com/perezvon/perezvon/internal/dryrun"
	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/speech"
	"github.com/perezvon/perezvon/internal/speech/recognizers"
)

// What nothing here can understand is refused at the door, with the field and
// what the administrator can do.
func TestWhatCannotBeUnderstoodIsRefused(t *testing.T) {
	on, off := new(true), new(false)
	yandex := speech.NewHearing(recognizers.NewYandex(recognizers.Options{}), "")
	vosk := speech.NewHearing(&recognizers.Vosk{}, "")
	for name, tt := range map[string]struct {
		hearing *speech.Hearing
		change  func(*callback.Packet)
		want    []string
		says    string
	}{
		"nothing is asked for":   {nil, func(p *callback.Packet) { p.VoiceControl, p.Transcribe = off, nil }, nil, ""},
		"no recogniser":          {nil, func(p *callback.Packet) { p.VoiceControl, p.Transcribe = on, on }, []string{"voice_control", "transcribe"}, "--recognizer"},
		"one that understands":   {vosk, func(p *callback.Packet) { p.VoiceControl, p.Transcribe = on, on }, nil, ""},
		"another language":       {yandex, func(p *callback.Packet) { p.Transcribe, p.Language = on, "en" }, []string{"transcribe"}, "Russian only"},
		"no names of keys in it": {vosk, func(p *callback.Packet) { p.VoiceControl, p.Transcribe, p.Language = on, on, "de" }, []string{"voice_control"}, "ru or en"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.service = dispatch.New(dispatch.Config{Store: b.store, Runner: b.runner, Speech: voice{}, Hearing: tt.hearing})
			p := packet()
			tt.change(&p)
			_, err := b.service.Accept(t.Context(), mine, p, []byte("{}"), "")
			var bad invalid.Error
			if tt.want == nil {
				if err != nil {
					t.Fatal(err)
				}
				b.runner.ends <- call.Completed
				return
			}
			if !errors.As(err, &bad) {
				t.Fatalf("got %v", err)
			}
			var got []string
			for _, f := range bad {
				got = append(got, f.Path)
				if !strings.Contains(f.Message, tt.says) {
					t.Errorf("%s: %q does not say %q", f.Path, f.Message, tt.says)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// A trial is refused as the request would be.
func TestATrialIsRefusedForWhatCannotBeUnderstood(t *testing.T) {
	b := newBench(t)
	if _, err := b.store.PutWidget(t.Context(), mine, directory.Widget{Name: "site", Packet: callback.Packet{VoiceControl: new(true)}}); err != nil {
		t.Fatal(err)
	}
	_, err := b.service.Try(t.Context(), mine, "site", dryrun.Order{Packet: packet()})
	var bad invalid.Error
	if !errors.As(err, &bad) || !strings.HasSuffix(bad[0].Path, "voice_control") {
		t.Errorf("got %v", err)
	}
}
