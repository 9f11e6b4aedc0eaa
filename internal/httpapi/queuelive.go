package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/perezvon/perezvon/internal/acd"
	"github.com/perezvon/perezvon/internal/httpapi/access"
)

type queueLiveInput struct {
	Name string `path:"name" maxLength:"64" doc:"The queue's name" example:"1000"`
}

// queueLive is what a supervisor watches, and whom he sends to rest.
func (a *API) queueLive() {
	huma.Register(a.api, huma.Operation{
		OperationID: "get-queue-live", Method: http.MethodGet, Path: "/api/v1/queues/{name}/live", Tags: []string{"queues"},
		Summary:     "Who waits in a queue, and what its members are doing",
		Description: "The state of this moment and the counters of today; ask again for the next.",
		Metadata:    right(access.Read), Security: security, Errors: append([]int{http.StatusNotFound}, refusals...),
	}, func(ctx context.Context, in *queueLiveInput) (*output[acd.Live], error) {
		q, err := a.c.Store.Queue(ctx, account(ctx), in.Name)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		live, err := a.c.Queues.Live(ctx, account(ctx), q)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return &output[acd.Live]{live}, nil
	})
	a.pause("pause", "Pause an operator", "No queue rings him, nor do calls to the responsible operator; a queue whose members are all paused takes nobody, unless its join_empty is set.", true)
	a.pause("unpause", "End an operator's pause", "The same as paused: false in PUT, and touches nothing else.", false)
}

type pauseInput struct {
	Extension string `path:"extension" maxLength:"32" doc:"The operator's extension" example:"101"`
}

func (a *API) pause(verb, summary, description string, paused bool) {
	huma.Register(a.api, huma.Operation{
		OperationID: verb + "-operator", Method: http.MethodPost, Path: "/api/v1/operators/{extension}/" + verb, Tags: []string{"operators"},
		Summary: summary, Description: description, DefaultStatus: http.StatusNoContent,
		Metadata: right(access.Admin), Security: security, Errors: append([]int{http.StatusNotFound}, refusals...),
	}, func(ctx context.Context, in *pauseInput) (*struct{}, error) {
		if err := a.c.Store.SetPaused(ctx, account(ctx), in.Extension, paused); err != nil {
			return nil, a.problem(ctx, err)
		}
		return &struct{}{}, nil
	})
}
