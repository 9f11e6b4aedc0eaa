// Package bitrixtest is a Bitrix24 portal for tests, as the REST API's
// documentation describes it: the methods that package bitrix24 uses with their
// parameters, answers and error bodies, the limits on requests and on the time
// that methods take, tokens that expire, and the troubles of a real one: slow, down,
// answering errors, or carrying a request out and never saying so.
package bitrixtest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Of the portal's people and connections.
const (
	Owner            = 1 // whose webhook it is
	WebhookPath      = "/rest/1/abcdefghij123456/"
	ClientID         = "local.0123456789abcdef"
	ClientSecret     = "the-secret-of-the-application"
	RefreshToken     = "refresh-0"
	ApplicationToken = "51610fefc120afa4b628cc82d6298cce"
)

// Limits of the cloud's smaller plans.
const (
	leak   = 2.0 // requests a second
	bucket = 50.0
	// operatingMost is how many seconds a method may take in ten minutes.
	operatingMost = 480.0
	tokenLife     = time.Hour
	sameCall      = 30 * time.Minute // a repeated registration is the same call
)

// User is an employee.
type User struct {
	ID        int64
	Extension string // UF_PHONE_INNER
	Fired     bool
}

// Object is a client in the CRM: a CONTACT, a LEAD or a COMPANY.
type Object struct {
	Type        string
	ID          int64
	Responsible int64 // the employee's id; 0: nobody's
}

// Call is a call as the portal knows it.
type Call struct {
	ID, External, Client, Line string
	Type                       int
	User                       int64
	Registered                 time.Time
	Start                      string
	// Finished calls are in the statistics, with an activity of the CRM each.
	Finished    bool
	Responsible int64
	DurationS   int
	Status      string
	Reason      string
	Activity    int64
	Comment     string
	Record      []byte
	Records     int // how often one was attached
	Transcripts [][]any
	Cards       map[int64]bool // open ones
	Shown       []int64        // everybody whose card has opened, in order
}

// Trouble is what goes wrong with one request.
type Trouble struct {
	Status            int // of the answer; 0: none comes
	Code, Description string
	// Acts tells that the request is carried out nevertheless; with Status 200
	// it is answered, too.
	Acts bool
	// Commands is how many of a batch's commands are carried out; 0: all.
	Commands int
	// Takes is how long the answer, or its absence, takes.
	Takes time.Duration
}

// Troubles as the documentation names them.
var (
	QueryLimit     = Trouble{Status: 503, Code: "QUERY_LIMIT_EXCEEDED", Description: "Too many requests"}
	OperationLimit = Trouble{Status: 429, Code: "OPERATION_TIME_LIMIT", Description: "Method is blocked due to operation time limit"}
	ServerError    = Trouble{Status: 500, Code: "INTERNAL_SERVER_ERROR", Description: "Internal server error"}
	Down           = Trouble{}                                    // nobody answers
	ActsAndHangs   = Trouble{Acts: true, Takes: 90 * time.Second} // carried out, and no answer
	ActsAndFails   = Trouble{Status: 502, Acts: true}             // carried out, and a proxy's page for an answer
	Expired        = Trouble{Status: 401, Code: "expired_token", Description: "The access token provided has expired"}
	NoAuth         = Trouble{Status: 401, Code: "NO_AUTH_FOUND", Description: "Wrong authorization data"}
)

// Portal is a portal, and the authorization server of its applications. It is a
// http.Handler, and a http.RoundTripper for tests without sockets.
type Portal struct {
	// Trouble may let a request go wrong; n counts all requests from 1. nil:
	// nothing goes wrong. It is called with the portal locked.
	Trouble func(n int, method string) *Trouble
	// Refuses is the same for the commands of a batch: that command is answered
	// with the code and the description, and not carried out.
	Refuses func(method string) *Trouble
	// AppOnly lets telephony be used by applications alone, as the documentation
	// has it; many portals take webhooks as well.
	AppOnly bool
	// NoActivities leaves calls without an activity in the CRM, as of clients whom
	// that does not know.
	NoActivities bool
	// NoLimits lifts the limits on requests, as in a box.
	NoLimits bool
	// Seconds is how much of the limit on operating time a request takes.
	Seconds float64
	// RenewalTakes is how long new tokens are under way. Who does not wait for
	// them has used up his refresh token.
	RenewalTakes time.Duration

	mu        sync.Mutex
	users     []User
	scopes    []string
	calls     []*Call
	objects   map[string][]Object // by digits of the number
	lines     []string
	handlers  map[string]string // event → address
	requests  []string          // the methods, in order
	commands  []string          // of batches, the same
	refused   int               // requests beyond the limit
	level     float64           // of the bucket
	levelAt   time.Time
	operating map[string][]spent
	access    string
	refresh   string
	expires   time.Time
	renewals  int
	serial    int64
	base      string
}

