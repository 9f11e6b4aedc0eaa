package console_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"log/slog"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/console"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/httpapi/httpapitest"
)

func serve(t *testing.T) *httpapitest.Server {
	t.Helper()
	return httpapitest.New(t, httpapitest.Options{Register: register(t)})
}

// register hangs the console's pages on a server.
func register(t *testing.T) func(*httpapitest.Server) {
	return func(s *httpapitest.Server) {
		console.Register(s.API.Mux(), console.Config{Store: s.Store, Queues: s.Queues, Phones: s.Phones, CRM: s.CRM, Door: s.Door, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	}
}

// html asks for a page as a browser does, without a key.
func html(s *httpapitest.Server, path string, headers ...string) httpapitest.Answer {
	return s.Do("GET", path, nil, append([]string{"Authorization", "", "Accept", "text/html,*/*;q=0.8"}, headers...)...)
}

func link(s *httpapitest.Server, id string, life time.Duration) string {
	return "/calls/" + id + "?" + s.Door.Signer.Link(id, time.Now().Add(life))
}

func TestPagesNeedAKeyOrALink(t *testing.T) {
	s := serve(t)
	id, other := s.Talk(time.Now()), s.Talk(time.Now())
	if a := html(s, "/"); a.Status != http.StatusSeeOther || a.Header.Get("Location") != "/login?next=/" {
		t.Errorf("the list: %d %v", a.Status, a.Header)
	}
	if a := html(s, "/calls/"+id); a.Status != http.StatusSeeOther || a.Header.Get("Location") != "/login?next=/calls/"+id {
		t.Errorf("a call: %d %v", a.Status, a.Header)
	}
	if a := html(s, link(s, id, time.Hour)); a.Status != 200 || !strings.Contains(string(a.Body), "&#43;79161234567") {
		t.Errorf("a call by its link: %d %s", a.Status, a.Body)
	}
	for what, path := range map[string]string{
		"expired":      link(s, id, -time.Second),
		"another call": strings.Replace(link(s, id, time.Hour), id, other, 1),
	} {
		if a := html(s, path); a.Status != http.StatusUnauthorized || strings.Contains(string(a.Body), "7916") {
			t.Errorf("%s: %d %s", what, a.Status, a.Body)
		}
	}
	query := strings.SplitN(link(s, id, time.Hour), "?", 2)[1]
	if a := html(s, "/?"+query); a.Status == 200 {
		t.Error("the link opens the list")
	}
}

// signIn types a key into the form and gives the session's cookie.
func signIn(t *testing.T, s *httpapitest.Server, key string, headers ...string) (httpapitest.Answer, string) {
	t.Helper()
	form := url.Values{"key": {key}, "next": {"/calls/x"}}
	a := s.Do("POST", "/login", form.Encode(), append([]string{"Authorization", "", "Content-Type", "application/x-www-form-urlencoded"}, headers...)...)
	cookie, _, _ := strings.Cut(a.Header.Get("Set-Cookie"), ";")
	return a, cookie
}

func TestSigningIn(t *testing.T) {
	s := serve(t)
	id := s.Talk(time.Now())
	a, cookie := signIn(t, s, s.AdminKey)
	if a.Status != http.StatusSeeOther || a.Header.Get("Location") != "/calls/x" {
		t.Fatalf("%d %v", a.Status, a.Header)
	}
	for _, want := range []string{"HttpOnly", "SameSite=Lax"} {
		if !strings.Contains(a.Header.Get("Set-Cookie"), want) {
			t.Errorf("the cookie lacks %s: %s", want, a.Header.Get("Set-Cookie"))
		}
	}
	if a := html(s, "/", "Cookie", cookie); a.Status != 200 || !strings.Contains(string(a.Body), "/calls/"+id) {
		t.Errorf("the list: %d %s", a.Status, a.Body)
	}
	if a := html(s, "/api/v1/calls", "Cookie", cookie); a.Status != 200 {
		t.Errorf("the API takes no session: %d", a.Status)
	}
	// Another site's form does nothing with the session.
	a = s.Do("DELETE", "/api/v1/calls/"+id, nil, "Authorization", "", "Cookie", cookie, "Sec-Fetch-Site", "cross-site")
	if a.Status != http.StatusForbidden {
		t.Errorf("from another site: %d", a.Status)
	}
	if a, _ := signIn(t, s, s.AdminKey, "Sec-Fetch-Site", "cross-site"); a.Status != http.StatusForbidden {
		t.Errorf("signed in from another site: %d", a.Status)
	}
	if a, cookie := signIn(t, s, "wrong"); a.Status != http.StatusUnauthorized || cookie != "" {
		t.Errorf("a wrong key: %d, %q", a.Status, cookie)
	}
	a = s.Do("POST", "/logout", "", "Authorization", "", "Cookie", cookie)
	if !strings.Contains(a.Header.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("signing out: %v", a.Header)
	}
}

func TestTheLoginSendsNobodyElsewhere(t *testing.T) {
	s := serve(t)
	for _, next := range []string{"https://evil.example", "//evil.example", `/\evil.example`, "javascript:alert(1)", ""} {
		form := url.Values{"key": {s.AdminKey}, "next": {next}}
		a := s.Do("POST", "/login", form.Encode(), "Authorization", "", "Content-Type", "application/x-www-form-urlencoded")
		if a.Header.Get("Location") != "/" {
			t.Errorf("%q sends to %s", next, a.Header.Get("Location"))
		}
	}
}

// log_url is a page for browsers and JSON for programs.
func TestTheLogAtItsAddress(t *testing.T) {
	s := serve(t)
	id := s.Talk(time.Now())
	a := s.Do("GET", "/calls/"+id, nil)
	var log struct{ Events []call.Event }
	a.Into(t, &log)
	if len(log.Events) == 0 || log.Events[0].Type != call.Created || a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%v %s", a.Header, a.Body)
	}
	if a := s.Do("GET", link(s, id, time.Hour), nil, "Authorization", ""); a.Status != 200 || a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("by link: %d", a.Status)
	}
	if a := s.Do("GET", "/calls/"+id, nil, "Authorization", ""); a.Status != http.StatusUnauthorized {
		t.Errorf("without a key: %d", a.Status)
	}
}

