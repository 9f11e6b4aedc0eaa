// Package apiclient speaks to a running server through its outward HTTP API,
// as an integrator would: the demo, the bench and the acceptance tests use it.
package apiclient

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/perezvon/perezvon/internal/call"
)

// Client talks to one server with one key.
type Client struct {
	// Base is the server's address without a path: http://127.0.0.1:8080.
	Base string
	// Key is the API key.
	Key string
	// HTTP is the client to use; nil: http.DefaultClient.
	HTTP *http.Client
}

// Problem is an error answer of the API (RFC 9457). Always used as a pointer.
type Problem struct {
	Status int    `json:"status"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Errors []struct {
		Location string `json:"location"`
		Message  string `json:"message"`
	} `json:"errors"`
}

func (p *Problem) Error() string {
	s := fmt.Sprintf("%d %s: %s", p.Status, p.Title, p.Detail)
	for _, e := range p.Errors {
		s += fmt.Sprintf("; %s: %s", e.Location, e.Message)
	}
	return s
}

// Call is a call as `GET /api/v1/calls/{id}` shows it, as far as is used here.
type Call struct {
	ID          string       `json:"id"`
	Status      *call.Status `json:"status"`
	Responsible string       `json:"responsible"`
	DurationS   float64      `json:"duration_s"`
	TalkS       float64      `json:"talk_s"`
	Recording   struct {
		State     string  `json:"state"`
		URL       string  `json:"url"`
		DurationS float64 `json:"duration_s"`
	} `json:"recording"`
}

// Accepted is the answer to a request for a callback.
type Accepted struct {
	ID     string `json:"id"`
	CallID string `json:"call_id"`
	LogURL string `json:"log_url"`
}

// Do sends in as JSON (nil: no body) and decodes the answer into out (nil: it
// is thrown away). An error answer is a *Problem.
func (c *Client) Do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	res, err := c.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if out == nil {
		_, err = io.Copy(io.Discard, res.Body)
		return err
	}
	return json.NewDecoder(res.Body).Decode(out)
}

// Recording fetches the recording of a call as WAV.
func (c *Client) Recording(ctx context.Context, callID string, w io.Writer) error {
	res, err := c.send(ctx, http.MethodGet, "/api/v1/calls/"+callID+"/recording?format=wav", nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(w, res.Body)
	return err
}

// Follow hands over the events of one call from its beginning, in order and
// each once, until see returns false, an error comes or ctx ends.
func (c *Client) Follow(ctx context.Context, callID string, see func(call.Event) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// The live stream is opened first, so that nothing falls between it and
	// the list of what has been.
	live, err := c.send(ctx, http.MethodGet, "/api/v1/events", nil)
	if err != nil {
		return err
	}
	defer live.Body.Close()
	var past struct {
		Events []call.Event `json:"events"`
	}
	if err := c.Do(ctx, http.MethodGet, "/api/v1/calls/"+callID+"/events", nil, &past); err != nil {
		return err
	}
	var seen int64
	for _, e := range past.Events {
		seen = e.Seq
		if !see(e) {
			return nil
		}
	}
	lines := bufio.NewScanner(live.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data:")
		if !ok {
			continue
		}
		var e call.Event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return fmt.Errorf("event stream: %w", err)
		}
		if e.CallID != callID || e.Seq <= seen {
			continue
		}
		seen = e.Seq
		if !see(e) {
			return nil
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}

// WaitReady waits until the server says it can take work.
func (c *Client) WaitReady(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := c.Do(ctx, http.MethodGet, "/readyz", nil, nil); err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("server at %s did not become ready: %w", c.Base, context.Cause(ctx))
		}
	}
}

// send makes a request and turns an error answer into a *Problem. The caller
// closes the body.
func (c *Client) send(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.Base+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.Key)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode < 400 {
		return res, nil
	}
	defer res.Body.Close()
	p := &Problem{Status: res.StatusCode, Title: http.StatusText(res.StatusCode)}
	// A body that is no problem document leaves the status, which says enough.
	_ = json.NewDecoder(io.LimitReader(res.Body, 1<<16)).Decode(p)
	return nil, p
}
