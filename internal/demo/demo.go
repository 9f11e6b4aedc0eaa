// Package demo shows a real callback to somebody who has just met the program:
// a server, two telephones, one call over SIP on loopback, its timeline as it
// happens, its recording and the page to look at.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/perezvon/perezvon/internal/apiclient"
	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/serverproc"
	"github.com/perezvon/perezvon/internal/softphone"
	"github.com/perezvon/perezvon/internal/telephony"
)

// Demo says how the show is run.
type Demo struct {
	// Binary is the program to run as the server.
	Binary string
	// Language of what is spoken: ru or en.
	Language string
	// Data is the data folder; it stays, with the recording in it.
	Data string
	// Out takes the story.
	Out io.Writer
	// Stay keeps the server up afterwards, until ctx ends.
	Stay bool
	// Bitrix24 is the address of an incoming webhook of a portal that is told of
	// the call; default: none. A portal on loopback may be reached by plain HTTP.
	Bitrix24 string
}

// The people of the demo.
const (
	manager   = "101"
	clientTo  = "+79161234567"
	trunkName = "demo"
	password  = "demo-phone-password" // of a phone on loopback, in a folder of its own
)

// ErrNotCompleted means that the call did not end as it should.
var ErrNotCompleted = errors.New("the demo call was not completed")

// Run plays the whole show.
func (d Demo) Run(ctx context.Context) (err error) {
	lines, err := dialogue(d.Language)
	if err != nil {
		return err
	}
	srv, err := d.serve(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, srv.Stop()) }()
	if err := d.connect(ctx, srv); err != nil {
		return err
	}

	managerPhone, clientPhone, err := d.phones(ctx, srv)
	if err != nil {
		return err
	}
	defer managerPhone.stop(ctx)
	defer clientPhone.stop(ctx)

	fmt.Fprintf(d.Out, "Perezvon is running.\n\n"+
		"  console and API  %s\n  API key          %s\n  SIP              %s\n"+
		"  manager          extension %s, a phone registered from %s\n"+
		"  client           %s, behind the trunk %q at %s\n\n",
		srv.API.Base, srv.API.Key, srv.SIP, manager, managerPhone.Addr(), clientTo, trunkName, clientPhone.Addr())

	var accepted apiclient.Accepted
	if err := srv.API.Do(ctx, "POST", "/api/v1/callbacks", map[string]any{
		"managers": manager, "client": clientTo, "trunk": trunkName,
		"language": d.Language, "client_delay_ms": 1000,
	}, &accepted); err != nil {
		return fmt.Errorf("ask for a callback: %w", err)
	}
	fmt.Fprintf(d.Out, "A visitor left %s on the site. The call, as it happens:\n\n", clientTo)

	status, err := d.follow(ctx, srv, accepted.CallID, func() { go converse(ctx, managerPhone, clientPhone, lines) })
	if err != nil {
		return err
	}
	if err := d.conclude(ctx, srv, accepted, status); err != nil {
		return err
	}
	if err := d.askCRM(ctx, srv, accepted.CallID); err != nil {
		return err
	}
	if d.Stay {
		fmt.Fprintln(d.Out, "\nThe server stays up. Press Ctrl-C to end it.")
		select {
		case <-ctx.Done():
		case <-srv.Ended():
		}
	}
	return nil
}

