// Package bench measures a server from outside, with phones of its own in
// another process: what a call costs and how long people wait.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/stream"
	"github.com/perezvon/perezvon/internal/media/tone"
	"github.com/perezvon/perezvon/internal/serverproc"
	"github.com/perezvon/perezvon/internal/softphone"
	"github.com/perezvon/perezvon/internal/telephony"
)

// Calls is a load of callbacks that talk at the same time.
type Calls struct {
	// Binary is the program to run as the server.
	Binary string
	// N is how many callbacks talk at once, Rate how many are requested a
	// second until they do.
	N    int
	Rate float64
	// Hold is how long all of them talk: the time over which is measured.
	Hold time.Duration
	// Codec is what the phones speak.
	Codec media.Codec
}

// Result is what Calls.Run measured.
type Result struct {
	Calls, Completed int
	// CPUPerCallSecond is processor time of the server for one second of one
	// recorded call of two legs.
	CPUPerCallSecond time.Duration
	// MemoryPerCall is resident memory beyond that of the idle server, bytes.
	MemoryPerCall int64
	// Sent and Heard are packets between the joined phones while it was
	// measured; what is under way at its ends makes them differ by a few.
	Sent, Heard int64

	// postToInvite is from before the POST to the manager's phone; greeting
	// from the manager's answer to the first sound, join the same for the
	// client; relay the way from phone to phone through the server.
	postToInvite, greeting, join, relay *histogram
}

// carrier is the far side of everything: it takes every call, manager's or
// client's, and sends a tone for as long as it lasts.
type carrier struct {
	name    string // of the trunk it is
	net     *probeNet
	phone   *softphone.Phone
	posted  sync.Map // number → time of the POST
	talking atomic.Int64
	over    context.Context // ends when the phones hang up
	hangUp  context.CancelFunc

	postToInvite, greeting, join histogram
}

// Run starts a server, lets N callbacks talk, measures, and ends everything.
func (b Calls) Run(ctx context.Context, progress io.Writer) (res *Result, err error) {
	srv, err := serverproc.Start(ctx, serverproc.Options{
		Binary: b.Binary,
		Log:    progress,
		Args:   []string{"--rtp-ports", "20000-31999", "--log-level", "warn", "--drain", "1s"},
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, srv.Stop()) }()
	// One call first: tables that are loaded once are no call's cost.
	if err := b.warmUp(ctx, srv); err != nil {
		return nil, fmt.Errorf("first call: %w", err)
	}
	c, err := newCarrier(ctx, srv, "bench", b.Codec)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.stop(ctx)) }()
	idle, err := srv.Memory()
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(progress, "calling %d managers and clients, %.0f a second\n", b.N, b.Rate)
	ids, err := b.request(ctx, srv, c)
	if err != nil {
		return nil, err
	}
	if err := c.waitTalking(ctx, 2*b.N); err != nil {
		return nil, err
	}
	res = &Result{Calls: b.N, postToInvite: &c.postToInvite, greeting: &c.greeting, join: &c.join, relay: &c.net.delays}
	fmt.Fprintf(progress, "all talk; measuring for %s\n", b.Hold)
	sent, heard := c.net.sent.Load(), c.net.heard.Load()
	if err := b.measure(ctx, srv, idle, res); err != nil {
		return nil, err
	}
	res.Sent, res.Heard = c.net.sent.Load()-sent, c.net.heard.Load()-heard
	res.Completed, err = hangUp(ctx, srv, c, ids)
	return res, err
}

// warmUp makes one call through a carrier of its own.
func (b Calls) warmUp(ctx context.Context, srv *serverproc.Process) (err error) {
	b.N = 1
	c, err := newCarrier(ctx, srv, "warm-up", b.Codec)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop(ctx)) }()
	ids, err := b.request(ctx, srv, c)
	if err != nil {
		return err
	}
	if err := c.waitTalking(ctx, 2); err != nil {
		return err
	}
	_, err = hangUp(ctx, srv, c, ids)
	return err
}

// measure reads what the server uses while all calls talk.
func (b Calls) measure(ctx context.Context, srv *serverproc.Process, idle int64, res *Result) error {
	before, err := srv.CPU()
	if err != nil {
		return err
	}
	start := time.Now()
	if err := sleep(ctx, b.Hold); err != nil {
		return err
	}
	after, err := srv.CPU()
	if err != nil {
		return err
	}
	seconds := time.Since(start).Seconds()
	res.CPUPerCallSecond = time.Duration(float64(after-before) / seconds / float64(b.N))
	now, err := srv.Memory()
	res.MemoryPerCall = (now - idle) / int64(b.N)
	return err
}

// newCarrier brings one up and makes it known to the server as a trunk.
func newCarrier(ctx context.Context, srv *serverproc.Process, name string, codec media.Codec) (*carrier, error) {
	c := &carrier{name: name, net: newProbeNet()}
	c.over, c.hangUp = context.WithCancel(ctx)
	var err error
	c.phone, err = softphone.Start(ctx, softphone.Config{
		Server: srv.SIP,
		Codecs: []string{codec.Name()},
		Ports:  stream.NewPorts(c.net, netip.MustParseAddr("127.0.0.1"), 32000, 59999),
		OnCall: c.take,
	})
	if err != nil {
		return nil, err
	}
	if err := c.becomeTrunk(ctx, srv, codec); err != nil {
		return nil, errors.Join(err, c.stop(ctx))
	}
	return c, nil
}

