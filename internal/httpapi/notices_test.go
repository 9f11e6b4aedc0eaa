package httpapi_test

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/httpapi/access"
	"github.com/perezvon/perezvon/internal/httpapi/httpapitest"
	"github.com/perezvon/perezvon/internal/media/tone"
	"github.com/perezvon/perezvon/internal/media/wav"
)

type noticeView struct {
	Extension, Source, Text string
	Enabled                 bool
	LengthS                 float64 `json:"length_s"`
	AudioURL                string  `json:"audio_url"`
}

const noticeOf101 = "/api/v1/operators/101/notice"

func soundFile(t *testing.T, d time.Duration) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := wav.Write(&b, tone.Sine(440, d, 16000, 8000)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// upload sends bytes of a media type.
func upload(t *testing.T, s *httpapitest.Server, path, kind string, content []byte) httpapitest.Answer {
	t.Helper()
	return s.Do("PUT", path, string(content), "Content-Type", kind)
}

// `PUT|GET|DELETE /api/v1/operators/{extension}/notice`: audio or {text};
// {enabled}.
func TestANoticeIsUploadedHeardSwitchedAndRemoved(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	get := func() (v noticeView) {
		t.Helper()
		s.Do("GET", noticeOf101, nil).Into(t, &v)
		return v
	}
	mustBeProblem(t, s.Do("GET", noticeOf101, nil), 404)
	mustBeProblem(t, s.Do("PUT", noticeOf101, map[string]any{"enabled": true}), 404)
	for _, kind := range []string{"audio/wav", "audio/x-wav", "audio/wave; codecs=1"} {
		if a := upload(t, s, noticeOf101, kind, soundFile(t, 2*time.Second)); a.Status != 200 {
			t.Fatalf("%s: %d %s", kind, a.Status, a.Body)
		}
	}
	v := get()
	if v.Extension != "101" || !v.Enabled || v.Source != "uploaded" || v.LengthS != 2 || v.AudioURL != s.URL+noticeOf101+"/audio" {
		t.Errorf("%+v", v)
	}
	a := s.Do("GET", noticeOf101+"/audio", nil)
	clip, err := wav.Read(bytes.NewReader(a.Body))
	if err != nil || a.Header.Get("Content-Type") != "audio/wav" || tone.Strength(clip.Samples, clip.Rate, 440) < 0.9 {
		t.Errorf("%v %v", err, a.Header)
	}
	if a := s.Do("PUT", noticeOf101, map[string]any{"enabled": false}); a.Status != 200 || get().Enabled || get().Source != "uploaded" {
		t.Errorf("%d %s %+v", a.Status, a.Body, get())
	}
	if a := upload(t, s, noticeOf101+"?enabled=false", "audio/wav", soundFile(t, time.Second)); a.Status != 200 || get().Enabled {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := s.Do("PUT", noticeOf101, map[string]any{"text": "Я в отпуске"}); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if v := get(); !v.Enabled || v.Source != "text" || v.Text != "Я в отпуске" || v.AudioURL != "" {
		t.Errorf("%+v", v)
	}
	mustBeProblem(t, s.Do("GET", noticeOf101+"/audio", nil), 404)
	var all struct{ Items []noticeView }
	s.Do("GET", "/api/v1/notices", nil).Into(t, &all)
	if len(all.Items) != 1 || all.Items[0].Text != "Я в отпуске" {
		t.Errorf("%+v", all)
	}
	if a := s.Do("DELETE", noticeOf101, nil); a.Status != 204 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	mustBeProblem(t, s.Do("DELETE", noticeOf101, nil), 404)
	mustBeProblem(t, s.Do("GET", noticeOf101, nil), 404)
}

func TestWhatIsWrongWithANoticeIsTold(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	for name, tt := range map[string]struct {
		kind     string
		content  []byte
		status   int
		location string
	}{
		"no sound":        {"audio/wav", []byte("MZ"), 422, "body.audio"},
		"silence":         {"audio/wav", make([]byte, 100), 422, "body.audio"},
		"too long":        {"audio/wav", longSound(t), 422, "body.audio"},
		"too large":       {"audio/wav", make([]byte, 5<<20+1), 413, ""},
		"another kind":    {"video/mp4", []byte("x"), 415, "header.Content-Type"},
		"no MP3":          {"audio/mpeg", []byte("#EXTM3U\n/etc/passwd"), 422, "body.audio"},
		"nothing":         {"application/json", []byte(`{}`), 422, "body.text"},
		"an empty text":   {"application/json", []byte(`{"text": ""}`), 422, "body.text"},
		"unspeakable":     {"application/json", []byte(`{"text": "` + httpapitest.Unspeakable + `"}`), 422, "body.text"},
		"an unknown key":  {"application/json", []byte(`{"text": "a", "file": "../../etc/passwd"}`), 422, "body.file"},
		"no JSON":         {"application/json", []byte(`{`), 400, "body"},
		"of another type": {"application/json", []byte(`{"enabled": "yes"}`), 422, "body.enabled"},
	} {
		p := mustBeProblem(t, upload(t, s, noticeOf101, tt.kind, tt.content), tt.status)
		if tt.location != "" && !slices.Contains(p.locations(), tt.location) {
			t.Errorf("%s: %+v", name, p)
		}
		if tt.status == 413 && !strings.Contains(p.Detail, "5242880") {
			t.Errorf("%s: %s", name, p.Detail)
		}
	}
	mustBeProblem(t, s.Do("GET", noticeOf101, nil), 404)
	mustBeProblem(t, upload(t, s, "/api/v1/operators/999/notice", "audio/wav", soundFile(t, time.Second)), 404)
	mustBeProblem(t, s.Do("PUT", "/api/v1/operators/999/notice", map[string]any{"text": "а"}), 404)
}

func longSound(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := wav.WriteALaw(&b, tone.Sine(440, 301*time.Second, 8000, 8000)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Operator numbers with hostile characters never become a path: each door
// refuses them.
func TestHostileExtensionsPassNoDoorOfNotices(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	for _, extension := range []string{
		"../101", "../../../etc/passwd", "101/../../x", `10"1`, "10'1", "101;rm -rf /", "101 102", "$(id)", "`id`", "101\x00", "101\n", "１０１", "*600", "a", "1", "%2e%2e%2f101",
	} {
		path := "/api/v1/operators/" + url.PathEscape(extension) + "/notice"
		for method, body := range map[string]any{"GET": nil, "DELETE": nil, "PUT": map[string]any{"text": "а"}} {
			if a := s.Do(method, path, body); a.Status != 422 && a.Status != 404 {
				t.Errorf("%s %q: %d %s", method, extension, a.Status, a.Body)
			}
		}
		if a := upload(t, s, path, "audio/wav", soundFile(t, time.Second)); a.Status != 422 && a.Status != 404 {
			t.Errorf("upload %q: %d %s", extension, a.Status, a.Body)
		}
		p := mustBeProblem(t, s.Do("POST", "/api/v1/notices", map[string]any{"extensions": extension, "text": "а"}), 422)
		if !slices.Contains(p.locations(), "body.extensions") {
			t.Errorf("%q: %+v", extension, p)
		}
		if a := s.Do("PUT", "/api/v1/operators/"+url.PathEscape(extension), map[string]any{}); a.Status != 422 && a.Status != 404 {
			t.Errorf("an operator %q: %d %s", extension, a.Status, a.Body)
		}
	}
	if all, err := s.Store.Notices(context.Background(), directory.DefaultAccount); err != nil || len(all) != 0 {
		t.Errorf("%v %v", all, err)
	}
}

func TestTheNoticesOfManyAreSetAtOnce(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	for _, e := range []string{"102", "103"} {
		if _, err := s.Store.PutOperator(t.Context(), directory.DefaultAccount, directory.Operator{Extension: e}); err != nil {
			t.Fatal(err)
		}
	}
	order := func(body map[string]any) (v struct {
		Done   []string
		Failed []struct{ Extension, Reason string }
	}) {
		t.Helper()
		a := s.Do("POST", "/api/v1/notices", body)
		if a.Status != http.StatusOK {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		a.Into(t, &v)
		return v
	}
	if v := order(map[string]any{"extensions": "101-102,104", "text": "Я в отпуске"}); !slices.Equal(v.Done, []string{"101", "102"}) || len(v.Failed) != 1 || v.Failed[0].Extension != "104" {
		t.Errorf("%+v", v)
	}
	if v := order(map[string]any{"extensions": "101-103", "enabled": false}); !slices.Equal(v.Done, []string{"101", "102"}) || v.Failed[0].Extension != "103" {
		t.Errorf("%+v", v)
	}
	if v := order(map[string]any{"extensions": "101", "delete": true}); !slices.Equal(v.Done, []string{"101"}) {
		t.Errorf("%+v", v)
	}
	for field, body := range map[string]map[string]any{
		"extensions": {"extensions": "1-2", "enabled": true}, "enabled": {"extensions": "101"}, "text": {"extensions": "101", "text": httpapitest.Unspeakable},
		"delete": {"extensions": "101", "delete": true, "enabled": true}, "surprise": {"extensions": "101", "surprise": 1},
	} {
		if p := mustBeProblem(t, s.Do("POST", "/api/v1/notices", body), 422); !slices.Equal(p.locations(), []string{"body." + field}) {
			t.Errorf("%s: %+v", field, p)
		}
	}
}

func TestNoticesNeedTheAdministratorsKey(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	key := "Bearer " + s.Key(access.Calls)
	for _, a := range []httpapitest.Answer{
		s.Do("PUT", noticeOf101, map[string]any{"text": "а"}, "Authorization", key), s.Do("DELETE", noticeOf101, nil, "Authorization", key),
		s.Do("POST", "/api/v1/notices", map[string]any{"extensions": "101", "text": "а"}, "Authorization", key),
	} {
		mustBeProblem(t, a, 403)
	}
}
