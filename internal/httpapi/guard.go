package httpapi

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/perezvon/perezvon/internal/httpapi/access"
)

// needs is the right an operation asks for, in its metadata.
const needs = "right"

// ofCall marks operations about the one call {id} of their path (or query
// ?call=), which a signed link opens.
const ofCall = "call"

// open is the metadata of an operation for everybody.
func open() map[string]any { return nil }

// right is the metadata of an operation for keys with the right.
func right(r access.Right) map[string]any { return map[string]any{needs: r} }

// rightOrLink is the same, or for bearers of a signed link to its call.
func rightOrLink(r access.Right, param string) map[string]any {
	return map[string]any{needs: r, ofCall: param}
}

// visitor is what a handler knows of who sent the request.
type visitor struct {
	access.Identity
	contentType string
}

type visitorKey struct{}

func account(ctx context.Context) string { return ctx.Value(visitorKey{}).(visitor).Account }

func contentType(ctx context.Context) string { return ctx.Value(visitorKey{}).(visitor).contentType }

// guard lets a request pass to its handler if who sent it has the right.
func (a *API) guard(ctx huma.Context, next func(huma.Context)) {
	op := ctx.Operation()
	need, guarded := op.Metadata[needs].(access.Right)
	if !guarded {
		next(ctx)
		return
	}
	r, _ := humago.Unwrap(ctx)
	callID := ""
	if param, ok := op.Metadata[ofCall].(string); ok {
		if callID = ctx.Param(param); callID == "" {
			callID = ctx.Query(param)
		}
	}
	id, err := a.c.Door.Identify(r, callID)
	if err == nil && id.Cookie {
		err = a.csrf.Check(r)
		if err != nil {
			err = huma.Error403Forbidden("the request comes from another site")
		}
	}
	if err == nil && !id.May(need, callID) {
		err = huma.Error403Forbidden("the key lacks the right " + string(need))
	}
	if err != nil {
		a.refuse(ctx, a.problem(ctx.Context(), err))
		return
	}
	next(huma.WithValue(ctx, visitorKey{}, visitor{id, r.Header.Get("Content-Type")}))
}

// refuse writes an error answer from a middleware.
func (a *API) refuse(ctx huma.Context, err error) {
	var headers huma.HeadersError
	if errors.As(err, &headers) {
		for name, values := range headers.GetHeaders() {
			for _, v := range values {
				ctx.SetHeader(name, v)
			}
		}
	}
	status := huma.Error500InternalServerError("the server failed")
	errors.As(err, &status)
	// An answer that cannot be written has nobody to read it.
	_ = huma.WriteErr(a.api, ctx, status.GetStatus(), status.Error())
}

// security documents that an operation needs a key.
var security = []map[string][]string{{"key": {}}}

// refusals are the answers any guarded operation may give.
var refusals = []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests}
