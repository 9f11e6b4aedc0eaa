package recognizers

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"mime/multipart"
	"strings"
	"time"

	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/media/utterance"
	"github.com/perezvon/perezvon/internal/media/wav"
	"github.com/perezvon/perezvon/internal/speech"
)

// OpenAI is whatever speaks POST /v1/audio/transcriptions as OpenAI does: OpenAI
// itself, and servers for Whisper on one's own machine (faster-whisper-server,
// LocalAI, vLLM…). https://platform.openai.com/docs/api-reference/audio
type OpenAI struct {
	url, key, model string
}

const (
	defaultOpenAI      = "https://api.openai.com/v1"
	defaultOpenAIModel = "whisper-1"
)

// openAIPieces: a file may have 25 MB, which is 13 minutes of 16-bit PCM at
// 16 kHz. Long pieces keep the context that the model goes by, and pauses of
// two seconds are left out: it makes up words in silence.
var openAIPieces = utterance.Limits{Pause: 2 * time.Second, Longest: 10 * time.Minute}

// NewOpenAI makes one. Without a key requests have none.
func NewOpenAI(o Options) *OpenAI {
	return &OpenAI{url: strings.TrimRight(cmp.Or(o.URL, defaultOpenAI), "/"), key: o.Key, model: cmp.Or(o.Model, defaultOpenAIModel)}
}

// Name implements speech.Recognizer.
func (*OpenAI) Name() string { return NameOpenAI }

// Check implements speech.Recognizer: Whisper understands a hundred languages.
func (*OpenAI) Check(string) error { return nil }

// openAIAnswer is verbose_json. A model that has no such form (gpt-4o-transcribe)
// is asked for json, which is text alone.
type openAIAnswer struct {
	Text     string `json:"text"`
	Segments []struct {
		Start        float64 `json:"start"`
		End          float64 `json:"end"`
		Text         string  `json:"text"`
		NoSpeechProb float64 `json:"no_speech_prob"`
		AvgLogprob   float64 `json:"avg_logprob"`
	} `json:"segments"`
}

// Recognize implements speech.Recognizer. The phrases are the prompt, which
// tells the model how words are spelt.
func (o *OpenAI) Recognize(ctx context.Context, clip *audio.Clip, q speech.Question) (string, error) {
	answer, err := o.ask(ctx, clip, q)
	var text []string
	for _, s := range segments(answer, clip.Duration()) {
		text = append(text, strings.TrimSpace(s.Text))
	}
	return strings.Join(text, " "), err
}

// Transcribe implements speech.Recognizer.
func (o *OpenAI) Transcribe(ctx context.Context, s speech.Sound, q speech.Question) (all []speech.Segment, err error) {
	err = eachPiece(s, openAIPieces, func(from time.Duration, clip *audio.Clip) error {
		answer, err := o.ask(ctx, clip, q)
		for _, one := range segments(answer, clip.Duration()) {
			one.From += from
			one.To += from
			all = append(all, one)
		}
		return err
	})
	return all, err
}

// segments are those in which the model heard speech: it says itself where it
// believes that it made the words up (the rule of Whisper's own transcribe).
func segments(a openAIAnswer, length time.Duration) (said []speech.Segment) {
	if len(a.Segments) == 0 && a.Text != "" {
		return []speech.Segment{{To: length, Text: a.Text}}
	}
	for _, s := range a.Segments {
		if s.NoSpeechProb > 0.6 && s.AvgLogprob < -1 {
			continue
		}
		from, to := within(seconds(s.Start), seconds(s.End), 0, length)
		said = append(said, speech.Segment{From: from, To: to, Text: s.Text})
	}
	return said
}

func (o *OpenAI) ask(ctx context.Context, clip *audio.Clip, q speech.Question) (a openAIAnswer, err error) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	language, _, _ := strings.Cut(q.Language, "-")
	fields := [][2]string{{"model", o.model}, {"language", strings.ToLower(language)}, {"response_format", "json"}, {"temperature", "0"}}
	if !strings.HasPrefix(o.model, "gpt-") {
		fields[2][1] = "verbose_json"
		fields = append(fields, [2]string{"timestamp_granularities[]", "segment"})
	}
	if len(q.Phrases) > 0 {
		fields = append(fields, [2]string{"prompt", strings.Join(q.Phrases, ", ")})
	}
	for _, f := range fields {
		if err := form.WriteField(f[0], f[1]); err != nil {
			return a, err
		}
	}
	file, err := form.CreateFormFile("file", "speech.wav")
	if err == nil {
		err = wav.Write(file, clip)
	}
	if err == nil {
		err = form.Close()
	}
	if err != nil {
		return a, err
	}
	authorization := ""
	if o.key != "" {
		authorization = "Bearer " + o.key
	}
	err = post(ctx, o.url+"/audio/transcriptions", form.FormDataContentType(), authorization, &body, &a, func(b []byte) string {
		var refusal struct {
			Error struct{ Message string }
		}
		_ = json.Unmarshal(b, &refusal) // what is not understood says nothing
		return refusal.Error.Message
	})
	return a, err
}
