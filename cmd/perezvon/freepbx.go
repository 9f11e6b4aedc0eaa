package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"text/tabwriter"
	"time"

	"github.com/perezvon/perezvon/internal/apiclient"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/freepbx"
)

// freepbxCmd asks a running server to do something with the FreePBX beside it.
type freepbxCmd struct {
	Server string `default:"http://127.0.0.1:8080" env:"PEREZVON_URL" placeholder:"URL" help:"Address of the server's API (PEREZVON_URL)."`
	Key    string `env:"PEREZVON_KEY,PEREZVON_ADMIN_KEY" placeholder:"KEY" help:"API key with the right admin; better given as PEREZVON_KEY."`

	Import    freepbxImportCmd    `cmd:"" help:"Read the call records now."`
	Operators freepbxOperatorsCmd `cmd:"" help:"Make operators of the extensions; what is set here is kept."`
	NoAnswer  freepbxNoAnswerCmd  `cmd:"" name:"noanswer" help:"Lead calls that extensions do not answer to the notices (users.noanswer_dest), and back."`
	Dialplan  freepbxDialplanCmd  `cmd:"" help:"Print extensions_custom.conf for a dialplan that stays in charge."`
}

// order sends a request to the server.
func (c freepbxCmd) order(ctx context.Context, what string, in, out any) error {
	if c.Key == "" {
		return errors.New("--key: the server's API needs a key; better given as PEREZVON_KEY")
	}
	client := apiclient.Client{Base: c.Server, Key: c.Key}
	return client.Do(ctx, http.MethodPost, "/api/v1/integrations/freepbx/"+what, in, out)
}

type freepbxImportCmd struct {
	All bool `help:"Read everything again, not only what is new."`
}

// Run implements kong's command.
func (c freepbxImportCmd) Run(ctx context.Context, all *commands) error {
	var read struct{ Records, Contacts int64 }
	if err := all.FreePBX.order(ctx, "import", map[string]any{"all": c.All}, &read); err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "%d new records, %d of them tell of an operator and a client\n", read.Records, read.Contacts)
	return nil
}

type freepbxOperatorsCmd struct {
	DryRun bool `help:"Change nothing and show what would be."`
}

// Run implements kong's command.
func (c freepbxOperatorsCmd) Run(ctx context.Context, all *commands) error {
	var answer struct {
		Changes []struct {
			Extension, Action, Reason string
			Fields                    []struct {
				Field, Here, FreePBX string
				Kept                 bool
			}
		}
	}
	if err := all.FreePBX.order(ctx, "operators", map[string]any{"dry_run": c.DryRun}, &answer); err != nil {
		return err
	}
	for _, change := range answer.Changes {
		mark := map[string]string{freepbx.OperatorAdd: "+", freepbx.OperatorFill: "~", freepbx.OperatorSame: " ", freepbx.OperatorSkip: "!"}[change.Action]
		fmt.Fprintf(os.Stdout, "%s %s", mark, change.Extension)
		if change.Reason != "" {
			fmt.Fprintf(os.Stdout, "  skipped: %s", change.Reason)
		}
		for _, f := range change.Fields {
			if f.Kept {
				fmt.Fprintf(os.Stdout, "  %s: %q is kept (FreePBX: %q)", f.Field, f.Here, f.FreePBX)
			} else {
				fmt.Fprintf(os.Stdout, "  %s: %q → %q", f.Field, f.Here, f.FreePBX)
			}
		}
		fmt.Fprintln(os.Stdout)
	}
	dryEnd(os.Stdout, c.DryRun)
	return nil
}

type freepbxNoAnswerCmd struct {
	Extensions  string `arg:"" optional:"" placeholder:"101-140,205" help:"Extensions and ranges of them, up to 1000; with --undo none: all that were changed."`
	Destination string `placeholder:"CONTEXT,EXTEN,PRIORITY" help:"Where the calls go; operators-alert,s,1 unless given."`
	Undo        bool   `help:"Put back what was there before."`
	DryRun      bool   `help:"Change nothing and show what would be."`
}

// Validate implements kong's check: what is no extension is not even sent.
func (c freepbxNoAnswerCmd) Validate() error {
	if c.Extensions == "" {
		if !c.Undo {
			return errors.New("which extensions? 101-140,205")
		}
		return nil
	}
	_, err := directory.ParseExtensions("extensions", c.Extensions)
	return err
}

// Run implements kong's command.
func (c freepbxNoAnswerCmd) Run(ctx context.Context, all *commands) error {
	order := map[string]any{"undo": c.Undo, "dry_run": c.DryRun}
	if c.Extensions != "" {
		order["extensions"] = c.Extensions
	}
	if c.Destination != "" {
		order["destination"] = c.Destination
	}
	var answer struct {
		Changes []struct{ Extension, Name, Old, New, Reason string }
		Marked  bool
		Reload  string
	}
	if err := all.FreePBX.order(ctx, "noanswer", order, &answer); err != nil {
		return err
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, change := range answer.Changes {
		what := orNone(change.Old) + " → " + orNone(change.New)
		if change.Old == change.New {
			what = orNone(change.Old) + " stays"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", change.Extension, change.Name, what, change.Reason)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	dryEnd(os.Stdout, c.DryRun)
	if answer.Reload != "" && !c.DryRun {
		button := ""
		if answer.Marked {
			button = ", or press Apply Config in FreePBX"
		}
		fmt.Fprintf(os.Stdout, "It takes effect when FreePBX makes its dialplan anew: run `%s` there%s.\n", answer.Reload, button)
	}
	return nil
}

func orNone(destination string) string {
	if destination == "" {
		return "(none)"
	}
	return destination
}

func dryEnd(out io.Writer, dry bool) {
	if dry {
		fmt.Fprintln(out, "Nothing was changed.")
	}
}

type freepbxDialplanCmd struct {
	AGI         string        `default:"agi://127.0.0.1:4573" placeholder:"agi://HOST:PORT" help:"This server's --agi, as Asterisk reaches it."`
	DID         []string      `placeholder:"NUMBER,…" help:"Called numbers whose callers are looked up as soon as they come; all unless given."`
	Queue       string        `default:"1000" placeholder:"NUMBER" help:"Queue of callers whose manager is not free."`
	Ring        time.Duration `default:"15s" placeholder:"TIME" help:"How long the manager is rung."`
	Window      string        `placeholder:"TIME" help:"How far back the look-up goes; 24h unless given."`
	Policy      string        `placeholder:"last|first" help:"The newest contact or the oldest; last unless given."`
	NoticeCode  string        `default:"*600" placeholder:"KEYS" help:"What operators dial to record their notices."`
	NoticeAllow []string      `placeholder:"_1XX,…" help:"Masks of the extensions that may; all unless given."`
	MarkPrompt  string        `default:"beep" placeholder:"SOUND" help:"Sound of Asterisk that asks an operator what to do, as custom/mark."`
}

// Run implements kong's command.
func (c freepbxDialplanCmd) Run() error {
	text, err := freepbx.Dialplan{
		AGI: c.AGI, DIDs: c.DID, Queue: c.Queue, Ring: c.Ring, Window: c.Window, Policy: c.Policy, NoticeCode: c.NoticeCode, NoticeAllow: c.NoticeAllow,
		MarkPrompt: c.MarkPrompt,
	}.Text()
	if err != nil {
		return err
	}
	_, err = io.WriteString(os.Stdout, text)
	return err
}