type spent struct {
	at      time.Time
	seconds float64
}

// New makes a portal with these employees. Base is how its own addresses begin;
// a server on a real socket sets it with Serve.
func New(base string, users ...User) *Portal {
	return &Portal{
		base: base, users: append([]User{{ID: Owner}}, users...), scopes: []string{"telephony", "user", "crm"},
		handlers: make(map[string]string), operating: make(map[string][]spent), objects: make(map[string][]Object), refresh: RefreshToken,
	}
}

// Serve opens a socket for the portal. The caller closes it.
func (p *Portal) Serve() *httptest.Server {
	s := httptest.NewServer(p)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.base = s.URL
	return s
}

// WebhookURL is the address of its incoming webhook.
func (p *Portal) WebhookURL() string { return p.base + WebhookPath }

// Calls are all calls ever registered, copies.
func (p *Portal) Calls() []Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]Call, len(p.calls))
	for i, c := range p.calls {
		all[i] = *c
		all[i].Cards = maps.Clone(c.Cards)
	}
	return all
}

// Finished are the calls in the statistics: those that people see.
func (p *Portal) Finished() []Call {
	var list []Call
	for _, c := range p.Calls() {
		if c.Finished {
			list = append(list, c)
		}
	}
	return list
}

// Requests are the methods asked for, in order.
func (p *Portal) Requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.requests...)
}

// Commands are the methods that were carried out as part of a batch, in order.
func (p *Portal) Commands() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.commands...)
}

// Refused is how many requests came beyond the limit on their number, Renewals
// how often a token was renewed.
func (p *Portal) Refused() int { p.mu.Lock(); defer p.mu.Unlock(); return p.refused }

// Renewals is how often a token was renewed.
func (p *Portal) Renewals() int { p.mu.Lock(); defer p.mu.Unlock(); return p.renewals }

// Handlers are the addresses that events are reported to.
func (p *Portal) Handlers() map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make(map[string]string)
	for event, address := range p.handlers {
		all[event] = address
	}
	return all
}

// ExpireToken lets the access token expire now.
func (p *Portal) ExpireToken() { p.mu.Lock(); defer p.mu.Unlock(); p.expires = time.Time{} }

// Knows lets the CRM have a client with that number, and nothing else about it
// than these objects, in the order of their importance.
func (p *Portal) Knows(number string, objects ...Object) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.objects[digits(number)] = objects
}

// Click is what happens when a user clicks a number: the portal registers the
// call itself. It returns its CALL_ID and the event that is reported.
func (p *Portal) Click(user int64, number string) (string, url.Values) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.add(&Call{Client: number, Type: 1, User: user})
	c.open(user)
	return c.ID, p.event("ONEXTERNALCALLSTART", map[string]string{
		"PHONE_NUMBER": number, "PHONE_NUMBER_INTERNATIONAL": number, "EXTENSION": "", "USER_ID": fmt.Sprint(user), "CALL_LIST_ID": "0",
		"LINE_NUMBER": "", "IS_MOBILE": "0", "CALL_ID": c.ID, "CRM_ENTITY_TYPE": "CONTACT", "CRM_ENTITY_ID": "797",
	})
}

// CallbackForm is the event of a form for callbacks.
func (p *Portal) CallbackForm(number, line, spoken string) url.Values {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.event("ONEXTERNALCALLBACKSTART", map[string]string{
		"PHONE_NUMBER": number, "TEXT": spoken, "VOICE": "ruinternalfemale", "CRM_ENTITY_TYPE": "CONTACT", "CRM_ENTITY_ID": "5785", "LINE_NUMBER": line,
	})
}

// Install is the event of the installation of the application, with its first
// tokens.
func (p *Portal) Install() url.Values {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.newTokens()
	return p.event("ONAPPINSTALL", map[string]string{"VERSION": "1.0.0", "ACTIVE": "Y", "INSTALLED": "Y", "LANGUAGE_ID": "ru"})
}

func (p *Portal) event(name string, data map[string]string) url.Values {
	u, _ := url.Parse(p.base)
	form := url.Values{"event": {name}, "event_handler_id": {"1055"}, "ts": {fmt.Sprint(time.Now().Unix())}}
	for field, value := range data {
		form.Set("data["+field+"]", value)
	}
	for field, value := range map[string]string{
		"access_token": p.access, "refresh_token": p.refresh, "expires_in": "3600", "scope": strings.Join(p.scopes, ","), "domain": u.Host,
		"server_endpoint": "https://oauth.bitrix.info/rest/", "status": "L", "client_endpoint": p.base + "/rest/", "member_id": "a223c6b9410f85df78e9377d6c4f7213",
		"application_token": ApplicationToken,
	} {
		form.Set("auth["+field+"]", value)
	}
	return form
}

