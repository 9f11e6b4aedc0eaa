package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

type healthView struct {
	Status string `json:"status" example:"ok"`
}

func (a *API) health() {
	ok := &output[healthView]{healthView{"ok"}}
	huma.Register(a.api, huma.Operation{
		OperationID: "healthz", Method: http.MethodGet, Path: "/healthz", Tags: []string{"server"},
		Summary: "The process is alive", Metadata: open(),
	}, func(context.Context, *struct{}) (*output[healthView], error) { return ok, nil })

	huma.Register(a.api, huma.Operation{
		OperationID: "readyz", Method: http.MethodGet, Path: "/readyz", Tags: []string{"server"},
		Summary: "The server takes calls", Metadata: open(), Errors: []int{http.StatusServiceUnavailable},
	}, func(context.Context, *struct{}) (*output[healthView], error) {
		if err := a.c.Ready(); err != nil {
			return nil, retryLater(huma.Error503ServiceUnavailable(err.Error()), time.Second)
		}
		return ok, nil
	})

	a.mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		if a.c.MetricsAuth {
			if _, err := a.c.Door.Identify(r, ""); err != nil {
				w.Header().Set("WWW-Authenticate", `Bearer realm="perezvon"`)
				writeProblem(w, http.StatusUnauthorized, "metrics need a key here")
				return
			}
		}
		a.c.Metrics.ServeHTTP(w, r)
	})
}
