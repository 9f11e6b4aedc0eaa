package ari

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

// Listener is told what happens, one thing after another, from one goroutine:
// it must return soon.
type Listener interface {
	// Connected: events come from now on. What happened while there was no
	// connection is lost: whoever keeps channels looks which are left. An error
	// closes the connection, which is then opened again.
	Connected(ctx context.Context) error
	// Event: something happened.
	Event(e Event)
	// Lost: the connection broke, or could not be opened; it is tried again.
	Lost(err error)
}

const (
	// firstPause and longestPause bound the time between two tries to connect,
	// which doubles with each that fails.
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
	// pingEach and pingPatience find a connection that is dead without a word.
	pingEach     = 10 * time.Second
	pingPatience = 10 * time.Second
	// maxEvent bounds an event, in bytes.
	maxEvent = 1 << 20
)

// Listen keeps the WebSocket open and tells l what happens until ctx ends,
// whose cause it returns.
func (c *Client) Listen(ctx context.Context, l Listener) error {
	pause := firstPause
	for {
		opened, err := c.listen(ctx, l)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if opened {
			pause = firstPause
		}
		l.Lost(err)
		again := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			again.Stop()
			return context.Cause(ctx)
		case <-again.C:
		}
		pause = min(2*pause, longestPause)
	}
}

// listen is one connection from its beginning to its end.
func (c *Client) listen(ctx context.Context, l Listener) (opened bool, err error) {
	conn, err := c.open(ctx)
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.CloseNow() }() // it is of no use any more
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	pinged := make(chan struct{})
	go func() { defer close(pinged); ping(ctx, cancel, conn) }()
	defer func() { cancel(nil); <-pinged }()
	// Pings are answered by whoever reads, so the reading begins at once and
	// events wait for Connected.
	events, read := make(chan Event, 1024), make(chan error, 1)
	go func() { defer close(events); read <- c.read(ctx, conn, events) }()
	defer func() {
		cancel(nil)
		for range events { //nolint:revive // the reader may wait for room
		}
	}()
	if err := l.Connected(ctx); err != nil {
		return true, err
	}
	for e := range events {
		l.Event(e)
	}
	err = <-read
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return true, err
}

func (c *Client) open(ctx context.Context) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, requestTimeout, errSilent)
	defer cancel()
	u := *c.base.JoinPath("events")
	u.RawQuery = parameters{"app": c.cfg.App}.query().Encode()
	req := http.Request{Header: http.Header{}}
	req.SetBasicAuth(c.cfg.User, c.cfg.Password)
	conn, res, err := websocket.Dial(ctx, u.String(), &websocket.DialOptions{HTTPClient: c.http, HTTPHeader: req.Header}) //nolint:bodyclose // Dial closes it
	if err == nil {
		conn.SetReadLimit(maxEvent)
		return conn, nil
	}
	if res != nil && res.StatusCode != http.StatusSwitchingProtocols {
		return nil, &Error{Request: "GET /events", Code: res.StatusCode, Message: http.StatusText(res.StatusCode)}
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return nil, fmt.Errorf("ari: %w", err)
}

// read passes on events until the connection ends.
func (c *Client) read(ctx context.Context, conn *websocket.Conn, events chan<- Event) error {
	for {
		_, text, err := conn.Read(ctx)
		if err != nil {
			return fmt.Errorf("ari: %w", err)
		}
		var e Event
		if err := json.Unmarshal(text, &e); err != nil {
			c.log.Warn("an event of Asterisk cannot be read", "err", err)
			continue
		}
		select {
		case events <- e:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// ping ends ctx when the other end does not answer.
func ping(ctx context.Context, dead context.CancelCauseFunc, conn *websocket.Conn) {
	each := time.NewTicker(pingEach)
	defer each.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-each.C:
		}
		wait, cancel := context.WithTimeoutCause(ctx, pingPatience, errSilent)
		err := conn.Ping(wait)
		cancel()
		if err != nil && ctx.Err() == nil {
			dead(errors.Join(errSilent, err))
			return
		}
	}
}
