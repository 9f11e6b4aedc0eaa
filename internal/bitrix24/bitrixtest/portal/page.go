package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"time"

	"github.com/perezvon/perezvon/internal/bitrix24/bitrixtest"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"type":  typeName,
	"clock": func(s int) string { return fmt.Sprintf("%d:%02d", s/60, s%60) },
}).Parse(pageText))

// withPage serves the portal's REST API, and a page of what it has got.
func withPage(p *bitrixtest.Portal) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", p)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; media-src 'self'")
		// A page that cannot be written has nobody to look at it.
		_ = page.Execute(w, shown(p))
	})
	mux.HandleFunc("GET /records/{file}", func(w http.ResponseWriter, r *http.Request) {
		for i, c := range p.Calls() {
			if c.Record != nil && r.PathValue("file") == recordName(i) {
				w.Header().Set("Content-Type", "audio/wav")
				http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(c.Record))
				return
			}
		}
		http.NotFound(w, r)
	})
	return mux
}

// row is a call as the page shows it.
type row struct {
	bitrixtest.Call
	Sound string // address of its record, empty without one
}

type view struct {
	Calls    []row
	Requests []string
	// Growing tells that more will come: the page loads itself anew.
	Growing bool
}

// shown is what the portal has, the newest call first.
func shown(p *bitrixtest.Portal) view {
	calls := p.Calls()
	v := view{Requests: p.Requests(), Growing: len(calls) == 0}
	for i := len(calls) - 1; i >= 0; i-- {
		one := row{Call: calls[i]}
		if one.Record != nil {
			one.Sound = "/records/" + recordName(i)
		} else if !one.Finished || one.Status == "200" {
			v.Growing = true
		}
		v.Calls = append(v.Calls, one)
	}
	return v
}

func recordName(i int) string { return strconv.Itoa(i) + ".wav" }

// typeName is what the REST API's documentation calls the TYPE of a call.
func typeName(t int) string {
	switch t {
	case 1:
		return "outbound"
	case 2:
		return "inbound"
	case 3:
		return "inbound, redirected"
	case 4:
		return "callback"
	case 5:
		return "information"
	}
	return strconv.Itoa(t)
}
