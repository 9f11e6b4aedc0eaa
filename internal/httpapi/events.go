package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/httpapi/access"
)

const (
	// heartbeat keeps proxies from closing a quiet stream.
	heartbeat = 15 * time.Second
	// reconnect is how long browsers wait before they come back.
	reconnect = 2 * time.Second
	// streamWrite is how long a reader may take for one piece.
	streamWrite = 10 * time.Second
)

// EventID names an event in the stream: "<call>/<seq>".
type EventID struct {
	Call string
	Seq  int64
}

// String is the form in the stream's id field.
func (id EventID) String() string { return id.Call + "/" + strconv.FormatInt(id.Seq, 10) }

// ParseEventID reads what String wrote; anything else is the zero EventID.
func ParseEventID(s string) EventID {
	callID, seq, _ := strings.Cut(s, "/")
	n, err := strconv.ParseInt(seq, 10, 64)
	if err != nil || n < 1 {
		return EventID{}
	}
	return EventID{callID, n}
}

type streamInput struct {
	LinkInput
	Call        string `query:"call" maxLength:"64" doc:"Only the events of this call, from its first on"`
	LastEventID string `header:"Last-Event-ID" maxLength:"100" doc:"Where the line was lost: what the server still remembers since then is sent first"`
}

func (a *API) events() {
	huma.Register(a.api, huma.Operation{
		OperationID: "stream-events", Method: http.MethodGet, Path: "/api/v1/events", Tags: []string{"events"},
		Summary: "Everything live, as server-sent events",
		Description: "Each message has an event as `data`, its type within, and an `id` to come back with (Last-Event-ID). " +
			"Comments keep the line open. A reader who cannot keep up is disconnected.",
		Metadata: rightOrLink(access.Read, "call"), Security: security, Errors: append([]int{http.StatusNotFound}, refusals...),
		Responses: map[string]*huma.Response{"200": {
			Description: "The stream",
			Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}},
		}},
	}, func(ctx context.Context, in *streamInput) (*huma.StreamResponse, error) {
		after := ParseEventID(in.LastEventID)
		// Listening begins before the past is read, so that nothing falls
		// between the two.
		live, past, found, leave := a.c.Feed.Listen(account(ctx), after)
		if in.Call != "" {
			seen := int64(0)
			if after.Call == in.Call {
				seen = after.Seq
			}
			var err error
			if past, err = a.c.Store.Events(ctx, account(ctx), in.Call, seen); err != nil {
				leave()
				return nil, a.problem(ctx, err)
			}
		}
		lost := after != (EventID{}) && !found && in.Call == ""
		return &huma.StreamResponse{Body: func(hctx huma.Context) {
			defer leave()
			_, w := humago.Unwrap(hctx)
			s := stream{w: w, control: http.NewResponseController(w), only: in.Call, stop: a.stopping, seen: make(map[string]int64)}
			s.run(ctx, past, live, lost)
		}}, nil
	})
}

// stream writes events to one reader.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	only    string // call, "" for all
	stop    <-chan struct{}
	seen    map[string]int64 // by call: the last event written
	buf     bytes.Buffer
}

// run writes until the reader or the feed leaves.
func (s *stream) run(ctx context.Context, past []call.Event, live <-chan call.Event, lost bool) {
	h := s.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx must not hold it back
	fmt.Fprintf(&s.buf, "retry: %d\n\n", reconnect.Milliseconds())
	if lost {
		s.buf.WriteString(": events were missed; read them from their calls\n\n")
	}
	for _, e := range past {
		s.put(e)
	}
	if !s.send() {
		return
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		select {
		case e, ok := <-live:
			if !ok {
				return
			}
			s.put(e)
			for range len(live) { // one write for what waits
				if e, ok := <-live; ok {
					s.put(e)
				}
			}
		case <-beat.C:
			s.buf.WriteString(": still here\n\n")
		case <-s.stop:
			return
		case <-ctx.Done():
			return
		}
		if !s.send() {
			return
		}
	}
}

func (s *stream) put(e call.Event) {
	if s.only != "" && e.CallID != s.only {
		return
	}
	if e.Seq <= s.seen[e.CallID] {
		return // was among the past already
	}
	if e.Type == call.Ended && s.only == "" {
		delete(s.seen, e.CallID)
	} else {
		s.seen[e.CallID] = e.Seq
	}
	data, err := json.Marshal(viewEvent(e))
	if err != nil {
		return // an event that was stored as JSON is JSON
	}
	fmt.Fprintf(&s.buf, "id: %s\ndata: %s\n\n", EventID{e.CallID, e.Seq}, data)
}

// send hands over what was put. False: the reader is gone or does not read.
func (s *stream) send() bool {
	if s.buf.Len() == 0 {
		return true
	}
	err := s.control.SetWriteDeadline(time.Now().Add(streamWrite))
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return false
	}
	_, err = s.w.Write(s.buf.Bytes())
	s.buf.Reset()
	return err == nil && s.control.Flush() == nil
}
