// Package recognizertest are services that speak the wire protocols of the
// recognisers, as strictly as the real ones do, and understand what a test says.
package recognizertest

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/perezvon/perezvon/internal/media/wav"
)

// Trouble is what a service may do in place of its work.
type Trouble string

// The troubles.
const (
	Works    Trouble = ""
	Refuses  Trouble = "refuses"   // an error as the service writes it
	Broken   Trouble = "broken"    // an error of something before the service: HTML
	Garbage  Trouble = "garbage"   // a good status and an answer that is none
	Empty    Trouble = "empty"     // a JSON object with nothing in it
	Endless  Trouble = "endless"   // an answer that never ends
	Hangs    Trouble = "hangs"     // never answers
	HangsUp  Trouble = "hangs up"  // cuts the connection in the middle
	Redirect Trouble = "redirects" // to somewhere else
	Nonsense Trouble = "nonsense"  // times that cannot be
)

// Sound is one sound that a service was sent.
type Sound struct {
	Rate     int
	Samples  []int16
	Language string   // as the service is told; none for Vosk
	Phrases  []string // Vosk's phrase_list, or the words of OpenAI's prompt
	Key      string   // the secret it came with
	Params   map[string]string
}

// Length is how long it is.
func (s Sound) Length() time.Duration {
	return time.Duration(len(s.Samples)) * time.Second / time.Duration(s.Rate)
}

// Service is one of the fakes. Set the fields before the first request.
type Service struct {
	// Understand says what is heard in a sound.
	Understand func(Sound) string
	Trouble    Trouble

	mu     sync.Mutex
	sounds []Sound
}

// Sounds are those that were sent so far.
func (s *Service) Sounds() []Sound {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Sound(nil), s.sounds...)
}

// Set changes what is in trouble, and what is understood.
func (s *Service) Set(t Trouble, understand func(Sound) string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Trouble, s.Understand = t, understand
}

func (s *Service) trouble() Trouble {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Trouble
}

func (s *Service) hear(one Sound) string {
	s.mu.Lock()
	s.sounds = append(s.sounds, one)
	understand := s.Understand
	s.mu.Unlock()
	if understand == nil {
		return ""
	}
	return understand(one)
}

// inTrouble serves the trouble that any HTTP service can have.
func (s *Service) inTrouble(w http.ResponseWriter, r *http.Request, refusal string) bool {
	switch s.trouble() {
	case Refuses:
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, refusal)
	case Broken:
		w.WriteHeader(http.StatusBadGateway)
		fmt.Fprint(w, "<html>502 Bad Gateway")
	case Garbage:
		fmt.Fprint(w, "not a word of JSON")
	case Empty:
		fmt.Fprint(w, "{}")
	case Endless:
		_, _ = fmt.Fprint(w, `{"text":"`)
		for r.Context().Err() == nil {
			if _, err := w.Write([]byte(strings.Repeat("a", 1<<16))); err != nil {
				return true
			}
		}
	case Hangs:
		_, _ = io.Copy(io.Discard, r.Body) // or the server does not see that the client leaves
		<-r.Context().Done()
	case HangsUp:
		panic(http.ErrAbortHandler)
	case Redirect:
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	default:
		return false
	}
	return true
}

// Vosk is websocket/asr_server.py of vosk-server: a recogniser that finds the
// ends of utterances itself.
type Vosk struct{ Service }

