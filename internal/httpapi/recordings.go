package httpapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/httpapi/access"
)

// The files of a finished recording, in its folder.
const (
	wavFile          = "recording.wav"
	peaksFile        = "peaks.json"
	consultationFile = "consultation.wav"
)

// download is how long a reader may take for a whole recording.
const download = 30 * time.Minute

// LinkInput documents what a signed link carries; package access judges it.
type LinkInput struct {
	Expires   string `query:"expires" doc:"Of a signed link, in place of a key: when it ends, Unix seconds"`
	Signature string `query:"signature" doc:"Of a signed link, in place of a key"`
}

type recordingInput struct {
	IDInput
	LinkInput
	Format string `query:"format" enum:"wav,mp3,ogg" default:"wav" doc:"mp3 and ogg where the server has an encoder"`
	Stage  int    `query:"stage" minimum:"1" doc:"Only this one of the call's stages, counted from 1"`
}

type consultationInput struct {
	IDInput
	Format string `query:"format" enum:"wav,mp3,ogg" default:"wav" doc:"mp3 and ogg where the server has an encoder"`
}

type linkView struct {
	URL       string `json:"url" doc:"The recording; add &format=mp3 or ogg at will"`
	PageURL   string `json:"page_url" doc:"The call's page, with the same signature"`
	ExpiresAt Time   `json:"expires_at"`
}

func (a *API) recordings() {
	binary := &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}
	huma.Register(a.api, huma.Operation{
		OperationID: "get-recording", Method: http.MethodGet, Path: "/api/v1/calls/{id}/recording", Tags: []string{"calls"},
		Summary: "The recording", Description: "Stereo: the client left, everybody else right. Parts can be asked for (Range).",
		Metadata: rightOrLink(access.Read, "id"), Security: security,
		Errors: append([]int{http.StatusNotFound, http.StatusNotAcceptable, http.StatusConflict}, refusals...),
		Responses: map[string]*huma.Response{
			"200": {Description: "The whole file", Content: map[string]*huma.MediaType{"audio/wav": binary, "audio/mpeg": binary, "audio/ogg": binary}},
			"206": {Description: "The part asked for", Content: map[string]*huma.MediaType{"audio/wav": binary, "audio/mpeg": binary, "audio/ogg": binary}},
		},
	}, func(ctx context.Context, in *recordingInput) (*huma.StreamResponse, error) {
		file, err := a.recordingFile(ctx, in.ID, wavFile)
		if err != nil {
			return nil, err
		}
		var part stretch
		if in.Stage > 0 {
			if part, err = a.stage(ctx, in.ID, in.Stage); err != nil {
				return nil, err
			}
		}
		return a.sound(ctx, file, part, in.Format, in.ID)
	})

	huma.Register(a.api, huma.Operation{
		OperationID: "get-consultation", Method: http.MethodGet, Path: "/api/v1/calls/{id}/recording/consultation", Tags: []string{"calls"},
		Summary: "What operators said to each other while the client waited",
		Description: "Stereo: who asked left, who was asked right, from the first word of it to the last. Only with a key: a signed link does not open it. " +
			"404 where nobody consulted, or it is not kept (setting record_consultations).",
		Metadata: right(access.Read), Security: security,
		Errors: append([]int{http.StatusNotFound, http.StatusNotAcceptable, http.StatusConflict}, refusals...),
		Responses: map[string]*huma.Response{
			"200": {Description: "The whole file", Content: map[string]*huma.MediaType{"audio/wav": binary, "audio/mpeg": binary, "audio/ogg": binary}},
			"206": {Description: "The part asked for", Content: map[string]*huma.MediaType{"audio/wav": binary, "audio/mpeg": binary, "audio/ogg": binary}},
		},
	}, func(ctx context.Context, in *consultationInput) (*huma.StreamResponse, error) {
		file, err := a.recordingFile(ctx, in.ID, consultationFile)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
			return nil, huma.Error404NotFound("nobody consulted on this call, or it is not kept")
		}
		return a.sound(ctx, file, stretch{}, in.Format, in.ID+".consultation")
	})

	huma.Register(a.api, huma.Operation{
		OperationID: "get-peaks", Method: http.MethodGet, Path: "/api/v1/calls/{id}/recording/peaks", Tags: []string{"calls"},
		Summary: "The loudness of the recording, for drawing", Metadata: rightOrLink(access.Read, "id"), Security: security,
		Errors:    append([]int{http.StatusNotFound, http.StatusConflict}, refusals...),
		Responses: map[string]*huma.Response{"200": {Description: "Both channels", Content: map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{Type: huma.TypeObject}}}}},
	}, func(ctx context.Context, in *struct {
		IDInput
		LinkInput
	}) (*huma.StreamResponse, error) {
		file, err := a.recordingFile(ctx, in.ID, peaksFile)
		if err != nil {
			return nil, err
		}
		return a.file(ctx, file, "application/json", "")
	})

	huma.Register(a.api, huma.Operation{
		OperationID: "sign-recording", Method: http.MethodPost, Path: "/api/v1/calls/{id}/recording/link", Tags: []string{"calls"},
		Summary:  "Make a link that needs no key",
		Metadata: right(access.Read), Security: security, Errors: append([]int{http.StatusNotFound}, refusals...),
	}, func(ctx context.Context, in *struct {
		IDInput
		TTL int `query:"ttl_s" minimum:"60" maximum:"2592000" default:"3600" doc:"How long it opens, seconds"`
	}) (*output[linkView], error) {
		if _, err := a.c.Store.Call(ctx, account(ctx), in.ID); err != nil {
			return nil, a.problem(ctx, err)
		}
		expires := time.Now().Add(time.Duration(in.TTL) * time.Second).Truncate(time.Second)
		query := "?" + a.c.Door.Signer.Link(in.ID, expires)
		return &output[linkView]{linkView{
			URL: a.c.PublicURL + "/api/v1/calls/" + in.ID + "/recording" + query, PageURL: a.logURL(in.ID) + query, ExpiresAt: Time(expires),
		}}, nil
	})
}

