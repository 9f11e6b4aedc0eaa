package httpapi

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/httpapi/access"
	"github.com/perezvon/perezvon/internal/store"
	"github.com/perezvon/perezvon/internal/webhook"
)

// Webhooks are the subscriptions to events: webhook.Service. What is not there
// is store.ErrNotFound.
type Webhooks interface {
	Subscriptions(ctx context.Context, account string) ([]store.Webhook, error)
	Subscription(ctx context.Context, account, id string) (store.Webhook, error)
	Subscribe(ctx context.Context, account string, d directory.Webhook) (w store.Webhook, secret string, err error)
	ChangeSubscription(ctx context.Context, account, id string, d directory.Webhook) (store.Webhook, error)
	Unsubscribe(ctx context.Context, account, id string) error
	RotateSubscription(ctx context.Context, account, id string) (secret string, err error)
	Test(ctx context.Context, account, id string) (webhook.Tested, error)
}

type webhookView struct {
	ID             string           `json:"id"`
	URL            string           `json:"url"`
	Events         []string         `json:"events" nullable:"false"`
	Directions     []call.Direction `json:"directions" nullable:"false"`
	Description    string           `json:"description"`
	Enabled        bool             `json:"enabled"`
	DisabledReason string           `json:"disabled_reason" doc:"Why the server switched it off; empty if it did not"`
	FailingSince   *Time            `json:"failing_since" nullable:"true" doc:"When the first of the tries failed after which none has got through; null if it fares well"`
	CreatedAt      Time             `json:"created_at"`
	UpdatedAt      Time             `json:"updated_at"`
}

// newWebhookView shows the secret, once.
type newWebhookView struct {
	webhookView
	Secret string `json:"secret" doc:"What signs its deliveries. It is not shown again"`
}

type webhookSecretView struct {
	Secret         string `json:"secret" doc:"The new secret. It is not shown again"`
	PreviousEndsAt Time   `json:"previous_ends_at" doc:"Until then the old one signs too"`
}

type testedView struct {
	Delivered bool   `json:"delivered" doc:"It answered 2xx"`
	Status    *int   `json:"status" doc:"What it answered; null if no answer came"`
	Error     string `json:"error" doc:"Why it was no success"`
	ElapsedMS int64  `json:"elapsed_ms"`
}

// replayBody is what a replay is asked for with.
type replayBody struct {
	From    time.Time `json:"from" doc:"Events from this moment"`
	Until   time.Time `json:"until" doc:"Events before this moment, at most 31 days later"`
	Missing bool      `json:"missing,omitempty" doc:"Only what was not delivered and does not wait"`
	Cursor  string    `json:"cursor,omitempty" maxLength:"200" doc:"next_cursor of the request before, to go on"`
}

type replayedView struct {
	Events     int     `json:"events" doc:"How many are told anew"`
	NextCursor *string `json:"next_cursor" doc:"Ask again with this cursor for the rest; null if that was all"`
}

func viewWebhook(w store.Webhook) webhookView {
	v := webhookView{
		ID: w.ID, URL: w.URL, Events: w.Events, Directions: w.Directions, Description: w.Description, Enabled: w.On(),
		DisabledReason: w.DisabledReason, FailingSince: timeOrNull(w.FailingSince), CreatedAt: Time(w.CreatedAt), UpdatedAt: Time(w.UpdatedAt),
	}
	if v.Directions == nil {
		v.Directions = []call.Direction{}
	}
	return v
}

type webhookPutInput struct {
	IDInput
	RawBody []byte
}

type webhookCreated struct {
	Location string `header:"Location"`
	Body     newWebhookView
}

const webhooksPath = "/api/v1/webhooks"

func webhookOperation(method, path, id, summary string, errs ...int) huma.Operation {
	return huma.Operation{
		OperationID: id, Method: method, Path: webhooksPath + path, Tags: []string{"webhooks"}, Summary: summary,
		Metadata: right(access.Admin), Security: security, Errors: append(errs, refusals...),
	}
}