func TestTextsAreEscapedAndThePolicyIsStrict(t *testing.T) {
	s := serve(t)
	id := s.NewCall(time.Now())
	s.Append(
		call.Event{CallID: id, Type: call.Note, Reason: `<script>alert("note")</script>`},
		call.Event{CallID: id, Type: call.PromptStarted, Leg: `"><img src=x>`, Prompt: "<i>", Text: "</ol><script>"},
		call.Event{CallID: id, Type: call.Dialing, Leg: `<svg onload=x>`, Number: `<b>`, Trunk: `'"><b>`},
	)
	a := html(s, link(s, id, time.Hour))
	for _, bad := range []string{"<script>", "<img src=x", "<svg onload", "<i>"} {
		if strings.Contains(string(a.Body), bad) {
			t.Errorf("holds %s", bad)
		}
	}
	policy := a.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("policy %q lacks %s", policy, want)
		}
	}
	if regexp.MustCompile(`<[^>]+\s(on\w+|style)=`).Match(a.Body) || regexp.MustCompile(`(src|href)="(https?:)?//`).Match(a.Body) {
		t.Error("the page holds what its policy forbids, or loads from elsewhere")
	}
}

// The transcript is on the call's page, with its speakers, and safe to show.
func TestTheTranscriptOfACall(t *testing.T) {
	s := serve(t)
	n := s.NewCall(time.Now())
	s.Append(
		call.Event{CallID: n, Type: call.RecordingStarted, Transcribe: true}, call.Event{CallID: n, Type: call.Joined, Leg: "m1", Other: "c1"},
		call.Event{CallID: n, Type: call.Ended, Status: &call.Completed}, call.Event{CallID: n, Type: call.RecordingState, Recording: call.RecordingReady},
	)
	path := link(s, n, time.Hour) + "&lang=ru"
	if page := string(html(s, path).Body); !strings.Contains(page, "Расшифровка</dt><dd>готовится") || strings.Contains(page, "data-over") {
		t.Error("it is not told that it is being made")
	}
	said := []call.Segment{
		{Speaker: call.ClientSpeaks, FromS: 1.5, ToS: 2, Text: "Алло <script>"}, {Speaker: call.OperatorSpeaks, FromS: 62, ToS: 63, Text: "Слушаю"},
	}
	if err := s.Store.SaveTranscript(directory.DefaultAccount, n, said); err != nil {
		t.Fatal(err)
	}
	s.Append(call.Event{CallID: n, Type: call.Transcribed, Segments: 2})
	page := string(html(s, path).Body)
	for _, want := range []string{
		`data-sound="1.5"`, ">0:02<", "Клиент", "Алло &lt;script&gt;", ">1:02<", "Менеджер", "Слушаю", "Расшифровка готова", "data-over",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("lacks %q", want)
		}
	}
}

