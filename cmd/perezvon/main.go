// Perezvon is a call server: it calls a manager and then the client, keeps a
// call whole, records and reports it. See README.md.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // working hours need zones, and the machine may have none

	"github.com/alecthomas/kong"

	"github.com/perezvon/perezvon/internal/config"
)

// commands are the subcommands, each in a file of its own.
type commands struct {
	Serve    serveCmd    `cmd:"" help:"Run the server."`
	Demo     demoCmd     `cmd:"" help:"Show a real callback between two phones on this machine."`
	Notice   noticeCmd   `cmd:"" help:"What callers hear who do not reach an operator: on, off, text or delete, for many at once."`
	FreePBX  freepbxCmd  `cmd:"" name:"freepbx" help:"The FreePBX beside the server: call records, operators, unanswered calls, dialplan."`
	Phone    phoneCmd    `cmd:"" help:"A small softphone: register, call, answer, speak, press keys, record."`
	Bench    benchCmd    `cmd:"" help:"Measure a server from outside."`
	Version  versionCmd  `cmd:"" help:"Print the version."`
	Asterisk asteriskCmd `cmd:"" help:"Prepare an Asterisk for --engine asterisk."`
	Try      tryCmd      `cmd:"" hidden:"" help:"Play a scene of a dry run; the server does so itself."`
}

func main() {
	var c commands
	k := kong.Parse(&c,
		kong.Name("perezvon"),
		kong.Description("A call server for businesses: callbacks, recordings, timelines."),
		kong.UsageOnError(),
		kong.Resolvers(&config.Sources{Getenv: os.LookupEnv}),
	)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	k.BindTo(ctx, (*context.Context)(nil))
	k.Bind(&c)
	if err := k.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "perezvon:", err)
		stop()
		os.Exit(1)
	}
}
