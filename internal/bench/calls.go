// Package bench measures a server from outside, with phones of its own in
// another process: what a call costs and how long people wait.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/usage"
)

// Engine is what makes the calls that are measured.
type Engine string

// The engines.
const (
	// Builtin is the server with its own SIP and RTP.
	Builtin Engine = "builtin"
	// OnAsterisk is the server that drives a real Asterisk; the time and memory
	// of both count.
	OnAsterisk Engine = "asterisk"
	// Dialplan is the real Asterisk without a server, told by its dialplan to
	// record (MixMonitor) and to Dial: what an administrator has without us.
	Dialplan Engine = "dialplan"
)

// Calls is a load of calls that talk at the same time: a manager is called,
// then a client, both are joined and recorded.
type Calls struct {
	// Binary is the program to run as the server.
	Binary string
	// Engines are measured in turn, Turns times in all: forth, back, forth, so
	// that a machine that others use as well hurts all alike.
	Engines []Engine
	Turns   int
	// N is how many calls talk at once, Rate how many are requested a second
	// until they do.
	N    int
	Rate float64
	// Hold is how long all of them talk in each turn: the time over which is
	// measured.
	Hold time.Duration
	// Codec is what the phones speak.
	Codec media.Codec
}

// bench is an engine that is up, and its phones.
type bench struct {
	system
	phones *phones
	idle   []int64 // memory of its processes before the first turn
	result *EngineResult
}

// Run starts the engines, lets N calls talk on one after the other, measures,
// and ends everything.
func (c Calls) Run(ctx context.Context, progress io.Writer) (res *Result, err error) {
	var benches []*bench
	defer func() {
		for _, b := range benches {
			err = errors.Join(err, b.stop())
		}
	}()
	res = &Result{Calls: c.N}
	for _, e := range c.Engines {
		b, failed := c.start(ctx, e, progress)
		if failed != nil {
			return nil, fmt.Errorf("%s: %w", e, failed)
		}
		benches = append(benches, b)
		res.Engines = append(res.Engines, b.result)
	}
	order := slices.Clone(benches)
	for range c.Turns {
		for _, b := range order {
			fmt.Fprintf(progress, "%s: calling %d managers and clients, %.0f a second\n", b.result.Engine, c.N, c.Rate)
			if err := c.turn(ctx, b, progress); err != nil {
				return nil, fmt.Errorf("%s: %w", b.result.Engine, err)
			}
		}
		slices.Reverse(order)
	}
	return res, nil
}

// start brings an engine and its phones up and makes one call: tables that are
// loaded once are no call's cost.
func (c Calls) start(ctx context.Context, e Engine, log io.Writer) (_ *bench, err error) {
	b := &bench{result: &EngineResult{Engine: e}}
	switch e {
	case Dialplan:
		b.system, err = startDialplan(ctx, c)
	default:
		b.system, err = startServer(ctx, c, e, log)
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.stop())
		}
	}()
	if b.phones, err = startPhones(ctx, b.system, c.Codec); err != nil {
		return nil, err
	}
	one := c
	one.N = 1
	t := b.phones.begin(ctx, &waits{})
	ids, err := one.request(ctx, b, t)
	if err == nil {
		err = t.waitTalking(ctx, 2)
	}
	t.hangUp()
	if err == nil {
		_, err = b.completed(ctx, ids, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("first call: %w", err)
	}
	for _, p := range b.processes() {
		memory, err := usage.Memory(p.pid)
		if err != nil {
			return nil, err
		}
		b.idle = append(b.idle, memory)
		b.result.Shares = append(b.result.Shares, &Share{Process: p.name})
	}
	return b, nil
}

// stop hangs up what is left and ends the phones and the engine.
func (b *bench) stop() error {
	var err error
	if b.phones != nil {
		err = b.phones.stop()
	}
	return errors.Join(err, b.system.stop())
}

// turn lets N calls talk, measures, and hangs up.
func (c Calls) turn(ctx context.Context, b *bench, progress io.Writer) error {
	t := b.phones.begin(ctx, &b.result.waits)
	defer t.hangUp()
	ids, err := c.request(ctx, b, t)
	if err != nil {
		return err
	}
	if err := t.waitTalking(ctx, 2*c.N); err != nil {
		return err
	}
	fmt.Fprintf(progress, "all talk; measuring for %s\n", c.Hold)
	w := t.waits
	sent, heard := w.sent.Load(), w.heard.Load()
	if err := c.measure(ctx, b); err != nil {
		return err
	}
	b.result.Sent += w.sent.Load() - sent
	b.result.Heard += w.heard.Load() - heard
	t.hangUp()
	completed, err := b.completed(ctx, ids, c.Hold)
	b.result.Completed += completed
	b.result.Called += len(ids)
	return err
}

// measure reads what the processes use while all calls talk.
func (c Calls) measure(ctx context.Context, b *bench) error {
	processes := b.processes()
	before := make([]time.Duration, len(processes))
	var err error
	for i, p := range processes {
		if before[i], err = usage.CPU(p.pid); err != nil {
			return err
		}
	}
	start := time.Now()
	if err := sleep(ctx, c.Hold); err != nil {
		return err
	}
	perCall := func(d time.Duration) time.Duration {
		return time.Duration(float64(d) / time.Since(start).Seconds() / float64(c.N))
	}
	for i, p := range processes {
		after, err := usage.CPU(p.pid)
		if err != nil {
			return err
		}
		share := b.result.Shares[i]
		share.CPU = append(share.CPU, perCall(after-before[i]))
		if len(share.CPU) > 1 {
			continue // what the first turn needed is kept for the next
		}
		memory, err := usage.Memory(p.pid)
		if err != nil {
			return err
		}
		share.Memory = (memory - b.idle[i]) / int64(c.N)
	}
	return nil
}

// request asks for the calls, Rate a second, and returns their ids.
func (c Calls) request(ctx context.Context, b *bench, t *turn) ([]string, error) {
	ids := make([]string, c.N)
	start := time.Now()
	for i := range ids {
		if err := sleep(ctx, time.Until(start.Add(time.Duration(float64(i)/c.Rate*float64(time.Second))))); err != nil {
			return nil, err
		}
		manager, client := fmt.Sprintf("7495%07d", 1000000+i), fmt.Sprintf("7916%07d", 1000000+i)
		t.posted.Store(manager, time.Now())
		var err error
		if ids[i], err = b.call(ctx, manager, client); err != nil {
			return nil, err
		}
	}
	return ids, nil
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