func (a *API) webhooks() {
	content := newBody[directory.Webhook](a.api.OpenAPI().Components.Schemas)
	hooks := a.c.Backends

	huma.Register(a.api, webhookOperation(http.MethodGet, "", "list-webhooks", "All webhooks"),
		func(ctx context.Context, in *struct{ PageInput }) (*output[list[webhookView]], error) {
			all, err := hooks.Subscriptions(ctx, account(ctx))
			if err != nil {
				return nil, a.problem(ctx, err)
			}
			items, next := pageOf(all, func(w store.Webhook) string { return w.ID }, in.Limit, in.Cursor)
			return &output[list[webhookView]]{listOf(items, next, viewWebhook)}, nil
		})

	huma.Register(a.api, webhookOperation(http.MethodGet, "/{id}", "get-webhook", "One of the webhooks", http.StatusNotFound),
		func(ctx context.Context, in *IDInput) (*output[webhookView], error) {
			w, err := hooks.Subscription(ctx, account(ctx), in.ID)
			if err != nil {
				return nil, a.problem(ctx, err)
			}
			return &output[webhookView]{viewWebhook(w)}, nil
		})

	create := content.operation(webhookOperation(http.MethodPost, "", "create-webhook", "Subscribe to events", http.StatusConflict))
	create.Description = "The answer has the secret that signs the deliveries; it is not shown again."
	create.DefaultStatus = http.StatusCreated
	huma.Register(a.api, create, func(ctx context.Context, in *struct{ RawBody []byte }) (*webhookCreated, error) {
		d, err := content.read(ctx, in.RawBody)
		if err != nil {
			return nil, err
		}
		w, secret, err := hooks.Subscribe(ctx, account(ctx), d)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return &webhookCreated{webhooksPath + "/" + w.ID, newWebhookView{viewWebhook(w), secret}}, nil
	})
	content.publish(a.api, create)

	update := content.operation(webhookOperation(http.MethodPut, "/{id}", "put-webhook", "Change it", http.StatusNotFound))
	update.Description = "What is left out takes its default; the secret stays. What waits is sent to the new address, and is given up if it is switched off."
	huma.Register(a.api, update, func(ctx context.Context, in *webhookPutInput) (*output[webhookView], error) {
		d, err := content.read(ctx, in.RawBody)
		if err != nil {
			return nil, err
		}
		w, err := hooks.ChangeSubscription(ctx, account(ctx), in.ID, d)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return &output[webhookView]{viewWebhook(w)}, nil
	})
	content.publish(a.api, update)

	remove := webhookOperation(http.MethodDelete, "/{id}", "delete-webhook", "Unsubscribe", http.StatusNotFound)
	remove.DefaultStatus = http.StatusNoContent
	huma.Register(a.api, remove, func(ctx context.Context, in *IDInput) (*struct{}, error) {
		return nil, a.done(ctx, hooks.Unsubscribe(ctx, account(ctx), in.ID))
	})
	a.webhookDeeds()
	a.documentNotice()
}

// documentNotice tells in the document what webhooks get.
func (a *API) documentNotice() {
	document := a.api.OpenAPI()
	body := document.Components.Schemas.Schema(reflect.TypeFor[webhook.Notice](), true, "Notice")
	// A reference cannot be null.
	status := document.Components.Schemas.Map()["NoticeCall"].Properties["status"]
	*status = huma.Schema{
		Description: status.Description, OneOf: []*huma.Schema{{Ref: status.Ref}, {Type: "null"}},
	}
	document.Webhooks = map[string]*huma.PathItem{"event": {Post: &huma.Operation{
		OperationID: "webhook-event", Tags: []string{"webhooks"}, Summary: "What a webhook gets: an event, and the call as it was right after it",
		Description: "Signed by the rules of Standard Webhooks: webhook-id, webhook-timestamp, webhook-signature.",
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: body}}},
		Responses:   map[string]*huma.Response{"2XX": {Description: "Taken. Anything else is tried again, apart from 410 (no more, ever) and 400, 413, 415, 422 (not this one)"}},
	}}}
}

// webhookDeeds are the doors that do something with a webhook.
func (a *API) webhookDeeds() {
	hooks := a.c.Backends
	rotate := webhookOperation(http.MethodPost, "/{id}/rotate", "rotate-webhook", "Replace its secret", http.StatusNotFound)
	rotate.Description = "For 24 hours its deliveries carry two signatures, by the new secret and by the old one. Rotated twice, the first one signs no more."
	huma.Register(a.api, rotate, func(ctx context.Context, in *IDInput) (*output[webhookSecretView], error) {
		secret, err := hooks.RotateSubscription(ctx, account(ctx), in.ID)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return &output[webhookSecretView]{webhookSecretView{secret, Time(time.Now().Add(webhook.Overlap))}}, nil
	})

	test := webhookOperation(http.MethodPost, "/{id}/test", "test-webhook", "Send it a test now", http.StatusNotFound)
	test.Description = "Sends a webhook.test event once, also to one that is switched off, waits for the answer, up to 15 seconds, and tells it. It is not among the deliveries."
	huma.Register(a.api, test, func(ctx context.Context, in *IDInput) (*output[testedView], error) {
		tested, err := hooks.Test(ctx, account(ctx), in.ID)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		v := testedView{Delivered: tested.Delivered, Error: tested.Error, ElapsedMS: tested.Elapsed.Milliseconds()}
		if tested.Status != 0 {
			v.Status = &tested.Status
		}
		return &output[testedView]{v}, nil
	})

	replay := webhookOperation(http.MethodPost, "/{id}/replay", "replay-webhook", "Tell it anew what happened in a span of time",
		http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity)
	replay.Description = "Whatever it subscribes to now, of all calls of the span: also what happened before it was made, or while it was switched off. Each event comes under an id of its own. One request does up to 200 calls."
	replay.DefaultStatus = http.StatusAccepted
	huma.Register(a.api, replay, func(ctx context.Context, in *struct {
		IDInput
		Body replayBody
	},
	) (*output[replayedView], error) {
		span := webhook.Span{From: in.Body.From, Until: in.Body.Until, Missing: in.Body.Missing, Cursor: in.Body.Cursor}
		n, next, err := hooks.ReplaySpan(ctx, account(ctx), in.ID, span)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		v := replayedView{Events: n}
		if next != "" {
			v.NextCursor = &next
		}
		return &output[replayedView]{v}, nil
	})
}

// webhookProblem is the answer to what cannot be done with a webhook now; nil
// if err is something else.
func webhookProblem(err error) error {
	for _, known := range []error{store.ErrTooManyWebhooks, webhook.ErrDisabled, webhook.ErrNotReplayable} {
		if errors.Is(err, known) {
			return huma.Error409Conflict(known.Error())
		}
	}
	return nil
}