// recordingFile is a file of a recording that is ready. The error is an answer
// that says how far it is.
func (a *API) recordingFile(ctx context.Context, id, name string) (string, error) {
	c, err := a.c.Store.Call(ctx, account(ctx), id)
	if err != nil {
		return "", a.problem(ctx, err)
	}
	switch c.Recording {
	case call.RecordingReady:
		return filepath.Join(a.c.Recordings(c.ID), name), nil
	case call.RecordingRunning:
		return "", huma.Error409Conflict("not ready: the call is still being recorded (state recording)")
	case call.RecordingRendering:
		return "", retryLater(huma.Error409Conflict("not ready: the recording is being made (state rendering)"), time.Second)
	case call.RecordingFailed:
		return "", huma.Error404NotFound("the recording could not be made (state failed); the call's log says why")
	}
	return "", huma.Error404NotFound("the call was not recorded (state none)")
}

// sound serves a WAV file, or a part of it, in a format. as is the name it is
// saved under, without its end.
func (a *API) sound(ctx context.Context, file string, part stretch, format, as string) (*huma.StreamResponse, error) {
	as += part.suffix() + "." + format
	if format == "wav" {
		if part.whole() {
			return a.file(ctx, file, "audio/wav", as)
		}
		return a.cut(ctx, file, part, as)
	}
	made, err := a.encoder.encode(ctx, file, format, part)
	var none *noEncoderError
	switch {
	case errors.As(err, &none):
		return nil, huma.Error406NotAcceptable(none.Error())
	case err != nil:
		return nil, a.problem(ctx, err)
	}
	return a.file(ctx, made, formats[format].mime, as)
}

// file serves a file.
func (a *API) file(ctx context.Context, name, mime, as string) (*huma.StreamResponse, error) {
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		a.c.Logger.WarnContext(ctx, "recording is gone", "file", name)
		return nil, huma.Error404NotFound("the file is gone")
	}
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	return a.serve(ctx, f, f, mime, as)
}

// serve sends content, or ranges of it. It comes from f, which it closes.
func (a *API) serve(ctx context.Context, f *os.File, content io.ReadSeeker, mime, as string) (*huma.StreamResponse, error) {
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, a.problem(ctx, err)
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		defer f.Close()
		r, w := humago.Unwrap(hctx)
		// A server without deadlines cannot set one: then there is none to lift.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(download))
		w.Header().Set("Content-Type", mime)
		w.Header().Set("Cache-Control", "private, no-cache")
		if as != "" {
			w.Header().Set("Content-Disposition", `inline; filename="`+as+`"`)
		}
		http.ServeContent(w, r, "", info.ModTime(), content)
	}}, nil
}
