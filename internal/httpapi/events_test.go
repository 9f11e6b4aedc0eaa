package httpapi_test

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/httpapi"
	"github.com/perezvon/perezvon/internal/httpapi/httpapitest"
	"github.com/perezvon/perezvon/internal/store/storetest"
)

// follower reads a stream of server-sent events.
type follower struct {
	t     *testing.T
	lines *bufio.Scanner
	close func()
}

func follow(t *testing.T, s *httpapitest.Server, query, lastID string) *follower {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // a test that waits for nothing fails
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/api/v1/events"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.AdminKey)
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	res, err := http.DefaultClient.Do(req) //nolint:bodyclose // the follower does
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	f := &follower{t, bufio.NewScanner(res.Body), func() { cancel(); res.Body.Close() }}
	t.Cleanup(f.close)
	return f
}

// next is the next event, and its id in the stream.
func (f *follower) next() (e call.Event, id string) {
	f.t.Helper()
	for f.lines.Scan() {
		if v, ok := strings.CutPrefix(f.lines.Text(), "id: "); ok {
			id = v
		}
		if v, ok := strings.CutPrefix(f.lines.Text(), "data: "); ok {
			return decodeEvent(f.t, v), id
		}
	}
	f.t.Fatalf("the stream ended: %v", f.lines.Err())
	return e, id
}

func TestLiveEventsComeInOrder(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	f := follow(t, s, "", "")
	if !f.lines.Scan() || !strings.HasPrefix(f.lines.Text(), "retry: ") {
		t.Errorf("begins with %q", f.lines.Text())
	}
	a, b := s.Talk(time.Now()), s.Talk(time.Now())
	seen := map[string]int64{}
	for range 2 * (len(httpapitest.TalkEvents("", time.Time{})) + 1) {
		e, id := f.next()
		if e.Seq != seen[e.CallID]+1 {
			t.Fatalf("event %d of %s after %d", e.Seq, e.CallID, seen[e.CallID])
		}
		seen[e.CallID] = e.Seq
		if httpapi.ParseEventID(id) != (httpapi.EventID{Call: e.CallID, Seq: e.Seq}) {
			t.Errorf("id %q of %+v", id, e)
		}
	}
	if seen[a] != seen[b] || len(seen) != 2 {
		t.Errorf("%v", seen)
	}
}

func TestWhoComesBackMissesNothing(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	first := follow(t, s, "", "")
	s.Talk(time.Now())
	first.next()
	second, id := first.next()
	first.close()
	other := s.NewCall(time.Now())
	back := follow(t, s, "", id)
	for want := second.Seq + 1; ; want++ {
		e, _ := back.next()
		if e.CallID == other {
			break
		}
		if e.Seq != want {
			t.Fatalf("event %d, want %d", e.Seq, want)
		}
	}
}

func TestEventsOfOneCallFromItsFirst(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	at := time.Now()
	id := s.NewCall(at)
	f := follow(t, s, "?call="+id, "")
	s.NewCall(at) // another call is not told
	s.Append(httpapitest.TalkEvents(id, at)...)
	for want := range len(httpapitest.TalkEvents("", time.Time{})) + 1 {
		if e, _ := f.next(); e.CallID != id || e.Seq != int64(want+1) {
			t.Fatalf("%+v, want %d", e, want+1)
		}
	}
	back := follow(t, s, "?call="+id, httpapi.EventID{Call: id, Seq: 10}.String())
	if e, _ := back.next(); e.Seq != 11 {
		t.Errorf("comes back to %d", e.Seq)
	}
	mustBeProblem(t, s.Do("GET", "/api/v1/events?call=none", nil), http.StatusNotFound)
}

// Whoever starts calls after Open may be sure that metrics and listeners are
// told of them, whenever the feed's goroutine comes to run.
func TestAnOpenFeedHasSubscribed(t *testing.T) {
	s := storetest.Open(t)
	seen := make(chan call.Event, 1)
	feed := httpapi.NewFeed(s.Journal().Subscribe, func(e call.Event) { seen <- e })
	ctx, stop := context.WithCancel(t.Context())
	pass := feed.Open(ctx)
	n := storetest.Create(t, s, "+79161234567")
	done := make(chan struct{})
	go func() { defer close(done); pass() }()
	if e := <-seen; e.CallID != n.CallID || e.Type != call.Created {
		t.Errorf("%+v", e)
	}
	stop()
	<-done
}

// A reader who does not read is sent away; the others and the calls go on.
func TestSlowListenersAreDropped(t *testing.T) {
	source := make(chan call.Event)
	subscribed := 0
	feed := httpapi.NewFeed(func(ctx context.Context) <-chan call.Event {
		if subscribed++; subscribed == 1 {
			return source
		}
		ended := make(chan call.Event)
		context.AfterFunc(ctx, func() { close(ended) })
		return ended
	})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); feed.Open(ctx)() }()
	slow, _, _, leaveSlow := feed.Listen("main", httpapi.EventID{})
	defer leaveSlow()
	quick, _, _, leaveQuick := feed.Listen("main", httpapi.EventID{})
	defer leaveQuick()
	foreign, _, _, leaveForeign := feed.Listen("other", httpapi.EventID{})
	defer leaveForeign()
	const n = 1000
	for i := range n {
		source <- call.Event{CallID: "c", Seq: int64(i + 1), Account: "main"}
		if e := <-quick; e.Seq != int64(i+1) {
			t.Fatalf("the quick one got %d, want %d", e.Seq, i+1)
		}
	}
	got := 0
	for range slow { // closed after what fitted
		got++
	}
	if got == 0 || got >= n {
		t.Errorf("the slow one got %d of %d", got, n)
	}
	if len(foreign) > 0 {
		t.Error("another account hears the events")
	}
	source <- call.Event{CallID: "f", Seq: 1, Account: "other"}
	<-foreign
	_, missed, found, leave := feed.Listen("main", httpapi.EventID{Call: "c", Seq: n - 5})
	leave()
	if !found || len(missed) != 5 {
		t.Errorf("who comes back is told %d events, found %v", len(missed), found)
	}
	close(source) // the journal drops the feed: listeners must come again
	if _, ok := <-quick; ok {
		t.Error("the listener is not sent away")
	}
	stop()
	<-done
	if late, _, _, leave := feed.Listen("main", httpapi.EventID{}); true {
		defer leave()
		if _, ok := <-late; ok {
			t.Error("a feed that is over has events")
		}
	}
}

func TestStoppingTheServerEndsStreams(t *testing.T) {
	var ended func()
	t.Run("server", func(t *testing.T) {
		s := httpapitest.New(t, httpapitest.Options{})
		req, _ := http.NewRequest(http.MethodGet, s.URL+"/api/v1/events", nil)
		req.Header.Set("Authorization", "Bearer "+s.AdminKey)
		res, err := http.DefaultClient.Do(req) //nolint:bodyclose // ended does
		if err != nil {
			t.Fatal(err)
		}
		ended = func() { // the server is gone by then
			defer res.Body.Close()
			lines := bufio.NewScanner(res.Body)
			for lines.Scan() {
			}
		}
	})
	ended()
}
