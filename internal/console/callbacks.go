package console

import (
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/httpapi/access"
	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/store"
)

// callbacksPath is the page of the callbacks that were ordered, and of those that
// are planned.
const callbacksPath = "/callbacks"

type callbacksData struct {
	Callbacks []callbackRow
	Views     []view
	Planned   bool // only those that are planned are shown
	First     bool
	Newest    string // address of the first page
	Older     string // address of the next page, empty on the last
}

type callbackRow struct {
	callback.Record
	Tone string
	// Start and Cancel tell which buttons it has.
	Start, Cancel bool
}

// callbacks shows what is planned, and what came of what was ordered.
func (c *Console) callbacks(w http.ResponseWriter, r *http.Request) {
	who, ok := c.enter(w, r, "")
	if !ok {
		return
	}
	state, cursor := r.URL.Query().Get("state"), r.URL.Query().Get("cursor")
	if !slices.Contains([]string{callback.StateRunning, callback.StateDone, callback.StateCancelled, "all"}, state) {
		state = callback.StateScheduled
	}
	data := callbacksData{Planned: state == callback.StateScheduled, First: cursor == "", Newest: callbacksAt(state, "")}
	for _, s := range []string{callback.StateScheduled, callback.StateRunning, callback.StateDone, callback.StateCancelled, "all"} {
		data.Views = append(data.Views, view{"callbacks." + s, callbacksAt(s, ""), s == state})
	}
	var filter store.CallbackFilter
	if state != "all" {
		filter.State = state
	}
	list, next, err := c.c.Store.Callbacks(r.Context(), who.Account, store.Page{Limit: perPage, Cursor: cursor}, filter)
	var bad invalid.Error
	switch {
	case errors.As(err, &bad):
		http.Redirect(w, r, callbacksPath, http.StatusSeeOther)
		return
	case err != nil:
		c.broken(w, r, err)
		return
	}
	if next != "" {
		data.Older = callbacksAt(state, next)
	}
	may := who.May(access.Calls, "")
	for _, one := range list {
		row := callbackRow{Record: one, Tone: "plain"}
		row.Attempts = slices.DeleteFunc(slices.Clone(one.Attempts), func(a callback.Attempt) bool {
			return a.Status.IsZero() && one.State == callback.StateScheduled // not begun
		})
		switch one.State {
		case callback.StateScheduled:
			row.Tone, row.Start, row.Cancel = "live", may, may
		case callback.StateQueued, callback.StateRunning:
			row.Tone, row.Cancel = "good", may
		}
		data.Callbacks = append(data.Callbacks, row)
	}
	c.show(w, r, http.StatusOK, "callbacks", data)
}

// callbacksAt is the address of the page with a state and a cursor.
func callbacksAt(state, cursor string) string {
	q := make(url.Values)
	if state != callback.StateScheduled {
		q.Set("state", state)
	}
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	return (&url.URL{Path: callbacksPath, RawQuery: q.Encode()}).String()
}
