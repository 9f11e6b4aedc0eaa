package httpapi_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/httpapi/httpapitest"
)

// "A recall … is visible, can be cancelled or brought forward in the console
// and API, and carries attempt + 1."
func TestRecalls(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	site := directory.Widget{Name: "site", RecallIntervals: []directory.Duration{directory.Duration(time.Hour), directory.Duration(time.Hour)}}
	if _, err := s.Store.PutWidget(t.Context(), directory.DefaultAccount, site); err != nil {
		t.Fatal(err)
	}
	var got struct {
		ID     string `json:"id"`
		CallID string `json:"call_id"`
		LogURL string `json:"log_url"`
	}
	s.Do("POST", "/api/v1/callbacks", packet(map[string]any{"widget": "site"})).Into(t, &got)
	<-s.Started
	if a := s.Do("POST", "/api/v1/callbacks/"+got.ID+"/start", nil); a.Status != http.StatusConflict {
		t.Errorf("one that runs is started: %d %s", a.Status, a.Body)
	}
	type view struct {
		ID       string           `json:"id"`
		State    string           `json:"state"`
		Attempts []map[string]any `json:"attempts"`
		Next     *time.Time       `json:"next_attempt_at"`
	}
	var scheduled struct{ Items []view }
	list := func(query string) []view {
		s.Do("GET", "/api/v1/callbacks"+query, nil).Into(t, &scheduled)
		return scheduled.Items
	}
	if items := list("?state=scheduled"); len(items) != 0 {
		t.Errorf("%+v", items)
	}

	s.Append(call.Event{CallID: got.CallID, Type: call.Ended, Status: &call.ManagerBusy})
	items := list("?state=scheduled&limit=1")
	if len(items) != 1 || items[0].ID != got.ID || items[0].Next == nil || (time.Until(*items[0].Next)-time.Hour).Abs() > time.Minute || len(items[0].Attempts) != 1 {
		t.Fatalf("%+v", items)
	}
	var log struct {
		Events []struct {
			Type string    `json:"type"`
			Next time.Time `json:"next_attempt_at"`
		}
	}
	s.Do("GET", "/api/v1/calls/"+got.CallID+"/events?after=1", nil).Into(t, &log)
	if n := len(log.Events); n == 0 || log.Events[n-1].Type != string(call.Ended) || !log.Events[n-1].Next.Equal(*items[0].Next) {
		t.Errorf("the log says %+v", log.Events)
	}

	first := got
	a := s.Do("POST", "/api/v1/callbacks/"+got.ID+"/start", nil)
	if a.Status != http.StatusAccepted {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	a.Into(t, &got)
	if attempt := <-s.Started; attempt.Number != 2 || attempt.CallID != got.CallID || got.ID != first.ID || got.CallID == first.CallID || got.LogURL != s.URL+"/calls/"+got.CallID {
		t.Errorf("started %+v, told %+v", attempt, got)
	}

	s.Append(call.Event{CallID: got.CallID, Type: call.Ended, Status: &call.ClientBusy})
	if a := s.Do("DELETE", "/api/v1/callbacks/"+got.ID, nil); a.Status != http.StatusNoContent {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if items := list("?state=cancelled"); len(items) != 1 || items[0].Next != nil || len(items[0].Attempts) != 2 {
		t.Errorf("%+v", items)
	}
	if a := s.Do("POST", "/api/v1/callbacks/"+got.ID+"/start", nil); a.Status != http.StatusConflict {
		t.Errorf("a cancelled one is started: %d %s", a.Status, a.Body)
	}
	mustBeProblem(t, s.Do("POST", "/api/v1/callbacks/none/start", nil), http.StatusNotFound)
	mustBeProblem(t, s.Do("GET", "/api/v1/callbacks?state=late", nil), http.StatusUnprocessableEntity)
	mustBeProblem(t, s.Do("GET", "/api/v1/callbacks?cursor=%25", nil), http.StatusUnprocessableEntity)
}
