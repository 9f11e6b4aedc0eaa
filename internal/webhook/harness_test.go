package webhook_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/jobs"
	"github.com/perezvon/perezvon/internal/store"
	"github.com/perezvon/perezvon/internal/store/storetest"
	"github.com/perezvon/perezvon/internal/webhook"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// got is one request as a receiver saw it.
type got struct {
	at   time.Time
	path string
	http.Header
	body []byte
}

// seq is the position of an event on its timeline.
func (g got) seq(t testing.TB) int64 {
	t.Helper()
	var e call.Event
	if err := json.Unmarshal(g.body, &e); err != nil {
		t.Fatalf("%v in %s", err, g.body)
	}
	return e.Seq
}

// receiver is a backend. It answers what answer says, 200 without one, and
// remembers everything.
type receiver struct {
	answer func(n int, r *http.Request) *http.Response // n counts from 1
	came   chan struct{}                               // a token for each request

	mu   sync.Mutex
	list []got
}

func newReceiver() *receiver { return &receiver{came: make(chan struct{}, 10_000)} }

func (r *receiver) take(req *http.Request) (n int, err error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return 0, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, got{time.Now(), req.URL.Path, req.Header.Clone(), body})
	return len(r.list), nil
}

func (r *receiver) all() []got {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.list)
}

// ServeHTTP is the receiver on a real socket.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	n, err := r.take(req)
	if err != nil {
		return
	}
	r.came <- struct{}{}
	if r.answer == nil {
		return
	}
	if a := r.answer(n, req); a != nil {
		for name, values := range a.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(a.StatusCode)
	}
}

// RoundTrip is the receiver without sockets, for virtual time.
func (r *receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	n, err := r.take(req)
	if err != nil {
		return nil, err
	}
	a := &http.Response{StatusCode: http.StatusOK}
	if r.answer != nil {
		a = r.answer(n, req)
	}
	if a == nil {
		return nil, fmt.Errorf("dial tcp 192.0.2.1:80: connection refused")
	}
	if req.Context().Err() != nil {
		return nil, req.Context().Err()
	}
	if a.Header == nil {
		a.Header = http.Header{}
	}
	a.Body, a.Request = http.NoBody, req
	return a, nil
}

// status makes an answer. Headers come in pairs.
func status(code int, headers ...string) *http.Response {
	a := &http.Response{StatusCode: code, Header: http.Header{}}
	for i := 0; i < len(headers); i += 2 {
		a.Header.Set(headers[i], headers[i+1])
	}
	return a
}

func newService(t testing.TB, s *store.Store, client *http.Client) *webhook.Service {
	t.Helper()
	w := webhook.New(webhook.Config{
		Store: s, Client: client,
		LogURL: func(id string) string { return "https://pbx.example.com/calls/" + id },
		RecordingURL: func(id string, at time.Time) string {
			return fmt.Sprintf("https://pbx.example.com/r/%s?expires=%d", id, at.Unix())
		},
	})
	if err := w.EnsureSecret(t.Context(), storetest.Mine); err != nil {
		t.Fatal(err)
	}
	return w
}

// work lets River's jobs send. The test stops them.
func work(t *testing.T, s *store.Store, w jobs.Deliveries) *jobs.Service {
	t.Helper()
	j, err := jobs.New(t.Context(), jobs.Config{Store: s, Deliveries: w, Poll: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return j
}

// create stores a request whose backend is at base.
func create(t testing.TB, s *store.Store, base string) store.NewCallback {
	t.Helper()
	n := storetest.NewCallback("+79161234567")
	n.Packet.LogURL, n.Packet.EventsURL, n.Packet.StatusURL = base+"/log", base+"/events", base+"/status"
	if _, err := s.CreateCallback(n); err != nil {
		t.Fatal(err)
	}
	return n
}

func add(t testing.TB, s *store.Store, id string, events ...call.Event) {
	t.Helper()
	for _, e := range events {
		e.CallID = id
		s.Journal().Append(e)
	}
	if err := s.Journal().Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func lane(n store.NewCallback, kind string) store.Lane {
	return store.Lane{Account: n.Account, CallID: n.CallID, Kind: kind}
}
