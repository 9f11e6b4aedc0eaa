package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/freepbx"
	"github.com/perezvon/perezvon/internal/httpapi/access"
)

// FreePBX is the neighbour of this server: freepbx.FreePBX.
type FreePBX interface {
	Read(ctx context.Context, all bool) (freepbx.Stats, error)
	Stats() freepbx.Stats
	ImportOperators(ctx context.Context, dryRun bool) ([]freepbx.OperatorChange, error)
	SetNoAnswer(ctx context.Context, o freepbx.NoAnswerOrder) (freepbx.NoAnswerResult, error)
}

const freepbxPath = "/api/v1/integrations/freepbx"

// reloadCommand makes FreePBX's dialplan anew of its tables.
const reloadCommand = "fwconsole reload"

type freepbxView struct {
	Records    int64 `json:"records" doc:"Call records read since the server's start"`
	Contacts   int64 `json:"contacts" doc:"Those that tell of an operator and a client"`
	Failures   int64 `json:"failures" doc:"Readings that failed since the server's start"`
	LastReadAt *Time `json:"last_read_at" nullable:"true" doc:"When the records were read last; null: not yet"`
}

type freepbxImport struct {
	All bool `json:"all,omitempty" doc:"Read everything again, not only what is new. What is known already stays as it is"`
}

type freepbxImported struct {
	Records  int64 `json:"records" doc:"Call records that were read"`
	Contacts int64 `json:"contacts" doc:"Those that tell of an operator and a client"`
}

type freepbxDry struct {
	DryRun bool `json:"dry_run,omitempty" doc:"Change nothing and tell what would be"`
}

type freepbxOperators struct {
	Changes []freepbxOperator `json:"changes" nullable:"false"`
}

type freepbxOperator struct {
	Extension string         `json:"extension"`
	Action    string         `json:"action" enum:"add,fill,same,skip" doc:"It is added; what is empty here is filled in; nothing changes; it cannot be an operator"`
	Fields    []freepbxField `json:"fields" nullable:"false"`
	Reason    string         `json:"reason,omitempty" doc:"Why it is skipped"`
}

type freepbxField struct {
	Field   string `json:"field" example:"name"`
	Here    string `json:"here" doc:"What stands here"`
	FreePBX string `json:"freepbx" doc:"What FreePBX has"`
	Kept    bool   `json:"kept" doc:"What is here stays"`
}

type freepbxNoAnswer struct {
	Extensions  string `json:"extensions,omitempty" doc:"Extensions and ranges of them, up to 1000; with undo none: all that were changed" example:"101-140,205"`
	Destination string `json:"destination,omitempty" doc:"context,extension,priority. Default operators-alert,s,1"`
	Undo        bool   `json:"undo,omitempty" doc:"Put back what was there before this server changed it"`
	DryRun      bool   `json:"dry_run,omitempty" doc:"Change nothing and tell what would be"`
}

type freepbxNoAnswers struct {
	Changes []freepbxDestination `json:"changes" nullable:"false"`
	Marked  bool                 `json:"marked" doc:"FreePBX shows its button Apply Config"`
	Reload  string               `json:"reload,omitempty" doc:"What makes the changes take effect, to be run where FreePBX is; not there if nothing changed"`
}

type freepbxDestination struct {
	Extension string `json:"extension"`
	Name      string `json:"name"`
	Old       string `json:"old" doc:"Where unanswered calls went"`
	New       string `json:"new" doc:"Where they go; the same if nothing changes"`
	Reason    string `json:"reason,omitempty" doc:"Why it stays as it is"`
}

