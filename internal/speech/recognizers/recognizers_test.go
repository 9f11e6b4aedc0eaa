package recognizers_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/perezvon/perezvon/internal/config"
	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/speech"
	"github.com/perezvon/perezvon/internal/speech/recognizers"
	"github.com/perezvon/perezvon/internal/speech/recognizers/recognizertest"
)

const secret = "AQVN-secret-key"

// service is one of the three, with its fake.
type service struct {
	*recognizertest.Service
	speech.Recognizer
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.URL
}

// each runs the test with each of the services.
func each(t *testing.T, f func(t *testing.T, s service)) {
	t.Run("vosk", func(t *testing.T) {
		fake := new(recognizertest.Vosk)
		f(t, service{&fake.Service, &recognizers.Vosk{URL: "ws" + strings.TrimPrefix(serve(t, fake), "http")}})
	})
	t.Run("openai", func(t *testing.T) {
		fake := new(recognizertest.OpenAI)
		f(t, service{&fake.Service, recognizers.NewOpenAI(recognizers.Options{URL: serve(t, fake) + "/v1/", Key: secret})})
	})
	t.Run("yandex", func(t *testing.T) {
		fake := new(recognizertest.Yandex)
		f(t, service{&fake.Service, recognizers.NewYandex(recognizers.Options{URL: serve(t, fake), Key: secret})})
	})
}

// sound is speech and silence in turn, of those lengths, and starts with
// silence.
func sound(rate int, lengths ...time.Duration) *audio.Clip {
	clip := &audio.Clip{Rate: rate}
	for i, l := range lengths {
		piece := make([]int16, int(l.Seconds()*float64(rate)))
		if i%2 == 1 {
			for j := range piece {
				piece[j] = int16(4000 * (j%20/10*2 - 1))
			}
		}
		clip.Samples = append(clip.Samples, piece...)
	}
	return clip
}

// reader reads a clip in odd pieces.
type reader struct {
	*audio.Clip
	at   int
	fail error
}

func (r *reader) Rate() int { return r.Clip.Rate }
func (r *reader) Read(p []int16) (int, error) {
	if r.at == len(r.Samples) {
		if r.fail != nil {
			return 0, r.fail
		}
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), 777)], r.Samples[r.at:])
	r.at += n
	return n, nil
}

var russian = speech.Question{Language: "ru"}

func TestAnUtteranceIsRecognised(t *testing.T) {
	each(t, func(t *testing.T, s service) {
		for _, rate := range []int{8000, 16000} {
			s.Set(recognizertest.Works, func(recognizertest.Sound) string { return "нажимаю пять" })
			clip := sound(rate, 200*time.Millisecond, 600*time.Millisecond, 200*time.Millisecond)
			got, err := s.Recognize(t.Context(), clip, speech.Question{Language: "ru", Phrases: []string{"пять", "ноль"}})
			if err != nil || got != "нажимаю пять" {
				t.Fatalf("got %q, %v", got, err)
			}
			sounds := s.Sounds()
			one := sounds[len(sounds)-1]
			if one.Rate != rate || one.Length() < 600*time.Millisecond || one.Length() > clip.Duration() {
				t.Errorf("sent %v at %d Hz", one.Length(), one.Rate)
			}
			switch s.Name() {
			case recognizers.NameVosk:
				if !slices.Equal(one.Phrases, []string{"пять", "ноль", "[unk]"}) {
					t.Errorf("phrases %q", one.Phrases)
				}
			case recognizers.NameOpenAI:
				want := map[string]string{
					"model": "whisper-1", "language": "ru", "response_format": "verbose_json", "temperature": "0", "prompt": "пять, ноль",
					"timestamp_granularities[]": "segment",
				}
				if d := cmp.Diff(want, one.Params); d != "" || one.Key != secret {
					t.Error(d, one.Key)
				}
			case recognizers.NameYandex:
				want := map[string]string{
					"lang": "ru-RU", "topic": "general", "format": "lpcm", "sampleRateHertz": fmt.Sprint(rate), "rawResults": "true",
				}
				if d := cmp.Diff(want, one.Params); d != "" || one.Key != secret {
					t.Error(d, one.Key)
				}
			}
		}
	})
}

