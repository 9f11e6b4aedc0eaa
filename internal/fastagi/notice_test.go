package fastagi_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/fastagi"
	"github.com/perezvon/perezvon/internal/httpapi/access"
	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/media/tone"
	"github.com/perezvon/perezvon/internal/media/wav"
	"github.com/perezvon/perezvon/internal/scenario"
)

// shelf holds notices in memory.
type shelf map[string]directory.Notice

func (s shelf) Find(_ context.Context, _, extension string) (directory.Notice, bool, error) {
	n, found := s[extension]
	if n.Source == "broken" {
		return n, false, errors.New("the database is away")
	}
	return n, found, nil
}

func (s shelf) Sound(_ context.Context, n directory.Notice) (*audio.Clip, error) {
	if n.File == "" {
		return nil, errors.New("its file is gone")
	}
	return tone.Sine(600, time.Second, 16000, 16000), nil
}

// said is what texts sound like.
func said(_ context.Context, text string) (*audio.Clip, error) {
	return tone.Sine(300+10*float64(len(text)), time.Second, 16000, 8000), nil
}

func notices(s shelf, template string) (*fastagi.Notice, *fastagi.Sounds) {
	log := slog.New(slog.DiscardHandler)
	sounds := &fastagi.Sounds{
		Shelf: s, Account: "main", Say: said, TemplateText: template, Base: "http://h", Seal: access.NewSigner(bytes.Repeat([]byte{1}, 32)), Logger: log,
	}
	rules := scenario.NoticeRules{On: []string{scenario.MissedNoAnswer, scenario.MissedUnavailable}, Template: template}
	return &fastagi.Notice{Notices: s, Sounds: sounds, Rules: rules, Account: "main", Logger: log}, sounds
}

func TestTheCallerHearsTheNoticeOfTheOperatorHeDidNotReach(t *testing.T) {
	s := shelf{
		"101": {Extension: "101", Enabled: true, Source: directory.NoticeUploaded, File: "a.wav", UpdatedAt: time.UnixMilli(5)},
		"102": {Extension: "102", Source: directory.NoticeUploaded, File: "b.wav"},
		"105": {Extension: "105", Source: "broken"},
	}
	const status, connected = `GET FULL VARIABLE "${DIALSTATUS}"`, `GET FULL VARIABLE "${CONNECTEDLINE(num,i)}"`
	const played = `GET FULL VARIABLE "${PLAYBACKSTATUS}"`
	for _, tt := range []struct {
		name, template string
		args           []string
		answers        map[string]string
		outcome        string
		sound          string // the beginning of the address, "" if nothing is played
	}{
		{"the argument tells whose", "", []string{"101"}, map[string]string{status: "200 result=1 (NOANSWER)", played: "200 result=1 (SUCCESS)"}, "PLAYED", "http://h/sounds/101-5/"},
		{"the line tells whose", "", nil, map[string]string{connected: "200 result=1 (101)", played: "200 result=1 (SUCCESS)"}, "PLAYED", "http://h/sounds/101-5/"},
		{"his phone was not there", "", []string{"101"}, map[string]string{status: "200 result=1 (CHANUNAVAIL)", played: "200 result=1 (SUCCESS)"}, "PLAYED", "http://h/sounds/101-5/"},
		{"not for this reason", "", []string{"101"}, map[string]string{status: "200 result=1 (BUSY)"}, "OFF", ""},
		{"it is off", "later", []string{"102"}, nil, "OFF", ""},
		{"there is none", "", []string{"103"}, nil, "NONE", ""},
		{"there is none, but a template", "later", []string{"103"}, map[string]string{played: "200 result=1 (SUCCESS)"}, "PLAYED", "http://h/sounds/template-"},
		{"Asterisk cannot fetch it", "", []string{"101"}, map[string]string{played: "200 result=1 (FAILED)"}, "FAILED", "http://h/sounds/101-5/"},
		{"the store is away", "", []string{"105"}, nil, "FAILED", ""},
		{"no extension", "later", []string{"../101"}, nil, "NONE", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			script, _ := notices(s, tt.template)
			a := dial(t, serve(t, &fastagi.Server{Scripts: map[string]fastagi.Script{"notice": script.Serve}}), "notice", "89161234567", tt.args...)
			a.answers = tt.answers
			a.run()
			at := slices.IndexFunc(a.commands, func(c string) bool { return strings.HasPrefix(c, "EXEC") })
			if got := a.set()["PEREZVON_NOTICE"]; got != tt.outcome || (at >= 0) != (tt.sound != "") || at >= 0 && !strings.HasPrefix(a.commands[at], `EXEC "Playback" "`+tt.sound) {
				t.Errorf("%s: %q", got, a.commands)
			}
		})
	}
}

