package httpapi

import (
	"context"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/perezvon/perezvon/internal/directory"
)

// The schemas of what may be written short: a step that needs a name alone, a
// list of one step.
type (
	toQueueSchema    struct{}
	toOperatorSchema struct{}
	toNumberSchema   struct{}
	toRouteSchema    struct{}
	stepsSchema      struct{}

	// The long forms.
	queueStep    directory.ToQueue
	operatorStep directory.ToOperator
	numberStep   directory.ToNumber
)

// Schema implements huma.SchemaProvider.
func (toQueueSchema) Schema(r huma.Registry) *huma.Schema {
	return either(&huma.Schema{Type: huma.TypeString, Description: "A queue's name", Examples: []any{"1000"}}, r.Schema(reflect.TypeFor[queueStep](), true, ""))
}

// Schema implements huma.SchemaProvider.
func (toOperatorSchema) Schema(r huma.Registry) *huma.Schema {
	return either(&huma.Schema{Type: huma.TypeString, Description: "An operator's extension", Examples: []any{"101"}}, r.Schema(reflect.TypeFor[operatorStep](), true, ""))
}

// Schema implements huma.SchemaProvider.
func (toNumberSchema) Schema(r huma.Registry) *huma.Schema {
	return either(&huma.Schema{Type: huma.TypeString, Description: "A number outside", Examples: []any{"+74951234567"}}, r.Schema(reflect.TypeFor[numberStep](), true, ""))
}

// Schema implements huma.SchemaProvider.
func (toRouteSchema) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Description: "A route's name", Examples: []any{"night"}}
}

// Schema implements huma.SchemaProvider.
func (stepsSchema) Schema(r huma.Registry) *huma.Schema {
	step := r.Schema(reflect.TypeFor[directory.Step](), true, "")
	short := &huma.Schema{Type: huma.TypeString, Description: "hangup, route:NAME, queue:NAME, operator:101 or number:+74951234567", Examples: []any{"queue:1000"}}
	return either(&huma.Schema{Type: huma.TypeArray, Items: either(step, short)}, step, short)
}

// describedSteps publishes the schema of a property that holds steps.
func describedSteps[T any](property, description string) func(*body[T]) {
	return func(b *body[T]) {
		s := stepsSchema{}.Schema(b.registry)
		s.Description = description
		b.either(property, s)
		one := 1
		step := b.registry.Map()["Step"]
		step.MinProperties, step.MaxProperties = &one, &one
	}
}

func (a *API) queues() {
	registry := a.api.OpenAPI().Components.Schemas
	registry.RegisterTypeAlias(reflect.TypeFor[directory.ToQueue](), reflect.TypeFor[toQueueSchema]())
	registry.RegisterTypeAlias(reflect.TypeFor[directory.ToOperator](), reflect.TypeFor[toOperatorSchema]())
	registry.RegisterTypeAlias(reflect.TypeFor[directory.ToNumber](), reflect.TypeFor[toNumberSchema]())
	registry.RegisterTypeAlias(reflect.TypeFor[directory.ToRoute](), reflect.TypeFor[toRouteSchema]())
	registry.RegisterTypeAlias(reflect.TypeFor[directory.Steps](), reflect.TypeFor[stepsSchema]())
	register(a, kind[directory.Queue, directory.Queue]{
		one: "queue", many: "queues", tag: "queues", field: "name",
		name:    func(q directory.Queue) string { return q.Name },
		setName: func(q *directory.Queue, name string) { q.Name = name },
		inherit: func(*directory.Queue, directory.Queue) {},
		show:    func(q directory.Queue) directory.Queue { return q },
		body:    describedSteps[directory.Queue]("fallback", "What is done with a caller who cannot wait, or waits no longer. Default: the route's next step"),
		all:     a.c.Store.Queues, get: a.c.Store.Queue, remove: a.c.Store.DeleteQueue,
		put: func(ctx context.Context, account string, q directory.Queue) (bool, error) {
			q, err := a.c.Calls.CheckQueue(ctx, q)
			if err != nil {
				return false, err
			}
			return a.c.Store.PutQueue(ctx, account, q)
		},
	})
}

func (a *API) routes() {
	register(a, kind[directory.Route, directory.Route]{
		one: "route", many: "routes", tag: "routes", field: "name",
		name:    func(r directory.Route) string { return r.Name },
		setName: func(r *directory.Route, name string) { r.Name = name },
		inherit: func(*directory.Route, directory.Route) {},
		show:    func(r directory.Route) directory.Route { return r },
		body:    describedSteps[directory.Route]("steps", "What is done, one after the other: a step that does not take the call passes it on"),
		all:     a.c.Store.Routes, get: a.c.Store.Route, remove: a.c.Store.DeleteRoute,
		put: func(ctx context.Context, account string, r directory.Route) (bool, error) {
			r, err := a.c.Calls.CheckRoute(ctx, r)
			if err != nil {
				return false, err
			}
			return a.c.Store.PutRoute(ctx, account, r)
		},
	})
}
