package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/perezvon/perezvon/internal/bench"
	"github.com/perezvon/perezvon/internal/media"
)

type benchCmd struct {
	Calls       benchCallsCmd       `cmd:"" help:"Let callbacks talk at the same time, with phones in this process and the server in another; on either engine."`
	Responsible benchResponsibleCmd `cmd:"" help:"Find the responsible manager among many calls, beside the query of the source on MariaDB."`
}

type benchCallsCmd struct {
	Engine string        `default:"builtin" enum:"builtin,asterisk,both" help:"What makes the calls: builtin, asterisk (a private one is started, see make asterisk), or both in turn, beside an Asterisk that dials and records by its dialplan alone."`
	Turns  int           `default:"3" help:"How often the engines take turns, with both."`
	N      int           `short:"n" default:"200" help:"Callbacks that talk at once, 1 to 5000."`
	Rate   float64       `default:"20" help:"Callbacks requested a second."`
	Hold   time.Duration `default:"30s" help:"How long they talk while it is measured, in each turn."`
	Codec  string        `default:"PCMA" enum:"PCMA,PCMU,G722" help:"What the phones speak."`
	Server string        `placeholder:"FILE" help:"Program to run as the server; this one by default."`
}

// Validate implements kong's check of the flags.
func (c *benchCallsCmd) Validate() error {
	if c.N < 1 || c.N > 5000 {
		return fmt.Errorf("-n is 1 to 5000, not %d", c.N)
	}
	if c.Rate <= 0 || c.Hold <= 0 {
		return fmt.Errorf("--rate and --hold are above 0")
	}
	if c.Turns < 1 {
		return fmt.Errorf("--turns is above 0")
	}
	return nil
}

func (c *benchCallsCmd) Run(ctx context.Context) error {
	binary, err := programOr(c.Server)
	if err != nil {
		return err
	}
	codec, _ := media.CodecByName(c.Codec) // kong has checked the name
	calls := bench.Calls{
		Binary: binary, Engines: []bench.Engine{bench.Engine(c.Engine)}, Turns: 1,
		N: c.N, Rate: c.Rate, Hold: c.Hold, Codec: codec,
	}
	if c.Engine == "both" {
		calls.Engines, calls.Turns = []bench.Engine{bench.Builtin, bench.OnAsterisk, bench.Dialplan}, c.Turns
	}
	result, err := calls.Run(ctx, os.Stderr)
	if err != nil {
		return err
	}
	result.Print(os.Stdout)
	return nil
}

// programOr is path, or this very program if path is empty.
func programOr(path string) (string, error) {
	if path != "" {
		return path, nil
	}
	return os.Executable()
}

type benchResponsibleCmd struct {
	Rows      int           `default:"10000000" help:"Calls, spread over a year: 20000 to 100000000, in hundreds."`
	Databases []string      `default:"sqlite,postgres,mariadb" enum:"sqlite,postgres,mariadb" help:"Where to look; servers are started for it from the programs that are installed."`
	Time      time.Duration `default:"3s" help:"How long each kind of look-up is repeated."`
}

// Validate implements kong's check of the flags.
func (c *benchResponsibleCmd) Validate() error {
	if c.Rows < 20_000 || c.Rows > 100_000_000 || c.Rows%100 != 0 {
		return fmt.Errorf("--rows is 20000 to 100000000 in hundreds, not %d", c.Rows)
	}
	if c.Time <= 0 {
		return fmt.Errorf("--time is above 0")
	}
	return nil
}

func (c *benchResponsibleCmd) Run(ctx context.Context) error {
	result, err := bench.Responsible{Rows: c.Rows, Databases: c.Databases, Time: c.Time}.Run(ctx, os.Stderr)
	if result != nil {
		result.Print(os.Stdout)
	}
	return err
}
