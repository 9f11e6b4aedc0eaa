package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"github.com/danielgtaylor/huma/v2"

	"github.com/perezvon/perezvon/internal/httpapi/access"
	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/store"
	"github.com/perezvon/perezvon/internal/webhook"
)

// Backends is what is told to the addresses that packets name, and to webhooks.
// What is not there is store.ErrNotFound.
type Backends interface {
	Webhooks
	Deliveries(ctx context.Context, account string, page store.Page, filter store.DeliveryFilter) ([]store.Delivery, string, error)
	// RetryDelivery lets a delivery be tried again now.
	RetryDelivery(ctx context.Context, account, id string) (store.Delivery, error)
	Delivery(ctx context.Context, account, id string) (store.Delivery, error)
	// ReplayDelivery lets the same be told anew: webhook.Service.Replay.
	ReplayDelivery(ctx context.Context, account, id string) (store.Delivery, error)
	// ReplaySpan is webhook.Service.ReplaySpan.
	ReplaySpan(ctx context.Context, account, id string, span webhook.Span) (n int, next string, err error)
	// Secrets are those that sign now: the one in use, then the one it
	// replaced, until that ends.
	Secrets(ctx context.Context, account string) ([]store.WebhookSecret, error)
	RotateSecret(ctx context.Context, account string) ([]store.WebhookSecret, error)
}

type deliveriesInput struct {
	PageInput
	CallID  string `query:"call_id" maxLength:"64" doc:"Only what was told of this call"`
	State   string `query:"state" enum:"waiting,delivered,dead"`
	Webhook string `query:"webhook" maxLength:"64" doc:"Only what was told to the webhook with this id"`
	Target  string `query:"target" maxLength:"2048" doc:"Only what went to this address, as target shows it"`
}

func (in *deliveriesInput) filter() store.DeliveryFilter {
	f := store.DeliveryFilter{CallID: in.CallID, State: in.State, Target: in.Target}
	if in.Webhook != "" {
		f.Kind = store.WebhookKinds + in.Webhook
	}
	return f
}

type deliveryView struct {
	ID          string `json:"id" doc:"What the receiver gets as webhook-id, the same at every try"`
	CallID      string `json:"call_id"`
	Target      string `json:"target" doc:"The address, without its query, which may hold a secret; of bitrix24 the method: bitrix24:telephony.externalCall.finish"`
	Kind        string `json:"kind" doc:"log, event, status, transcript: what log_url, events_url and status_url get. webhook: what webhooks get. bitrix24: what the CRM is told"`
	Webhook     string `json:"webhook,omitempty" doc:"Of kind webhook: its id"`
	Type        string `json:"type" doc:"What the body tells: its type"`
	Copy        int    `json:"copy" doc:"0, or which replay of the same it is"`
	State       string `json:"state" enum:"waiting,delivered,dead" doc:"dead: given up; it may be retried by hand"`
	Tries       int    `json:"tries"`
	LastStatus  *int   `json:"last_status" doc:"HTTP status of the last try; null if no answer came"`
	LastError   string `json:"last_error" doc:"Why the last try failed; empty if none did"`
	NextTryAt   *Time  `json:"next_try_at" nullable:"true"`
	CreatedAt   Time   `json:"created_at"`
	DeliveredAt *Time  `json:"delivered_at" nullable:"true"`
}

// deliveryWithBody is one delivery, with what it tells.
type deliveryWithBody struct {
	deliveryView
	Body json.RawMessage `json:"body" doc:"What the receiver gets"`
}

func viewDelivery(d store.Delivery) deliveryView {
	v := deliveryView{
		ID: d.ID, CallID: d.CallID, Target: withoutQuery(d.URL), Kind: d.Kind, Webhook: webhook.SubscriptionOf(d.Kind), Copy: d.Copy, State: d.State, Tries: d.Tries, LastError: d.LastError,
		NextTryAt: timeOrNull(d.NextTryAt), CreatedAt: Time(d.CreatedAt), DeliveredAt: timeOrNull(d.DeliveredAt),
	}
	if d.LastStatus != 0 {
		v.LastStatus = &d.LastStatus
	}
	if v.Webhook != "" {
		v.Kind = webhook.KindSubscription
	}
	v.Type = d.Type()
	return v
}

func withoutQuery(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Opaque: u.Opaque, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}

type secretView struct {
	Secret    string          `json:"secret" doc:"Signs every delivery: HMAC-SHA256 with what base64 makes of the part after whsec_"`
	CreatedAt Time            `json:"created_at"`
	Previous  *previousSecret `json:"previous,omitempty" doc:"The one it replaced, while that signs too"`
}

type previousSecret struct {
	Secret string `json:"secret"`
	EndsAt Time   `json:"ends_at"`
}

