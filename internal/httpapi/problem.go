package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/perezvon/perezvon/internal/bitrix24"
	"github.com/perezvon/perezvon/internal/dispatch"
	"github.com/perezvon/perezvon/internal/dryrun"
	"github.com/perezvon/perezvon/internal/freepbx"
	"github.com/perezvon/perezvon/internal/httpapi/access"
	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/notice"
	"github.com/perezvon/perezvon/internal/store"
)

// drainRetry is when a client of a draining server may try again: about when
// its successor is up.
const drainRetry = 10 * time.Second

// storeRetry is when a client whose order could not be stored may try again.
const storeRetry = 2 * time.Second

// problem turns an error into what the client is told (RFC 9457). This is the
// one table of that; an error it does not know is ours: logged, and told as a
// 500 without particulars.
func (a *API) problem(ctx context.Context, err error) error {
	var fields invalid.Error
	var status huma.StatusError
	var referenced *store.ReferencedError
	var unsupported *notice.UnsupportedError
	var foreign *freepbx.DatabaseError
	switch {
	case errors.As(err, &status):
		return err
	case errors.As(err, &fields):
		return invalidBody(fields)
	case webhookProblem(err) != nil:
		return webhookProblem(err)
	case errors.As(err, &referenced):
		return huma.Error409Conflict(referenced.Error() + ": take it out there first")
	case errors.As(err, &unsupported):
		return huma.Error415UnsupportedMediaType(unsupported.Error())
	case errors.As(err, &foreign):
		a.c.Logger.WarnContext(ctx, "FreePBX cannot be asked", "err", err)
		return retryLater(huma.Error503ServiceUnavailable(foreign.Error()), storeRetry)
	case errors.Is(err, bitrix24.ErrNotConnected):
		return huma.Error404NotFound(err.Error())
	case errors.Is(err, store.ErrNotFound):
		return huma.Error404NotFound("there is no such thing, or it is not yours")
	case errors.Is(err, dispatch.ErrDraining):
		return retryLater(huma.Error503ServiceUnavailable("the server is being stopped and takes no new calls"), drainRetry)
	case errors.Is(err, dispatch.ErrUnavailable):
		a.c.Logger.ErrorContext(ctx, "order refused", "err", err)
		return retryLater(huma.Error503ServiceUnavailable("the order could not be stored, so nobody is called"), storeRetry)
	case errors.Is(err, dispatch.ErrNotScheduled):
		return huma.Error409Conflict("no attempt of this callback is planned")
	case errors.Is(err, dispatch.ErrNotTalking):
		return huma.Error409Conflict("nobody is talking on the call now, or it is being transferred already")
	case errors.Is(err, dispatch.ErrKeyReused):
		return huma.Error422UnprocessableEntity("the Idempotency-Key was used for another request",
			&huma.ErrorDetail{Location: "header.Idempotency-Key", Message: "was used with another body; take a new key"})
	case errors.Is(err, dryrun.ErrBusy):
		return retryLater(huma.Error503ServiceUnavailable(err.Error()), storeRetry)
	case errors.Is(err, access.ErrTooMany):
		return retryLater(huma.Error429TooManyRequests(err.Error()), access.RetryAfter)
	case errors.Is(err, access.ErrUnknownKey), errors.Is(err, access.ErrNoKey):
		return huma.ErrorWithHeaders(huma.Error401Unauthorized(err.Error()), http.Header{"Www-Authenticate": {`Bearer realm="perezvon"`}})
	case context.Cause(ctx) != nil:
		return huma.Error503ServiceUnavailable("the request was given up")
	}
	a.c.Logger.ErrorContext(ctx, "request failed", "err", err)
	return huma.Error500InternalServerError("the server failed; its log says why")
}

func retryLater(err error, after time.Duration) error {
	return huma.ErrorWithHeaders(err, http.Header{"Retry-After": {strconv.Itoa(int(after.Seconds()))}})
}

// invalidBody is the 422 for what is wrong with the fields of a body.
func invalidBody(fields invalid.Error) error {
	details := make([]error, len(fields))
	for i, f := range fields {
		details[i] = &huma.ErrorDetail{Location: "body." + f.Path, Message: f.Message}
	}
	return huma.Error422UnprocessableEntity("validation failed", details...)
}

// mend goes over every error answer: a value is repeated only if it is short and
// plain and its field is no secret, and the limit of a body is the one that is
// documented. (A transformer of huma's, whose own answers repeat what was sent
// and count the limit as the first size that is too large.)
func mend(hctx huma.Context, _ string, v any) (any, error) {
	model, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	if model.Status == http.StatusRequestEntityTooLarge {
		model.Detail = fmt.Sprintf("the body is larger than %d bytes", hctx.Operation().MaxBodyBytes-1)
	}
	for _, d := range model.Errors {
		if d == nil {
			continue
		}
		switch value := d.Value.(type) {
		case nil, bool, float64, int, int64:
		case string:
			if len(value) > 200 {
				d.Value = nil
			}
		default:
			d.Value = nil // an object may hold secrets in its depth
		}
		if d.Value != nil && secret(d.Location) {
			d.Value = "***"
		}
	}
	return model, nil
}

func secret(location string) bool {
	field := strings.ToLower(location[strings.LastIndexByte(location, '.')+1:])
	for _, word := range []string{"password", "secret", "token", "key", "authorization"} {
		if strings.Contains(field, word) {
			return true
		}
	}
	return false
}

func badQuery(name, format string, args ...any) error {
	return huma.Error422UnprocessableEntity("validation failed",
		&huma.ErrorDetail{Location: "query." + name, Message: fmt.Sprintf(format, args...)})
}
