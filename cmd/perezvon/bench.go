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
	Calls benchCallsCmd `cmd:"" help:"Let callbacks talk at the same time, with phones in this process and the server in another."`
}

type benchCallsCmd struct {
	N      int           `short:"n" default:"200" help:"Callbacks that talk at once, 1 to 5000."`
	Rate   float64       `default:"20" help:"Callbacks requested a second."`
	Hold   time.Duration `default:"30s" help:"How long they talk while it is measured."`
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
	return nil
}

func (c *benchCallsCmd) Run(ctx context.Context) error {
	binary, err := programOr(c.Server)
	if err != nil {
		return err
	}
	codec, _ := media.CodecByName(c.Codec) // kong has checked the name
	result, err := bench.Calls{Binary: binary, N: c.N, Rate: c.Rate, Hold: c.Hold, Codec: codec}.Run(ctx, os.Stderr)
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
