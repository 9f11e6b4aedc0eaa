package httpapi

import (
	"context"
	"mime"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/httpapi/access"
	"github.com/perezvon/perezvon/internal/notice"
)

// maxSound is the most an uploaded notice may be, in bytes.
const maxSound = 5 << 20

// soundTypes are the media types of sound, as clients name them.
var soundTypes = map[string]string{
	"audio/wav": notice.WAV, "audio/x-wav": notice.WAV, "audio/wave": notice.WAV, "audio/vnd.wave": notice.WAV,
	"audio/mpeg": notice.MP3, "audio/mp3": notice.MP3,
}

// noticeBody is what is set of a notice that is no sound.
type noticeBody struct {
	Text    string `json:"text,omitempty" doc:"What is spoken in place of a recording, up to 2000 characters. It takes the place of the notice before"`
	Enabled *bool  `json:"enabled,omitempty" doc:"Whether callers hear it. With a text default true"`
}

// noticesBody is an order about many.
type noticesBody struct {
	Extensions string `json:"extensions" doc:"Extensions and ranges of them, up to 1000" example:"101-140,205"`
	Enabled    *bool  `json:"enabled,omitempty" doc:"Whether callers hear the notices. With a text default true"`
	Text       string `json:"text,omitempty" doc:"What is spoken in place of recordings; it takes the place of the notices before"`
	Delete     bool   `json:"delete,omitempty" doc:"Remove the notices; goes with nothing else"`
}

type noticeView struct {
	Extension string  `json:"extension"`
	Enabled   bool    `json:"enabled" doc:"Whether callers hear it"`
	Source    string  `json:"source" enum:"recorded,uploaded,text"`
	Text      string  `json:"text,omitempty" doc:"What is spoken, of source text"`
	LengthS   float64 `json:"length_s,omitempty" doc:"Of the sound, seconds"`
	AudioURL  string  `json:"audio_url,omitempty" doc:"The sound, of the other sources; needs a key"`
	UpdatedAt Time    `json:"updated_at"`
}

type noticesView struct {
	Done   []string        `json:"done" nullable:"false" doc:"Extensions for which it is done"`
	Failed []noticeFailure `json:"failed" nullable:"false"`
}

type noticeFailure struct {
	Extension string `json:"extension"`
	Reason    string `json:"reason" doc:"Why nothing was done"`
}

// ExtensionInput is the path of an operator's notice. What is no extension never
// passes.
type ExtensionInput struct {
	Extension string `path:"extension" maxLength:"64" example:"101"`
}

// Resolve implements huma.Resolver.
func (in *ExtensionInput) Resolve(huma.Context) []error {
	if directory.IsExtension(in.Extension) {
		return nil
	}
	return []error{&huma.ErrorDetail{Location: "path.extension", Message: "want an extension: 2 to 10 digits", Value: in.Extension}}
}

type putNoticeInput struct {
	ExtensionInput
	Enabled bool `query:"enabled" default:"true" doc:"Of a sound: whether callers hear it"`
	RawBody []byte
}

const noticePath = "/api/v1/operators/{extension}/notice"

