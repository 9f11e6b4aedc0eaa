package httpapi

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/danielgtaylor/huma/v2"

	"github.com/perezvon/perezvon/internal/bitrix24"
	"github.com/perezvon/perezvon/internal/httpapi/access"
	"github.com/perezvon/perezvon/internal/invalid"
)

// Bitrix24 connects accounts with their portals: bitrix24.Service.
type Bitrix24 interface {
	// Connection is the account's, without secrets; bitrix24.ErrNotConnected.
	Connection(ctx context.Context, account string) (bitrix24.View, error)
	// Connect keeps the settings once the portal has answered by them, or says
	// what is wrong with them in an invalid.Error.
	Connect(ctx context.Context, account string, s bitrix24.Settings) (bitrix24.View, error)
	// Disconnect forgets the connection; bitrix24.ErrNotConnected.
	Disconnect(ctx context.Context, account string) error
	// Event takes what a portal reports; bitrix24.ErrNotVerified.
	Event(ctx context.Context, form url.Values) error
	// Test asks the portal by the settings that are kept; bitrix24.ErrNotConnected,
	// bitrix24.ErrNotInstalled.
	Test(ctx context.Context, account string) (bitrix24.Tested, error)
}

// bitrix24Path is where the connection is set.
const bitrix24Path = "/api/v1/integrations/bitrix24"

// Bitrix24EventsPath is where portals report events to.
const Bitrix24EventsPath = bitrix24Path + "/events"

func (a *API) bitrix24() {
	op := func(method, id, summary, description string, need access.Right, errs ...int) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: method, Path: bitrix24Path, Tags: []string{"integrations"}, Summary: summary, Description: description,
			Metadata: right(need), Security: security, Errors: append(errs, refusals...),
		}
	}
	huma.Register(a.api, op(http.MethodGet, "get-bitrix24", "How the account is connected with Bitrix24", "Secrets are never shown.", access.Read, http.StatusNotFound),
		func(ctx context.Context, _ *struct{}) (*output[bitrix24.View], error) {
			v, err := a.c.Bitrix24.Connection(ctx, account(ctx))
			if err != nil {
				return nil, a.problem(ctx, err)
			}
			return &output[bitrix24.View]{v}, nil
		})

	huma.Register(a.api, op(http.MethodPut, "put-bitrix24", "Connect the account with Bitrix24",
		"By the address of an incoming webhook, or as an application. The portal is asked at once: what it says against the settings is a 422. An application that is not installed yet waits for its installation.",
		access.Admin, http.StatusUnprocessableEntity),
		func(ctx context.Context, in *struct{ Body bitrix24.Settings }) (*output[bitrix24.View], error) {
			v, err := a.c.Bitrix24.Connect(ctx, account(ctx), in.Body)
			if err != nil {
				return nil, a.problem(ctx, err)
			}
			return &output[bitrix24.View]{v}, nil
		})

	remove := op(http.MethodDelete, "delete-bitrix24", "End the connection with Bitrix24", "What waits to be told is given up.", access.Admin, http.StatusNotFound)
	remove.DefaultStatus = http.StatusNoContent
	huma.Register(a.api, remove, func(ctx context.Context, _ *struct{}) (*struct{}, error) {
		if err := a.c.Bitrix24.Disconnect(ctx, account(ctx)); err != nil {
			return nil, a.problem(ctx, err)
		}
		return nil, nil
	})

	test := op(http.MethodPost, "test-bitrix24", "Ask the portal whether the connection works", "By the settings that are kept; nothing is changed. The answer tells what the portal says.", access.Admin, http.StatusNotFound, http.StatusConflict)
	test.Path += "/test"
	huma.Register(a.api, test, func(ctx context.Context, _ *struct{}) (*output[bitrix24.Tested], error) {
		tested, err := a.c.Bitrix24.Test(ctx, account(ctx))
		switch {
		case errors.Is(err, bitrix24.ErrNotInstalled):
			return nil, huma.Error409Conflict(err.Error())
		case err != nil:
			return nil, a.problem(ctx, err)
		}
		return &output[bitrix24.Tested]{tested}, nil
	})

	event := huma.Operation{
		OperationID: "bitrix24-event", Method: http.MethodPost, Path: Bitrix24EventsPath, Tags: []string{"integrations"},
		Summary:       "Where Bitrix24 reports events",
		Description:   "The handler of the application and of outgoing webhooks: OnExternalCallStart, OnExternalCallBackStart, OnAppInstall, OnAppUninstall, as forms. Verified by application_token, not by a key.",
		DefaultStatus: http.StatusOK, MaxBodyBytes: maxBody + 1, BodyReadTimeout: bodyTimeout, Metadata: open(),
		Errors: []int{http.StatusBadRequest, http.StatusForbidden, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity, http.StatusServiceUnavailable},
	}
	huma.Register(a.api, event, func(ctx context.Context, in *struct {
		RawBody []byte `contentType:"application/x-www-form-urlencoded"`
	},
	) (*struct{}, error) {
		form, err := url.ParseQuery(string(in.RawBody))
		if err != nil {
			return nil, notRead("form", err)
		}
		if err := a.c.Bitrix24.Event(ctx, form); err != nil {
			return nil, a.bitrix24Problem(ctx, err)
		}
		return nil, nil
	})
}

// bitrix24Problem is problem, for what a portal has reported.
func (a *API) bitrix24Problem(ctx context.Context, err error) error {
	var portal *bitrix24.Error
	var fields invalid.Error
	switch {
	case errors.Is(err, bitrix24.ErrNotVerified):
		return huma.Error403Forbidden(err.Error())
	case errors.Is(err, bitrix24.ErrNobody):
		return huma.Error422UnprocessableEntity(err.Error())
	case errors.As(err, &portal):
		return retryLater(huma.Error503ServiceUnavailable(portal.Error()), storeRetry)
	case errors.As(err, &fields):
		a.c.Logger.WarnContext(ctx, "a call that Bitrix24 wants is not made", "err", err)
	}
	return a.problem(ctx, err)
}
