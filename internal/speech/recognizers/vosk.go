package recognizers

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/speech"
)

// Vosk is a Vosk server, which runs on the administrator's own machine:
// https://alphacephei.com/vosk/server. One connection is one sound.
//
// The protocol (websocket/asr_server.py of vosk-server): a text message with
// the configuration, binary messages of 16-bit PCM, and the text message
// eofMessage. Every binary message and the last one are answered by one text
// message: {"partial": …} while an utterance lasts, {"text": …, "result":
// [words]} when it has ended.
type Vosk struct {
	URL string // ws:// or wss://
}

const (
	// eofMessage is compared byte by byte by the server: the spaces count.
	eofMessage = `{"eof" : 1}`
	// voskStep is how much sound goes in a message. An answer is awaited for
	// each, so that no more is on the way than the server takes.
	voskStep = 400 * time.Millisecond
	// voskAnswer bounds the wait for each.
	voskAnswer = 30 * time.Second
	// maxAnswer bounds what a service may say at once, in bytes.
	maxAnswer = 4 << 20
	// unknownWord is how a model with a list of phrases writes any other word.
	unknownWord = "[unk]"
)

// Name implements speech.Recognizer.
func (*Vosk) Name() string { return NameVosk }

// Check implements speech.Recognizer: a server has one model, and does not say
// for which language.
func (*Vosk) Check(string) error { return nil }

type voskConfig struct {
	SampleRate int      `json:"sample_rate"`
	Words      bool     `json:"words"`
	Phrases    []string `json:"phrase_list,omitempty"`
}

type voskAnswerMessage struct {
	Text   string `json:"text"`
	Result []struct {
		Start float64 `json:"start"`
		End   float64 `json:"end"`
	} `json:"result"`
}

// Recognize implements speech.Recognizer. The phrases narrow what is understood,
// where the model allows that.
func (v *Vosk) Recognize(ctx context.Context, clip *audio.Clip, q speech.Question) (string, error) {
	config := voskConfig{SampleRate: clip.Rate, Words: true}
	if len(q.Phrases) > 0 {
		config.Phrases = append(append(config.Phrases, q.Phrases...), unknownWord)
	}
	said, err := v.talk(ctx, config, &clipSound{clip: clip})
	var text []string
	for _, s := range said {
		text = append(text, strings.ReplaceAll(s.Text, unknownWord, ""))
	}
	return strings.TrimSpace(strings.Join(text, " ")), err
}

// Transcribe implements speech.Recognizer. A segment is what the server takes
// for an utterance; its times are those of its first and last word.
func (v *Vosk) Transcribe(ctx context.Context, s speech.Sound, _ speech.Question) ([]speech.Segment, error) {
	return v.talk(ctx, voskConfig{SampleRate: s.Rate(), Words: true}, s)
}

func (v *Vosk) talk(ctx context.Context, config voskConfig, s speech.Sound) (said []speech.Segment, err error) {
	conn, _, err := websocket.Dial(ctx, v.URL, &websocket.DialOptions{HTTPClient: client}) //nolint:bodyclose // Dial has replaced the body by one that need not be
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.CloseNow() }() // the server ends it too
	conn.SetReadLimit(maxAnswer)
	first, err := json.Marshal(map[string]voskConfig{"config": config})
	if err != nil {
		return nil, err
	}
	if err := conn.Write(ctx, websocket.MessageText, first); err != nil {
		return nil, err
	}
	samples := make([]int16, int(voskStep.Seconds()*float64(config.SampleRate)))
	var from, sent time.Duration // of the utterance that is under way
	ask := func(kind websocket.MessageType, message []byte) error {
		one, ended, err := v.ask(ctx, conn, kind, message)
		if err == nil && ended {
			one.From, one.To = within(one.From, one.To, from, sent)
			from = sent
			if one.Text != "" {
				said = append(said, one)
			}
		}
		return err
	}
	for {
		n, err := readFull(s, samples)
		sent += time.Duration(n) * time.Second / time.Duration(config.SampleRate)
		if n > 0 {
			if err := ask(websocket.MessageBinary, pcm(samples[:n])); err != nil {
				return nil, err
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	return said, ask(websocket.MessageText, []byte(eofMessage))
}

// ask sends a message and takes its answer. ended tells that an utterance has
// ended; its times are zero where the server does not say them.
func (*Vosk) ask(ctx context.Context, conn *websocket.Conn, kind websocket.MessageType, message []byte) (one speech.Segment, ended bool, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, voskAnswer, fmt.Errorf("no answer within %v", voskAnswer))
	defer cancel()
	fail := func(err error) (speech.Segment, bool, error) {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return one, false, err
	}
	if err := conn.Write(ctx, kind, message); err != nil {
		return fail(err)
	}
	_, answer, err := conn.Read(ctx)
	if err != nil {
		return fail(err)
	}
	// Both kinds of answers are objects; only an utterance has "text".
	var known map[string]json.RawMessage
	if err := json.Unmarshal(answer, &known); err != nil {
		return fail(fmt.Errorf("an answer that is no JSON object: %w", err))
	}
	if _, ended = known["text"]; !ended {
		return one, false, nil
	}
	var a voskAnswerMessage
	if err := json.Unmarshal(answer, &a); err != nil {
		return fail(fmt.Errorf("an answer of another form: %w", err))
	}
	one.Text = a.Text
	if n := len(a.Result); n > 0 {
		one.From, one.To = seconds(a.Result[0].Start), seconds(a.Result[n-1].End)
	}
	return one, true, nil
}

// pcm is 16-bit little-endian PCM.
func pcm(samples []int16) []byte {
	b := make([]byte, 0, 2*len(samples))
	for _, s := range samples {
		b = binary.LittleEndian.AppendUint16(b, uint16(s)) // #nosec G115 -- the same bits
	}
	return b
}