func TestSilenceIsNothing(t *testing.T) {
	each(t, func(t *testing.T, s service) {
		got, err := s.Recognize(t.Context(), sound(8000, time.Second), russian)
		if err != nil || got != "" {
			t.Errorf("got %q, %v", got, err)
		}
		all, err := s.Transcribe(t.Context(), &reader{Clip: sound(8000, 3*time.Second)}, russian)
		if err != nil || len(all) > 0 {
			t.Errorf("got %v, %v", all, err)
		}
	})
}

func TestARecordingIsWrittenDownWithTimes(t *testing.T) {
	each(t, func(t *testing.T, s service) {
		n := 0
		s.Set(recognizertest.Works, func(recognizertest.Sound) string {
			n++
			return fmt.Sprintf("фраза %d", n)
		})
		clip := sound(8000, 4*time.Second, 2*time.Second, 4*time.Second, time.Second, 3*time.Second)
		all, err := s.Transcribe(t.Context(), &reader{Clip: clip}, russian)
		if err != nil || len(all) != 2 {
			t.Fatalf("got %v, %v", all, err)
		}
		for i, want := range []speech.Segment{{From: 4 * time.Second, To: 6 * time.Second, Text: "фраза 1"}, {From: 10 * time.Second, To: 11 * time.Second, Text: "фраза 2"}} {
			got := all[i]
			if strings.TrimSpace(got.Text) != want.Text || (got.From-want.From).Abs() > 500*time.Millisecond || (got.To-want.To).Abs() > 500*time.Millisecond {
				t.Errorf("got %v, want %v", got, want)
			}
		}
	})
}

// The limits of the services hold for recordings of any length: 30 s and 1 MB
// of Yandex, 25 MB of OpenAI. The fakes refuse what is over them.
func TestALongRecordingIsSentInPieces(t *testing.T) {
	each(t, func(t *testing.T, s service) {
		s.Set(recognizertest.Works, func(recognizertest.Sound) string { return "слова" })
		const length = 26 * time.Minute
		all, err := s.Transcribe(t.Context(), &reader{Clip: sound(16000, 0, length)}, russian)
		if err != nil || len(all) == 0 {
			t.Fatalf("got %v, %v", all, err)
		}
		if last := all[len(all)-1].To; last < length-time.Second || last > length+time.Second {
			t.Errorf("written down to %v", last)
		}
		var sent time.Duration
		for _, one := range s.Sounds() {
			sent += one.Length()
		}
		if sent < length-time.Second || sent > length+time.Second {
			t.Errorf("sent %v in %d pieces", sent, len(s.Sounds()))
		}
	})
}

func TestTheSegmentsOfWhisper(t *testing.T) {
	fake := new(recognizertest.OpenAI)
	url := serve(t, fake) + "/v1"
	clip := sound(8000, 0, 4*time.Second)
	fake.Set(recognizertest.Works, func(recognizertest.Sound) string { return "раз|made up|made up|два" })
	r := recognizers.NewOpenAI(recognizers.Options{URL: url, Model: "large-v3"})
	all, err := r.Transcribe(t.Context(), &reader{Clip: clip}, speech.Question{Language: "en-GB"})
	want := []speech.Segment{{From: 0, To: time.Second, Text: " раз"}, {From: 3 * time.Second, To: 4 * time.Second, Text: " два"}}
	if d := cmp.Diff(want, all); d != "" || err != nil {
		t.Error(d, err)
	}
	if one := fake.Sounds()[0]; one.Language != "en" || one.Params["model"] != "large-v3" || one.Key != "" {
		t.Errorf("sent %q, %q, %q", one.Language, one.Params["model"], one.Key)
	}
	// A model that knows no verbose_json is asked for text alone.
	fake.Set(recognizertest.Works, func(recognizertest.Sound) string { return "раз два" })
	r = recognizers.NewOpenAI(recognizers.Options{URL: url, Model: "gpt-4o-transcribe"})
	all, err = r.Transcribe(t.Context(), &reader{Clip: clip}, russian)
	if d := cmp.Diff([]speech.Segment{{From: 0, To: 4 * time.Second, Text: "раз два"}}, all); d != "" || err != nil {
		t.Error(d, err)
	}
}

