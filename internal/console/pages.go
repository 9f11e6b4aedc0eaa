package console

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"time"

	"github.com/perezvon/perezvon/internal/call"
)

// pages are the templates in one language.
type pages struct{ byName map[string]*template.Template }

// frame is what every page has around its data.
type frame struct {
	Lang lang
	Page string
	// Other is the address of this page in the other language.
	Other  string
	Signed bool // in with a key
	Menu   []view
	Data   any
}

func parsePages() map[lang]*pages {
	all := make(map[lang]*pages)
	for _, l := range langs {
		p := &pages{make(map[string]*template.Template)}
		for _, name := range []string{"list", "call", "callbacks", "queues", "operators", "deliveries", "bitrix24", "login", "error"} {
			// The files are part of the program: a broken one is found by any test.
			p.byName[name] = template.Must(template.New("frame.html").Funcs(functions(l)).ParseFS(files, "pages/frame.html", "pages/"+name+".html"))
		}
		all[l] = p
	}
	return all
}

func functions(l lang) template.FuncMap {
	return template.FuncMap{
		"t":         l.text,
		"status":    func(s call.Status) string { return l.status(s) },
		"direction": func(d call.Direction) string { return l.text("direction." + string(d)) },
		"recording": func(s string) string { return l.text("recording." + first(s, call.RecordingNone)) },
		"reason":    l.reason,
		"clock":     clock,
		"offset":    offset,
		"said":      func(s float64) string { return clock(time.Duration(s * float64(time.Second))) },
		"rfc3339":   func(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") },
		"utc":       func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") + " UTC" },
		"num":       func(f float64) string { return fmt.Sprintf("%.1f", f) },
		"add":       func(a, b int) int { return a + b },
	}
}

// menuAt are the pages that everybody who is signed in may go to, from the one at
// that path.
func menuAt(path string) []view {
	return []view{
		{"calls", "/", path == "/"}, {"callbacks", callbacksPath, path == callbacksPath}, {"queues", queuesPath, path == queuesPath},
		{"operators", operatorsPath, path == operatorsPath}, {"deliveries", deliveriesPath, path == deliveriesPath}, {"bitrix24", bitrix24Path, path == bitrix24Path},
	}
}

// clock writes a length as people read it: 0:07, 12:30, 1:02:03.
func clock(d time.Duration) string {
	s := int(d.Round(time.Second).Seconds())
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// offset writes a moment of a call to the hundredth: 0:07.25.
func offset(d time.Duration) string {
	h := d.Milliseconds() / 10
	return fmt.Sprintf("%d:%02d.%02d", h/6000, h/100%60, h%100)
}

// show answers with a page.
func (c *Console) show(w http.ResponseWriter, r *http.Request, status int, name string, data any) {
	l := langOf(r)
	if r.URL.Query().Has("lang") {
		http.SetCookie(w, &http.Cookie{Name: langCookie, Value: string(l), Path: "/", MaxAge: 365 * 24 * 3600, SameSite: http.SameSiteLaxMode, HttpOnly: true, Secure: c.c.Door.Secure})
	}
	_, signed := r.Cookie("perezvon_session")
	f := frame{Lang: l, Page: name, Other: otherLanguage(r, l), Signed: signed == nil && name != "login", Menu: menuAt(r.URL.Path), Data: data}
	var page bytes.Buffer
	if err := c.pages[l].byName[name].Execute(&page, f); err != nil {
		c.c.Logger.ErrorContext(r.Context(), "page failed", "path", r.URL.Path, "err", err)
		http.Error(w, l.text("error.server"), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Language", string(l))
	w.WriteHeader(status)
	// A page that cannot be written has nobody to look at it.
	_, _ = page.WriteTo(w)
}

// broken answers that the server failed, and logs why.
func (c *Console) broken(w http.ResponseWriter, r *http.Request, err error) {
	c.c.Logger.ErrorContext(r.Context(), "page failed", "path", r.URL.Path, "err", err)
	c.fail(w, r, http.StatusInternalServerError, "error.server")
}

func (c *Console) fail(w http.ResponseWriter, r *http.Request, status int, text string) {
	c.show(w, r, status, "error", text)
}

func otherLanguage(r *http.Request, l lang) string {
	q := r.URL.Query()
	q.Set("lang", string(l.other()))
	u := url.URL{Path: r.URL.Path, RawQuery: q.Encode()}
	return u.String()
}
