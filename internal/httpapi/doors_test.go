package httpapi_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/httpapi/access"
	"github.com/perezvon/perezvon/internal/httpapi/httpapitest"
)

// problem is what an error answer says (RFC 9457).
type problem struct {
	Status int    `json:"status"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Errors []struct {
		Location string `json:"location"`
		Message  string `json:"message"`
		Value    any    `json:"value"`
	} `json:"errors"`
}

func (p problem) locations() []string {
	var all []string
	for _, e := range p.Errors {
		all = append(all, e.Location)
	}
	return all
}

// mustBeProblem reads an error answer of the status.
func mustBeProblem(t *testing.T, a httpapitest.Answer, status int) problem {
	t.Helper()
	if a.Status != status {
		t.Fatalf("status %d, want %d: %s", a.Status, status, a.Body)
	}
	if got := a.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("content type %q", got)
	}
	var p problem
	a.Into(t, &p)
	if p.Status != status || p.Title == "" || p.Detail == "" {
		t.Errorf("not a whole problem: %s", a.Body)
	}
	return p
}

// nothingDialled fails if an attempt was started.
func nothingDialled(t *testing.T, s *httpapitest.Server) {
	t.Helper()
	select {
	case a := <-s.Started:
		t.Errorf("somebody is dialled: %+v", a)
	default:
	}
	if n := s.Dispatch.Live(); n != 0 {
		t.Errorf("%d calls live", n)
	}
}

func packet(change map[string]any) map[string]any {
	p := map[string]any{"managers": "101", "client": "+7 916 123-45-67"}
	maps.Copy(p, change)
	return p
}

// "Unknown field, bad number, bad key, two keys the same, a URL that points
// inside the server's own network: 422 that names the field; nothing is
// dialled."
func TestEachFieldOfThePacketWrongInTurn(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	long := strings.Repeat("я", 2001)
	for field, wrong := range map[string][]any{
		"managers":                   {"", []any{}, nil, 5, "101_", []any{map[string]any{"number": "101", "phone": "1"}}, strings.Repeat("101_", 20) + "101"},
		"managers[0].number":         {"12345678901234567890", "not a number", "999"},
		"managers[0]":                {[]any{map[string]any{}}, []any{map[string]any{"number": "101", "sip": "101"}}},
		"managers[0].sip":            {[]any{map[string]any{"sip": "anna"}}, []any{map[string]any{"sip": "999"}}},
		"managers[0].extension":      {"101^abc"},
		"client":                     {"", nil, 79161234567, "112233", "+7 916", "javascript:alert(1)", []any{"+79161234567"}},
		"dial_mode":                  {"random", 1},
		"greeting":                   {long, 5, "bell\a"},
		"connecting_text":            {long},
		"ivr_text":                   {long},
		"extra_info":                 {long},
		"ivr_repeats_before_connect": {0, 17, "3", 1.5},
		"ivr_repeats_before_hangup":  {16, 25},
		"extension_delay_ms":         {-1, 30001},
		"client_delay_ms":            {-1, 60001, "3000"},
		"manager_timeout_s":          {4, 121},
		"client_timeout_s":           {4, 121},
		"after_call_s":               {-1, 61},
		"dtmf_connect":               {"A", "12"},
		"dtmf_extra_info":            {"x"},
		"dtmf_cancel":                {"cancel"},
		"dtmf_cancel_recalls":        {"99"},
		"dtmf_reschedule":            {" "},
		"dtmf_to_manager":            {"1w2"},
		"client_caller_id":           {"a b", "<sip:x>"},
		"default_caller_id_manager":  {"\r\nVia: x"},
		"default_caller_id_client":   {"\x00"},
		"trunk":                      {"none", "../x"},
		"trunks_manager[0]":          {[]any{"a b"}},
		"trunks_client[1]":           {[]any{"main", "main"}},
		"language":                   {"русский"},
		"voice":                      {"--help"},
		"voice_control":              {"yes"},
		"transcribe":                 {1},
		"client_ip":                  {"1.2.3", "host"},
		"attempt":                    {-1, "1"},
		"log_url":                    {"ftp://example.com", "http://127.0.0.1/", "http://localhost:8080/x", "http://[::1]/", "http://10.0.0.1/", "http://user:p@example.com/"},
		"status_url":                 {"http://169.254.169.254/latest", "//example.com"},
		"events_url":                 {"http://0x7f.1/", "not a url"},
		"widget":                     {"a b"},
		"unknown_field":              {"x"},
		"Client":                     {"+79161234567"},
	} {
		name, _, _ := strings.Cut(field, "[")
		for _, value := range wrong {
			t.Run(fmt.Sprintf("%s=%.40v", field, value), func(t *testing.T) {
				p := mustBeProblem(t, s.Do("POST", "/api/v1/callbacks", packet(map[string]any{name: value})), http.StatusUnprocessableEntity)
				if !slices.ContainsFunc(p.locations(), func(l string) bool {
					return l == "body."+field || strings.HasPrefix(l, "body."+field+".") || strings.HasPrefix(l, "body."+field+"[")
				}) {
					t.Errorf("names %v, want body.%s", p.locations(), field)
				}
			})
		}
	}
	t.Run("two keys the same", func(t *testing.T) {
		p := mustBeProblem(t, s.Do("POST", "/api/v1/callbacks", packet(map[string]any{"dtmf_connect": "5", "dtmf_cancel": "5"})), http.StatusUnprocessableEntity)
		if !slices.Contains(p.locations(), "body.dtmf_cancel") {
			t.Errorf("names %v", p.locations())
		}
	})
	t.Run("several at once", func(t *testing.T) {
		p := mustBeProblem(t, s.Do("POST", "/api/v1/callbacks", map[string]any{"managers": "101", "client": "x", "client_delay_ms": -1}), http.StatusUnprocessableEntity)
		for _, want := range []string{"body.client", "body.client_delay_ms"} {
			if !slices.Contains(p.locations(), want) {
				t.Errorf("names %v, lacks %s", p.locations(), want)
			}
		}
	})
	nothingDialled(t, s)
}

func TestBodiesThatAreNone(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	for name, test := range map[string]struct {
		body    string
		headers []string
		status  int
	}{
		"not JSON":             {`{"client": `, nil, 400},
		"JSON and more":        {`{} {}`, nil, 400},
		"empty":                {"", nil, 400},
		"a list":               {`[]`, nil, 422},
		"null":                 {`null`, nil, 422},
		"too large":            {`{"client": "` + strings.Repeat("7", 64<<10) + `"}`, nil, 413},
		"too large, no JSON":   {strings.Repeat("x", 1<<20), nil, 413},
		"form":                 {"client=1", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415},
		"nonsense type":        {`{}`, []string{"Content-Type", ";;;"}, 415},
		"XML":                  {`<x/>`, []string{"Content-Type", "text/xml"}, 415},
		"long idempotency key": {`{"managers":"101","client":"+79161234567"}`, []string{"Idempotency-Key", strings.Repeat("k", 256)}, 422},
	} {
		t.Run(name, func(t *testing.T) {
			mustBeProblem(t, s.Do("POST", "/api/v1/callbacks", test.body, test.headers...), test.status)
		})
	}
	nothingDialled(t, s)
}

// The largest body that is read, and the answer to one that is a byte larger:
// docs/api.md names the same limit.
func TestTheLimitOfABodyIsTheOneThatIsTold(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	for _, path := range []string{"/api/v1/callbacks", "/api/v11/callback"} {
		for size, status := range map[int]int{65536: http.StatusUnprocessableEntity, 65537: http.StatusRequestEntityTooLarge} {
			body := `{"client": "`
			body += strings.Repeat("7", size-len(body)-2) + `"}`
			p := mustBeProblem(t, s.Do("POST", path, body), status)
			if status == http.StatusRequestEntityTooLarge && p.Detail != "the body is larger than 65536 bytes" {
				t.Errorf("%s: %s", path, p.Detail)
			}
		}
	}
	nothingDialled(t, s)
}