// serve starts the server on the usual ports, or on free ones where those are
// taken.
func (d Demo) serve(ctx context.Context) (*serverproc.Process, error) {
	if err := os.MkdirAll(d.Data, 0o700); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(d.Data, "server.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close() // the server has a handle of its own
	o := serverproc.Options{Binary: d.Binary, Data: d.Data, Log: log, Args: d.reach()}
	if free("tcp", usualHTTP) && free("udp", usualSIP) && free("tcp", usualSIP) {
		o.HTTP, o.SIP = usualHTTP, usualSIP
	}
	srv, err := serverproc.Start(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("%w (its log: %s)", err, log.Name())
	}
	return srv, nil
}

// The usual ports, on loopback only: a demo is nobody else's business.
const (
	usualHTTP = "127.0.0.1:8080"
	usualSIP  = "127.0.0.1:5060"
)

func free(network, addr string) bool {
	var c io.Closer
	var err error
	if network == "udp" {
		c, err = net.ListenPacket(network, addr)
	} else {
		c, err = net.Listen(network, addr)
	}
	if err != nil {
		return false
	}
	return c.Close() == nil
}

// phones makes the two telephones known to the server and brings them up.
func (d Demo) phones(ctx context.Context, srv *serverproc.Process) (m, c *person, err error) {
	logger := slog.New(slog.DiscardHandler)
	err = srv.API.Do(ctx, "PUT", "/api/v1/operators/"+manager, map[string]any{
		"extension": manager, "name": "Demo manager", "password": password,
	}, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("operator: %w", err)
	}
	c, err = newPerson(ctx, softphone.Config{Server: srv.SIP, Logger: logger}, 2*time.Second)
	if err != nil {
		return nil, nil, fmt.Errorf("client's phone: %w", err)
	}
	host, port, err := net.SplitHostPort(c.Addr())
	if err != nil {
		return nil, nil, err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return nil, nil, err
	}
	err = srv.API.Do(ctx, "PUT", "/api/v1/trunks/"+trunkName, map[string]any{"name": trunkName, "host": host, "port": n}, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("trunk: %w", err)
	}
	m, err = newPerson(ctx, softphone.Config{
		Server: srv.SIP, User: manager, Password: password, Logger: logger,
	}, time.Second)
	if err != nil {
		return nil, nil, fmt.Errorf("manager's phone: %w", err)
	}
	return m, c, m.WaitRegistered(ctx, 10*time.Second)
}

// follow prints the timeline until the call has ended and its recording is
// done, and calls joined when the two hear each other.
func (d Demo) follow(ctx context.Context, srv *serverproc.Process, callID string, joined func()) (*call.Status, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, errors.New("the call takes too long"))
	defer cancel()
	var status *call.Status
	var start time.Time
	err := srv.API.Follow(ctx, callID, func(e call.Event) bool {
		if start.IsZero() {
			start = e.At
		}
		fmt.Fprintf(d.Out, "  %7.3f s  %s\n", e.At.Sub(start).Seconds(), tell(e))
		switch e.Type {
		case call.Joined:
			joined()
		case call.Ended:
			status = e.Status
		case call.RecordingState:
			return e.Recording != call.RecordingReady && e.Recording != call.RecordingFailed
		}
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("follow the call: %w", errors.Join(err, context.Cause(ctx)))
	}
	return status, nil
}

// conclude prints the result and where everything is.
func (d Demo) conclude(ctx context.Context, srv *serverproc.Process, accepted apiclient.Accepted, status *call.Status) error {
	var c apiclient.Call
	if err := srv.API.Do(ctx, "GET", "/api/v1/calls/"+accepted.CallID, nil, &c); err != nil {
		return err
	}
	path := filepath.Join(d.Data, "demo-recording.wav")
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := errors.Join(srv.API.Recording(ctx, accepted.CallID, f), f.Close()); err != nil {
		return fmt.Errorf("fetch the recording: %w", err)
	}
	if status == nil || *status != call.Completed {
		return fmt.Errorf("%w: %v", ErrNotCompleted, status)
	}
	fmt.Fprintf(d.Out, "\nResult     %s, %.1f s in all, %.1f s of talk\n", status, c.DurationS, c.TalkS)
	fmt.Fprintf(d.Out, "Recording  %s (%.1f s, stereo: client left, manager right)\n", path, c.Recording.DurationS)
	var link struct {
		PageURL string `json:"page_url"`
	}
	if err := srv.API.Do(ctx, "POST", "/api/v1/calls/"+accepted.CallID+"/recording/link?ttl_s=86400", nil, &link); err != nil {
		return fmt.Errorf("link to the page: %w", err)
	}
	fmt.Fprintf(d.Out, "Look at it %s\n", link.PageURL)
	return nil
}

// person is a telephone and somebody who picks it up.
type person struct {
	*softphone.Phone
	answered chan telephony.Leg // the one call of the demo
}

func newPerson(ctx context.Context, c softphone.Config, rings time.Duration) (*person, error) {
	p := &person{answered: make(chan telephony.Leg, 1)}
	c.OnCall = func(ctx context.Context, leg telephony.Leg) {
		pickUp := softphone.Script{RingFor: rings, StayOn: true}
		select {
		case p.answered <- leg:
			_ = pickUp.Receive(ctx, leg) // how it ended is told by the server's timeline
		default:
			leg.Hangup(486)
		}
	}
	phone, err := softphone.Start(ctx, c)
	p.Phone = phone
	return p, err
}

func (p *person) stop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = p.Stop(ctx) // the demo is over either way
}