// ServeHTTP implements http.Handler.
func (v *Vosk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	trouble := v.trouble()
	if trouble == Refuses || trouble == Broken || trouble == Redirect {
		v.inTrouble(w, r, "")
		return
	}
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = conn.CloseNow() }()
	conn.SetReadLimit(1 << 20) // that of Python's websockets
	sound := Sound{Rate: 8000, Params: map[string]string{}}
	rec := voskRecognizer{}
	for {
		kind, message, err := conn.Read(r.Context())
		if err != nil {
			return
		}
		if kind == websocket.MessageText && strings.Contains(string(message), "config") {
			var c struct {
				Config struct {
					SampleRate float64  `json:"sample_rate"`
					Phrases    []string `json:"phrase_list"`
					Words      bool     `json:"words"`
				}
			}
			if json.Unmarshal(message, &c) != nil {
				return
			}
			sound.Rate, sound.Phrases = int(c.Config.SampleRate), c.Config.Phrases
			sound.Params["words"] = strconv.FormatBool(c.Config.Words)
			continue
		}
		var answer string
		last := false
		switch {
		case kind == websocket.MessageText && string(message) == `{"eof" : 1}`:
			answer, last = rec.end(v, sound), true
		case kind == websocket.MessageText:
			return // an exception: a text is no sound
		default:
			answer = rec.take(v, sound, message)
		}
		switch trouble {
		case Garbage:
			answer = "what?"
		case Empty:
			answer = "{}"
		case Endless:
			answer = `{"text":"` + strings.Repeat("a", 8<<20) + `"}`
		case Nonsense:
			answer = `{"text":"слово","result":[{"start":-5,"end":1e300},{"start":3,"end":2}]}`
		case Hangs:
			<-r.Context().Done()
			return
		case HangsUp:
			return
		case Works, Refuses, Broken, Redirect:
		}
		if conn.Write(r.Context(), websocket.MessageText, []byte(answer)) != nil {
			return
		}
		if last {
			_ = conn.Close(websocket.StatusNormalClosure, "")
			return
		}
	}
}

// voskRecognizer ends an utterance when it has been quiet for half a second, as
// the models of Vosk do, wherever the borders of the messages are.
type voskRecognizer struct {
	at       int // samples heard
	from, to int // of the loud ones
	samples  []int16
}

func (r *voskRecognizer) take(v *Vosk, sound Sound, message []byte) string {
	ended := ""
	for frame := range slices.Chunk(Samples(message), sound.Rate/100) {
		loud := Loud(frame)
		if loud && r.to == 0 {
			r.from = r.at
		}
		r.at += len(frame)
		if loud {
			r.to = r.at
		}
		if r.to == 0 {
			continue
		}
		r.samples = append(r.samples, frame...)
		if r.at-r.to >= sound.Rate/2 {
			ended = r.end(v, sound)
		}
	}
	switch {
	case ended != "":
		return ended
	case r.to > 0:
		return `{"partial" : "слу"}`
	}
	return `{"partial" : ""}`
}

func (r *voskRecognizer) end(v *Vosk, sound Sound) string {
	if r.to == 0 {
		return `{"text" : ""}`
	}
	sound.Samples = r.samples[:r.to-r.from]
	text := v.hear(sound)
	type word struct {
		Conf  float64 `json:"conf"`
		Start float64 `json:"start"`
		End   float64 `json:"end"`
		Word  string  `json:"word"`
	}
	answer := struct {
		Result []word `json:"result,omitempty"`
		Text   string `json:"text"`
	}{Text: text}
	start, end := float64(r.from)/float64(sound.Rate), float64(r.to)/float64(sound.Rate)
	words := strings.Fields(text)
	for i, one := range words {
		step := (end - start) / float64(len(words))
		answer.Result = append(answer.Result, word{1, start + float64(i)*step, start + float64(i+1)*step, one})
	}
	r.from, r.to, r.samples = 0, 0, nil
	b, err := json.MarshalIndent(answer, "", "  ") // as Vosk writes it
	if err != nil {
		panic(err) // texts and finite numbers
	}
	return string(b)
}

// Samples reads 16-bit little-endian PCM.
func Samples(b []byte) []int16 {
	samples := make([]int16, len(b)/2)
	for i := range samples {
		samples[i] = int16(binary.LittleEndian.Uint16(b[2*i:])) // #nosec G115 -- the same bits
	}
	return samples
}

// Loud tells that somebody speaks.
func Loud(samples []int16) bool {
	n := 0
	for _, s := range samples {
		if s > 500 || s < -500 {
			n++
		}
	}
	return n*10 > len(samples)
}

// OpenAI is POST /v1/audio/transcriptions.
type OpenAI struct{ Service }

