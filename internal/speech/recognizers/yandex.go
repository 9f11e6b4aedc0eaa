package recognizers

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/media/utterance"
	"github.com/perezvon/perezvon/internal/speech"
)

// Yandex is Yandex SpeechKit, synchronous recognition, API v1:
// https://yandex.cloud/docs/speechkit/stt/api/request-api. A request is at most
// 1 MB and 30 s of one channel; recordings are cut at their pauses. (The API v3
// for long recordings wants them in a bucket of the same cloud first.)
type Yandex struct {
	url, key, topic string
}

const (
	defaultYandex      = "https://stt.api.cloud.yandex.net"
	defaultYandexTopic = "general"
)

// yandexPieces: 25 s at 16 kHz are 0.8 MB. An utterance is a request.
var yandexPieces = utterance.Limits{Pause: 700 * time.Millisecond, Longest: speech.LongestUtterance}

// NewYandex makes one. The key is an API key of a service account with the role
// ai.speechkit-stt.user.
func NewYandex(o Options) *Yandex {
	return &Yandex{url: strings.TrimRight(cmp.Or(o.URL, defaultYandex), "/"), key: o.Key, topic: cmp.Or(o.Model, defaultYandexTopic)}
}

// Name implements speech.Recognizer.
func (*Yandex) Name() string { return NameYandex }

// Check implements speech.Recognizer: this API understands Russian
// (https://yandex.cloud/docs/speechkit/stt/models).
func (*Yandex) Check(language string) error {
	if primary, _, _ := strings.Cut(language, "-"); !strings.EqualFold(primary, "ru") {
		return fmt.Errorf("synchronous recognition of Yandex SpeechKit understands Russian only, not %q", language)
	}
	return nil
}

// Recognize implements speech.Recognizer. Numbers come as words.
func (y *Yandex) Recognize(ctx context.Context, clip *audio.Clip, _ speech.Question) (string, error) {
	return y.ask(ctx, clip, true)
}

// Transcribe implements speech.Recognizer. A segment is what is said between two
// pauses: the API tells no times.
func (y *Yandex) Transcribe(ctx context.Context, s speech.Sound, _ speech.Question) (all []speech.Segment, err error) {
	err = eachPiece(s, yandexPieces, func(from time.Duration, clip *audio.Clip) error {
		text, err := y.ask(ctx, clip, false)
		if text != "" {
			all = append(all, speech.Segment{From: from, To: from + clip.Duration(), Text: text})
		}
		return err
	})
	return all, err
}

func (y *Yandex) ask(ctx context.Context, clip *audio.Clip, raw bool) (string, error) {
	query := url.Values{
		"lang": {"ru-RU"}, "topic": {y.topic}, "format": {"lpcm"},
		"sampleRateHertz": {strconv.Itoa(clip.Rate)}, "rawResults": {strconv.FormatBool(raw)},
	}
	var a struct {
		Result *string `json:"result"`
	}
	err := post(ctx, y.url+"/speech/v1/stt:recognize?"+query.Encode(), "application/octet-stream", "Api-Key "+y.key,
		bytes.NewReader(pcm(clip.Samples)), &a, func(b []byte) string {
			var refusal struct {
				Code    string `json:"error_code"`
				Message string `json:"error_message"`
			}
			_ = json.Unmarshal(b, &refusal) // what is not understood says nothing
			return strings.Trim(refusal.Code+" "+refusal.Message, " ")
		})
	if err == nil && a.Result == nil {
		err = errors.New("an answer of another form: it has no result")
	}
	if err != nil {
		return "", err
	}
	return *a.Result, nil
}
