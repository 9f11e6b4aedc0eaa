package ari

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Config says which Asterisk, and how it is reached.
type Config struct {
	// URL is ARI's, as http://host:8088/ari.
	URL string
	// User and Password are those of a user in ari.conf.
	User, Password string
	// App is the Stasis application whose channels and events are ours.
	App string
	// Dial opens connections; nil: the system's.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Logger takes what a support engineer needs; nil: nothing is logged.
	Logger *slog.Logger
}

// Client speaks to one Asterisk. Its methods may be called from any goroutine.
type Client struct {
	cfg  Config
	base *url.URL
	http *http.Client
	log  *slog.Logger
}

const (
	// requestTimeout bounds a request: Asterisk answers in milliseconds, or is
	// not there.
	requestTimeout = 10 * time.Second
	// maxAnswer bounds what is read of an answer, in bytes.
	maxAnswer = 16 << 20
)

// New makes a client. Nothing is opened yet.
func New(c Config) (*Client, error) {
	base, err := url.Parse(strings.TrimSuffix(c.URL, "/"))
	switch {
	case err != nil:
		return nil, fmt.Errorf("ari: %w", err)
	case base.Scheme != "http" && base.Scheme != "https" || base.Host == "":
		return nil, fmt.Errorf("ari: %q is no address of ARI, as http://host:8088/ari", c.URL)
	case c.App == "":
		return nil, errors.New("ari: no application is named")
	}
	log := c.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	dial := c.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: requestTimeout}).DialContext
	}
	return &Client{
		cfg: c, base: base, log: log,
		http: &http.Client{Transport: &http.Transport{DialContext: dial, MaxIdleConnsPerHost: 32, IdleConnTimeout: 10 * time.Second}},
	}, nil
}

// App is the Stasis application of the client.
func (c *Client) App() string { return c.cfg.App }

// Close closes the connections that wait for the next request.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Error is a request that Asterisk refused. Always used as a pointer.
type Error struct {
	// Request is what was asked, as "POST /channels/x/answer".
	Request string
	// Code is the HTTP status: 404 no such channel, bridge or endpoint, 409 the
	// channel is in no Stasis application or in the wrong state, 412 the
	// channel is not up.
	Code int
	// Message is Asterisk's reason, in words.
	Message string
}

func (e *Error) Error() string {
	return fmt.Sprintf("asterisk refused %s: %d %s", e.Request, e.Code, e.Message)
}

// Gone tells whether err says that the channel or bridge is not, or not any
// more, in Asterisk.
func Gone(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == http.StatusNotFound
}

// parameters are those of a request's address; empty values are left out.
type parameters map[string]string

func (p parameters) query() url.Values {
	q := url.Values{}
	for k, v := range p {
		if v != "" {
			q.Set(k, v)
		}
	}
	return q
}

// do sends a request. into, if not nil, takes the answer; body, if not nil, is
// sent as JSON.
func (c *Client) do(ctx context.Context, method string, path []string, q url.Values, body, into any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, requestTimeout, errSilent)
	defer cancel()
	var send io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		send = bytes.NewReader(text)
	}
	u := *c.base.JoinPath(escaped(path)...)
	u.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), send)
	if err != nil {
		return err
	}
	req.SetBasicAuth(c.cfg.User, c.cfg.Password)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	name := method + " /" + strings.Join(path, "/")
	res, err := c.http.Do(req)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return fmt.Errorf("ari: %s: %w", name, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("ari: %s: %w", name, err)
	}
	c.log.Debug("ARI", "request", name, "query", u.RawQuery, "status", res.StatusCode)
	if res.StatusCode/100 != 2 {
		return &Error{Request: name, Code: res.StatusCode, Message: reason(answer, res.Status)}
	}
	if into == nil || len(answer) == 0 {
		return nil
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("ari: %s: %w", name, err)
	}
	return nil
}

var errSilent = errors.New("Asterisk does not answer") //nolint:staticcheck // a name

// reason is Asterisk's, or the status where it gave none.
func reason(answer []byte, status string) string {
	var said struct{ Message, Error string }
	if json.Unmarshal(answer, &said) == nil {
		if said.Message != "" {
			return said.Message
		}
		if said.Error != "" {
			return said.Error
		}
	}
	_, words, _ := strings.Cut(status, " ")
	return words
}

func escaped(path []string) []string {
	out := make([]string, len(path))
	for i, p := range path {
		out[i] = url.PathEscape(p)
	}
	return out
}

func flag(on bool) string { return strconv.FormatBool(on) }

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