func TestTheCallerHangsUpDuringTheNotice(t *testing.T) {
	script, _ := notices(shelf{"101": {Extension: "101", Enabled: true, Source: directory.NoticeText, Text: "x"}}, "")
	a := dial(t, serve(t, &fastagi.Server{Scripts: map[string]fastagi.Script{"notice": script.Serve}}), "notice", "1", "101")
	_ = a.conn.SetDeadline(time.Now().Add(time.Minute))
	for range 2 { // DIALSTATUS, then the playback
		line, err := a.in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(line, "EXEC") {
			a.send("HANGUP\n")
		}
		a.send("200 result=-1\n")
	}
	if rest, err := io.ReadAll(a.in); err != nil || len(rest) > 0 {
		t.Errorf("after the hangup: %q %v", rest, err)
	}
}

func TestAsteriskFetchesWhatItPlays(t *testing.T) {
	s := shelf{
		"101": {Extension: "101", Enabled: true, Source: directory.NoticeUploaded, File: "a.wav", UpdatedAt: time.UnixMilli(5)},
		"102": {Extension: "102", Enabled: true, Source: directory.NoticeText, Text: "four", UpdatedAt: time.UnixMilli(6)},
		"103": {Extension: "103", Enabled: true, Source: directory.NoticeUploaded},
	}
	_, sounds := notices(s, "template")
	get := func(address string) (int, *audio.Clip) {
		t.Helper()
		w := httptest.NewRecorder()
		sounds.ServeHTTP(w, httptest.NewRequest(http.MethodGet, strings.TrimPrefix(address, "http://h"), nil))
		if w.Code != http.StatusOK {
			return w.Code, nil
		}
		if kind := w.Header().Get("Content-Type"); kind != "audio/wav" || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%v", w.Header())
		}
		clip, err := wav.Read(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		return w.Code, clip
	}
	for address, freq := range map[string]float64{sounds.Notice(s["101"]): 600, sounds.Notice(s["102"]): 340, sounds.Template(): 380} {
		if code, clip := get(address); code != http.StatusOK || clip.Rate != 8000 || tone.Strength(clip.Samples, 8000, freq) < 0.9 {
			t.Errorf("%s: %d", address, code)
		}
	}
	old := sounds.Notice(s["101"])
	s["101"] = directory.Notice{Extension: "101", Enabled: true, Source: directory.NoticeUploaded, File: "c.wav", UpdatedAt: time.UnixMilli(7)}
	if sounds.Notice(s["101"]) == old {
		t.Error("the address of a new notice is the old one's, which Asterisk has kept")
	}
	_, others := notices(s, "another template")
	for name, address := range map[string]string{
		"an older notice": old, "the file is gone": sounds.Notice(s["103"]), "another's proof": strings.Replace(sounds.Notice(s["101"]), "101-", "102-", 1),
		"no proof": "http://h/sounds/101-7/.wav", "nothing": "http://h/sounds/", "an older template": others.Template(),
	} {
		if code, _ := get(address); code != http.StatusNotFound {
			t.Errorf("%s: %d", name, code)
		}
	}
}
