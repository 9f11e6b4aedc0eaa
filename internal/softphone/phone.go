// Package softphone is a small telephone on the server's own SIP and RTP stack:
// it registers, calls, answers, speaks, presses keys and records. The demo, the
// bench and `perezvon phone` are made of it.
package softphone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/media/stream"
	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/sipengine"
)

// Config says whose telephone it is.
type Config struct {
	// Server is the SIP address calls go to and come from, host:port.
	Server string
	// Transport is udp (default), tcp or tls.
	Transport string
	// Listen is the phone's own address; default 127.0.0.1:0 for a server on
	// loopback, 0.0.0.0:0 otherwise.
	Listen string
	// User and Password register the phone at the server as an operator's;
	// without a password it only takes calls, as a carrier does.
	User, Password string
	// Codecs in order of preference; default PCMA, PCMU, G722.
	Codecs []string
	// Ports is where media comes from; nil: ports chosen by the system.
	Ports *stream.Ports
	// OnCall is run for each call in, in a goroutine of its own; the call ends
	// when it returns.
	OnCall func(ctx context.Context, leg telephony.Leg)
	// Logger; nil: nothing is logged.
	Logger *slog.Logger
}

// route is the name of the phone's one trunk: its server.
const route = "server"

// Phone is a running telephone.
type Phone struct {
	engine *sipengine.Engine
}

// Start brings a telephone up. It does not wait for the registration.
func Start(ctx context.Context, c Config) (*Phone, error) {
	server, err := trunkTo(c)
	if err != nil {
		return nil, err
	}
	listen, ip, err := localAddr(c, server.Host)
	if err != nil {
		return nil, err
	}
	if c.Ports == nil {
		c.Ports = stream.NewPorts(stream.SystemNet(), ip, 0, 0)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.OnCall == nil {
		c.OnCall = func(_ context.Context, leg telephony.Leg) { leg.Hangup(480) }
	}
	engine, err := sipengine.New(sipengine.Config{
		Addr:      listen,
		Ports:     c.Ports,
		Directory: onlyTrunk{server},
		Handler:   c.OnCall,
		UserAgent: "Perezvon phone",
		Logger:    c.Logger,
	})
	if err != nil {
		return nil, err
	}
	if err := engine.Start(ctx); err != nil {
		return nil, err
	}
	return &Phone{engine}, nil
}

// Call dials a number at the server and waits for the answer; the error is a
// *telephony.DialError.
func (p *Phone) Call(ctx context.Context, number string) (telephony.Leg, error) {
	return p.CallAs(ctx, "", number)
}

// CallAs is Call that shows a number of its own, as a carrier passes on his
// caller's; empty: the phone's.
func (p *Phone) CallAs(ctx context.Context, from, number string) (telephony.Leg, error) {
	return p.engine.Dial(ctx, telephony.Dial{Leg: "phone", Trunk: route, Number: number, CallerID: from})
}

// WaitRegistered waits until the server has accepted the registration. Where it
// has not within d, the error says why; the phone goes on trying.
func (p *Phone) WaitRegistered(ctx context.Context, d time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, d, fmt.Errorf("no registration within %s", d))
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, trouble := p.registered()
		if ok {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if trouble != "" {
				return fmt.Errorf("%w: %s", context.Cause(ctx), trouble)
			}
			return context.Cause(ctx)
		}
	}
}

// registered tells whether the registration stands, and what is wrong with it.
func (p *Phone) registered() (ok bool, trouble string) {
	for _, s := range p.engine.TrunkStates() {
		if s.Name == route {
			return s.Registered, s.LastError
		}
	}
	return false, ""
}

// Addr is the phone's SIP address, host:port.
func (p *Phone) Addr() string { return p.engine.Addr().String() }

// Stop hangs up what is left and takes the registration back.
func (p *Phone) Stop(ctx context.Context) error { return p.engine.Stop(ctx) }

func trunkTo(c Config) (directory.Trunk, error) {
	host, port, err := net.SplitHostPort(c.Server)
	if err != nil {
		return directory.Trunk{}, fmt.Errorf("server %q: %w", c.Server, err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return directory.Trunk{}, fmt.Errorf("server %q: port: %w", c.Server, err)
	}
	codecs := c.Codecs
	if len(codecs) == 0 {
		codecs = []string{"PCMA", "PCMU", "G722"}
	}
	return directory.Trunk{
		Name: route, Host: host, Port: n, Transport: c.Transport,
		Username: c.User, Password: c.Password, Register: c.Password != "", Codecs: codecs,
		// What a person dials is sent as dialled: 102, *600, +7916….
		NumberFormat: "{digits}",
	}, nil
}

func localAddr(c Config, server string) (listen string, ip netip.Addr, err error) {
	listen = c.Listen
	if listen == "" {
		listen = "0.0.0.0:0"
		if a, err := netip.ParseAddr(server); err == nil && a.IsLoopback() {
			listen = net.JoinHostPort(a.String(), "0")
		}
	}
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return "", netip.Addr{}, fmt.Errorf("listen %q: %w", listen, err)
	}
	ip, err = netip.ParseAddr(host)
	return listen, ip, err
}

// onlyTrunk is the directory of somebody who has one route and no operators.
type onlyTrunk struct{ server directory.Trunk }

func (d onlyTrunk) Trunks(context.Context) ([]directory.Trunk, error) {
	return []directory.Trunk{d.server}, nil
}

var errNoOperators = errors.New("a phone has no operators")

func (onlyTrunk) Operator(context.Context, string) (directory.Operator, error) {
	return directory.Operator{}, errNoOperators
}
