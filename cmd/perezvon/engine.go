package main

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"net/netip"
	"net/url"

	"github.com/perezvon/perezvon/internal/config"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/dispatch"
	"github.com/perezvon/perezvon/internal/httpapi"
	"github.com/perezvon/perezvon/internal/media/stream"
	"github.com/perezvon/perezvon/internal/store"
	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/asterisk"
	"github.com/perezvon/perezvon/internal/telephony/asterisk/ari"
	"github.com/perezvon/perezvon/internal/telephony/sipengine"
)

// phoneSystem is what makes the calls, as the server runs it.
type phoneSystem interface {
	telephony.Engine
	httpapi.Phones
	fmt.Stringer
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	// DeviceStates tells what the operators' phones are doing, until ctx ends.
	DeviceStates(ctx context.Context) iter.Seq2[string, telephony.DeviceState]
}

// engine is the phone system of --engine, and the pool of its media ports.
// take is given the calls that come.
func (c *serveCmd) engine(ctx context.Context, db *store.Store, take func(context.Context, telephony.Leg), log *slog.Logger) (phoneSystem, *stream.Ports, error) {
	if c.Engine == config.EngineAsterisk {
		return c.asterisk(ctx, db, take, log)
	}
	return c.builtin(db, take, log)
}

// asterisk is the phone system that somebody has already.
func (c *serveCmd) asterisk(ctx context.Context, db *store.Store, take func(context.Context, telephony.Leg), log *slog.Logger) (phoneSystem, *stream.Ports, error) {
	client, err := ari.New(ari.Config{URL: c.ARIURL, User: c.ARIUsername, Password: string(c.ARIPassword), App: c.ARIApp, Logger: log})
	if err != nil {
		return nil, nil, err
	}
	own := c.SIPAdvertise
	if !own.IsValid() {
		if own, err = toward(ctx, c.ARIURL); err != nil {
			return nil, nil, fmt.Errorf("which address Asterisk reaches this server at; say it with --sip-advertise: %w", err)
		}
	}
	// Bound to all addresses: the one that Asterisk sees may not be this machine's.
	ports := stream.NewPorts(stream.SystemNet(), netip.IPv4Unspecified(), c.RTPPorts.Low, c.RTPPorts.High)
	engine, err := asterisk.New(asterisk.Config{
		ARI: client, Directory: account{db, directory.DefaultAccount}, Ports: ports, MediaAddr: own, Logger: log, Handler: take,
	})
	return asteriskPhones{engine, c.ARIURL}, ports, err
}

// survivors is a phone system that keeps calls when the server is not there, or
// nil.
func survivors(phones phoneSystem) dispatch.Survivors {
	s, _ := phones.(dispatch.Survivors)
	return s
}

// toward is the address of this machine that leads to the host of a URL.
func toward(ctx context.Context, address string) (netip.Addr, error) {
	u, err := url.Parse(address)
	if err != nil {
		return netip.Addr{}, err
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "udp4", net.JoinHostPort(u.Hostname(), port)) // nothing is sent
	if err != nil {
		return netip.Addr{}, err
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr(), nil
}

// asteriskPhones is an Asterisk as a phone system.
type asteriskPhones struct {
	*asterisk.Engine
	url string
}

// String says which Asterisk, for the log.
func (p asteriskPhones) String() string { return p.url }

// Trunk implements httpapi.Phones. Whether it is registered is Asterisk's affair.
func (p asteriskPhones) Trunk(name string) (httpapi.TrunkState, bool) {
	calls, ok := p.TrunkCalls(name)
	return httpapi.TrunkState{Channels: calls}, ok
}

// Contacts implements httpapi.Phones: Asterisk knows them, and tells nobody
// without a call.
func (p asteriskPhones) Contacts(string) []string { return nil }

// sipPhones is the built-in phone system.
type sipPhones struct{ *sipengine.Engine }

// String says where phones register, for the log.
func (p sipPhones) String() string { return "sip:" + p.Addr().String() }

// Trunk implements httpapi.Phones.
func (p sipPhones) Trunk(name string) (httpapi.TrunkState, bool) {
	for _, s := range p.TrunkStates() {
		if s.Name == name {
			state := httpapi.TrunkState{Channels: s.Channels, Reason: s.LastError}
			if s.Registers {
				state.Registered = &s.Registered
			}
			if s.Asked {
				state.Healthy = &s.Healthy
			}
			return state, true
		}
	}
	return httpapi.TrunkState{}, false
}
