package httpapi_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/perezvon/perezvon/internal/acd"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/httpapi/httpapitest"
)

func TestASupervisorSeesWhoWaitsAndWhatTheMembersDo(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	if a := s.Do("PUT", "/api/v1/queues/1000", map[string]any{"members": []string{"101"}, "join_empty": true}); a.Status != 201 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if a := s.Do("POST", "/api/v1/operators/101/pause", nil); a.Status != 204 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	live := func() (l acd.Live) {
		s.Do("GET", "/api/v1/queues/1000/live", nil).Into(t, &l)
		for i := range l.Waiting {
			l.Waiting[i].WaitS = 0
		}
		for i := range l.Members {
			l.Members[i].Name = ""
		}
		return l
	}
	want := acd.Live{Waiting: []acd.Waiting{}, Members: []acd.Member{{Extension: "101", State: acd.StatePaused}}}
	if d := cmp.Diff(want, live()); d != "" {
		t.Errorf("nobody has come: -want +got:\n%s", d)
	}
	q, err := s.Store.Queue(t.Context(), directory.DefaultAccount, "1000")
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Queues.Join(t.Context(), q, acd.Caller{Account: directory.DefaultAccount, Call: "call", Number: "+79161234567"})
	if err != nil {
		t.Fatal(err)
	}
	want.Waiting = []acd.Waiting{{CallID: "call", Number: "+79161234567", Position: 1}}
	if d := cmp.Diff(want, live()); d != "" {
		t.Errorf("one waits: -want +got:\n%s", d)
	}
	if a := s.Do("POST", "/api/v1/operators/101/unpause", nil); a.Status != 204 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	want.Waiting[0].Ringing, want.Members[0].State = []string{"101"}, acd.StateRinging
	if d := cmp.Diff(want, live()); d != "" {
		t.Errorf("a member is back: -want +got:\n%s", d)
	}
	p.Leave(acd.Abandoned)
	want.Waiting, want.Members[0].State, want.Today.Abandoned = []acd.Waiting{}, acd.StateFree, 1
	if d := cmp.Diff(want, live()); d != "" {
		t.Errorf("he hung up: -want +got:\n%s", d)
	}
	for method, path := range map[string]string{"GET": "/api/v1/queues/404/live", "POST": "/api/v1/operators/404/pause"} {
		if a := s.Do(method, path, nil); a.Status != 404 {
			t.Errorf("%s %s: %d", method, path, a.Status)
		}
	}
}
