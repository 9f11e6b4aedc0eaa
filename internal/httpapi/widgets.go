package httpapi

import (
	"context"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/directory"
)

// durationSchema is what directory.Duration reads.
type durationSchema struct{}

// Schema implements huma.SchemaProvider.
func (durationSchema) Schema(huma.Registry) *huma.Schema {
	return either(
		&huma.Schema{Type: huma.TypeString, Examples: []any{"15m", "1h30m"}},
		&huma.Schema{Type: huma.TypeNumber, Description: "Seconds", Examples: []any{900}},
	)
}

// statusNameSchema is what directory.StatusName reads.
type statusNameSchema struct{}

// Schema implements huma.SchemaProvider.
func (statusNameSchema) Schema(huma.Registry) *huma.Schema {
	return either(
		&huma.Schema{Type: huma.TypeString, Description: "Slug", Examples: []any{"client_busy"}},
		&huma.Schema{Type: huma.TypeInteger, Description: "Code", Examples: []any{486}},
	)
}

func either(forms ...*huma.Schema) *huma.Schema {
	s := &huma.Schema{OneOf: forms}
	s.PrecomputeMessages()
	return s
}

func (a *API) widgets() {
	registry := a.api.OpenAPI().Components.Schemas
	registry.RegisterTypeAlias(reflect.TypeFor[directory.Duration](), reflect.TypeFor[durationSchema]())
	registry.RegisterTypeAlias(reflect.TypeFor[directory.StatusName](), reflect.TypeFor[statusNameSchema]())
	register(a, kind[directory.Widget, directory.Widget]{
		one: "widget", many: "widgets", tag: "widgets", field: "name",
		name:    func(w directory.Widget) string { return w.Name },
		setName: func(w *directory.Widget, name string) { w.Name = name },
		inherit: func(*directory.Widget, directory.Widget) {},
		show:    func(w directory.Widget) directory.Widget { return w },
		body: func(b *body[directory.Widget]) {
			b.either("managers", a.managersSchema())
			b.without("widget", "client", "client_ip", "attempt")
		},
		all: a.c.Store.Widgets, get: a.c.Store.Widget, remove: a.c.Store.DeleteWidget,
		put: func(ctx context.Context, account string, w directory.Widget) (bool, error) {
			w, err := a.c.Calls.CheckWidget(ctx, account, w)
			if err != nil {
				return false, err
			}
			return a.c.Store.PutWidget(ctx, account, w)
		},
	})
}

// flatPacket is the schema of a v.11 packet: the fields of a packet, each a
// string.
func (a *API) flatPacket() *huma.Schema {
	registry := a.api.OpenAPI().Components.Schemas
	packet := registry.SchemaFromRef(registry.Schema(reflect.TypeFor[callback.Packet](), true, "Packet").Ref)
	flat := &huma.Schema{Type: huma.TypeObject, AdditionalProperties: false, Required: []string{"client"}, Properties: make(map[string]*huma.Schema)}
	for _, name := range callback.FlatFields() {
		flat.Properties[name] = &huma.Schema{Type: huma.TypeString, Description: packet.Properties[name].Description}
	}
	return flat
}
