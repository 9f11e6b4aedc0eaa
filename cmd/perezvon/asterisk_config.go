package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"

	"github.com/perezvon/perezvon/internal/config"
	"github.com/perezvon/perezvon/internal/telephony/asterisk/fragments"
)

type asteriskConfigCmd struct {
	node

	File string `arg:"" optional:"" enum:",http.conf,ari.conf,pjsip.conf,extensions.conf,modules.conf" default:"" help:"Which of Asterisk's files: http.conf, ari.conf, pjsip.conf, extensions.conf, modules.conf; all unless given."`
}

// Run prints the fragments. Without a password in the settings a new one is
// made, which the server must be given then.
func (c *asteriskConfigCmd) Run(ctx context.Context) error {
	if err := c.settled(); err != nil {
		return err
	}
	peers, err := c.peers(ctx)
	if err != nil {
		return err
	}
	password, made := string(c.ARIPassword), false
	if password == "" {
		password, made = rand.Text(), true
	}
	own := c.SIPAdvertise
	if !own.IsValid() {
		if own, err = toward(ctx, c.ARIURL); err != nil {
			return fmt.Errorf("which address this machine has for Asterisk; say it with --sip-advertise: %w", err)
		}
	}
	files, err := fragments.Write(fragments.Config{
		URL: c.ARIURL, User: c.ARIUsername, Password: password, App: c.ARIApp, Own: own, Trunks: peers.Trunks, Operators: peers.Operators,
	})
	if err != nil {
		return err
	}
	for _, f := range files {
		switch c.File {
		case "":
			fmt.Printf(";;;; %s\n%s\n", f.Name, f.Text)
		case f.Name:
			fmt.Print(f.Text)
		}
	}
	if made && (c.File == "" || c.File == "ari.conf") {
		fmt.Fprintf(os.Stderr, "The password is new. Give it to the server: %s=%s\n", config.Variable("ari-password"), password)
	}
	return nil
}