func (a *API) notices() {
	registry := a.api.OpenAPI().Components.Schemas
	one, many := newBody[noticeBody](registry), newBody[noticesBody](registry)
	op := func(method, path, id, summary string, need access.Right, errs ...int) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: method, Path: path, Tags: []string{"notices"}, Summary: summary,
			Metadata: right(need), Security: security, Errors: append(append(errs, http.StatusUnprocessableEntity), refusals...),
		}
	}

	huma.Register(a.api, op(http.MethodGet, "/api/v1/notices", "list-notices", "All operators' notices", access.Read),
		func(ctx context.Context, in *struct{ PageInput }) (*output[list[noticeView]], error) {
			all, err := a.c.Notices.All(ctx, account(ctx))
			if err != nil {
				return nil, a.problem(ctx, err)
			}
			items, next := pageOf(all, func(n directory.Notice) string { return n.Extension }, in.Limit, in.Cursor)
			return &output[list[noticeView]]{listOf(items, next, a.showNotice)}, nil
		})

	huma.Register(a.api, op(http.MethodGet, noticePath, "get-notice", "What callers hear who do not reach the operator", access.Read, http.StatusNotFound),
		func(ctx context.Context, in *ExtensionInput) (*output[noticeView], error) {
			n, err := a.c.Notices.Get(ctx, account(ctx), in.Extension)
			if err != nil {
				return nil, a.problem(ctx, err)
			}
			return &output[noticeView]{a.showNotice(n)}, nil
		})

	binary := &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}
	audio := op(http.MethodGet, noticePath+"/audio", "get-notice-audio", "The sound of a notice that is not a text", access.Read, http.StatusNotFound)
	audio.Responses = map[string]*huma.Response{"200": {Description: "The sound", Content: map[string]*huma.MediaType{"audio/wav": binary}}}
	huma.Register(a.api, audio, func(ctx context.Context, in *ExtensionInput) (*huma.StreamResponse, error) {
		n, err := a.c.Notices.Get(ctx, account(ctx), in.Extension)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		if n.Source == directory.NoticeText {
			return nil, huma.Error404NotFound("the notice is a text")
		}
		f, err := a.c.Notices.File(n)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return a.serve(ctx, f, f, "audio/wav", n.Extension+".wav")
	})

	put := one.operation(op(http.MethodPut, noticePath, "put-notice", "Set, switch on or switch off", access.Admin, http.StatusNotFound))
	put.Description = "A sound (audio/wav; audio/mpeg where the server has lame, mpg123 or ffmpeg), up to 5 MB and 5 minutes, or JSON: a text to be spoken, or `enabled` alone."
	put.MaxBodyBytes = maxSound + 1
	huma.Register(a.api, put, a.putNotice(one))
	one.publish(a.api, put)
	content := a.api.OpenAPI().Paths[noticePath].Put.RequestBody.Content
	content["audio/wav"], content["audio/mpeg"] = binary, binary

	remove := op(http.MethodDelete, noticePath, "delete-notice", "Remove the notice and its sound", access.Admin, http.StatusNotFound)
	remove.DefaultStatus = http.StatusNoContent
	huma.Register(a.api, remove, func(ctx context.Context, in *ExtensionInput) (*struct{}, error) {
		deleted, err := a.c.Notices.Delete(ctx, account(ctx), in.Extension)
		if err == nil && !deleted {
			return nil, huma.Error404NotFound("there is no such operator, or the operator has no notice")
		}
		return nil, a.done(ctx, err)
	})

	bulk := many.operation(op(http.MethodPost, "/api/v1/notices", "order-notices", "Set, switch or remove the notices of many operators", access.Admin))
	bulk.Description = "Each operator by itself: what cannot be done for one is told in `failed` and done for the others."
	bulk.DefaultStatus = http.StatusOK
	huma.Register(a.api, bulk, func(ctx context.Context, in *struct{ RawBody []byte }) (*output[noticesView], error) {
		o, err := many.read(ctx, in.RawBody)
		if err != nil {
			return nil, err
		}
		done, failed, err := a.c.Notices.Many(ctx, account(ctx), notice.Order{Extensions: o.Extensions, Enabled: o.Enabled, Text: o.Text, Delete: o.Delete})
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		view := noticesView{Done: append([]string{}, done...), Failed: []noticeFailure{}}
		for _, f := range failed {
			view.Failed = append(view.Failed, noticeFailure(f))
		}
		return &output[noticesView]{view}, nil
	})
	many.publish(a.api, bulk)
}

// putNotice takes sound or JSON, as its media type says.
func (a *API) putNotice(content *body[noticeBody]) func(context.Context, *putNoticeInput) (*output[noticeView], error) {
	return func(ctx context.Context, in *putNoticeInput) (*output[noticeView], error) {
		var n directory.Notice
		var err error
		kind, _, _ := mime.ParseMediaType(contentType(ctx))
		if sound, ok := soundTypes[kind]; ok {
			n, err = a.c.Notices.Upload(ctx, account(ctx), in.Extension, sound, in.RawBody, in.Enabled)
		} else {
			n, err = a.setNotice(ctx, in.Extension, content, in.RawBody)
		}
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return &output[noticeView]{a.showNotice(n)}, nil
	}
}

func (a *API) setNotice(ctx context.Context, extension string, content *body[noticeBody], raw []byte) (directory.Notice, error) {
	b, err := content.read(ctx, raw)
	switch {
	case err != nil:
		return directory.Notice{}, err
	case b.Text != "":
		return a.c.Notices.Speak(ctx, account(ctx), extension, b.Text, b.Enabled == nil || *b.Enabled)
	case b.Enabled != nil:
		return a.c.Notices.Enable(ctx, account(ctx), extension, *b.Enabled)
	}
	return directory.Notice{}, huma.Error422UnprocessableEntity("validation failed", &huma.ErrorDetail{Location: "body.text", Message: "want a text, enabled, or a sound"})
}

func (a *API) showNotice(n directory.Notice) noticeView {
	v := noticeView{Extension: n.Extension, Enabled: n.Enabled, Source: n.Source, Text: n.Text, LengthS: n.Length.Seconds(), UpdatedAt: Time(n.UpdatedAt)}
	if n.File != "" {
		v.AudioURL = a.c.PublicURL + "/api/v1/operators/" + n.Extension + "/notice/audio"
	}
	return v
}
