package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/httpapi/httpapitest"
	"github.com/perezvon/perezvon/internal/scenario"
)

// transfers take what is ordered, or not.
type transfers struct {
	orders chan scenario.Order
	err    error
}

func (tr *transfers) Transfer(_ context.Context, o scenario.Order) error {
	tr.orders <- o
	return tr.err
}

// "POST /api/v1/calls/{id}/transfer {to, kind: blind|attended}"
func TestTransfer(t *testing.T) {
	tr := &transfers{orders: make(chan scenario.Order, 10)}
	s := httpapitest.New(t, httpapitest.Options{Transfers: tr})
	live, over := s.NewCall(time.Now()), s.Talk(time.Now().Add(-time.Hour))
	ask := func(id, to, kind string) httpapitest.Answer {
		return s.Do("POST", "/api/v1/calls/"+id+"/transfer", map[string]string{"to": to, "kind": kind})
	}
	for _, kind := range []string{"blind", "attended"} {
		if a := ask(live, " 102 ", kind); a.Status != http.StatusAccepted {
			t.Fatalf("%s: %d %s", kind, a.Status, a.Body)
		}
		want := scenario.Order{Account: directory.DefaultAccount, CallID: live, To: "102", Attended: kind == "attended"}
		if got := <-tr.orders; got != want {
			t.Errorf("ordered %+v, want %+v", got, want)
		}
	}
	mustBeProblem(t, ask("nothing", "102", "blind"), http.StatusNotFound)
	mustBeProblem(t, ask(over, "102", "blind"), http.StatusConflict)
	for _, bad := range [][2]string{{"", "blind"}, {" ", "blind"}, {"102", "other"}} {
		mustBeProblem(t, ask(live, bad[0], bad[1]), http.StatusUnprocessableEntity)
	}
	for _, failure := range []struct {
		err    error
		status int
	}{
		{scenario.ErrNotTalking, http.StatusConflict},
		{fmt.Errorf("%w: 777", scenario.ErrUnknownNumber), http.StatusUnprocessableEntity},
		{fmt.Errorf("%w: +1", scenario.ErrForbiddenNumber), http.StatusUnprocessableEntity},
		{errors.New("a failure"), http.StatusInternalServerError},
	} {
		tr.err = failure.err
		p := mustBeProblem(t, ask(live, "777", "blind"), failure.status)
		if failure.status == http.StatusUnprocessableEntity && (len(p.Errors) != 1 || p.Errors[0].Location != "body.to") {
			t.Errorf("%v is told as %+v", failure.err, p)
		}
	}
}