func (c *carrier) stop(ctx context.Context) error {
	c.hangUp()
	return c.phone.Stop(context.WithoutCancel(ctx))
}

// take answers at once, and talks until the far end hangs up.
func (c *carrier) take(ctx context.Context, leg telephony.Leg) {
	first := &firstSound{into: &c.join}
	if at, manager := c.posted.Load(digits(leg.Info().To)); manager {
		c.postToInvite.add(time.Since(at.(time.Time)))
		first.into = &c.greeting
	}
	leg.Record(first)
	first.answered = time.Now()
	if err := leg.Answer(ctx); err != nil {
		return
	}
	c.talking.Add(1)
	defer c.talking.Add(-1)
	stop := context.AfterFunc(c.over, func() { leg.Hangup(0) })
	defer stop()
	_ = leg.Play(ctx, telephony.Prompt{Clip: tone.Sine(440, time.Second, 8000, 8000), Loop: true}) // until the call ends
}

func (c *carrier) becomeTrunk(ctx context.Context, srv *serverproc.Process, codec media.Codec) error {
	host, port, err := net.SplitHostPort(c.phone.Addr())
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	return srv.API.Do(ctx, "POST", "/api/v1/trunks", map[string]any{
		"name": c.name, "host": host, "port": n, "codecs": []string{codec.Name()},
	}, nil)
}

// request asks for the callbacks, Rate a second, and returns their ids.
func (b Calls) request(ctx context.Context, srv *serverproc.Process, c *carrier) ([]string, error) {
	ids := make([]string, b.N)
	start := time.Now()
	for i := range ids {
		if err := sleep(ctx, time.Until(start.Add(time.Duration(float64(i)/b.Rate*float64(time.Second))))); err != nil {
			return nil, err
		}
		manager, client := fmt.Sprintf("+7495%07d", 1000000+i), fmt.Sprintf("+7916%07d", 1000000+i)
		c.posted.Store(manager[1:], time.Now())
		var accepted struct {
			ID string `json:"id"`
		}
		err := srv.API.Do(ctx, "POST", "/api/v1/callbacks", map[string]any{
			"managers": manager, "client": client, "trunk": c.name, "client_delay_ms": 0,
		}, &accepted)
		if err != nil {
			return nil, err
		}
		ids[i] = accepted.ID
	}
	return ids, nil
}

// waitTalking waits until n phones are talking and the clients among them are
// joined, which is some seconds of prompts after their managers answered.
func (c *carrier) waitTalking(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("not all calls came about within a minute"))
	defer cancel()
	for c.talking.Load() < int64(n) {
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("%d of %d phones talk: %w", c.talking.Load(), n, err)
		}
	}
	return sleep(ctx, time.Second) // the last joins
}

// hangUp stops the phones and counts the calls that ended as completed.
func hangUp(ctx context.Context, srv *serverproc.Process, c *carrier, ids []string) (completed int, err error) {
	c.hangUp()
	for _, id := range ids {
		var cb struct {
			Attempts []struct {
				Status *struct{ Code int } `json:"status"`
			} `json:"attempts"`
		}
		for {
			if err := srv.API.Do(ctx, "GET", "/api/v1/callbacks/"+id, nil, &cb); err != nil {
				return completed, err
			}
			if len(cb.Attempts) > 0 && cb.Attempts[0].Status != nil && cb.Attempts[0].Status.Code != 0 {
				break
			}
			if err := sleep(ctx, 50*time.Millisecond); err != nil {
				return completed, err
			}
		}
		if cb.Attempts[0].Status.Code == 200 {
			completed++
		}
	}
	return completed, nil
}

// firstSound is a track that tells how long after the answer sound came.
type firstSound struct {
	answered time.Time
	once     sync.Once
	into     *histogram
}

func (f *firstSound) Packet(at time.Time, _ media.Codec, _, _ uint32, _ []byte) {
	f.once.Do(func() { f.into.add(at.Sub(f.answered)) })
}
func (f *firstSound) PlayStarted(time.Time, string, bool, time.Duration) {}
func (f *firstSound) PlayEnded(time.Time, string)                        {}

// digits drops the + of a number.
func digits(number string) string {
	if number != "" && number[0] == '+' {
		return number[1:]
	}
	return number
}

// sleep waits, or returns the cause if ctx ends first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Print writes the figures for people.
func (r *Result) Print(w io.Writer) {
	fmt.Fprintf(w, "calls at once            %d, completed %d\n", r.Calls, r.Completed)
	fmt.Fprintf(w, "CPU per call-second      %s\n", short(r.CPUPerCallSecond))
	fmt.Fprintf(w, "memory per call          %d KB\n", r.MemoryPerCall>>10)
	fmt.Fprintf(w, "POST → first INVITE      %s\n", r.postToInvite)
	fmt.Fprintf(w, "answer → greeting        %s\n", r.greeting)
	fmt.Fprintf(w, "client's answer → sound  %s\n", r.join)
	fmt.Fprintf(w, "delay through the relay  %s\n", r.relay)
	fmt.Fprintf(w, "packets                  %d sent, %d heard by the other side\n", r.Sent, r.Heard)
}
