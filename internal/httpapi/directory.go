package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/perezvon/perezvon/internal/httpapi/access"
	"github.com/perezvon/perezvon/internal/store"
)

// kind is one kind of thing that an administrator sets, kept under a name:
// trunks, operators. All kinds have the same five doors.
type kind[T, View any] struct {
	one, many string // "trunk", "trunks"
	tag       string
	field     string // of the name, in the body

	name    func(T) string
	setName func(*T, string)
	// body, if not nil, changes the schema of what is sent.
	body func(*body[T])
	// inherit takes over from the stored one what the new one leaves out and
	// is never shown: passwords.
	inherit func(to *T, from T)
	// show leaves out secrets and adds what the engine knows.
	show func(T) View

	all    func(ctx context.Context, account string) ([]T, error)
	get    func(ctx context.Context, account, name string) (T, error)
	put    func(ctx context.Context, account string, t T) (bool, error)
	remove func(ctx context.Context, account, name string) error
}

// NameInput is the path of a thing with a name.
type NameInput struct {
	Name string `path:"name" maxLength:"64"`
}

type putInput struct {
	NameInput
	RawBody []byte
}

type putOutput[View any] struct {
	Status   int
	Location string `header:"Location"`
	Body     View
}

// register hangs the doors of a kind.
func register[T, View any](a *API, k kind[T, View]) {
	path := "/api/v1/" + k.many
	item := path + "/{name}"
	content := newBody[T](a.api.OpenAPI().Components.Schemas)
	if k.body != nil {
		k.body(content)
	}
	op := func(method, path, id, summary string, need access.Right, errs ...int) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: method, Path: path, Tags: []string{k.tag}, Summary: summary,
			Metadata: right(need), Security: security, Errors: append(errs, refusals...),
		}
	}

	huma.Register(a.api, op(http.MethodGet, path, "list-"+k.many, "All "+k.many, access.Read),
		func(ctx context.Context, in *struct{ PageInput }) (*output[list[View]], error) {
			all, err := k.all(ctx, account(ctx))
			if err != nil {
				return nil, a.problem(ctx, err)
			}
			items, next := pageOf(all, k.name, in.Limit, in.Cursor)
			return &output[list[View]]{listOf(items, next, k.show)}, nil
		})

	huma.Register(a.api, op(http.MethodGet, item, "get-"+k.one, "One of the "+k.many, access.Read, http.StatusNotFound),
		func(ctx context.Context, in *NameInput) (*output[View], error) {
			t, err := k.get(ctx, account(ctx), in.Name)
			if err != nil {
				return nil, a.problem(ctx, err)
			}
			return &output[View]{k.show(t)}, nil
		})

	create := content.operation(op(http.MethodPost, path, "create-"+k.one, "Add to the "+k.many, access.Admin, http.StatusConflict))
	create.DefaultStatus = http.StatusCreated
	huma.Register(a.api, create, func(ctx context.Context, in *struct{ RawBody []byte }) (*putOutput[View], error) {
		t, err := content.read(ctx, in.RawBody)
		if err != nil {
			return nil, err
		}
		a.changing.Lock()
		defer a.changing.Unlock()
		switch _, err := k.get(ctx, account(ctx), k.name(t)); {
		case err == nil:
			return nil, huma.Error409Conflict(fmt.Sprintf("there is such a %s already", k.one),
				&huma.ErrorDetail{Location: "body." + k.field, Message: "is taken; PUT " + path + "/" + k.name(t) + " changes it", Value: k.name(t)})
		case !errors.Is(err, store.ErrNotFound):
			return nil, a.problem(ctx, err)
		}
		return putAnswer(ctx, a, k, t)
	})
	content.publish(a.api, create)

	update := content.operation(op(http.MethodPut, item, "put-"+k.one, "Add or change", access.Admin))
	update.Responses = map[string]*huma.Response{"201": {Description: "Added"}}
	update.Description = "What is left out takes its default, but a password, which stays as it is."
	huma.Register(a.api, update, func(ctx context.Context, in *putInput) (*putOutput[View], error) {
		t, err := content.read(ctx, in.RawBody)
		if err != nil {
			return nil, err
		}
		if name := k.name(t); name != "" && name != in.Name {
			return nil, huma.Error422UnprocessableEntity("validation failed",
				&huma.ErrorDetail{Location: "body." + k.field, Message: "must be that of the path, or left out", Value: name})
		}
		k.setName(&t, in.Name)
		a.changing.Lock()
		defer a.changing.Unlock()
		switch old, err := k.get(ctx, account(ctx), in.Name); {
		case err == nil:
			k.inherit(&t, old)
		case !errors.Is(err, store.ErrNotFound):
			return nil, a.problem(ctx, err)
		}
		return putAnswer(ctx, a, k, t)
	})
	content.publish(a.api, update)

	remove := op(http.MethodDelete, item, "delete-"+k.one, "Remove", access.Admin, http.StatusNotFound, http.StatusConflict)
	remove.DefaultStatus = http.StatusNoContent
	huma.Register(a.api, remove, func(ctx context.Context, in *NameInput) (*struct{}, error) {
		a.changing.Lock()
		defer a.changing.Unlock()
		if err := k.remove(ctx, account(ctx), in.Name); err != nil {
			return nil, a.problem(ctx, err)
		}
		return nil, a.done(ctx, a.c.Phones.Reload(ctx))
	})
}

// putAnswer stores a thing and lets the engine know. The caller holds changing.
func putAnswer[T, View any](ctx context.Context, a *API, k kind[T, View], t T) (*putOutput[View], error) {
	created, err := k.put(ctx, account(ctx), t)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	if err := a.c.Phones.Reload(ctx); err != nil {
		return nil, a.problem(ctx, fmt.Errorf("stored, but the engine did not take it over: %w", err))
	}
	if t, err = k.get(ctx, account(ctx), k.name(t)); err != nil { // with what the store adds
		return nil, a.problem(ctx, err)
	}
	out := &putOutput[View]{Status: http.StatusOK, Location: "/api/v1/" + k.many + "/" + k.name(t), Body: k.show(t)}
	if created {
		out.Status = http.StatusCreated
	}
	return out, nil
}

// pageOf cuts a page out of things in the order of their names; the cursor is
// the name before it.
func pageOf[T any](all []T, name func(T) string, limit int, cursor string) (page []T, next string) {
	slices.SortFunc(all, func(a, b T) int { return cmp.Compare(name(a), name(b)) })
	from := 0
	if cursor != "" {
		from, _ = slices.BinarySearchFunc(all, cursor, func(t T, c string) int {
			if name(t) <= c {
				return -1
			}
			return 1
		})
	}
	to := min(from+limit, len(all))
	if to < len(all) && to > from {
		next = name(all[to-1])
	}
	return all[from:to], next
}
