package httpapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/httpapi/access"
	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/numbering"
	"github.com/perezvon/perezvon/internal/scenario"
	"github.com/perezvon/perezvon/internal/store"
)

type callsInput struct {
	PageInput
	Client     string         `query:"client" maxLength:"32" doc:"Only calls of this number, in any usual spelling"`
	Direction  call.Direction `query:"direction" enum:"inbound,outbound,callback,internal"`
	CallbackID string         `query:"callback_id" maxLength:"64" doc:"Only the attempts of this callback"`
	Live       bool           `query:"live" doc:"Only calls that have not ended"`
	Since      time.Time      `query:"since" doc:"Started at or after"`
	Until      time.Time      `query:"until" doc:"Started before"`
}

// EventsInput is what the log of a call takes.
type EventsInput struct {
	IDInput
	After int64 `query:"after" minimum:"0" doc:"Only events with a greater seq"`
}

type transferInput struct {
	IDInput
	Body struct {
		To   string `json:"to" minLength:"1" maxLength:"64" doc:"Extension, queue or number, as the call's operator would dial it"`
		Kind string `json:"kind" enum:"blind,attended" doc:"blind: the client goes there at once. attended: the operator talks there first"`
	}
}

type eventsView struct {
	Events []eventView `json:"events" nullable:"false"`
}

func (a *API) calls() {
	huma.Register(a.api, huma.Operation{
		OperationID: "list-calls", Method: http.MethodGet, Path: "/api/v1/calls", Tags: []string{"calls"},
		Summary: "The calls, newest first", Metadata: right(access.Read), Security: security, Errors: append([]int{http.StatusUnprocessableEntity}, refusals...),
	}, func(ctx context.Context, in *callsInput) (*output[list[callView]], error) {
		filter := store.CallFilter{CallbackID: in.CallbackID, Direction: in.Direction, Live: in.Live, Since: in.Since, Until: in.Until}
		if in.Client != "" {
			number, err := numbering.Normalize(in.Client, a.c.Region)
			if err != nil {
				return nil, badQuery("client", "%s", err)
			}
			filter.Client = number
		}
		calls, next, err := a.c.Store.Calls(ctx, account(ctx), store.Page{Limit: in.Limit, Cursor: in.Cursor}, filter)
		var fields invalid.Error
		if errors.As(err, &fields) {
			return nil, badQuery(fields[0].Path, "%s", fields[0].Message)
		}
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return &output[list[callView]]{listOf(calls, next, a.view)}, nil
	})

	huma.Register(a.api, huma.Operation{
		OperationID: "get-call", Method: http.MethodGet, Path: "/api/v1/calls/{id}", Tags: []string{"calls"},
		Summary: "A call", Metadata: rightOrLink(access.Read, "id"), Security: security, Errors: append([]int{http.StatusNotFound}, refusals...),
	}, func(ctx context.Context, in *struct {
		IDInput
		LinkInput
	}) (*output[callView], error) {
		c, err := a.c.Store.Call(ctx, account(ctx), in.ID)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		v := a.view(c)
		if c.Transcript == call.TranscriptReady {
			if v.Transcript.Segments, err = a.c.Store.Transcript(ctx, account(ctx), c.ID); err != nil {
				return nil, a.problem(ctx, err)
			}
		}
		return &output[callView]{v}, nil
	})

	huma.Register(a.api, huma.Operation{
		OperationID: "hang-up", Method: http.MethodDelete, Path: "/api/v1/calls/{id}", Tags: []string{"calls"},
		Summary: "Hang up", Description: "The call ends with status 710. One that is over stays as it is.",
		DefaultStatus: http.StatusNoContent, Metadata: right(access.Calls), Security: security, Errors: append([]int{http.StatusNotFound}, refusals...),
	}, func(ctx context.Context, in *IDInput) (*struct{}, error) {
		return nil, a.done(ctx, a.c.Calls.CancelCall(ctx, account(ctx), in.ID))
	})

	huma.Register(a.api, huma.Operation{
		OperationID: "transfer-call", Method: http.MethodPost, Path: "/api/v1/calls/{id}/transfer", Tags: []string{"calls"},
		Summary: "Transfer", Description: "The call's operator passes the client on, as if by the keys: docs/transfers.md. The call's log tells how it goes.",
		DefaultStatus: http.StatusAccepted, Metadata: right(access.Calls), Security: security,
		Errors: append([]int{http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity}, refusals...),
	}, func(ctx context.Context, in *transferInput) (*struct{}, error) {
		return nil, a.done(ctx, a.c.Calls.Transfer(ctx, scenario.Order{
			Account: account(ctx), CallID: in.ID, To: in.Body.To, Attended: in.Body.Kind == "attended",
		}))
	})

	huma.Register(a.api, huma.Operation{
		OperationID: "get-call-events", Method: http.MethodGet, Path: "/api/v1/calls/{id}/events", Tags: []string{"calls"},
		Summary: "The log of a call", Description: "Everything that happened on it, as it happened.",
		Metadata: rightOrLink(access.Read, "id"), Security: security, Errors: append([]int{http.StatusNotFound}, refusals...),
	}, func(ctx context.Context, in *struct {
		EventsInput
		LinkInput
	}) (*output[eventsView], error) {
		events, err := a.c.Store.Events(ctx, account(ctx), in.ID, in.After)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		v := eventsView{Events: make([]eventView, len(events))}
		for i, e := range events {
			v.Events[i] = viewEvent(e)
		}
		return &output[eventsView]{v}, nil
	})
}