func (a *API) freepbx() {
	registry := a.api.OpenAPI().Components.Schemas
	importing, dry, noAnswer := newBody[freepbxImport](registry), newBody[freepbxDry](registry), newBody[freepbxNoAnswer](registry)
	op := func(method, path, id, summary, description string, need access.Right) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: method, Path: freepbxPath + path, Tags: []string{"integrations"}, Summary: summary, Description: description,
			DefaultStatus: http.StatusOK, Metadata: right(need), Security: security,
			Errors: append([]int{http.StatusNotFound, http.StatusServiceUnavailable}, refusals...),
		}
	}
	huma.Register(a.api, op(http.MethodGet, "", "get-freepbx", "What has been read of the FreePBX beside this server", "", access.Read),
		func(context.Context, *struct{}) (*output[freepbxView], error) {
			if a.c.FreePBX == nil {
				return nil, noFreePBX()
			}
			s := a.c.FreePBX.Stats()
			v := freepbxView{Records: s.Records, Contacts: s.Contacts, Failures: s.Failures}
			if !s.LastRead.IsZero() {
				v.LastReadAt = (*Time)(&s.LastRead)
			}
			return &output[freepbxView]{v}, nil
		})

	read := importing.operation(op(http.MethodPost, "/import", "import-freepbx", "Read its call records now", "They are read every few seconds anyhow.", access.Admin))
	huma.Register(a.api, read, freepbxOrder(a, importing, func(ctx context.Context, o freepbxImport) (freepbxImported, error) {
		s, err := a.c.FreePBX.Read(ctx, o.All)
		return freepbxImported{s.Records, s.Contacts}, err
	}))
	importing.publish(a.api, read)

	operators := dry.operation(op(http.MethodPost, "/operators", "import-freepbx-operators", "Make operators of its extensions",
		"With their names and the numbers they show outside. What is set here is kept, and passwords stay in FreePBX.", access.Admin))
	huma.Register(a.api, operators, freepbxOrder(a, dry, func(ctx context.Context, o freepbxDry) (freepbxOperators, error) {
		changes, err := a.c.FreePBX.ImportOperators(ctx, o.DryRun)
		v := freepbxOperators{Changes: []freepbxOperator{}}
		for _, c := range changes {
			one := freepbxOperator{Extension: c.Extension, Action: c.Action, Reason: c.Why, Fields: []freepbxField{}}
			for _, f := range c.Fields {
				one.Fields = append(one.Fields, freepbxField(f))
			}
			v.Changes = append(v.Changes, one)
		}
		return v, err
	}))
	dry.publish(a.api, operators)

	set := noAnswer.operation(op(http.MethodPost, "/noanswer", "set-freepbx-noanswer", "Where calls go that its extensions do not answer",
		"Sets users.noanswer_dest, for instance to operators' notices, and back. FreePBX makes its dialplan of it when its button Apply Config is pressed, or by `fwconsole reload`. An extension that FreePBX does not have refuses the whole order.", access.Admin))
	huma.Register(a.api, set, freepbxOrder(a, noAnswer, a.setNoAnswer))
	noAnswer.publish(a.api, set)
}

func noFreePBX() error {
	return huma.Error404NotFound("there is no FreePBX beside this server: set --freepbx")
}

// freepbxOrder is an operation that reads a body and does something with the
// FreePBX.
func freepbxOrder[In, Out any](a *API, b *body[In], do func(context.Context, In) (Out, error)) func(context.Context, *struct{ RawBody []byte }) (*output[Out], error) {
	return func(ctx context.Context, in *struct{ RawBody []byte }) (*output[Out], error) {
		if a.c.FreePBX == nil {
			return nil, noFreePBX()
		}
		order, err := b.read(ctx, in.RawBody)
		if err != nil {
			return nil, err
		}
		out, err := do(ctx, order)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return &output[Out]{out}, nil
	}
}

func (a *API) setNoAnswer(ctx context.Context, o freepbxNoAnswer) (freepbxNoAnswers, error) {
	v := freepbxNoAnswers{Changes: []freepbxDestination{}}
	order := freepbx.NoAnswerOrder{Destination: o.Destination, Undo: o.Undo, DryRun: o.DryRun}
	if o.Extensions != "" || !o.Undo {
		var err error
		if order.Extensions, err = directory.ParseExtensions("extensions", o.Extensions); err != nil {
			return v, err
		}
	}
	done, err := a.c.FreePBX.SetNoAnswer(ctx, order)
	for _, c := range done.Changes {
		v.Changes = append(v.Changes, freepbxDestination{c.Extension, c.Name, c.Old, c.New, c.Why})
	}
	if v.Marked = done.Marked; done.Changed() {
		v.Reload = reloadCommand
	}
	return v, err
}
