package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/perezvon/perezvon/internal/invalid"
)

// maxBody is the most a request may send, in bytes.
const maxBody = 64 << 10

// Bodies are not left to huma: our types know their own rules and may take
// more than one form (callback.Managers), and each fault must name its field.
// So huma hands over the bytes, and a body reads them: JSON or 400, the shape
// of the schema or 422, the type's own rules or 422.

// body is one kind of JSON body.
type body[T any] struct {
	registry huma.Registry
	document *huma.Schema // as published
	shape    *huma.Schema // as enforced
}

// newBody makes the schema of T. What is missing is for T's own rules to tell,
// with better words; so it is published and not enforced.
func newBody[T any](r huma.Registry) *body[T] {
	t := reflect.TypeFor[T]()
	document := r.Schema(t, true, t.Name())
	shape := *r.SchemaFromRef(document.Ref)
	shape.Required = nil
	shape.PrecomputeMessages()
	return &body[T]{registry: r, document: document, shape: &shape}
}

// either publishes a schema for a property that takes more than one form. Which
// of them was meant, its own UnmarshalJSON tells better than a schema can.
func (b *body[T]) either(property string, s *huma.Schema) {
	s.PrecomputeMessages()
	b.registry.SchemaFromRef(b.document.Ref).Properties[property] = s
	b.shape.Properties = maps.Clone(b.shape.Properties)
	b.shape.Properties[property] = &huma.Schema{}
}

// without takes properties of T out of the schema: they are none of this kind's.
func (b *body[T]) without(properties ...string) {
	document := b.registry.SchemaFromRef(b.document.Ref)
	b.shape.Properties = maps.Clone(b.shape.Properties)
	for _, name := range properties {
		delete(document.Properties, name)
		delete(b.shape.Properties, name)
	}
	document.Required = slices.DeleteFunc(document.Required, func(name string) bool { return document.Properties[name] == nil })
	document.PrecomputeMessages()
	b.shape.PrecomputeMessages()
}

// operation fills in what an operation with this body needs.
func (b *body[T]) operation(op huma.Operation) huma.Operation {
	op.MaxBodyBytes = maxBody + 1 // huma refuses what reaches the number
	op.BodyReadTimeout = bodyTimeout
	op.Errors = append(op.Errors, http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity)
	return op
}

// publish puts the schema into the document, where huma, which sees bytes
// only, has put "binary".
func (b *body[T]) publish(api huma.API, op huma.Operation) {
	item := api.OpenAPI().Paths[op.Path]
	for _, o := range []*huma.Operation{item.Post, item.Put} {
		if o != nil && o.OperationID == op.OperationID {
			o.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: b.document}}}
		}
	}
}

// read makes a T of the bytes. The error is an answer.
func (b *body[T]) read(ctx context.Context, raw []byte) (T, error) {
	var v T
	if err := mustBeJSON(contentType(ctx)); err != nil {
		return v, err
	}
	var parsed any
	if err := json.Unmarshal(raw, &parsed); err != nil {
		return v, huma.Error400BadRequest("the body is not JSON", &huma.ErrorDetail{Location: "body", Message: err.Error()})
	}
	object, ok := parsed.(map[string]any)
	if !ok {
		return v, huma.Error422UnprocessableEntity("validation failed", &huma.ErrorDetail{Location: "body", Message: "expected an object"})
	}
	path := huma.NewPathBuffer(nil, 0)
	path.Push("body")
	var result huma.ValidateResult
	// By the letter: to huma, and to encoding/json, "Client" is client.
	for key := range object {
		if _, ok := b.shape.Properties[key]; !ok {
			result.Errors = append(result.Errors, &huma.ErrorDetail{Location: "body." + key, Message: "unexpected property"})
			delete(object, key)
		}
	}
	huma.Validate(b.registry, b.shape, path, huma.ModeWriteToServer, parsed, &result)
	if len(result.Errors) > 0 {
		return v, huma.Error422UnprocessableEntity("validation failed", result.Errors...)
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		var fields invalid.Error
		if errors.As(err, &fields) {
			return v, invalidBody(fields)
		}
		location := "body"
		var typed *json.UnmarshalTypeError
		if errors.As(err, &typed) && typed.Field != "" {
			location += "." + typed.Field
		}
		return v, huma.Error422UnprocessableEntity("validation failed", &huma.ErrorDetail{Location: location, Message: "does not fit: " + err.Error()})
	}
	return v, nil
}

// mustBeJSON takes application/json, anything +json, and nothing at all.
func mustBeJSON(contentType string) error {
	if contentType == "" {
		return nil
	}
	kind, _, err := mime.ParseMediaType(contentType)
	if err == nil && (kind == "application/json" || strings.HasSuffix(kind, "+json")) {
		return nil
	}
	return huma.NewError(http.StatusUnsupportedMediaType, "the body must be application/json",
		&huma.ErrorDetail{Location: "header.Content-Type", Message: "expected application/json", Value: contentType})
}
