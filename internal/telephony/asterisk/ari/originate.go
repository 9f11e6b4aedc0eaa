package ari

import (
	"context"
	"net/http"
)

// Originate calls an endpoint, as PJSIP/100, and sends it on to an extension of
// the dialplan once it has answered. id is the channel's, chosen by the caller.
// It does not wait for the answer.
func (c *Client) Originate(ctx context.Context, id, endpoint, dialplan, extension string) error {
	return c.do(ctx, http.MethodPost, []string{"channels", id},
		parameters{"endpoint": endpoint, "context": dialplan, "extension": extension}.query(), nil, nil)
}
