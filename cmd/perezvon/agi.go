package main

import (
	"context"
	"log/slog"
	"net"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/fastagi"
	"github.com/perezvon/perezvon/internal/httpapi/access"
	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/notice"
	"github.com/perezvon/perezvon/internal/scenario"
	"github.com/perezvon/perezvon/internal/speech"
	"github.com/perezvon/perezvon/internal/store"
	"github.com/perezvon/perezvon/internal/telephony"
)

// agiService answers the dialplan of --agi, and serves the sounds that Asterisk
// fetches for it.
type agiService struct {
	server   fastagi.Server
	sounds   *fastagi.Sounds
	listener net.Listener // nil: --agi is off
}

// fastAGI makes the service.
func (c *serveCmd) fastAGI(db *store.Store, who fastagi.LookUp, phones telephony.Engine, notices *notice.Shelf,
	spoken *speech.Library, rules scenario.NoticeRules, signer *access.Signer, log *slog.Logger,
) *agiService {
	sounds := &fastagi.Sounds{
		Shelf: notices, Account: directory.DefaultAccount, TemplateText: rules.Template, Base: c.URL(), Seal: signer, Logger: log,
		Say: func(ctx context.Context, text string) (*audio.Clip, error) {
			return spoken.Say(ctx, speech.Voice{}, text)
		},
	}
	responsible := &fastagi.Responsible{LookUp: who, Operators: db, State: phones.DeviceState, Account: directory.DefaultAccount, Logger: log}
	said := &fastagi.Notice{Notices: notices, Sounds: sounds, Rules: rules, Account: directory.DefaultAccount, Logger: log}
	return &agiService{sounds: sounds, server: fastagi.Server{
		Scripts: map[string]fastagi.Script{"responsible": responsible.Serve, "notice": said.Serve},
		Allow:   c.AGIAllow, Logger: log,
	}}
}

// listen takes the address, if there is one.
func (s *agiService) listen(addr string) (err error) {
	if addr != "" {
		s.listener, err = net.Listen("tcp", addr)
	}
	return err
}

// serve serves until ctx ends.
func (s *agiService) serve(ctx context.Context) error {
	if s.listener == nil {
		return nil
	}
	return s.server.Serve(ctx, s.listener)
}
