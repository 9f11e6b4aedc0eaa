package speech_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/media/codec"
	"github.com/perezvon/perezvon/internal/speech"
)

func TestASpokenNameIsItsKey(t *testing.T) {
	for language, tests := range map[string]map[string]string{
		"ru": {
			"ноль": "0", "нуль": "0", "один": "1", "два": "2", "три": "3", "четыре": "4", "пять": "5", "шесть": "6", "семь": "7", "восемь": "8", "девять": "9",
			"звёздочка": "*", "звезда": "*", "звездочка": "*", "решётка": "#", "решетку": "#", "Пять.": "5", "ПЯТЬ!": "5", "5": "5", "5.": "5", "*": "*", "#": "#",
			"нажимаю пять": "5", "ну, давай пять": "5", "нажимаю на цифру пять": "5",
			"": "", "алло": "", "пять или шесть": "", "пять пять": "", "55": "", "опять": "", "five": "",
			"я перезвоню вам через пять минут": "", "семьдесят": "", "٥": "",
		},
		"en": {
			"zero": "0", "oh": "0", "Oh.": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9",
			"star": "*", "hash": "#", "pound": "#", "press five": "5", "Five.": "5", "5": "5",
			"oh no": "", "oh five": "5", "one two": "", "someone": "", "пять": "",
		},
		"en-GB": {"five": "5"},
		"":      {"пять": "5"},
		"de":    {"fünf": "", "5": ""},
	} {
		for text, want := range tests {
			got := ""
			if key, ok := speech.SpokenKey(language, text); ok {
				got = string(rune(key))
			}
			if got != want {
				t.Errorf("%s %q is %q, want %q", language, text, got, want)
			}
		}
	}
}

func FuzzSpokenKey(f *testing.F) {
	f.Add("ru", "пять")
	f.Add("en", "oh \xff")
	f.Fuzz(func(t *testing.T, language, text string) {
		if key, ok := speech.SpokenKey(language, text); ok != strings.ContainsRune("0123456789*#", rune(key)) {
			t.Errorf("%q gives %q, %v", text, key, ok)
		}
	})
}

// hears is a recogniser that keeps what it is given.
type hears struct {
	clips []*audio.Clip
	wait  time.Duration
}

func (*hears) Name() string { return "test" }
func (*hears) Check(language string) error {
	if language == "xx" {
		return errors.New("no such language")
	}
	return nil
}

