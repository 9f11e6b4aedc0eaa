package e2e

import (
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/serverproc"
	"github.com/perezvon/perezvon/internal/telephony/telephonytest/peers"
)

// "A widget can be tried without calling anyone: a dry run that returns the
// timeline the scenario would take for given answers of manager and client."
func TestAWidgetIsTriedWithoutCallingAnyone(t *testing.T) {
	t.Parallel()
	srv := start(t, serverproc.Options{})
	carrier := peers.Answerer{}.Start(t)
	srv.trunk("managers", carrier)
	srv.trunk("clients", carrier)
	widget := order(packet{"dtmf_connect": "5", "ivr_text": "Заявка с сайта", "recall_intervals": []string{"1h"}})
	delete(widget, "client")
	must(t, srv.API.Do(limit(t), "PUT", "/api/v1/widgets/site", widget, nil))

	var trial struct {
		Status    call.Status
		Next      *time.Time `json:"next_attempt_at"`
		DurationS float64    `json:"duration_s"`
		Events    []call.Event
	}
	at := time.Now().Add(24 * time.Hour).UTC().Truncate(time.Millisecond)
	began := time.Now()
	must(t, srv.API.Do(limit(t), "POST", "/api/v1/widgets/site/try", packet{
		"packet":  packet{"client": clientNumber},
		"manager": []packet{{"after_s": 20, "keys": []packet{{"key": "5", "after_s": 4}}}},
		"client":  packet{"answer": "no_answer"},
		"at":      at,
	}, &trial))
	t.Logf("%.0f s of call took %v", trial.DurationS, time.Since(began))
	if trial.Status != call.ClientNoAnswer || trial.Next == nil || trial.DurationS < 20+4+45 || trial.DurationS > 20+4+45+5 {
		t.Errorf("%+v", trial)
	}
	var types []call.Type
	for i, e := range trial.Events {
		types = append(types, e.Type)
		if e.Seq != int64(i+1) || e.At.Before(at) {
			t.Errorf("event %d: %+v", i, e)
		}
	}
	if last := len(types) - 1; types[0] != call.Created || types[last] != call.Ended || !slices.Contains(types, call.KeyPressed) {
		t.Errorf("%v", types)
	}
	if end := trial.Events[len(types)-1]; trial.Next != nil && trial.Next.Sub(end.At) != time.Hour {
		t.Errorf("the next attempt is %v after the end", trial.Next.Sub(end.At))
	}

	var calls, callbacks struct{ Items []any }
	must(t, srv.API.Do(limit(t), "GET", "/api/v1/calls", nil, &calls))
	must(t, srv.API.Do(limit(t), "GET", "/api/v1/callbacks", nil, &callbacks))
	if len(calls.Items) > 0 || len(callbacks.Items) > 0 || len(carrier.Messages()) > 0 {
		t.Errorf("it left %v, %v, %v", calls.Items, callbacks.Items, carrier.Messages())
	}
	made, err := os.ReadDir(srv.Data + "/recordings")
	if err == nil && len(made) > 0 || err != nil && !os.IsNotExist(err) {
		t.Errorf("recordings: %v %v", made, err)
	}
	answer, err := http.Get(srv.API.Base + "/metrics")
	must(t, err)
	defer answer.Body.Close()
	counters, err := io.ReadAll(answer.Body)
	if err != nil || !strings.Contains(string(counters), "perezvon_calls_live 0\n") || !strings.Contains(string(counters), `perezvon_calls_ended_total{status="client_no_answer"} 0`+"\n") {
		t.Errorf("it was counted: %v\n%s", err, counters)
	}
}