func viewSecrets(list []store.WebhookSecret) (v secretView) {
	for i, w := range list {
		if i == 0 {
			v = secretView{Secret: w.Secret, CreatedAt: Time(w.CreatedAt)}
		} else {
			v.Previous = &previousSecret{w.Secret, Time(w.EndsAt)}
		}
	}
	return v
}

func (a *API) deliveries() {
	huma.Register(a.api, huma.Operation{
		OperationID: "list-deliveries", Method: http.MethodGet, Path: "/api/v1/deliveries", Tags: []string{"deliveries"},
		Summary: "What waits for, or reached, backends and webhooks, newest first", Metadata: right(access.Read), Security: security,
		Errors: append([]int{http.StatusUnprocessableEntity}, refusals...),
	}, func(ctx context.Context, in *deliveriesInput) (*output[list[deliveryView]], error) {
		items, next, err := a.c.Backends.Deliveries(ctx, account(ctx), store.Page{Limit: in.Limit, Cursor: in.Cursor}, in.filter())
		var fields invalid.Error
		if errors.As(err, &fields) {
			return nil, badQuery(fields[0].Path, "%s", fields[0].Message)
		}
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return &output[list[deliveryView]]{listOf(items, next, viewDelivery)}, nil
	})

	huma.Register(a.api, huma.Operation{
		OperationID: "retry-delivery", Method: http.MethodPost, Path: "/api/v1/deliveries/{id}/retry", Tags: []string{"deliveries"},
		Summary:       "Try again now",
		Description:   "Whatever became of it, also what was delivered. What waits before it, of the same call and kind, is tried first.",
		DefaultStatus: http.StatusAccepted, Metadata: right(access.Calls), Security: security, Errors: append([]int{http.StatusNotFound}, refusals...),
	}, func(ctx context.Context, in *IDInput) (*output[deliveryView], error) {
		d, err := a.c.Backends.RetryDelivery(ctx, account(ctx), in.ID)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return &output[deliveryView]{viewDelivery(d)}, nil
	})

	huma.Register(a.api, huma.Operation{
		OperationID: "get-delivery", Method: http.MethodGet, Path: "/api/v1/deliveries/{id}", Tags: []string{"deliveries"},
		Summary: "One of the deliveries, with its body", Metadata: right(access.Read), Security: security, Errors: append([]int{http.StatusNotFound}, refusals...),
	}, func(ctx context.Context, in *IDInput) (*output[deliveryWithBody], error) {
		d, err := a.c.Backends.Delivery(ctx, account(ctx), in.ID)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return &output[deliveryWithBody]{deliveryWithBody{viewDelivery(d), d.Body}}, nil
	})

	huma.Register(a.api, huma.Operation{
		OperationID: "replay-delivery", Method: http.MethodPost, Path: "/api/v1/deliveries/{id}/replay", Tags: []string{"deliveries"},
		Summary:       "Tell the same anew",
		Description:   "Whatever became of it: the same body in a new delivery, under an id of its own, so that a receiver that passes over repetitions takes it. (A retry keeps the id.) What a CRM is told cannot be replayed.",
		DefaultStatus: http.StatusAccepted, Metadata: right(access.Calls), Security: security, Errors: append([]int{http.StatusNotFound, http.StatusConflict}, refusals...),
	}, func(ctx context.Context, in *IDInput) (*output[deliveryView], error) {
		d, err := a.c.Backends.ReplayDelivery(ctx, account(ctx), in.ID)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return &output[deliveryView]{viewDelivery(d)}, nil
	})

	secret := func(op huma.Operation, get func(context.Context, string) ([]store.WebhookSecret, error)) {
		op.Tags, op.Metadata, op.Security, op.Errors = []string{"deliveries"}, right(access.Admin), security, refusals
		huma.Register(a.api, op, func(ctx context.Context, _ *struct{}) (*output[secretView], error) {
			list, err := get(ctx, account(ctx))
			if err != nil {
				return nil, a.problem(ctx, err)
			}
			return &output[secretView]{viewSecrets(list)}, nil
		})
	}
	secret(huma.Operation{
		OperationID: "get-webhook-secret", Method: http.MethodGet, Path: "/api/v1/webhook-secret",
		Summary: "What deliveries to packets' addresses are signed with", Description: "By the rules of Standard Webhooks. Webhooks have secrets of their own.",
	}, a.c.Backends.Secrets)
	secret(huma.Operation{
		OperationID: "rotate-webhook-secret", Method: http.MethodPost, Path: "/api/v1/webhook-secret/rotate",
		Summary: "Replace it", Description: "For 24 hours every delivery carries two signatures, by the new secret and by the old one.",
	}, a.c.Backends.RotateSecret)
}
