package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/perezvon/perezvon/internal/bitrix24/bitrixtest"
)

// The page grows while a call goes on, and what strangers wrote stays text.
func TestThePageOfACall(t *testing.T) {
	p := bitrixtest.New("http://portal.example", bitrixtest.User{ID: 11, Extension: "101"})
	h := withPage(p)
	get := func(path string) string {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w.Body.String()
	}
	has := func(page string, wanted ...string) {
		t.Helper()
		for _, want := range wanted {
			if !strings.Contains(page, want) {
				t.Errorf("lacks %q:\n%s", want, page)
			}
		}
	}
	ask := func(method, body string) {
		t.Helper()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, bitrixtest.WebhookPath+method+".json", strings.NewReader(body)))
		if w.Code != http.StatusOK {
			t.Fatal(w.Body)
		}
	}
	has(get("/"), "No calls yet", `http-equiv="refresh"`)

	ask("telephony.externalCall.register", `{"USER_ID":11,"TYPE":2,"PHONE_NUMBER":"+79161234567<script>","EXTERNAL_CALL_ID":"ours"}`)
	id := p.Calls()[0].ID
	has(get("/"), "2, inbound", "cards are open for users 11", "<code>ours</code>", "&lt;script&gt;", `http-equiv="refresh"`)

	ask("telephony.externalCall.finish", `{"CALL_ID":"`+id+`","USER_ID":11,"DURATION":75,"STATUS_CODE":"200"}`)
	has(get("/"), "responsible</dt><dd>user 11", "1:15", "none yet", `http-equiv="refresh"`)

	ask("telephony.externalCall.attachRecord", `{"CALL_ID":"`+url.QueryEscape(id)+`","FILENAME":"a.wav","FILE_CONTENT":"UklGRg=="}`)
	page := get("/")
	has(page, "4 bytes", `src="/records/0.wav"`)
	if strings.Contains(page, `http-equiv="refresh"`) {
		t.Error("nothing more comes, and the page loads itself anew")
	}
	if got := get("/records/0.wav"); got != "RIFF" {
		t.Errorf("the record is %q", got)
	}
}