func (p *Portal) newTokens() {
	p.serial++
	p.access, p.refresh, p.expires = fmt.Sprintf("access-%d", p.serial), fmt.Sprintf("refresh-%d", p.serial), time.Now().Add(tokenLife)
}

func (p *Portal) add(c *Call) *Call {
	p.serial++
	c.ID = fmt.Sprintf("externalCall.%032x.%d", p.serial, time.Now().Unix())
	c.Registered, c.Cards = time.Now(), make(map[int64]bool)
	p.calls = append(p.calls, c)
	return c
}

func (c *Call) open(user int64) {
	if !c.Cards[user] {
		c.Cards[user] = true
		c.Shown = append(c.Shown, user)
	}
}

// RoundTrip implements http.RoundTripper: the portal without a socket.
func (p *Portal) RoundTrip(req *http.Request) (*http.Response, error) {
	type outcome struct {
		w    *httptest.ResponseRecorder
		gone bool
	}
	done := make(chan outcome, 1)
	go func() {
		w := httptest.NewRecorder()
		defer func() { done <- outcome{w, recover() != nil} }() // http.ErrAbortHandler
		p.ServeHTTP(w, req)
	}()
	select {
	case o := <-done:
		if o.gone {
			return nil, io.ErrUnexpectedEOF
		}
		return o.w.Result(), nil
	case <-req.Context().Done():
		<-done // it watches the same context
		return nil, req.Context().Err()
	}
}

// ServeHTTP implements http.Handler.
func (p *Portal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/oauth/token/" {
		p.token(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	p.mu.Lock()
	method := strings.TrimSuffix(r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:], ".json")
	p.requests = append(p.requests, method)
	trouble := p.overLimit()
	if trouble == nil && p.Trouble != nil {
		trouble = p.Trouble(len(p.requests), method)
	}
	status, answer, upto := http.StatusOK, any(nil), 0
	if trouble != nil {
		upto = trouble.Commands
	}
	if trouble == nil || trouble.Acts {
		status, answer = p.carryOut(method, r, body, upto)
	}
	p.mu.Unlock()
	if trouble != nil {
		wait(r, trouble.Takes)
		if trouble.Status == 0 {
			panic(http.ErrAbortHandler)
		}
		if !trouble.Acts || trouble.Status != http.StatusOK {
			status, answer = trouble.Status, nil
		}
		if trouble.Code != "" {
			answer = failure(trouble.Code, trouble.Description)
		}
	}
	if answer == nil {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "<html><h1>Bad Gateway</h1></html>")
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}

// overLimit counts a request in the leaky bucket.
func (p *Portal) overLimit() *Trouble {
	if p.NoLimits {
		return nil
	}
	now := time.Now()
	p.level = max(0, p.level-now.Sub(p.levelAt).Seconds()*leak)
	if p.levelAt = now; p.level+1 > bucket {
		p.refused++
		return &QueryLimit
	}
	p.level++
	return nil
}

// wait lets time pass, until the client has gone.
func wait(r *http.Request, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
}

// token is the authorization server.
func (p *Portal) token(w http.ResponseWriter, r *http.Request) {
	status, answer := p.renew(r.URL.Query())
	wait(r, p.RenewalTakes)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}

// renew makes new tokens for a refresh token, which is worth nothing then.
func (p *Portal) renew(q url.Values) (int, any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case q.Get("client_id") != ClientID || q.Get("client_secret") != ClientSecret:
		return http.StatusBadRequest, failure("invalid_client", "Invalid client")
	case q.Get("grant_type") != "refresh_token" || q.Get("refresh_token") != p.refresh:
		return http.StatusBadRequest, failure("invalid_grant", "Invalid grant")
	}
	p.newTokens()
	p.renewals++
	return http.StatusOK, map[string]any{
		"access_token": p.access, "refresh_token": p.refresh, "expires": p.expires.Unix(), "expires_in": 3600, "domain": "oauth.bitrix.info",
		"client_endpoint": p.base + "/rest/", "server_endpoint": "https://oauth.bitrix.info/rest/", "member_id": "a223c6b3710f85df22e9377d6c4f7553",
		"scope": strings.Join(p.scopes, ","), "status": "L", "user_id": Owner,
	}
}

func failure(code, description string) map[string]any {
	return map[string]any{"error": code, "error_description": description}
}