func (h *hears) Recognize(ctx context.Context, clip *audio.Clip, _ speech.Question) (string, error) {
	h.clips = append(h.clips, clip)
	select {
	case <-time.After(h.wait):
		return "пять", nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (h *hears) Transcribe(context.Context, speech.Sound, speech.Question) ([]speech.Segment, error) {
	return []speech.Segment{{To: time.Second, Text: " Алло? \n"}, {Text: " … "}, {Text: ""}}, nil
}

func TestWhatCanBeUnderstood(t *testing.T) {
	var none *speech.Hearing
	if err := none.Check("ru"); !errors.Is(err, speech.ErrNoRecognizer) {
		t.Error(err)
	}
	if err := none.CheckKeys("ru"); !errors.Is(err, speech.ErrNoRecognizer) {
		t.Error(err)
	}
	any, russian := speech.NewHearing(&hears{}, ""), speech.NewHearing(&hears{}, "ru")
	for _, tt := range []struct {
		h          *speech.Hearing
		language   string
		text, keys bool
	}{
		{any, "", true, true}, {any, "ru", true, true}, {any, "en-GB", true, true}, {any, "de", true, false}, {any, "xx", false, false},
		{russian, "", true, true}, {russian, "ru-RU", true, true}, {russian, "en", false, false},
	} {
		if text, keys := tt.h.Check(tt.language) == nil, tt.h.CheckKeys(tt.language) == nil; text != tt.text || keys != tt.keys {
			t.Errorf("%q: text %v, keys %v", tt.language, text, keys)
		}
	}
	said, err := any.Transcribe(t.Context(), nil, "ru")
	if d := cmp.Diff([]speech.Segment{{To: time.Second, Text: "Алло?"}}, said); d != "" || err != nil {
		t.Error(d, err)
	}
}

// phone sends to an ear what it says, in packets of 20 ms.
type phone struct {
	ear       *speech.Ear
	codec     media.Codec
	encoder   codec.Encoder
	ssrc      uint32
	timestamp uint32
}

func newPhone(ear *speech.Ear, c media.Codec) *phone {
	return &phone{ear, c, codec.NewEncoder(c), 7, 0xFFFFFF00} // the timestamp wraps soon
}

// says sends a hum of that length, at its pace; loud or silence.
func (p *phone) says(length time.Duration, loud bool) {
	n := p.codec.SampleRate() / 50
	for range int(length / (20 * time.Millisecond)) {
		samples := make([]int16, n)
		if loud {
			for i := range samples {
				samples[i] = int16(6000 * math.Sin(2*math.Pi*200*float64(i)/float64(p.codec.SampleRate())))
			}
		}
		payload := p.encoder.Encode(nil, samples)
		p.ear.Packet(time.Now(), p.codec, p.ssrc, p.timestamp, payload)
		p.timestamp += uint32(len(payload))
		clear(payload) // it was only lent
		time.Sleep(20 * time.Millisecond)
	}
}

func TestAnEarHearsOneUtterance(t *testing.T) {
	const ms = time.Millisecond
	for name, tt := range map[string]struct {
		codec media.Codec
		say   func(p *phone)
		want  time.Duration // of the utterance
	}{
		"A-law":                   {media.PCMA, func(p *phone) { p.says(200*ms, false); p.says(600*ms, true); p.says(1000*ms, false) }, 1000 * ms},
		"µ-law":                   {media.PCMU, func(p *phone) { p.says(200*ms, false); p.says(600*ms, true); p.says(1000*ms, false) }, 1000 * ms},
		"G.722":                   {media.G722, func(p *phone) { p.says(200*ms, false); p.says(600*ms, true); p.says(1000*ms, false) }, 1000 * ms},
		"no sound of the silence": {media.PCMA, func(p *phone) { p.says(600*ms, true) }, 600 * ms},
		"a pause that is not sent, then the same voice": {media.PCMA, func(p *phone) {
			p.says(300*ms, true)
			p.timestamp += 8 * 200
			time.Sleep(200 * ms)
			p.says(300*ms, true)
		}, 800 * ms},
		"lost packets": {media.PCMA, func(p *phone) { p.says(300*ms, true); p.timestamp += 160; p.says(300*ms, true) }, 620 * ms},
		"a packet that comes again": {media.PCMA, func(p *phone) {
			p.says(300*ms, true)
			p.timestamp -= 160
			p.says(320*ms, true)
		}, 600 * ms},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &hears{}
				ear := speech.NewHearing(r, "").Listen("ru")
				go tt.say(newPhone(ear, tt.codec))
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				heard, err := ear.Next(ctx)
				if err != nil || heard.Key != '5' || heard.Text != "пять" {
					t.Fatal(heard, err)
				}
				if (heard.Length-tt.want).Abs() > 60*ms || r.clips[0].Rate != tt.codec.SampleRate() {
					t.Errorf("an utterance of %v at %d Hz, want %v", heard.Length, r.clips[0].Rate, tt.want)
				}
				if _, err := ear.Next(ctx); !errors.Is(err, context.DeadlineExceeded) || len(r.clips) != 1 {
					t.Errorf("%d utterances, %v", len(r.clips), err)
				}
			})
		})
	}
}

// Another source, or another codec, ends what was said before.
func TestAnEarFollowsTheSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &hears{}
		ear := speech.NewHearing(r, "").Listen("ru")
		go func() {
			newPhone(ear, media.PCMA).says(400*time.Millisecond, true)
			newPhone(ear, media.G722).says(400*time.Millisecond, true)
		}()
		for _, rate := range []int{8000, 16000} {
			if _, err := ear.Next(t.Context()); err != nil || r.clips[len(r.clips)-1].Rate != rate {
				t.Errorf("%v, %d Hz", err, r.clips[len(r.clips)-1].Rate)
			}
		}
	})
}

// What comes while the recogniser thinks is bounded, and Packet never waits.
func TestAnEarThatIsNotListenedToKeepsLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ear := speech.NewHearing(&hears{}, "").Listen("ru")
		newPhone(ear, media.PCMA).says(time.Hour, true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var kept time.Duration
		for {
			heard, err := ear.Next(ctx)
			if err != nil {
				break
			}
			kept += heard.Length
		}
		if kept > 11*time.Second {
			t.Errorf("%v were kept", kept)
		}
	})
}
