package console

import (
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/httpapi/access"
	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/store"
)

const perPage = 50

type listData struct {
	Calls []callRow
	Next  string // cursor
	First bool
}

type callRow struct {
	call.Call
	Tone     string // colour of the status
	Duration time.Duration
	Talk     time.Duration
}

type callData struct {
	callRow
	// Query is the signed link's, passed on to what the page loads.
	Query    template.URL
	Lanes    picture
	Parts    []part // the call's stages
	Timeline []line
	Said     []call.Segment
	// MayTransfer tells that somebody talks and who looks may pass the client on.
	MayTransfer bool
	// Over tells that nothing more will change.
	Over bool
}

func rowOf(c call.Call, now time.Time) callRow {
	return callRow{Call: c, Tone: toneOf(c.Status), Duration: c.Duration(now), Talk: c.Talk(now)}
}

// talking tells that an operator is with the client now.
func talking(c call.Call) bool {
	return c.Status.IsZero() && len(c.Stages) > 0 && c.Stages[len(c.Stages)-1].To == nil
}

// toneOf is the colour of an outcome: good, bad (something to mend), or plain
// (people did not pick up or did not want to).
func toneOf(s call.Status) string {
	switch s {
	case call.Status{}:
		return "live"
	case call.Completed:
		return "good"
	case call.ClientTrunkFailure, call.ManagerTrunkFailure, call.Interrupted, call.NotAllowed, call.Expired, call.ClientUnknown:
		return "bad"
	}
	return "plain"
}

// list shows the latest calls.
func (c *Console) list(w http.ResponseWriter, r *http.Request) {
	id, ok := c.enter(w, r, "")
	if !ok {
		return
	}
	cursor := r.URL.Query().Get("cursor")
	calls, next, err := c.c.Store.Calls(r.Context(), id.Account, store.Page{Limit: perPage, Cursor: cursor}, store.CallFilter{})
	var bad invalid.Error
	switch {
	case errors.As(err, &bad):
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	case err != nil:
		c.broken(w, r, err)
		return
	}
	data := listData{Next: next, First: cursor == ""}
	now := time.Now()
	for _, one := range calls {
		data.Calls = append(data.Calls, rowOf(one, now))
	}
	c.show(w, r, http.StatusOK, "list", data)
}

// call shows one call. It is the call's log_url: programs, which do not ask
// for HTML, get the log as JSON from the same address.
func (c *Console) call(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	w.Header().Set("Vary", "Accept, Accept-Language")
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		log := r.Clone(r.Context())
		log.URL.Path, log.URL.RawPath = "/api/v1/calls/"+id+"/events", ""
		c.mux.ServeHTTP(w, log)
		return
	}
	who, ok := c.enter(w, r, id)
	if !ok {
		return
	}
	one, err := c.c.Store.Call(r.Context(), who.Account, id)
	var events []call.Event
	if err == nil {
		events, err = c.c.Store.Events(r.Context(), who.Account, id, 0)
	}
	var said []call.Segment
	if err == nil && one.Transcript == call.TranscriptReady {
		said, err = c.c.Store.Transcript(r.Context(), who.Account, id)
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		c.fail(w, r, http.StatusNotFound, "error.notfound")
		return
	case err != nil:
		c.broken(w, r, err)
		return
	}
	data := callData{callRow: rowOf(one, time.Now()), Timeline: timeline(events, langOf(r)), Said: said, Lanes: draw(events, time.Now()), Parts: parts(one, events, time.Now(), langOf(r))}
	data.Over = !one.Status.IsZero() && one.Recording != call.RecordingRendering && one.Recording != call.RecordingRunning && one.Transcript != call.TranscriptWaiting
	data.MayTransfer = who.May(access.Calls, id) && talking(one)
	if who.Call != "" {
		q := r.URL.Query()
		data.Query = template.URL(url.Values{"expires": q["expires"], "signature": q["signature"]}.Encode()) // #nosec G203 -- encoded here
	}
	c.show(w, r, http.StatusOK, "call", data)
}
