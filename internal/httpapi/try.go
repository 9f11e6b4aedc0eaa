package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/dispatch"
	"github.com/perezvon/perezvon/internal/dryrun"
	"github.com/perezvon/perezvon/internal/httpapi/access"
)

// trialView is what would become of a request.
type trialView struct {
	Status    call.Status   `json:"status" doc:"How the call would end"`
	StartsAt  *Time         `json:"starts_at" nullable:"true" doc:"When the call would begin: at once, or at the widget's opening; null if nobody would be called (711, 713)"`
	NextAt    *Time         `json:"next_attempt_at" nullable:"true" doc:"When the next attempt would be made"`
	DurationS float64       `json:"duration_s" doc:"From starts_at to the end"`
	TalkS     float64       `json:"talk_s" doc:"The client and a manager would hear each other"`
	CallerIDs []shownView   `json:"caller_ids" nullable:"false" doc:"What each phone that is dialled would be shown, in order"`
	Open      *acceptedView `json:"open_callback,omitempty" doc:"The client has an open callback of this widget: a request would join it, and nobody would be called. The timeline is that of a request without it"`
	Warnings  []warningView `json:"warnings,omitempty" doc:"Texts that nothing here can speak: a request with them would be refused"`
	Estimated []string      `json:"estimated_texts,omitempty" doc:"Texts that were never spoken: how long they take is estimated by their length"`
	Events    []eventView   `json:"events" nullable:"false" doc:"The timeline, as in GET /api/v1/calls/{id}/events"`
}

type shownView struct {
	Leg      string    `json:"leg"`
	Role     call.Role `json:"role" enum:"manager,client"`
	Number   string    `json:"number,omitempty" doc:"The number dialled"`
	Operator string    `json:"operator,omitempty" doc:"Extension of the operator the phone belongs to"`
	Trunk    string    `json:"trunk,omitempty"`
	CallerID string    `json:"caller_id" doc:"The number shown; empty: the trunk's own"`
	Reason   string    `json:"reason" doc:"Why"`
}

type warningView struct {
	Location string `json:"location" doc:"The field"`
	Message  string `json:"message"`
}

type tryInput struct {
	NameInput
	RawBody []byte
}

func (a *API) try() {
	registry := a.api.OpenAPI().Components.Schemas
	packet := newBody[callback.Packet](registry)
	packet.either("managers", a.managersSchema())
	order := newBody[dryrun.Order](registry)
	order.shape.Properties = map[string]*huma.Schema{"packet": packet.shape}
	for name, property := range registry.SchemaFromRef(order.document.Ref).Properties {
		if name != "packet" {
			order.shape.Properties[name] = property
		}
	}

	op := order.operation(huma.Operation{
		OperationID: "try-widget", Method: http.MethodPost, Path: "/api/v1/widgets/{name}/try", Tags: []string{"widgets"},
		Summary: "Try a widget without calling anyone",
		Description: "A dry run: the checks of a real request, then the timeline that its call would take if everybody behaved as the body says. " +
			"Nobody is called, nothing is stored or counted, no backend is told. It takes no longer than a moment, whatever the length of the call.",
		Metadata: right(access.Calls), Security: security,
		Errors: append([]int{http.StatusNotFound, http.StatusServiceUnavailable}, refusals...),
	})
	huma.Register(a.api, op, func(ctx context.Context, in *tryInput) (*output[trialView], error) {
		o, err := order.read(ctx, in.RawBody)
		if err != nil {
			return nil, err
		}
		trial, err := a.c.Calls.Try(ctx, account(ctx), in.Name, o)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return &output[trialView]{a.viewTrial(trial)}, nil
	})
	order.publish(a.api, op)
}

func (a *API) viewTrial(t dispatch.Trial) trialView {
	v := trialView{
		Status: t.Status, StartsAt: timeOrNull(t.StartsAt), NextAt: (*Time)(t.NextAttemptAt), Estimated: t.Estimated,
		CallerIDs: []shownView{}, Events: make([]eventView, len(t.Events)),
	}
	var c call.Call
	why := make(map[string]string) // by phone and what it is shown
	for i, e := range t.Events {
		v.Events[i] = viewEvent(e)
		c.Apply(e)
		switch e.Type {
		case call.CallerIDChosen:
			why[e.Number+" "+e.Operator+" "+e.CallerID] = e.Reason
		case call.Dialing:
			v.CallerIDs = append(v.CallerIDs, shownView{
				Leg: e.Leg, Role: e.Role, Number: e.Number, Operator: e.Operator, Trunk: e.Trunk, CallerID: e.CallerID,
				Reason: why[e.Number+" "+e.Operator+" "+e.CallerID],
			})
		}
	}
	if !t.StartsAt.IsZero() {
		v.DurationS = seconds(c.EndedAt.Sub(t.StartsAt))
	}
	v.TalkS = seconds(c.Talk(c.EndedAt))
	if t.Open != nil {
		open := a.viewAccepted(*t.Open)
		v.Open = &open
	}
	for _, f := range t.Unspeakable {
		v.Warnings = append(v.Warnings, warningView{Location: "body." + f.Path, Message: f.Message})
	}
	return v
}
