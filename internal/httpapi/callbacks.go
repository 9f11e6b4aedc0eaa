package httpapi

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/dispatch"
	"github.com/perezvon/perezvon/internal/httpapi/access"
	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/store"
)

type callbackInput struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"A repeated request with the same key returns the first answer and calls nobody again"`
	RawBody        []byte
}

type acceptedView struct {
	ID     string `json:"id" doc:"Of the callback"`
	CallID string `json:"call_id" doc:"Of its first call"`
	LogURL string `json:"log_url" doc:"The call's log: a page for browsers, JSON for programs"`
	Joined bool   `json:"joined,omitempty" doc:"The client has an open callback of the same widget; this is it, and nobody is called twice. A planned attempt of it is made now, if the widget is open and its rates allow it: call_id is its call then"`
}

type callbackView struct {
	ID        string        `json:"id"`
	State     string        `json:"state" enum:"queued,running,scheduled,done,cancelled"`
	Client    string        `json:"client" doc:"E.164"`
	Attempts  []attemptView `json:"attempts" nullable:"false"`
	NextAt    *Time         `json:"next_attempt_at" nullable:"true"`
	CreatedAt Time          `json:"created_at"`
}

type attemptView struct {
	Attempt int      `json:"attempt" doc:"From 1"`
	CallID  string   `json:"call_id"`
	Status  *outcome `json:"status" doc:"null while the call lives"`
	LogURL  string   `json:"log_url"`
}

type callbacksInput struct {
	PageInput
	State string `query:"state" enum:"queued,running,scheduled,done,cancelled" doc:"Only callbacks in this state: scheduled are those with a planned attempt"`
}

// IDInput is the path of one thing.
type IDInput struct {
	ID string `path:"id" maxLength:"64"`
}

func (a *API) callbacks() {
	packet := newBody[callback.Packet](a.api.OpenAPI().Components.Schemas)
	packet.either("managers", a.managersSchema())

	create := packet.operation(huma.Operation{
		OperationID: "create-callback", Method: http.MethodPost, Path: "/api/v1/callbacks", Tags: []string{"callbacks"},
		Summary: "Order a callback",
		Description: "Stored before it is answered. The managers are called, then the client; everything about the attempt is in the packet, or in the widget that it names. " +
			"A client whom the widget's blacklist or rates keep out is acknowledged too: the call has ended as 711 (not_allowed) then, and its log says why. " +
			"Outside the widget's hours the callback is scheduled for the next opening, or ends as 713 (expired) if that is later than start_within_s.",
		DefaultStatus: http.StatusAccepted, Metadata: right(access.Calls), Security: security,
		Errors: append([]int{http.StatusServiceUnavailable}, refusals...),
	})
	huma.Register(a.api, create, func(ctx context.Context, in *callbackInput) (*output[acceptedView], error) {
		p, err := packet.read(ctx, in.RawBody)
		if err != nil {
			return nil, err
		}
		return a.accept(ctx, p, in)
	})
	packet.publish(a.api, create)

	huma.Register(a.api, huma.Operation{
		OperationID: "list-callbacks", Method: http.MethodGet, Path: "/api/v1/callbacks", Tags: []string{"callbacks"},
		Summary: "The callbacks, newest first", Metadata: right(access.Read), Security: security, Errors: append([]int{http.StatusUnprocessableEntity}, refusals...),
	}, func(ctx context.Context, in *callbacksInput) (*output[list[callbackView]], error) {
		records, next, err := a.c.Store.Callbacks(ctx, account(ctx), store.Page{Limit: in.Limit, Cursor: in.Cursor}, store.CallbackFilter{State: in.State})
		var fields invalid.Error
		if errors.As(err, &fields) {
			return nil, badQuery(fields[0].Path, "%s", fields[0].Message)
		}
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return &output[list[callbackView]]{listOf(records, next, a.viewCallback)}, nil
	})

	huma.Register(a.api, huma.Operation{
		OperationID: "get-callback", Method: http.MethodGet, Path: "/api/v1/callbacks/{id}", Tags: []string{"callbacks"},
		Summary: "A callback and its attempts", Metadata: right(access.Read), Security: security, Errors: append([]int{http.StatusNotFound}, refusals...),
	}, func(ctx context.Context, in *IDInput) (*output[callbackView], error) {
		record, err := a.c.Store.Callback(ctx, account(ctx), in.ID)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return &output[callbackView]{a.viewCallback(record)}, nil
	})

	huma.Register(a.api, huma.Operation{
		OperationID: "start-callback", Method: http.MethodPost, Path: "/api/v1/callbacks/{id}/start", Tags: []string{"callbacks"},
		Summary: "Make the planned attempt now", Description: "Whatever the widget's hours. 409 if nothing is planned: the callback is over, or an attempt is being made.",
		DefaultStatus: http.StatusAccepted, Metadata: right(access.Calls), Security: security,
		Errors: append([]int{http.StatusNotFound, http.StatusConflict, http.StatusServiceUnavailable}, refusals...),
	}, func(ctx context.Context, in *IDInput) (*output[acceptedView], error) {
		started, err := a.c.Calls.StartNow(ctx, account(ctx), in.ID)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return &output[acceptedView]{acceptedView{ID: started.ID, CallID: started.CallID, LogURL: a.logURL(started.CallID)}}, nil
	})

	huma.Register(a.api, huma.Operation{
		OperationID: "cancel-callback", Method: http.MethodDelete, Path: "/api/v1/callbacks/{id}", Tags: []string{"callbacks"},
		Summary: "Cancel what runs and what is planned", Description: "A running call ends with status 710. Cancelling what is over changes nothing.",
		DefaultStatus: http.StatusNoContent, Metadata: right(access.Calls), Security: security, Errors: append([]int{http.StatusNotFound}, refusals...),
	}, func(ctx context.Context, in *IDInput) (*struct{}, error) {
		return nil, a.done(ctx, a.c.Calls.Cancel(ctx, account(ctx), in.ID))
	})
}

// done is the answer of an operation that has nothing to say but its error.
func (a *API) done(ctx context.Context, err error) error {
	if err != nil {
		return a.problem(ctx, err)
	}
	return nil
}

// accept hands an order over and shows what became of it.
func (a *API) accept(ctx context.Context, p callback.Packet, in *callbackInput) (*output[acceptedView], error) {
	accepted, err := a.c.Calls.Accept(ctx, account(ctx), p, bytes.Clone(in.RawBody), in.IdempotencyKey)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	return &output[acceptedView]{a.viewAccepted(accepted)}, nil
}

func (a *API) viewAccepted(accepted dispatch.Accepted) acceptedView {
	return acceptedView{ID: accepted.ID, CallID: accepted.CallID, LogURL: a.logURL(accepted.CallID), Joined: accepted.Joined}
}

// logURL is the address of a call's log.
func (a *API) logURL(callID string) string { return a.c.PublicURL + "/calls/" + callID }

func (a *API) viewCallback(r callback.Record) callbackView {
	v := callbackView{ID: r.ID, State: r.State, Client: r.Client, Attempts: make([]attemptView, len(r.Attempts)), CreatedAt: Time(r.CreatedAt)}
	for i, at := range r.Attempts {
		v.Attempts[i] = attemptView{Attempt: at.Attempt, CallID: at.CallID, Status: outcomeOrNull(at.Status), LogURL: a.logURL(at.CallID)}
	}
	if r.NextAttemptAt != nil {
		v.NextAt = timeOrNull(*r.NextAttemptAt)
	}
	return v
}

// managersSchema has both forms that callback.Managers reads.
func (a *API) managersSchema() *huma.Schema {
	target := a.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[callback.ManagerTarget](), true, "ManagerTarget")
	most, least := 20, 1
	return &huma.Schema{
		Description: "Whom to call first",
		OneOf: []*huma.Schema{
			{Type: huma.TypeString, Description: "_ between managers, ^ before an extension dialled after the answer", Examples: []any{"74951234567^101_79161234567"}},
			{Type: huma.TypeArray, Items: target, MinItems: &least, MaxItems: &most},
		},
	}
}
