package ari

import (
	"context"
	"net/http"
)

// Module is a module that Asterisk has loaded.
type Module struct {
	// Name is that of its file: chan_rtp.so.
	Name string `json:"name"`
	// Status is ModuleRunning, or why it does not: "Not Running".
	Status string `json:"status"`
}

// ModuleRunning is Module.Status of one that works.
const ModuleRunning = "Running"

// Modules are all that Asterisk has loaded.
func (c *Client) Modules(ctx context.Context) (all []Module, err error) {
	err = c.do(ctx, http.MethodGet, []string{"asterisk", "modules"}, nil, nil, &all)
	return all, err
}

// Endpoint is somebody whom Asterisk can call.
type Endpoint struct {
	// Name is without the technology: 101.
	Name string `json:"resource"`
	// State is EndpointOnline or EndpointOffline (no contact, or none that
	// answers), or "unknown".
	State string `json:"state"`
}

// The states of an Endpoint.
const (
	EndpointOnline  = "online"
	EndpointOffline = "offline"
)

// EndpointStates are a technology's endpoints, as of PJSIP. An Asterisk without
// the technology has none.
func (c *Client) EndpointStates(ctx context.Context, tech string) (all []Endpoint, err error) {
	err = c.do(ctx, http.MethodGet, []string{"endpoints", tech}, nil, nil, &all)
	if Gone(err) {
		return nil, nil
	}
	return all, err
}

// Applications are the names of the Stasis applications that Asterisk knows: of
// whoever listens, and of those that left channels.
func (c *Client) Applications(ctx context.Context) (names []string, err error) {
	var all []struct {
		Name string `json:"name"`
	}
	err = c.do(ctx, http.MethodGet, []string{"applications"}, nil, nil, &all)
	for _, a := range all {
		names = append(names, a.Name)
	}
	return names, err
}

// CreateLocal is Create toward an extension of a context of the dialplan.
// other is the identifier of the channel that runs the dialplan, from
// DialChannel on.
func (c *Client) CreateLocal(ctx context.Context, id, other, extension, dialplan string) error {
	return c.do(ctx, http.MethodPost, []string{"channels", "create"}, parameters{
		"endpoint": "Local/" + extension + "@" + dialplan, "app": c.cfg.App, "channelId": id, "otherChannelId": other,
	}.query(), nil, nil)
}

// Silence lets a channel hear silence until Unsilence: sound that is sent.
func (c *Client) Silence(ctx context.Context, id string) error {
	return c.channel(ctx, http.MethodPost, id, "silence", nil)
}

// Unsilence ends Silence.
func (c *Client) Unsilence(ctx context.Context, id string) error {
	return c.channel(ctx, http.MethodDelete, id, "silence", nil)
}