func TestNobodyComesInWithoutAKey(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	read, calls := s.Key(access.Read), s.Key(access.Calls)
	id := s.Talk(time.Now().Add(-time.Hour))
	for _, key := range []string{read, calls} { // known as good before the wrong ones come
		if a := s.Do("GET", "/api/v1/calls", nil, "Authorization", "Bearer "+key); a.Status != 200 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	}
	for _, door := range []struct {
		method, path string
		need         access.Right
	}{
		{"POST", "/api/v1/callbacks", access.Calls},
		{"GET", "/api/v1/callbacks", access.Read},
		{"GET", "/api/v1/callbacks/x", access.Read},
		{"POST", "/api/v1/callbacks/x/start", access.Calls},
		{"DELETE", "/api/v1/callbacks/x", access.Calls},
		{"GET", "/api/v1/calls", access.Read},
		{"GET", "/api/v1/calls/" + id, access.Read},
		{"DELETE", "/api/v1/calls/" + id, access.Calls},
		{"GET", "/api/v1/calls/" + id + "/events", access.Read},
		{"GET", "/api/v1/calls/" + id + "/recording", access.Read},
		{"GET", "/api/v1/calls/" + id + "/recording/peaks", access.Read},
		{"GET", "/api/v1/calls/" + id + "/recording/consultation", access.Read},
		{"POST", "/api/v1/calls/" + id + "/recording/link", access.Read},
		{"GET", "/api/v1/trunks", access.Read},
		{"POST", "/api/v1/trunks", access.Admin},
		{"GET", "/api/v1/trunks/main", access.Read},
		{"PUT", "/api/v1/trunks/main", access.Admin},
		{"DELETE", "/api/v1/trunks/main", access.Admin},
		{"GET", "/api/v1/operators", access.Read},
		{"POST", "/api/v1/operators", access.Admin},
		{"PUT", "/api/v1/operators/101", access.Admin},
		{"DELETE", "/api/v1/operators/101", access.Admin},
		{"GET", "/api/v1/queues", access.Read},
		{"PUT", "/api/v1/queues/1000", access.Admin},
		{"DELETE", "/api/v1/queues/1000", access.Admin},
		{"GET", "/api/v1/routes", access.Read},
		{"PUT", "/api/v1/routes/main", access.Admin},
		{"DELETE", "/api/v1/routes/main", access.Admin},
		{"GET", "/api/v1/locations", access.Read},
		{"POST", "/api/v1/locations", access.Admin},
		{"PUT", "/api/v1/locations/ru", access.Admin},
		{"DELETE", "/api/v1/locations/ru", access.Admin},
		{"GET", "/api/v1/caller-id?manager=%2B74951234567&client=%2B79161234567", access.Read},
		{"GET", "/api/v1/responsible?number=9161234567", access.Read},
		{"GET", "/api/v1/events", access.Read},
	} {
		t.Run(door.method+" "+door.path, func(t *testing.T) {
			for name, header := range map[string]string{"no key": "", "other scheme": "Basic " + s.AdminKey, "empty key": "Bearer "} {
				// Of wrong keys only a few: the address would be slowed down.
				if a := s.Do(door.method, door.path, nil, "Authorization", header); a.Status != 401 && a.Status != 429 {
					t.Errorf("%s: %d %s", name, a.Status, a.Body)
				}
			}
			for key, right := range map[string]access.Right{read: access.Read, calls: access.Calls} {
				if right.Includes(door.need) {
					continue
				}
				mustBeProblem(t, s.Do(door.method, door.path, nil, "Authorization", "Bearer "+key), http.StatusForbidden)
			}
		})
	}
	nothingDialled(t, s)
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/openapi.json", "/openapi.yaml", "/docs", "/docs/docs.js", "/docs/docs.css"} {
		if a := s.Do("GET", path, nil, "Authorization", ""); a.Status != 200 {
			t.Errorf("%s needs a key: %d", path, a.Status)
		}
	}
}

