package httpapi_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/httpapi/access"
	"github.com/perezvon/perezvon/internal/httpapi/httpapitest"
	"github.com/perezvon/perezvon/internal/store"
)

type delivery struct {
	ID         string  `json:"id"`
	CallID     string  `json:"call_id"`
	Target     string  `json:"target"`
	Kind       string  `json:"kind"`
	State      string  `json:"state"`
	Tries      int     `json:"tries"`
	LastStatus *int    `json:"last_status"`
	LastError  string  `json:"last_error"`
	NextTryAt  *string `json:"next_try_at"`
}

type deliveryPage struct {
	Items []delivery `json:"items"`
	Next  *string    `json:"next_cursor"`
}

func TestDeliveriesTellWhatWaitsForOrReachedBackends(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	var accepted struct {
		CallID string `json:"call_id"`
	}
	s.Do("POST", "/api/v1/callbacks", map[string]any{
		"managers": "101", "client": "+79161234567", "trunk": "main",
		"log_url": "https://crm.example.com/log?token=secret", "events_url": "https://crm.example.com/events",
	}).Into(t, &accepted)
	<-s.Started
	if err := s.Store.Journal().Flush(t.Context()); err != nil {
		t.Fatal(err)
	}

	// The log's address, and two events: the order, and the node it went to.
	var all, part, rest deliveryPage
	s.Do("GET", "/api/v1/deliveries?call_id="+accepted.CallID, nil).Into(t, &all)
	if len(all.Items) != 3 || all.Next != nil {
		t.Fatalf("%+v", all)
	}
	kinds := map[string]string{}
	for _, d := range all.Items {
		kinds[d.Kind] = d.Target
		if d.CallID != accepted.CallID || d.State != "waiting" || d.Tries != 0 || d.NextTryAt == nil || d.LastStatus != nil {
			t.Errorf("%+v", d)
		}
	}
	if kinds["log"] != "https://crm.example.com/log" || kinds["event"] != "https://crm.example.com/events" {
		t.Errorf("%v; a query may hold a secret", kinds)
	}
	s.Do("GET", "/api/v1/deliveries?limit=2", nil).Into(t, &part)
	s.Do("GET", "/api/v1/deliveries?limit=2&cursor="+*part.Next, nil).Into(t, &rest)
	if part.Items[0].ID != all.Items[0].ID || rest.Items[0].ID != all.Items[2].ID || rest.Next != nil {
		t.Errorf("page by page: %+v, %+v", part, rest)
	}

	// One is given up and asked for again.
	dead, err := s.Store.RetryDelivery(t.Context(), directory.DefaultAccount, all.Items[0].ID, nothing)
	if err != nil {
		t.Fatal(err)
	}
	dead.State, dead.Tries, dead.LastStatus, dead.LastError, dead.NextTryAt = store.DeliveryDead, 13, 500, "500 Internal Server Error", time.Time{}
	if err := s.Store.SettleDelivery(t.Context(), dead, false); err != nil {
		t.Fatal(err)
	}
	s.Do("GET", "/api/v1/deliveries?state=dead", nil).Into(t, &all)
	if d := all.Items[0]; len(all.Items) != 1 || d.State != "dead" || d.Tries != 13 || *d.LastStatus != 500 || d.LastError == "" || d.NextTryAt != nil {
		t.Fatalf("%+v", all)
	}
	retried := s.Do("POST", "/api/v1/deliveries/"+dead.ID+"/retry", nil)
	var d delivery
	retried.Into(t, &d)
	if retried.Status != http.StatusAccepted || d.State != "waiting" || d.Tries != 0 || d.NextTryAt == nil {
		t.Errorf("%d %s", retried.Status, retried.Body)
	}
	if a := s.Do("POST", "/api/v1/deliveries/"+accepted.CallID+"/retry", nil); a.Status != http.StatusNotFound {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	for _, query := range []string{"limit=0", "state=lost", "cursor=nonsense", "unknown=1"} {
		if a := s.Do("GET", "/api/v1/deliveries?"+query, nil); a.Status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %s", query, a.Status, a.Body)
		}
	}
	if a := s.Do("POST", "/api/v1/deliveries/"+dead.ID+"/retry", nil, "Authorization", "Bearer "+s.Key(access.Read)); a.Status != http.StatusForbidden {
		t.Errorf("a reader may retry: %d", a.Status)
	}
}

func nothing(_ context.Context, _ *store.Tx, _ store.Lane) error { return nil }

func TestTheWebhookSecretIsForAdminsAndCanBeReplaced(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	type secret struct {
		Secret   string `json:"secret"`
		Previous *struct {
			Secret string    `json:"secret"`
			EndsAt time.Time `json:"ends_at"`
		} `json:"previous"`
	}
	var first, second, now secret
	s.Do("GET", "/api/v1/webhook-secret", nil).Into(t, &first)
	s.Do("POST", "/api/v1/webhook-secret/rotate", nil).Into(t, &second)
	s.Do("GET", "/api/v1/webhook-secret", nil).Into(t, &now)
	if !strings.HasPrefix(first.Secret, "whsec_") || first.Previous != nil {
		t.Errorf("first %+v", first)
	}
	if second.Secret == first.Secret || second.Previous == nil || second.Previous.Secret != first.Secret || now.Secret != second.Secret {
		t.Errorf("second %+v, now %+v", second, now)
	}
	if d := time.Until(second.Previous.EndsAt); d < 23*time.Hour || d > 24*time.Hour {
		t.Errorf("the old one ends in %v", d)
	}
	for _, method := range []string{"GET /api/v1/webhook-secret", "POST /api/v1/webhook-secret/rotate"} {
		verb, path, _ := strings.Cut(method, " ")
		if a := s.Do(verb, path, nil, "Authorization", "Bearer "+s.Key(access.Calls)); a.Status != http.StatusForbidden {
			t.Errorf("%s without the right: %d", method, a.Status)
		}
	}
}