// Whatever a service does ends in an error that says so, without the key, and
// in times that are in the sound.
func TestServicesInTrouble(t *testing.T) {
	for _, trouble := range []recognizertest.Trouble{
		recognizertest.Refuses, recognizertest.Broken, recognizertest.Garbage, recognizertest.Empty, recognizertest.Endless,
		recognizertest.HangsUp, recognizertest.Redirect, recognizertest.Nonsense,
	} {
		t.Run(string(trouble), func(t *testing.T) {
			each(t, func(t *testing.T, s service) {
				s.Set(trouble, func(recognizertest.Sound) string { return "слово" })
				clip := sound(8000, 0, time.Second)
				_, err := s.Recognize(t.Context(), clip, russian)
				all, err2 := s.Transcribe(t.Context(), &reader{Clip: clip}, russian)
				for _, one := range all {
					if one.From < 0 || one.To > clip.Duration() || one.To < one.From {
						t.Errorf("times %v to %v", one.From, one.To)
					}
				}
				silent := trouble == recognizertest.Nonsense || trouble == recognizertest.Empty && s.Name() != recognizers.NameYandex
				for _, err := range []error{err, err2} {
					if (err == nil) != silent {
						t.Errorf("got %v", err)
					}
					if err != nil && (strings.Contains(err.Error(), secret) || len(err.Error()) > 700) {
						t.Errorf("the error is %q", err)
					}
				}
			})
		})
	}
	each(t, func(t *testing.T, s service) {
		s.Set(recognizertest.Refuses, nil)
		_, err := s.Recognize(t.Context(), sound(8000, 0, time.Second), russian)
		want := map[string]string{
			recognizers.NameVosk: "401", recognizers.NameOpenAI: "401 Unauthorized: Incorrect API key provided", recognizers.NameYandex: "UNAUTHORIZED Unknown api key",
		}
		if err == nil || !strings.Contains(err.Error(), want[s.Name()]) {
			t.Errorf("got %v, want it to say %s", err, want[s.Name()])
		}
	})
}

func TestAServiceThatHangsIsLeftWhenTheContextEnds(t *testing.T) {
	each(t, func(t *testing.T, s service) {
		s.Set(recognizertest.Hangs, nil)
		enough := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, enough)
		defer cancel()
		began := time.Now()
		_, err := s.Recognize(ctx, sound(8000, 0, time.Second), russian)
		if err == nil || time.Since(began) > 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

func TestAServiceThatIsNotThere(t *testing.T) {
	each(t, func(t *testing.T, s service) {
		gone := httptest.NewServer(http.NotFoundHandler())
		gone.Close()
		r := map[string]speech.Recognizer{
			recognizers.NameVosk:   &recognizers.Vosk{URL: "ws" + strings.TrimPrefix(gone.URL, "http")},
			recognizers.NameOpenAI: recognizers.NewOpenAI(recognizers.Options{URL: gone.URL}),
			recognizers.NameYandex: recognizers.NewYandex(recognizers.Options{URL: gone.URL}),
		}[s.Name()]
		if _, err := r.Recognize(t.Context(), sound(8000, 0, time.Second), russian); err == nil {
			t.Error("no error")
		}
	})
}

func TestARecordingThatCannotBeReadIsAFailure(t *testing.T) {
	each(t, func(t *testing.T, s service) {
		broken := errors.New("bad disk")
		_, err := s.Transcribe(t.Context(), &reader{Clip: sound(8000, time.Second), fail: broken}, russian)
		if !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
	})
}

// Each value of the setting recognizer makes one of that name; an empty one
// none.
func TestEverySettingMakesARecogniser(t *testing.T) {
	field, _ := reflect.TypeFor[config.Settings]().FieldByName("Recognizer")
	for name := range strings.SplitSeq(field.Tag.Get("enum"), ",") {
		h, err := recognizers.New(name, recognizers.Options{Language: "ru"})
		if err != nil || (h == nil) != (name == "") {
			t.Errorf("%q: %v, %v", name, h, err)
		}
		if name == "" {
			continue
		}
		if err := h.Check("ru"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := h.Check("en"); err == nil {
			t.Errorf("%s understands more than it is set up for", name)
		}
	}
	if _, err := recognizers.New("siri", recognizers.Options{}); err == nil {
		t.Error("an unknown one was made")
	}
	y := speech.NewHearing(recognizers.NewYandex(recognizers.Options{}), "")
	if y.Check("ru-RU") != nil || y.Check("kk") == nil {
		t.Error("Yandex understands Russian")
	}
}
