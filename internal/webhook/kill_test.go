package webhook_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/jobs"
	"github.com/perezvon/perezvon/internal/store"
	"github.com/perezvon/perezvon/internal/store/storetest"
	"github.com/perezvon/perezvon/internal/webhook"
)

// childDir makes the test binary a server that works in that folder and tells
// childURL of its calls, until it is killed.
const (
	childDir = "PEREZVON_TEST_CHILD_DIR"
	childURL = "PEREZVON_TEST_CHILD_URL"
)

func TestMain(m *testing.M) {
	dir := os.Getenv(childDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	fmt.Fprintln(os.Stderr, serve(dir, os.Getenv(childURL)))
	os.Exit(1)
}

func serve(dir, url string) error {
	ctx := context.Background()
	s, err := store.Open(ctx, store.Options{DataDir: dir})
	if err != nil {
		return err
	}
	w := webhook.New(webhook.Config{
		Store: s, Client: webhook.NewClient(loopback), Allow: loopback,
		LogURL: func(string) string { return "" }, RecordingURL: func(string, time.Time) string { return "" },
	})
	if err := w.EnsureSecret(ctx, storetest.Mine); err != nil {
		return err
	}
	if list, err := w.Subscriptions(ctx, storetest.Mine); err != nil {
		return err
	} else if len(list) == 0 {
		if _, _, err := w.Subscribe(ctx, storetest.Mine, directory.Webhook{URL: url + "/webhook", Events: []string{"*"}}); err != nil {
			return err
		}
	}
	j, err := jobs.New(ctx, jobs.Config{Store: s, Deliveries: w, Poll: 100 * time.Millisecond})
	if err != nil {
		return err
	}
	if err := j.Start(ctx); err != nil {
		return err
	}
	for {
		n := storetest.NewCallback("+79161234567")
		n.Packet.EventsURL, n.Packet.StatusURL = url+"/events", url+"/status"
		if _, err := s.CreateCallback(n); err != nil {
			return err
		}
		for range 5 {
			s.Journal().Append(call.Event{CallID: n.CallID, Type: call.Note})
			if err := s.Journal().Flush(ctx); err != nil {
				return err
			}
		}
		s.Journal().Append(call.Event{CallID: n.CallID, Type: call.Ended, Status: &call.Completed})
	}
}

func TestAKillBetweenEventAndDeliveryLosesNothing(t *testing.T) {
	dir := t.TempDir()
	r := newReceiver()
	server := httptest.NewServer(r)
	defer server.Close()
	for round := range 3 {
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env = append(os.Environ(), childDir+"="+dir, childURL+"="+server.URL)
		child.Stderr = os.Stderr
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		r.waitFor(t, len(r.all())+20+31*round)
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := child.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatal("the child was to be killed:", err)
		}
	}
	s := storetest.OpenIn(t, store.Options{DataDir: dir})
	open, err := s.OpenLanes(t.Context())
	if err != nil || len(open) == 0 {
		t.Fatalf("%d lanes are open after the kill, %v: nothing is proven", len(open), err)
	}
	w := newService(t, s, webhook.NewClient(loopback))
	j := work(t, s, w)
	defer stop(t, j)
	for end := time.Now().Add(time.Minute); len(open) > 0 && time.Now().Before(end); <-time.After(50 * time.Millisecond) {
		if open, err = s.OpenLanes(t.Context()); err != nil {
			t.Fatal(err)
		}
	}

	// Each event of each call came, in order; a repetition has the id of the first.
	type place struct {
		path, call string
		seq        int64
	}
	type lane struct{ path, call string }
	last, ids, results, again := make(map[lane]int64), make(map[place]string), make(map[string]bool), 0
	for _, g := range r.all() {
		var e call.Event
		if g.path == "/status" {
			results[callOf(t, g)] = true
			continue
		}
		body := g.body
		if g.path == "/webhook" {
			var n struct {
				Data struct{ Event json.RawMessage }
			}
			if err := json.Unmarshal(body, &n); err != nil {
				t.Fatal(err)
			}
			body = n.Data.Event
		}
		if err := json.Unmarshal(body, &e); err != nil {
			t.Fatal(err)
		}
		p, l := place{g.path, e.CallID, e.Seq}, lane{g.path, e.CallID}
		switch id := ids[p]; {
		case id != "":
			again++
			if id != g.Get("webhook-id") || e.Seq != last[l] {
				t.Errorf("%v again after %d with id %s, first %s", p, last[l], g.Get("webhook-id"), id)
			}
		case e.Seq != last[l]+1:
			t.Errorf("%v after %d", p, last[l])
		}
		ids[p], last[l] = g.Get("webhook-id"), e.Seq
	}
	calls := 0
	for cursor := ""; ; {
		list, next, err := s.Calls(t.Context(), storetest.Mine, store.Page{Limit: 500, Cursor: cursor}, store.CallFilter{})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range list {
			calls++
			events, hook := last[lane{"/events", c.ID}], last[lane{"/webhook", c.ID}]
			if events != c.LastSeq || hook != c.LastSeq || results[c.ID] == c.EndedAt.IsZero() {
				t.Errorf("call %s has %d events, %d came, %d to the webhook; ended %v, result told: %v", c.ID, c.LastSeq, events, hook, c.EndedAt, results[c.ID])
			}
		}
		if cursor = next; next == "" {
			break
		}
	}
	t.Logf("%d calls, %d requests, %d of them again", calls, len(r.all()), again)
}

func callOf(t *testing.T, g got) string {
	t.Helper()
	var m struct {
		CallID string `json:"call_id"`
	}
	if err := json.Unmarshal(g.body, &m); err != nil {
		t.Fatal(err)
	}
	return m.CallID
}
