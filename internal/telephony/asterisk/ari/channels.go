package ari

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Create makes a channel toward an endpoint, as "PJSIP/101", and brings it into
// the application; nobody is called before DialChannel.
func (c *Client) Create(ctx context.Context, id, endpoint string, variables map[string]string) (ch Channel, err error) {
	err = c.do(ctx, http.MethodPost, []string{"channels", "create"}, parameters{
		"endpoint": endpoint, "app": c.cfg.App, "channelId": id,
	}.query(), map[string]any{"variables": variables}, &ch)
	return ch, err
}

// DialChannel lets a channel that was created call. timeout has a resolution of
// seconds; 0: none.
func (c *Client) DialChannel(ctx context.Context, id string, timeout time.Duration) error {
	return c.do(ctx, http.MethodPost, []string{"channels", id, "dial"}, parameters{
		"timeout": strconv.Itoa(int(timeout.Seconds())),
	}.query(), nil, nil)
}

// Channel tells of a channel; see Gone.
func (c *Client) Channel(ctx context.Context, id string) (ch Channel, err error) {
	err = c.do(ctx, http.MethodGet, []string{"channels", id}, nil, nil, &ch)
	return ch, err
}

// Channels are all channels of the node, also those of others.
func (c *Client) Channels(ctx context.Context) (all []Channel, err error) {
	err = c.do(ctx, http.MethodGet, []string{"channels"}, nil, nil, &all)
	return all, err
}

// Answer picks a channel up; Ring and Progress tell it that we ring, and that
// there is something to hear. Progress needs Asterisk 20.16 or 22.6.
func (c *Client) Answer(ctx context.Context, id string) error {
	return c.channel(ctx, http.MethodPost, id, "answer", nil)
}

// Ring tells a channel that we ring.
func (c *Client) Ring(ctx context.Context, id string) error {
	return c.channel(ctx, http.MethodPost, id, "ring", nil)
}

// Progress tells a channel that there is something to hear before the answer.
// It needs Asterisk 20.16 or 22.6.
func (c *Client) Progress(ctx context.Context, id string) error {
	return c.channel(ctx, http.MethodPost, id, "progress", nil)
}

// Hangup ends a channel. why is a cause by Q.850 or, as words, one of those of
// ARI ("answered_elsewhere").
func (c *Client) Hangup(ctx context.Context, id string, cause int, why string) error {
	p := parameters{"reason": why}
	if why == "" {
		p["reason_code"] = strconv.Itoa(cause)
	}
	return c.do(ctx, http.MethodDelete, []string{"channels", id}, p.query(), nil, nil)
}

// DTMF lets a channel hear keys, each for duration, with between after it. It
// does not wait for them.
func (c *Client) DTMF(ctx context.Context, id, keys string, duration, between time.Duration) error {
	return c.channel(ctx, http.MethodPost, id, "dtmf", parameters{
		"dtmf": keys, "duration": milliseconds(duration), "between": milliseconds(between),
	})
}

// TransferProgress tells the phone of a channel how the transfer goes that it
// asked for: channel_progress, channel_answered, channel_unavailable or
// channel_declined. It needs Asterisk 20.13 or 22.3.
func (c *Client) TransferProgress(ctx context.Context, id, state string) error {
	return c.channel(ctx, http.MethodPost, id, "transfer_progress", parameters{"states": state})
}

// Snoop makes a channel that hears what comes of another, and to which nothing
// can be said.
func (c *Client) Snoop(ctx context.Context, id, snoop string) error {
	return c.channel(ctx, http.MethodPost, id, "snoop", parameters{"spy": "in", "app": c.cfg.App, "snoopId": snoop})
}

// ExternalMedia makes a channel whose sound is RTP to and from host, in a format
// by Asterisk's name ("alaw"). Local is where it takes RTP.
func (c *Client) ExternalMedia(ctx context.Context, id, host, format string) (local string, err error) {
	var ch Channel
	err = c.do(ctx, http.MethodPost, []string{"channels", "externalMedia"}, parameters{
		"channelId": id, "app": c.cfg.App, "external_host": host, "format": format,
	}.query(), nil, &ch)
	return strings.Join([]string{ch.Vars["UNICASTRTP_LOCAL_ADDRESS"], ch.Vars["UNICASTRTP_LOCAL_PORT"]}, ":"), err
}

// Variable is a variable or a function of a channel, empty if it is not set.
func (c *Client) Variable(ctx context.Context, id, name string) (string, error) {
	var v struct{ Value string }
	err := c.do(ctx, http.MethodGet, []string{"channels", id, "variable"}, parameters{"variable": name}.query(), nil, &v)
	return v.Value, err
}

// SetVariable sets a variable or calls a function of a channel.
func (c *Client) SetVariable(ctx context.Context, id, name, value string) error {
	return c.channel(ctx, http.MethodPost, id, "variable", parameters{"variable": name, "value": value})
}

func (c *Client) channel(ctx context.Context, method, id, what string, p parameters) error {
	return c.do(ctx, method, []string{"channels", id, what}, p.query(), nil, nil)
}
