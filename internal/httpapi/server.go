package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// The limits of a connection.
const (
	headerTimeout  = 5 * time.Second
	bodyTimeout    = 10 * time.Second
	writeTimeout   = 60 * time.Second // streams and recordings set their own
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 16 << 10
	// closeTimeout is what answers under way get when the server is stopped.
	closeTimeout = 5 * time.Second
)

// Serve answers on l until ctx ends; then what is under way may finish, and
// streams are ended. It closes l.
func (a *API) Serve(ctx context.Context, l net.Listener) error {
	s := &http.Server{
		Handler:           a.Handler(),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       headerTimeout + bodyTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(a.c.Logger.Handler(), slog.LevelDebug),
	}
	s.RegisterOnShutdown(func() { close(a.stopping) })
	failed := make(chan error, 1)
	go func() { failed <- s.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	err := s.Shutdown(grace)
	if err != nil {
		err = errors.Join(err, s.Close())
	}
	if serving := <-failed; !errors.Is(serving, http.ErrServerClosed) {
		err = errors.Join(err, serving)
	}
	return err
}

// secure puts on every answer what browsers are to keep to. Pages loosen the
// content policy for themselves.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer") // signed links must not travel on
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// logged writes the access log, at debug, without queries: they may hold
// signatures.
func (a *API) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		s := &statusWriter{ResponseWriter: w}
		defer func() {
			if broken := recover(); broken != nil {
				if broken == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
					panic(broken)
				}
				a.c.Logger.ErrorContext(r.Context(), "handler panicked", "method", r.Method, "path", r.URL.Path, "panic", broken)
				if s.status == 0 {
					writeProblem(s, http.StatusInternalServerError, "the server failed; its log says why")
				}
			}
			a.c.Logger.DebugContext(r.Context(), "request", "method", r.Method, "path", r.URL.Path, "status", s.status, "took", time.Since(begin), "from", r.RemoteAddr)
		}()
		next.ServeHTTP(s, r)
	})
}

// statusWriter remembers the status.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (s *statusWriter) WriteHeader(status int) {
	if s.status == 0 {
		s.status = status
	}
	s.ResponseWriter.WriteHeader(status)
}

// Write implements io.Writer.
func (s *statusWriter) Write(b []byte) (int, error) {
	if s.status == 0 {
		s.status = http.StatusOK
	}
	return s.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController through.
func (s *statusWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// problemsOnly turns the mux's own plain answers (no such path, wrong method)
// into problem details.
func problemsOnly(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		plain := refusal{header: http.Header{}}
		h.ServeHTTP(&plain, r)
		switch plain.status {
		case http.StatusMethodNotAllowed:
			w.Header().Set("Allow", plain.header.Get("Allow"))
			writeProblem(w, plain.status, "this method is not for this path")
		case http.StatusNotFound:
			writeProblem(w, plain.status, "there is no such path; /docs has them all")
		default: // a redirect to the clean path
			h.ServeHTTP(w, r)
		}
	})
}

// refusal takes the mux's plain answer, to be said in another form.
type refusal struct {
	header http.Header
	status int
}

// Header implements http.ResponseWriter.
func (p *refusal) Header() http.Header { return p.header }

// WriteHeader implements http.ResponseWriter.
func (p *refusal) WriteHeader(status int) { p.status = status }

// Write implements io.Writer.
func (p *refusal) Write(b []byte) (int, error) { return len(b), nil }

// writeProblem answers with problem details outside huma.
func writeProblem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	// An answer that cannot be written has nobody to read it.
	_ = json.NewEncoder(w).Encode(map[string]any{"status": status, "title": http.StatusText(status), "detail": detail})
}
