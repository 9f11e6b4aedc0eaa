package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/alecthomas/kong"

	"github.com/perezvon/perezvon/internal/apiclient"
	"github.com/perezvon/perezvon/internal/directory"
)

// noticeCmd asks a running server to do something with operators' notices.
type noticeCmd struct {
	Server string `default:"http://127.0.0.1:8080" env:"PEREZVON_URL" placeholder:"URL" help:"Address of the server's API (PEREZVON_URL)."`
	Key    string `env:"PEREZVON_KEY,PEREZVON_ADMIN_KEY" required:"" placeholder:"KEY" help:"API key with the right admin; better given as PEREZVON_KEY."`

	On     noticeSwitchCmd `cmd:"" help:"Callers hear the notices."`
	Off    noticeSwitchCmd `cmd:"" help:"Callers do not hear them; they are kept."`
	Text   noticeTextCmd   `cmd:"" help:"A text is spoken in place of the notices, and is on."`
	Delete noticeSwitchCmd `cmd:"" help:"Remove the notices."`
}

// extensions is the argument of who is meant.
type extensions struct {
	Extensions string `arg:"" placeholder:"101-140,205" help:"Extensions and ranges of them, 101-140,205: up to 1000."`
}

// Validate implements kong's check: what is no extension is not even sent.
func (e extensions) Validate() error {
	_, err := directory.ParseExtensions("extensions", e.Extensions)
	return err
}

type noticeSwitchCmd struct {
	extensions
}

type noticeTextCmd struct {
	extensions

	Say string `arg:"" placeholder:"TEXT" help:"What is spoken."`
}

// Run switches notices on or off, or removes them, as the command was named.
func (c noticeSwitchCmd) Run(ctx context.Context, k *kong.Context, all *commands) error {
	order := map[string]any{"extensions": c.Extensions}
	switch verb := k.Selected().Name; verb {
	case "delete":
		order["delete"] = true
	default:
		order["enabled"] = verb == "on"
	}
	return all.Notice.order(ctx, os.Stdout, order)
}

// Run sets a text.
func (c noticeTextCmd) Run(ctx context.Context, all *commands) error {
	return all.Notice.order(ctx, os.Stdout, map[string]any{"extensions": c.Extensions, "text": c.Say})
}

// errNotForAll: the server did it for some of them only.
var errNotForAll = errors.New("it was not done for all of them")

func (c noticeCmd) order(ctx context.Context, out io.Writer, order map[string]any) error {
	var answer struct {
		Done   []string
		Failed []struct{ Extension, Reason string }
	}
	client := apiclient.Client{Base: c.Server, Key: c.Key}
	if err := client.Do(ctx, http.MethodPost, "/api/v1/notices", order, &answer); err != nil {
		return err
	}
	fmt.Fprintf(out, "done for %d\n", len(answer.Done))
	for _, f := range answer.Failed {
		fmt.Fprintf(out, "%s: %s\n", f.Extension, f.Reason)
	}
	if len(answer.Failed) > 0 {
		return errNotForAll
	}
	return nil
}
