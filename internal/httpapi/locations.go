package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/perezvon/perezvon/internal/httpapi/access"
	"github.com/perezvon/perezvon/internal/numbering"
	"github.com/perezvon/perezvon/internal/store"
)

// Location is a location of caller ID as the API shows and takes it.
type Location struct {
	numbering.Location
	Ships   bool `json:"ships" readOnly:"true" doc:"It comes with the server: to remove it puts it back as it ships"`
	Changed bool `json:"changed" readOnly:"true" doc:"It was made or changed here"`
}

// callerIDView is a choice of caller ID.
type callerIDView struct {
	TowardManager string `json:"toward_manager" doc:"What the manager sees; empty: the order's default, or else the trunk's own"`
	TowardClient  string `json:"toward_client" doc:"What the client sees; empty: the order's default, or else the trunk's own"`
	Explanation   string `json:"explanation" doc:"Where each end is, and why it is shown that number"`
}

type callerIDInput struct {
	Manager              string `query:"manager" required:"true" maxLength:"32" doc:"The manager's number, in any usual spelling"`
	Client               string `query:"client" required:"true" maxLength:"32" doc:"The client's number, in any usual spelling"`
	Custom               string `query:"custom" maxLength:"32" doc:"The number that the order wants the client to see (client_caller_id)"`
	SubstituteForManager bool   `query:"substitute_for_manager" default:"true" doc:"Whether numbers toward the manager are substituted"`
	SubstituteForClient  bool   `query:"substitute_for_client" default:"true" doc:"Whether numbers toward the client are substituted"`
	Language             string `query:"language" enum:"ru,en" default:"ru" doc:"Of the explanation"`
}

func (a *API) locations() {
	register(a, kind[Location, Location]{
		one: "location", many: "locations", tag: "caller id", field: "id",
		name:    func(l Location) string { return l.ID },
		setName: func(l *Location, id string) { l.ID = id },
		inherit: func(*Location, Location) {}, // of what ships; the store knows
		show:    func(l Location) Location { return l },
		all: func(ctx context.Context, account string) ([]Location, error) {
			tree, err := a.c.Store.LocationTree(ctx, account)
			if err != nil {
				return nil, err
			}
			listed := tree.Locations()
			all := make([]Location, len(listed))
			for i, l := range listed {
				all[i] = Location(l)
			}
			return all, nil
		},
		get: func(ctx context.Context, account, id string) (Location, error) {
			tree, err := a.c.Store.LocationTree(ctx, account)
			if err != nil {
				return Location{}, err
			}
			l, ok := tree.Location(id)
			if !ok {
				return Location{}, store.ErrNotFound
			}
			return Location(l), nil
		},
		put: func(ctx context.Context, account string, l Location) (bool, error) {
			return a.c.Store.PutLocation(ctx, account, l.Location)
		},
		remove: a.c.Store.DeleteLocation,
	})

	huma.Register(a.api, huma.Operation{
		OperationID: "explain-caller-id", Method: http.MethodGet, Path: "/api/v1/caller-id", Tags: []string{"caller id"},
		Summary: "Which numbers two ends would see, and why", Description: "Nobody is called.",
		Metadata: right(access.Read), Security: security, Errors: append([]int{http.StatusUnprocessableEntity}, refusals...),
	}, func(ctx context.Context, in *callerIDInput) (*output[callerIDView], error) {
		manager, err := numbering.Normalize(in.Manager, a.c.Region)
		if err != nil {
			return nil, badQuery("manager", "%s", err)
		}
		client, err := numbering.Normalize(in.Client, a.c.Region)
		if err != nil {
			return nil, badQuery("client", "%s", err)
		}
		tree, err := a.c.Store.LocationTree(ctx, account(ctx))
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		var off []numbering.Direction
		if !in.SubstituteForManager {
			off = append(off, numbering.TowardManager)
		}
		if !in.SubstituteForClient {
			off = append(off, numbering.TowardClient)
		}
		c := numbering.Choose(manager, client, in.Custom, tree, off...)
		return &output[callerIDView]{callerIDView{c.TowardManager, c.TowardClient, c.Explanation(in.Language)}}, nil
	})
}
