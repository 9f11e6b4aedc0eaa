package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/httpapi/access"
	"github.com/perezvon/perezvon/internal/invalid"
)

// Content types that the v.11 door takes.
const (
	typeJSON      = "application/json"
	typeForm      = "application/x-www-form-urlencoded"
	typeMultipart = "multipart/form-data"
)

// v11 hangs the door for clients of callback v.11.
func (a *API) v11() {
	order := huma.Operation{
		OperationID: "create-callback-v11", Method: http.MethodPost, Path: "/api/v11/callback", Tags: []string{"callbacks"},
		Summary: "Order a callback as v.11 does",
		Description: "The same as POST /api/v1/callbacks, with everything as flat strings: a form or a JSON object. Lists of trunks are divided by commas; " +
			"switches are 1 or 0, true or false, on or off; an empty string is a field left out.",
		MaxBodyBytes: maxBody + 1, BodyReadTimeout: bodyTimeout,
		Metadata: right(access.Calls), Security: security,
		Errors: append([]int{
			http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity, http.StatusServiceUnavailable,
		}, refusals...),
	}
	huma.Register(a.api, order, func(ctx context.Context, in *callbackInput) (*output[acceptedView], error) {
		fields, err := flatFields(contentType(ctx), in.RawBody)
		if err != nil {
			return nil, err
		}
		p, err := callback.ParseFlat(fields)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return a.accept(ctx, p, in)
	})
	schema := a.flatPacket()
	content := make(map[string]*huma.MediaType)
	for _, kind := range []string{typeForm, typeMultipart, typeJSON} {
		content[kind] = &huma.MediaType{Schema: schema}
	}
	a.api.OpenAPI().Paths[order.Path].Post.RequestBody = &huma.RequestBody{Required: true, Content: content}
}

// flatFields reads a body of flat strings. The error is an answer. A body that
// does not say what it is, is JSON if it begins like an object, else a form.
func flatFields(contentType string, raw []byte) (map[string]string, error) {
	kind, params := typeForm, map[string]string(nil)
	if contentType != "" {
		var err error
		if kind, params, err = mime.ParseMediaType(contentType); err != nil {
			kind = ""
		}
	} else if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) {
		kind = typeJSON
	}
	switch kind {
	case typeJSON:
		return flatJSON(raw)
	case typeForm:
		values, err := url.ParseQuery(string(raw))
		if err != nil {
			return nil, notRead("form", err)
		}
		return flatForm(values)
	case typeMultipart:
		form, err := multipart.NewReader(bytes.NewReader(raw), params["boundary"]).ReadForm(maxBody)
		if err != nil {
			return nil, notRead("form", err)
		}
		defer form.RemoveAll() //nolint:errcheck // nothing was put on the disk: maxBody is all there is
		for name := range form.File {
			return nil, invalidBody(invalid.Error{{Path: name, Message: "expected text, not a file"}})
		}
		return flatForm(form.Value)
	}
	return nil, huma.NewError(http.StatusUnsupportedMediaType, "the body must be a form or JSON",
		&huma.ErrorDetail{Location: "header.Content-Type", Message: fmt.Sprintf("expected %s, %s or %s", typeForm, typeMultipart, typeJSON), Value: contentType})
}

func flatForm(values map[string][]string) (map[string]string, error) {
	fields := make(map[string]string, len(values))
	var bad invalid.Error
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if len(values[name]) > 1 {
			bad.Add(name, "given more than once")
		}
		fields[name] = values[name][0]
	}
	if len(bad) > 0 {
		return nil, invalidBody(bad)
	}
	return fields, nil
}

// flatJSON takes numbers and switches for the strings they look like, and null
// for nothing: PHP and JavaScript send them.
func flatJSON(raw []byte) (map[string]string, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var parsed any
	if err := d.Decode(&parsed); err != nil {
		return nil, notRead("JSON", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, notRead("JSON", errors.New("something follows the object"))
	}
	object, ok := parsed.(map[string]any)
	if !ok {
		return nil, huma.Error422UnprocessableEntity("validation failed", &huma.ErrorDetail{Location: "body", Message: "expected an object"})
	}
	fields := make(map[string]string, len(object))
	var bad invalid.Error
	for _, name := range slices.Sorted(maps.Keys(object)) {
		switch v := object[name].(type) {
		case nil:
		case string:
			fields[name] = v
		case json.Number:
			fields[name] = v.String()
		case bool:
			fields[name] = strconv.FormatBool(v)
		default:
			bad.Add(name, "expected a string")
		}
	}
	if len(bad) > 0 {
		return nil, invalidBody(bad)
	}
	return fields, nil
}

func notRead(what string, err error) error {
	return huma.Error400BadRequest("the body is no "+what, &huma.ErrorDetail{Location: "body", Message: err.Error()})
}
