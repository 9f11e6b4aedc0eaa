package httpapi

import (
	"embed"
	"io/fs"
	"net/http"
)

//go:embed docs
var docsFiles embed.FS

// docsPolicy lets the page load its own files and the document, nothing else.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// docs serves the page that shows the OpenAPI document.
func (a *API) docs() {
	files, err := fs.Sub(docsFiles, "docs")
	if err != nil {
		panic(err) // the folder is part of the program
	}
	serve := func(name string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Security-Policy", docsPolicy)
			w.Header().Set("Cache-Control", "no-cache")
			http.ServeFileFS(w, r, files, name)
		}
	}
	a.mux.HandleFunc("GET /docs", serve("docs.html"))
	a.mux.HandleFunc("GET /docs/docs.js", serve("docs.js"))
	a.mux.HandleFunc("GET /docs/docs.css", serve("docs.css"))
}
