package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"github.com/perezvon/perezvon/internal/config"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/store"
	"github.com/perezvon/perezvon/internal/telephony/asterisk/checkup"
)

// asteriskCmd prepares an Asterisk for --engine asterisk.
type asteriskCmd struct {
	Check  asteriskCheckCmd  `cmd:"" help:"Examine an Asterisk: what is missing there for --engine asterisk, and what to do about it."`
	Config asteriskConfigCmd `cmd:"" help:"Print what Asterisk's configuration needs for --engine asterisk."`
}

// node is what both commands are told: the settings of the server, from the same
// flags, environment and file.
type node struct {
	config.Settings
}

// settled checks the settings as a server with this engine would.
func (n *node) settled() error {
	n.Engine = config.EngineAsterisk
	return n.Validate()
}

// peers are the directory's trunks and operators. The error says why they are
// not known; that there is no database yet is none.
func (n *node) peers(ctx context.Context) (store.Peers, error) {
	p, err := store.LookAtPeers(ctx, store.Options{DSN: string(n.Database), DataDir: n.Data}, directory.DefaultAccount)
	if errors.Is(err, fs.ErrNotExist) {
		return store.Peers{}, nil
	}
	return p, err
}

type asteriskCheckCmd struct {
	node

	JSON         bool     `name:"json" help:"Print the report as JSON."`
	Language     string   `name:"language" enum:",en,ru" default:"" placeholder:"en|ru" help:"Language of the report; that of the system (LANG) unless given."`
	Context      []string `name:"context" placeholder:"NAME,…" help:"Contexts of the dialplan to call into, beside those of the trunks' and operators' endpoints."`
	Extension    string   `name:"extension" placeholder:"NUMBER" help:"What is called there; the trunk's number or one of nobody's unless given."`
	SkipDialplan bool     `name:"skip-dialplan" help:"Do not call into the dialplan."`
	Verbose      bool     `short:"v" name:"verbose" help:"Log what is asked of Asterisk."`
}

// errNotReady: there are faults. They are told by the report.
var errNotReady = errors.New("this Asterisk is not ready for calls")

// Run prints the report; with faults it is an error.
func (c *asteriskCheckCmd) Run(ctx context.Context) error {
	if err := c.settled(); err != nil {
		return err
	}
	own := c.SIPAdvertise
	if !own.IsValid() {
		var err error
		if own, err = toward(ctx, c.ARIURL); err != nil {
			return fmt.Errorf("which address Asterisk reaches this machine at; say it with --sip-advertise: %w", err)
		}
	}
	peers, unread := c.peers(ctx)
	var log *slog.Logger
	if c.Verbose {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	report, err := checkup.Run(ctx, checkup.Config{
		URL: c.ARIURL, User: c.ARIUsername, Password: string(c.ARIPassword), App: c.ARIApp,
		MediaAddr: own, Low: c.RTPPorts.Low, High: c.RTPPorts.High,
		Trunks: peers.Trunks, Operators: peers.Operators, DirectoryErr: unread,
		Contexts: c.Context, Extension: c.Extension, SkipDialplan: c.SkipDialplan, Logger: log,
	})
	if err != nil {
		return err
	}
	language := checkup.Language(c.Language)
	if language == "" {
		language = languageOf(os.Getenv)
	}
	if c.JSON {
		text, err := report.JSON(language)
		if err != nil {
			return err
		}
		fmt.Println(string(text))
	} else {
		fmt.Print(report.Text(language))
	}
	if report.Faults() > 0 {
		return errNotReady
	}
	return nil
}

// languageOf is the one that the system speaks to its user (POSIX, "Environment
// Variables"): Russian if it is that, else English.
func languageOf(getenv func(string) string) checkup.Language {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if locale := getenv(name); locale != "" {
			if strings.HasPrefix(locale, "ru") {
				return checkup.Russian
			}
			break
		}
	}
	return checkup.English
}