func TestWrongKeysAreToldAndSlowedDown(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	a := s.Do("GET", "/api/v1/calls", nil, "Authorization", "")
	mustBeProblem(t, a, http.StatusUnauthorized)
	if !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Bearer") {
		t.Errorf("WWW-Authenticate %q (RFC 9110 §11.6.1)", a.Header.Get("WWW-Authenticate"))
	}
	for i := 0; ; i++ {
		a := s.Do("GET", "/api/v1/calls", nil, "Authorization", fmt.Sprintf("Bearer wrong-%d", i))
		if a.Status == http.StatusTooManyRequests {
			mustBeProblem(t, a, http.StatusTooManyRequests)
			if a.Header.Get("Retry-After") == "" {
				t.Error("does not say when to try again")
			}
			break
		}
		mustBeProblem(t, a, http.StatusUnauthorized)
		if i > 20 {
			t.Fatal("twenty wrong keys and no end")
		}
	}
	if a := s.Do("GET", "/healthz", nil); a.Status != 200 {
		t.Errorf("health suffers: %d", a.Status)
	}
}

func TestPathsAndMethodsThatAreNone(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	mustBeProblem(t, s.Do("GET", "/api/v2/calls", nil), http.StatusNotFound)
	mustBeProblem(t, s.Do("GET", "/api/v1/callbacks/none", nil), http.StatusNotFound)
	mustBeProblem(t, s.Do("GET", "/api/v1/calls/none", nil), http.StatusNotFound)
	mustBeProblem(t, s.Do("GET", "/api/v1/calls/none/events", nil), http.StatusNotFound)
	mustBeProblem(t, s.Do("DELETE", "/api/v1/calls/none", nil), http.StatusNotFound)
	mustBeProblem(t, s.Do("DELETE", "/api/v1/callbacks/none", nil), http.StatusNotFound)
	a := s.Do("PATCH", "/api/v1/calls", nil)
	mustBeProblem(t, a, http.StatusMethodNotAllowed)
	if !strings.Contains(a.Header.Get("Allow"), "GET") {
		t.Errorf("Allow %q", a.Header.Get("Allow"))
	}
	for _, query := range []string{"limit=0", "limit=201", "limit=x", "cursor=!", "client=abc", "direction=up", "since=yesterday", "page=2"} {
		p := mustBeProblem(t, s.Do("GET", "/api/v1/calls?"+query, nil), http.StatusUnprocessableEntity)
		field, _, _ := strings.Cut(query, "=")
		if !slices.Contains(p.locations(), "query."+field) {
			t.Errorf("%s: names %v", query, p.locations())
		}
	}
}

