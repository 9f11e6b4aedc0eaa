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
	Number       string                 `query:"number" maxLength:"128" doc:"The client's, as the carrier or the phone shows it; empty for a caller without one" example:"+79161234567"`
	Window       string                 `query:"window" maxLength:"32" default:"24h" doc:"How far back calls count: 90m, 24h, up to 87600h"`
	Policy       call.Policy            `query:"policy" enum:"last,first" default:"last" doc:"The newest or the oldest contact"`
	Source       call.ResponsibleSource `query:"source" enum:"calls,crm" default:"calls" doc:"Who knows: the calls of this server; or the CRM, and the calls when it names no operator, fails or is late"`
	CRMTimeoutMS int                    `query:"crm_timeout_ms" minimum:"100" maximum:"10000" default:"1000" doc:"With source crm: how long its answer is waited for, milliseconds"`
}

type responsibleView struct {
	Operator *string                 `json:"operator" nullable:"true" doc:"The operator's extension; null: nobody is responsible" example:"101"`
	Policy   call.Policy             `json:"policy" enum:"last,first"`
	Source   *call.ResponsibleSource `json:"source" enum:"calls,crm" nullable:"true" doc:"Who has named the operator; null: nobody is responsible"`
	Reason   string                  `json:"reason" doc:"Why, in a sentence"`
	CallID   *string                 `json:"call_id" nullable:"true" doc:"The call that tells so; null if none does"`
}

func (a *API) responsible() {
	huma.Register(a.api, huma.Operation{
		OperationID: "find-responsible", Method: http.MethodGet, Path: "/api/v1/responsible", Tags: []string{"calls"},
		Summary: "Who is responsible for a client",
		Description: "The operator of the client's last (or first) call within the window, whoever called whom. " +
			"Numbers are compared by the last ten digits, and whole where both have a country code. Nobody is an answer, not an error. " +
			"With source=crm the client's CRM is asked first, by one request.",
		Metadata: right(access.Read), Security: security, Errors: append([]int{http.StatusUnprocessableEntity}, refusals...),
	}, func(ctx context.Context, in *responsibleInput) (*output[responsibleView], error) {
		window, err := time.ParseDuration(in.Window)
		if err != nil || window <= 0 || window > longestWindow {
			return nil, badQuery("window", "want a time such as 90m or 24h, above 0 and up to %.0fh", longestWindow.Hours())
		}
		rule := call.ResponsibleRule{Window: window, Policy: in.Policy}
		if in.Source == call.SourceCRM {
			rule.CRM = time.Duration(in.CRMTimeoutMS) * time.Millisecond
		}
		found, err := a.c.Responsible.Responsible(ctx, account(ctx), in.Number, rule)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		view := responsibleView{Policy: in.Policy, Reason: found.Reason}
		if found.Found() {
			view.Operator, view.Source = &found.Operator, &found.Source
		}
		if found.CallID != "" {
			view.CallID = &found.CallID
		}
		return &output[responsibleView]{view}, nil
	})
}
