package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/perezvon/perezvon/internal/demo"
)

type demoCmd struct {
	Language string `default:"ru" enum:"ru,en" help:"Language of the voices: ru or en."`
	Data     string `placeholder:"DIR" help:"Data folder of the demo; a new temporary one by default. It is kept."`
	Bitrix24 string `name:"bitrix24" placeholder:"URL" help:"Tell a Bitrix24 portal of the call, too: the address of its incoming webhook. make demo gives it one that is made for tests."`
	Once     bool   `help:"End after the call; otherwise the server stays up to be looked at."`
}

func (c *demoCmd) Run(ctx context.Context) error {
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	if c.Data == "" {
		dir, err := os.MkdirTemp("", "perezvon-demo-")
		if err != nil {
			return err
		}
		c.Data = filepath.Join(dir, "data")
	}
	return demo.Demo{Binary: binary, Language: c.Language, Data: c.Data, Out: os.Stdout, Stay: !c.Once, Bitrix24: c.Bitrix24}.Run(ctx)
}