// ServeHTTP implements http.Handler.
func (o *OpenAI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, message string) {
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error":{"message":%q,"type":"invalid_request_error","param":null,"code":null}}`, message)
	}
	if r.Method != http.MethodPost || r.URL.Path != "/v1/audio/transcriptions" {
		refuse(http.StatusNotFound, "Invalid URL ("+r.Method+" "+r.URL.Path+")")
		return
	}
	if o.inTrouble(w, r, `{"error":{"message":"Incorrect API key provided","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`) {
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 25<<20)
	if err := r.ParseMultipartForm(32 << 20); err != nil {
		refuse(http.StatusRequestEntityTooLarge, err.Error())
		return
	}
	file, _, err := r.FormFile("file")
	if err != nil {
		refuse(http.StatusBadRequest, "file is required")
		return
	}
	defer file.Close()
	clip, err := wav.Read(file)
	if err != nil {
		refuse(http.StatusBadRequest, "Invalid file format.")
		return
	}
	one := Sound{Rate: clip.Rate, Samples: clip.Samples, Language: r.FormValue("language"), Params: map[string]string{}}
	one.Key, _ = strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	for name, values := range r.MultipartForm.Value {
		one.Params[name] = strings.Join(values, "|")
	}
	if p := r.FormValue("prompt"); p != "" {
		one.Phrases = strings.Split(p, ", ")
	}
	model, form := r.FormValue("model"), r.FormValue("response_format")
	if model == "" || strings.HasPrefix(model, "gpt-") && form != "json" {
		refuse(http.StatusBadRequest, "response_format '"+form+"' is not compatible with model '"+model+"'")
		return
	}
	text := o.hear(one)
	type segment struct {
		ID               int     `json:"id"`
		Seek             int     `json:"seek"`
		Start            float64 `json:"start"`
		End              float64 `json:"end"`
		Text             string  `json:"text"`
		Tokens           []int   `json:"tokens"`
		Temperature      float64 `json:"temperature"`
		AvgLogprob       float64 `json:"avg_logprob"`
		CompressionRatio float64 `json:"compression_ratio"`
		NoSpeechProb     float64 `json:"no_speech_prob"`
	}
	answer := map[string]any{"text": text}
	if form == "verbose_json" {
		var list []segment
		length := one.Length().Seconds()
		sentences := strings.Split(text, "|") // what the test wants as segments
		for i, s := range sentences {
			step := length / float64(len(sentences))
			list = append(list, segment{ID: i, Start: float64(i) * step, End: float64(i+1) * step, Text: " " + s, AvgLogprob: -0.2, NoSpeechProb: 0.01})
			if s == "made up" {
				list[i].AvgLogprob, list[i].NoSpeechProb = -1.5, 0.9
			}
			if o.trouble() == Nonsense {
				list[i].Start, list[i].End = 900, -3
			}
		}
		answer = map[string]any{"task": "transcribe", "language": "russian", "duration": length, "text": text, "segments": list}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// Yandex is POST /speech/v1/stt:recognize.
type Yandex struct{ Service }

// ServeHTTP implements http.Handler.
func (y *Yandex) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, code, message string) {
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error_code":%q,"error_message":%q}`, code, message)
	}
	if r.Method != http.MethodPost || r.URL.Path != "/speech/v1/stt:recognize" {
		refuse(http.StatusNotFound, "NOT_FOUND", r.URL.Path)
		return
	}
	if y.inTrouble(w, r, `{"error_code":"UNAUTHORIZED","error_message":"Unknown api key"}`) {
		return
	}
	q := r.URL.Query()
	rate, _ := strconv.Atoi(q.Get("sampleRateHertz"))
	key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Api-Key ")
	body := make([]byte, 0, 1<<20)
	buf := make([]byte, 1<<16)
	for {
		n, err := r.Body.Read(buf)
		body = append(body, buf[:n]...)
		if err != nil || len(body) > 1<<20 {
			break
		}
	}
	switch {
	case !ok || key == "":
		refuse(http.StatusUnauthorized, "UNAUTHORIZED", "no key")
		return
	case q.Get("format") != "lpcm" || rate != 8000 && rate != 16000 && rate != 48000 || !strings.EqualFold(q.Get("lang"), "ru-RU") || q.Has("folderId"):
		refuse(http.StatusBadRequest, "BAD_REQUEST", "bad parameters "+r.URL.RawQuery)
		return
	case len(body) > 1<<20 || len(body) > 30*2*rate:
		refuse(http.StatusBadRequest, "BAD_REQUEST", "audio should be less than 30 s and 1 MB")
		return
	}
	one := Sound{Rate: rate, Samples: Samples(body), Language: q.Get("lang"), Key: key, Params: map[string]string{}}
	for name := range q {
		one.Params[name] = q.Get(name)
	}
	_ = json.NewEncoder(w).Encode(map[string]string{"result": y.hear(one)})
}