// "All texts in English and Russian (by Accept-Language, ?lang=)".
func TestLanguages(t *testing.T) {
	s := serve(t)
	path := link(s, s.Talk(time.Now()), time.Hour)
	for name, test := range map[string]struct {
		path    string
		headers []string
		want    string
	}{
		"default":         {path, nil, "Timeline"},
		"browser's":       {path, []string{"Accept-Language", "de, ru-RU;q=0.8, en;q=0.5"}, "Ход звонка"},
		"asked for":       {path + "&lang=en", []string{"Accept-Language", "ru"}, "Timeline"},
		"remembered":      {path, []string{"Accept-Language", "en", "Cookie", "perezvon_lang=ru"}, "Ход звонка"},
		"none of the two": {path + "&lang=xx", []string{"Accept-Language", "fr"}, "Timeline"},
	} {
		if a := html(s, test.path, test.headers...); !strings.Contains(string(a.Body), test.want) {
			t.Errorf("%s: lacks %q", name, test.want)
		}
	}
}

// Every word that events and calls can bring has both translations.
func TestEveryTextIsTranslated(t *testing.T) {
	for key, text := range console.Texts() {
		if (text[0] == "") != (text[1] == "") {
			t.Errorf("%s: %q and %q", key, text[0], text[1])
		}
		if strings.Count(text[0], "%s") != strings.Count(text[1], "%s") {
			t.Errorf("%s: not the same number of places: %q and %q", key, text[0], text[1])
		}
	}
	used := regexp.MustCompile(`\{\{t "([^"]+)"\}\}|\bt "([^"]+)"|text\("([a-z.]+[a-z])"`)
	names, err := filepath.Glob("pages/*.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(names, "timeline.go", "stages.go", "login.go", "calls.go", "pages.go") {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range used.FindAllStringSubmatch(string(source), -1) {
			key := m[1] + m[2] + m[3]
			if _, ok := console.Texts()[key]; !ok {
				t.Errorf("%s uses %s, which has no text", name, key)
			}
		}
	}
	for _, s := range call.Statuses() {
		if _, ok := console.Texts()["status."+s.Slug]; !ok {
			t.Errorf("status %s has no text", s.Slug)
		}
	}
}

// A support engineer understands the picture of a call without asking anyone:
// no event is shown by its name in the API.
func TestEveryEventIsToldInWords(t *testing.T) {
	source, err := os.ReadFile("../call/event.go")
	if err != nil {
		t.Fatal(err)
	}
	types := regexp.MustCompile(`Type += "([a-z._]+)"`).FindAllSubmatch(source, -1)
	if len(types) < 30 {
		t.Fatalf("only %d types of events are found", len(types))
	}
	for _, m := range types {
		e := call.Event{
			Type: call.Type(m[1]), Leg: "o1", Other: "c1", Role: call.Operator, Direction: call.Inbound, Operator: "101", Number: "+79161234567",
			Reason: "answered", Queue: "1000", Digits: "1", Action: "menu", Recording: call.RecordingReady, Status: &call.Completed,
		}
		english, russian := console.Describe(e, false), console.Describe(e, true)
		if e.Type != call.Note && (english == russian || strings.Contains(english, string(m[1])) && strings.Contains(string(m[1]), ".")) {
			t.Errorf("%s is told as %q and %q", e.Type, english, russian)
		}
		if strings.Contains(english, "%!") || strings.Contains(russian, "%!") {
			t.Errorf("%s: %q, %q", e.Type, english, russian)
		}
	}
}

func TestThereIsNoSuchCall(t *testing.T) {
	s := serve(t)
	_, cookie := signIn(t, s, s.AdminKey)
	if a := html(s, "/calls/none", "Cookie", cookie); a.Status != http.StatusNotFound || !strings.Contains(string(a.Body), "no such call") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := html(s, "/?cursor=nonsense", "Cookie", cookie); a.Status != http.StatusSeeOther {
		t.Errorf("a bad cursor: %d", a.Status)
	}
}