// "Ready when GET /readyz answers 200."
func TestReadiness(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	if a := s.Do("GET", "/readyz", nil, "Authorization", ""); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	s.SetReady(errors.New("the SIP port is not open yet"))
	a := s.Do("GET", "/readyz", nil, "Authorization", "")
	if p := mustBeProblem(t, a, http.StatusServiceUnavailable); p.Detail != "the SIP port is not open yet" || a.Header.Get("Retry-After") == "" {
		t.Errorf("%+v", p)
	}
	if a := s.Do("GET", "/healthz", nil, "Authorization", ""); a.Status != 200 {
		t.Errorf("healthz: %d", a.Status)
	}
}

func TestMetricsMayNeedAKey(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{MetricsAuth: true})
	mustBeProblem(t, s.Do("GET", "/metrics", nil, "Authorization", ""), http.StatusUnauthorized)
	if a := s.Do("GET", "/metrics", nil); a.Status != 200 || !strings.Contains(string(a.Body), "perezvon_calls_live 0") {
		t.Errorf("%d %.200s", a.Status, a.Body)
	}
}

func TestEveryAnswerKeepsBrowsersStrict(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	for _, path := range []string{"/api/v1/calls", "/docs", "/nowhere"} {
		h := s.Do("GET", path, nil).Header
		if h.Get("X-Content-Type-Options") != "nosniff" || !strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'none'") || h.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: %v", path, h)
		}
	}
}
