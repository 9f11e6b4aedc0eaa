package speech

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/media/tone"
	"github.com/perezvon/perezvon/internal/speech/prompts"
)

// stub speaks a tone as long as the text. It counts.
type stub struct {
	name  string
	err   error         // of Check
	fails error         // of Speak
	gate  chan struct{} // Speak waits for it, if there is one
	spoke atomic.Int32
	began chan struct{} // gets a token when Speak begins, if there is one
}

func (s *stub) Name() string                       { return s.name }
func (s *stub) Check(context.Context, Voice) error { return s.err }

func (s *stub) Speak(ctx context.Context, _ Voice, text string) (*audio.Clip, error) {
	s.spoke.Add(1)
	if s.began != nil {
		s.began <- struct{}{}
	}
	if s.gate != nil {
		select {
		case <-s.gate:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	if s.fails != nil {
		return nil, s.fails
	}
	samples := make([]int16, 800*len(text))
	for i := range samples {
		samples[i] = int16(3000 * math.Sin(float64(i)/4))
	}
	return &audio.Clip{Rate: 8000, Samples: samples}, nil
}

var female = Voice{"ru", Female}

func TestDefaultPromptsAreSpokenOnAMachineWithoutProvider(t *testing.T) {
	l := New(t.TempDir())
	for _, language := range []string{"", "ru", "en", "en-GB"} {
		for _, name := range []string{"", Female, Male} {
			texts := []string{prompts.Text(language, prompts.Greeting), prompts.Text(language, prompts.Connecting), prompts.Text(language, prompts.ClientLeft)}
			for _, id := range []prompts.ID{prompts.PressToConnect, prompts.PressForInfo, prompts.PressToCancel, prompts.PressToReschedule, prompts.PressToCancelRecall, prompts.PressToCallAgain} {
				for _, key := range []byte("0123456789*#") {
					texts = append(texts, prompts.Press(language, id, key))
				}
			}
			v := Voice{language, name}
			for _, text := range texts {
				if err := l.Check(t.Context(), v, text); err != nil {
					t.Errorf("Check(%v, %q): %v", v, text, err)
				}
				clip, err := l.Say(t.Context(), v, text)
				if err != nil {
					t.Fatalf("Say(%v, %q): %v", v, text, err)
				}
				if clip.Rate != Rate || clip.Duration().Seconds() < 0.5 {
					t.Errorf("%q lasts %v at %d", text, clip.Duration(), clip.Rate)
				}
				again, err := l.Clip(t.Context(), clip.Key)
				if err != nil || again != clip {
					t.Errorf("Clip(%q): %v", clip.Key, err)
				}
			}
		}
	}
}

func TestTextThatNobodyCanSpeakSaysHowToInstallOne(t *testing.T) {
	for _, l := range []*Library{New(""), New("", &stub{name: "x", err: errEspeakMissing})} {
		text := "Заявка от Марии"
		_, sayErr := l.Say(t.Context(), female, text)
		for _, err := range []error{sayErr, l.Check(t.Context(), female, text)} {
			var u *UnavailableError
			if !errors.As(err, &u) || u.Text != text || u.Voice != female || !strings.Contains(err.Error(), "apt install espeak-ng") {
				t.Errorf("got %v", err)
			}
		}
	}
}

func TestTextIsSpokenOnceAndKeptByItsContent(t *testing.T) {
	dir := t.TempDir()
	p := &stub{name: "p"}
	first := say(t, New(dir, p), female, "Заявка  от\nМарии\x00")
	l := New(dir, p) // as after a restart
	second := say(t, l, female, "Заявка от Марии")
	if p.spoke.Load() != 1 {
		t.Errorf("spoken %d times", p.spoke.Load())
	}
	if first.Key != second.Key || !equal(first, second) {
		t.Errorf("%s and %s: another sound after a restart", first.Key, second.Key)
	}
	if third := say(t, l, female, "Заявка от Марии"); third != second {
		t.Error("the same text is another clip")
	}
	other := say(t, l, Voice{"ru", Male}, "Заявка от Марии")
	if other.Key == first.Key || p.spoke.Load() != 2 {
		t.Error("another voice has the same sound")
	}
	if byKey, err := New(dir).Clip(t.Context(), first.Key); err != nil || !equal(byKey, first) {
		t.Errorf("a library without providers does not find what was spoken: %v", err)
	}
}

func TestManyWhoSayTheSameAtOnceWaitForOneSpeaker(t *testing.T) {
	p := &stub{name: "p", gate: make(chan struct{}), began: make(chan struct{}, 100)}
	l := New("", p)
	var wg sync.WaitGroup
	clips := make([]*audio.Clip, 20)
	for i := range clips {
		wg.Go(func() { clips[i] = say(t, l, female, "одно и то же") })
	}
	<-p.began
	close(p.gate)
	wg.Wait()
	for _, c := range clips {
		if c != clips[0] {
			t.Error("not all got one clip")
		}
	}
	if n := p.spoke.Load(); n != 1 {
		t.Errorf("spoken %d times", n)
	}
}

func TestWhoGivesUpDoesNotTakeTheSoundFromOthers(t *testing.T) {
	p := &stub{name: "p", gate: make(chan struct{}), began: make(chan struct{}, 100)}
	l := New("", p)
	hungUp := errors.New("hung up")
	ctx, cancel := context.WithCancelCause(t.Context())
	quit := make(chan error, 1)
	go func() {
		_, err := l.Say(ctx, female, "слово")
		quit <- err
	}()
	<-p.began
	heard := make(chan *audio.Clip, 1)
	go func() { heard <- say(t, l, female, "слово") }()
	cancel(hungUp)
	if err := <-quit; !errors.Is(err, hungUp) {
		t.Errorf("gave up with %v", err)
	}
	<-p.began // the other speaks by itself now
	close(p.gate)
	if clip := <-heard; clip == nil {
		t.Error("the other heard nothing")
	}
}

func TestNextProviderSpeaksWhenOneFails(t *testing.T) {
	broken := &stub{name: "broken", fails: errors.New("no more money")}
	works := &stub{name: "works"}
	say(t, New("", broken, works), female, "слово")
	if works.spoke.Load() != 1 {
		t.Error("the second provider was not asked")
	}
	if _, err := New("", broken).Say(t.Context(), female, "слово"); !errors.Is(err, broken.fails) {
		t.Errorf("got %v", err)
	}
	// What can be put together from shipped prompts is, before anything fails.
	say(t, New("", broken), female, prompts.Press("ru", prompts.PressToCancel, '#'))
}

func TestProviderIsPreferredToAChainOfPrompts(t *testing.T) {
	p := &stub{name: "p"}
	l := New("", p)
	say(t, l, female, prompts.Press("ru", prompts.PressToCancel, '5'))
	say(t, l, female, prompts.Text("ru", prompts.Greeting))
	if p.spoke.Load() != 1 {
		t.Errorf("spoken %d times, want the sentence only", p.spoke.Load())
	}
}

func TestDamagedFileIsSpokenAnew(t *testing.T) {
	dir := t.TempDir()
	p := &stub{name: "p"}
	clip := say(t, New(dir, p), female, "слово")
	path := New(dir).disk.path(clip.Key)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if again := say(t, New(dir, p), female, "слово"); !equal(clip, again) || p.spoke.Load() != 2 {
		t.Error("not spoken anew")
	}
	if again := say(t, New(dir, p), female, "слово"); !equal(clip, again) || p.spoke.Load() != 2 {
		t.Error("the damaged file was not replaced")
	}
}

func TestCacheOnDiskIsBounded(t *testing.T) {
	dir := t.TempDir()
	l := New(dir, &stub{name: "p"})
	l.disk.max = 200_000
	var last *audio.Clip
	for i := range 40 {
		last = say(t, l, female, fmt.Sprintf("слово %d", i))
	}
	var size int64
	files, _ := filepath.Glob(filepath.Join(dir, "*", "*"))
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if size > l.disk.max || size < l.disk.max/2 {
		t.Errorf("%d bytes in %d files, want at most %d", size, len(files), l.disk.max)
	}
	if _, err := New(dir).Clip(t.Context(), last.Key); err != nil {
		t.Errorf("the newest is gone: %v", err)
	}
}

func TestMemoryIsBoundedAndForgetsTheLongestUnused(t *testing.T) {
	m := memory{max: 1000}
	clip := func(key string) *audio.Clip { return &audio.Clip{Key: key, Samples: make([]int16, 200)} }
	m.put("a", clip("a"))
	m.put("b", clip("b"))
	m.get("a")
	m.put("c", clip("c"))
	if m.get("b") != nil || m.get("a") == nil || m.get("c") == nil || m.bytes != 800 {
		t.Errorf("kept the wrong ones: %d bytes", m.bytes)
	}
}

func TestCacheThatCannotBeWrittenCostsNoSpeech(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	say(t, New(file, &stub{name: "p"}), female, "слово")
}

func TestClipKnowsTonesAndRefusesStrangeKeys(t *testing.T) {
	l := New(t.TempDir())
	if clip, err := l.Clip(t.Context(), tone.RingbackKey); err != nil || clip.Key != tone.RingbackKey {
		t.Errorf("ringback: %v", err)
	}
	for _, key := range []string{"", "tts:", "tts:../../../etc/passwd", "tts:" + strings.Repeat("0", 64), "tone:x"} {
		if _, err := l.Clip(t.Context(), key); !errors.Is(err, ErrUnknownKey) {
			t.Errorf("Clip(%q): %v", key, err)
		}
	}
}

func TestTextWithNothingToSayIsAShortSilence(t *testing.T) {
	for _, text := range []string{"", " \n", "…", "😀", "\u200b"} {
		if clip := say(t, New(""), female, text); clip.Key != "" || clip.Duration() == 0 {
			t.Errorf("%q: %q, %v", text, clip.Key, clip.Duration())
		}
	}
}

func TestTextLongerThanAnybodyListensIsRefused(t *testing.T) {
	l := New("", &stub{name: "p"})
	_, err := l.Say(t.Context(), female, strings.Repeat("я", MaxText+1))
	if check := l.Check(t.Context(), female, strings.Repeat("я", MaxText+1)); !errors.Is(err, ErrTextTooLong) || !errors.Is(check, ErrTextTooLong) {
		t.Errorf("got %v, %v", err, check)
	}
}

func TestSpeechIsAsLoudAsOnThePhoneAndTrimmed(t *testing.T) {
	for _, amplitude := range []float64{200, 3000, 32000} {
		in := &audio.Clip{Rate: 22050, Samples: make([]int16, 22050)}
		for i := 5000; i < 15000; i++ { // 227 to 680 ms
			in.Samples[i] = int16(amplitude * math.Sin(float64(i)/5))
		}
		out := levelled(in)
		if d := out.Duration().Milliseconds(); d < 500 || d > 560 {
			t.Errorf("amplitude %v: %d ms of 453 and some air", amplitude, d)
		}
		_, _, energy, active := activity(out.Samples)
		if db := 20 * math.Log10(math.Sqrt(energy/float64(active))/fullScale); math.Abs(db+21) > 0.5 {
			t.Errorf("amplitude %v: %.1f dB, want -21", amplitude, db)
		}
	}
	click := &audio.Clip{Rate: Rate, Samples: make([]int16, Rate)}
	click.Samples[100] = 20000 // all peak: the level gives way
	for _, s := range levelled(click).Samples {
		if float64(s) > ceiling*fullScale+1 {
			t.Fatalf("a peak of %d", s)
		}
	}
	if n := len(levelled(&audio.Clip{Rate: Rate, Samples: make([]int16, Rate)}).Samples); n != 0 {
		t.Errorf("silence became %d samples", n)
	}
}

func say(t *testing.T, l *Library, v Voice, text string) *audio.Clip {
	t.Helper()
	clip, err := l.Say(t.Context(), v, text)
	if err != nil {
		t.Errorf("Say(%v, %q): %v", v, text, err)
		return nil
	}
	return clip
}

func equal(a, b *audio.Clip) bool {
	if a == nil || b == nil || a.Rate != b.Rate || len(a.Samples) != len(b.Samples) {
		return false
	}
	for i := range a.Samples {
		if a.Samples[i] != b.Samples[i] {
			return false
		}
	}
	return true
}

func FuzzSayNeverPanics(f *testing.F) {
	f.Add("Звонок с сайта. 5, *", "ru", "female")
	f.Add("[[h@l'oU]] <speak/> \x00\xff", "en-GB", "../x")
	f.Fuzz(func(t *testing.T, text, language, name string) {
		l := New("", &stub{name: "p"})
		clip, err := l.Say(t.Context(), Voice{language, name}, text)
		if check := l.Check(t.Context(), Voice{language, name}, text); (check == nil) != (err == nil) {
			t.Fatalf("Say: %v, Check: %v", err, check)
		}
		if err == nil && clip.Rate != Rate && clip.Key != "" {
			t.Fatalf("a clip at %d", clip.Rate)
		}
	})
}
