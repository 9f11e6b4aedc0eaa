package ari

import (
	"context"
	"net/http"
	"strings"
	"time"
)

// NewBridge makes a bridge that mixes whoever is in it.
func (c *Client) NewBridge(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodPost, []string{"bridges"}, parameters{"type": "mixing", "bridgeId": id}.query(), nil, nil)
}

// Bridges are all bridges of the node.
func (c *Client) Bridges(ctx context.Context) (all []Bridge, err error) {
	err = c.do(ctx, http.MethodGet, []string{"bridges"}, nil, nil, &all)
	return all, err
}

// AddChannels brings channels into a bridge, out of the one that they are in.
// keepKeys: what is pressed on them is not heard by the others.
func (c *Client) AddChannels(ctx context.Context, bridge string, keepKeys bool, channels ...string) error {
	return c.do(ctx, http.MethodPost, []string{"bridges", bridge, "addChannel"}, parameters{
		"channel": strings.Join(channels, ","), "absorbDTMF": flag(keepKeys), "inhibitConnectedLineUpdates": "true",
	}.query(), nil, nil)
}

// RemoveChannel takes a channel out of a bridge; it stays in the application.
func (c *Client) RemoveChannel(ctx context.Context, bridge, channel string) error {
	return c.do(ctx, http.MethodPost, []string{"bridges", bridge, "removeChannel"}, parameters{"channel": channel}.query(), nil, nil)
}

// DestroyBridge ends a bridge; its channels stay in the application.
func (c *Client) DestroyBridge(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodDelete, []string{"bridges", id}, nil, nil, nil)
}

// Device is what a device does, as "PJSIP/101": one of the words of
// DEVICE_STATE().
func (c *Client) Device(ctx context.Context, name string) (string, error) {
	var d DeviceState
	err := c.do(ctx, http.MethodGet, []string{"deviceStates", name}, nil, nil, &d)
	return d.State, err
}

// Endpoints are the names of a technology's endpoints, as of PJSIP.
func (c *Client) Endpoints(ctx context.Context, tech string) (names []string, err error) {
	var all []struct {
		Resource string `json:"resource"`
	}
	err = c.do(ctx, http.MethodGet, []string{"endpoints", tech}, nil, nil, &all)
	for _, e := range all {
		names = append(names, e.Resource)
	}
	return names, err
}

// Subscribe lets events of a source come to the application: "deviceState:" for
// all devices. It ends with the connection of events.
func (c *Client) Subscribe(ctx context.Context, source string) error {
	return c.do(ctx, http.MethodPost, []string{"applications", c.cfg.App, "subscription"}, parameters{"eventSource": source}.query(), nil, nil)
}

// Application is what the application has subscribed to: the channels that are in
// it, among others.
func (c *Client) Application(ctx context.Context) (a Application, err error) {
	err = c.do(ctx, http.MethodGet, []string{"applications", c.cfg.App}, nil, nil, &a)
	return a, err
}

// Started is when Asterisk was started, by its own clock.
func (c *Client) Started(ctx context.Context) (time.Time, error) {
	var info struct {
		Status struct {
			StartupTime Time `json:"startup_time"`
		} `json:"status"`
	}
	err := c.do(ctx, http.MethodGet, []string{"asterisk", "info"}, parameters{"only": "status"}.query(), nil, &info)
	return info.Status.StartupTime.Time, err
}

// Version is Asterisk's.
func (c *Client) Version(ctx context.Context) (string, error) {
	var info struct {
		System struct {
			Version string `json:"version"`
		} `json:"system"`
	}
	err := c.do(ctx, http.MethodGet, []string{"asterisk", "info"}, nil, nil, &info)
	return info.System.Version, err
}
