package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/httpapi/access"
)

// longestWindow bounds the window that may be asked for: ten years.
const longestWindow = 10 * 365 * 24 * time.Hour

type responsibleInput struct {
	Number string      `query:"number" maxLength:"128" doc:"The client's, as the carrier or the phone shows it; empty for a caller without one" example:"+79161234567"`
	Window string      `query:"window" maxLength:"32" default:"24h" doc:"How far back calls count: 90m, 24h, up to 87600h"`
	Policy call.Policy `query:"policy" enum:"last,first" default:"last" doc:"The newest or the oldest contact"`
}

type responsibleView struct {
	Operator *string     `json:"operator" nullable:"true" doc:"The operator's extension; null: nobody is responsible" example:"101"`
	Policy   call.Policy `json:"policy" enum:"last,first"`
	Reason   string      `json:"reason" doc:"Why, in a sentence"`
	CallID   *string     `json:"call_id" nullable:"true" doc:"The call that tells so"`
}

func (a *API) responsible() {
	huma.Register(a.api, huma.Operation{
		OperationID: "find-responsible", Method: http.MethodGet, Path: "/api/v1/responsible", Tags: []string{"calls"},
		Summary: "Who is responsible for a client",
		Description: "The operator of the client's last (or first) call within the window, whoever called whom. " +
			"Numbers are compared by the last ten digits, and whole where both have a country code. Nobody is an answer, not an error.",
		Metadata: right(access.Read), Security: security, Errors: append([]int{http.StatusUnprocessableEntity}, refusals...),
	}, func(ctx context.Context, in *responsibleInput) (*output[responsibleView], error) {
		window, err := time.ParseDuration(in.Window)
		if err != nil || window <= 0 || window > longestWindow {
			return nil, badQuery("window", "want a time such as 90m or 24h, above 0 and up to %.0fh", longestWindow.Hours())
		}
		found, err := a.c.Store.Responsible(ctx, account(ctx), in.Number, call.ResponsibleRule{Window: window, Policy: in.Policy})
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		view := responsibleView{Policy: in.Policy, Reason: found.Reason}
		if found.Found() {
			view.Operator, view.CallID = &found.Operator, &found.CallID
		}
		return &output[responsibleView]{view}, nil
	})
}
