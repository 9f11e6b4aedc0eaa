// Package aritest is an Asterisk in the test's own process, as ARI shows it: it
// takes requests and tells events, in the order and with the delays, losses and
// restarts that the test decides, which no real one would do when asked. It
// lives on connections in memory, so that it works in virtual time.
package aritest

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"github.com/perezvon/perezvon/internal/telephony/asterisk/ari"
)

// The user of a Fake, and its application.
const (
	User     = "perezvon"
	Password = "secret"
	App      = "perezvon"
)

// Answer is what a Fake answers to a request: the status, and a body that is
// written as JSON; nil: none.
type Answer struct {
	Code int
	Body any
}

// Fake is an Asterisk that the test controls. Safe for concurrent use.
type Fake struct {
	// Answers says what is answered to a request, as "POST /channels/x/answer",
	// from the goroutine of that request: it may wait, and tell events before
	// it returns. nil: 200 without a body.
	Answers func(request string, r *http.Request) Answer

	// AnyApp lets clients listen under any name; otherwise App alone.
	AnyApp bool

	t       testing.TB
	server  *httptest.Server
	net     *memory
	mu      sync.Mutex
	refuses bool
	conn    *websocket.Conn
	opened  chan struct{} // gets one for each WebSocket that is opened
}

// New starts a fake that ends at the end of the test.
func New(t testing.TB) *Fake {
	t.Helper()
	f := &Fake{t: t, net: &memory{conns: make(chan net.Conn), closed: make(chan struct{})}, opened: make(chan struct{}, 16)}
	f.server = httptest.NewUnstartedServer(http.HandlerFunc(f.serve))
	_ = f.server.Listener.Close() // it is of the real network
	f.server.Listener = f.net
	f.server.Start()
	t.Cleanup(func() {
		f.Break()
		f.server.Close()
	})
	return f
}

// Config is how a client reaches the fake.
func (f *Fake) Config() ari.Config {
	return ari.Config{URL: "http://asterisk.test/ari", User: User, Password: Password, App: App, Dial: f.dial}
}

// Refuse lets connections fail, as when Asterisk is not running, until Refuse
// is called with false.
func (f *Fake) Refuse(refuse bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuses = refuse
}

// Opened waits until the client has opened its WebSocket (again).
func (f *Fake) Opened(ctx context.Context) error {
	select {
	case <-f.opened:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Tell sends an event to the client. Without a connection it is lost, as with
// Asterisk.
func (f *Fake) Tell(event map[string]any) {
	f.t.Helper()
	text, err := json.Marshal(event)
	if err != nil {
		f.t.Error(err)
		return
	}
	f.Say(string(text))
}

// Say sends a text in place of an event.
func (f *Fake) Say(text string) {
	f.t.Helper()
	f.mu.Lock()
	c := f.conn
	f.mu.Unlock()
	if c == nil {
		return
	}
	// A client that has died in this moment is as good as none.
	_ = c.Write(context.Background(), websocket.MessageText, []byte(text))
}

// Break drops the WebSocket without a word.
func (f *Fake) Break() {
	f.mu.Lock()
	c := f.conn
	f.conn = nil
	f.mu.Unlock()
	if c != nil {
		_ = c.CloseNow() // the client may have closed it
	}
}

func (f *Fake) serve(w http.ResponseWriter, r *http.Request) {
	if u, p, _ := r.BasicAuth(); u != User || p != Password {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/ari")
	if path == "/events" {
		f.events(w, r)
		return
	}
	a := Answer{Code: http.StatusOK}
	if f.Answers != nil {
		a = f.Answers(r.Method+" "+path, r)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.Code)
	if a.Body != nil {
		_ = json.NewEncoder(w).Encode(a.Body) // the client may be gone
	}
}

func (f *Fake) events(w http.ResponseWriter, r *http.Request) {
	if !f.AnyApp && r.URL.Query().Get("app") != App {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	// Whatever is told once the client knows that it is connected reaches it.
	f.mu.Lock()
	c, err := websocket.Accept(w, r, nil)
	f.conn = c
	f.mu.Unlock()
	if err != nil {
		f.t.Error(err)
		return
	}
	f.opened <- struct{}{}
	// Reading answers pings and ends with the connection.
	<-c.CloseRead(context.Background()).Done()
}

var errDown = errors.New("connection refused")

func (f *Fake) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	f.mu.Lock()
	refuses := f.refuses
	f.mu.Unlock()
	if refuses {
		return nil, errDown
	}
	ours, theirs := net.Pipe()
	select {
	case f.net.conns <- theirs:
		return ours, nil
	case <-f.net.closed:
		return nil, errDown
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// memory is a listener whose connections are pipes.
type memory struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error {
	m.once.Do(func() { close(m.closed) })
	return nil
}

func (m *memory) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8088} }
