package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/media/resample"
	"github.com/perezvon/perezvon/internal/serverproc"
	"github.com/perezvon/perezvon/internal/speech"
	"github.com/perezvon/perezvon/internal/speech/recognizers/recognizertest"
	"github.com/perezvon/perezvon/internal/telephony/telephonytest/peers"
)

// words are said by espeak-ng, at 8 kHz.
func words(t *testing.T, text string) []int16 {
	t.Helper()
	clip, err := speech.Render(limit(t), speech.NewEspeak(), speech.Voice{Language: "ru", Name: speech.Male}, text)
	must(t, err)
	return resample.Convert(clip.Samples, clip.Rate, 8000)
}

// The manager says «пять» into a real phone: the recogniser gets one utterance of
// the right length, and the key that it names connects the client. What the two
// say then is written down after the call, each as a speaker of his own, shown
// with the call and told to its status_url. The recogniser is a server that
// speaks the protocol of Vosk; what it understands is said by the test.
func TestASpokenKeyAndATranscript(t *testing.T) { onBothEngines(t, aSpokenKeyAndATranscript) }

func aSpokenKeyAndATranscript(t *testing.T, start engine) {
	t.Helper()
	vosk := new(recognizertest.Vosk)
	service := httptest.NewServer(vosk)
	defer service.Close()
	srv := start(t, serverproc.Options{Args: []string{
		"--recognizer", "vosk", "--recognizer-url", "ws" + strings.TrimPrefix(service.URL, "http"), "--recognizer-language", "ru",
		"--outbound-allow", "127.0.0.0/8",
	}})
	five, hello, yes := words(t, "пять"), words(t, "Алло, здравствуйте, кто это? Я оставлял на сайте свой номер и просил мне перезвонить."), words(t, "Да, слушаю вас.")
	length := func(samples []int16) time.Duration { return time.Duration(len(samples)) * time.Second / 8000 }
	vosk.Set(recognizertest.Works, func(s recognizertest.Sound) string {
		switch {
		case len(s.Phrases) > 0: // a key is expected
			return "пять"
		case s.Length() > (length(hello)+length(yes))/2:
			return "алло здравствуйте кто это"
		}
		return "да слушаю вас"
	})
	manager := peers.Answerer{}.Start(t)
	client := peers.Answerer{}.Start(t)
	srv.trunk("managers", manager)
	srv.trunk("clients", client)
	came := make(chan []byte, 100)
	backend := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err == nil {
			came <- body
		}
	}))
	defer backend.Close()

	a := srv.callback(order(packet{
		"dtmf_connect": "5", "dtmf_cancel": "0", "voice_control": true, "transcribe": true, "after_call_s": 0,
		"status_url": backend.URL + "/status",
	}))
	srv.until(a.CallID, func(e call.Event) bool { return e.Type == call.PromptStarted && e.Prompt == "instructions" })
	manager.Audio.Say(five)
	events := srv.until(a.CallID, is(call.Joined, "m1"))
	key := find(t, events, call.DigitReceived, "m1")
	if key.Digits != "5" || key.Method != "voice" || key.Text != "пять" {
		t.Errorf("the key is %+v", key)
	}
	if heard := vosk.Sounds(); len(heard) != 1 || (heard[0].Length()-length(five)).Abs() > 500*time.Millisecond || heard[0].Rate != 8000 {
		t.Errorf("the recogniser got %d utterances; «пять» lasts %v", len(heard), length(five))
	}

	pause := make([]int16, 8000) // people let each other finish
	say := func(who *peers.Sipp, samples []int16) {
		select {
		case <-who.Audio.Say(append(samples, pause...)):
		case <-limit(t).Done():
			t.Fatal("nobody listens")
		}
	}
	began := time.Now()
	say(client, hello)
	say(manager, yes)
	must(t, srv.API.Do(limit(t), "DELETE", "/api/v1/calls/"+a.CallID, nil, nil))
	events = srv.until(a.CallID, func(e call.Event) bool { return e.Type == call.Transcribed || e.Type == call.NotTranscribed })
	if last := events[len(events)-1]; last.Type != call.Transcribed || last.Segments != 2 {
		for _, heard := range vosk.Sounds() {
			t.Logf("an utterance of %v", heard.Length())
		}
		t.Fatalf("got %+v", last)
	}
	var shown struct {
		Transcript struct {
			State    string
			Segments []call.Segment
		}
	}
	must(t, srv.API.Do(limit(t), "GET", "/api/v1/calls/"+a.CallID, nil, &shown))
	said := shown.Transcript.Segments
	if len(said) != 2 || said[0].Speaker != call.ClientSpeaks || said[0].Text != "алло здравствуйте кто это" ||
		said[1].Speaker != call.OperatorSpeaks || said[1].Text != "да слушаю вас" {
		t.Fatalf("got %+v", shown)
	}
	spoken := began.Sub(find(t, events, call.RecordingStarted, "").At).Seconds()
	if from := said[0].FromS; from < spoken-0.1 || from > spoken+0.5 || said[1].FromS < said[0].ToS {
		t.Errorf("spoken from %.2f on, written down as %+v", spoken, said)
	}
	var message struct {
		Type, State string
		CallID      string `json:"call_id"`
		Segments    []call.Segment
	}
	for message.Type != "transcript" { // the status comes before it
		select {
		case body := <-came:
			must(t, json.Unmarshal(body, &message))
		case <-limit(t).Done():
			t.Fatal("the transcript is not told")
		}
	}
	if message.CallID != a.CallID || message.State != "ready" || len(message.Segments) != 2 {
		t.Errorf("told %+v", message)
	}
}
