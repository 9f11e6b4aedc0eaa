package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/media/tone"
	"github.com/perezvon/perezvon/internal/media/wav"
	"github.com/perezvon/perezvon/internal/softphone"
	"github.com/perezvon/perezvon/internal/telephony"
)

type phoneCmd struct {
	Server    string        `default:"127.0.0.1:5060" placeholder:"HOST:PORT" help:"SIP address of the server."`
	Transport string        `default:"udp" enum:"udp,tcp,tls" help:"udp, tcp or tls."`
	Listen    string        `placeholder:"ADDR" help:"Own SIP address; a free port by default."`
	User      string        `help:"Extension to register as."`
	Password  string        `env:"PEREZVON_PHONE_PASSWORD" help:"Password of the registration; without one the phone does not register."`
	Codec     []string      `placeholder:"NAME,…" help:"Codecs in order of preference (PCMA, PCMU, G722)."`
	Call      string        `placeholder:"NUMBER" help:"Call this number and end with the call; otherwise wait for calls."`
	Ring      time.Duration `default:"2s" help:"How long it rings before it is picked up."`
	Refuse    int           `placeholder:"CODE" help:"Refuse calls with this SIP status instead (486 busy, 603 declined)."`
	Play      []string      `placeholder:"FILE|tone:HZ,…" help:"What is said: WAV files, or tone:440 for three seconds of a tone."`
	Repeat    bool          `help:"Say the last of them over and over."`
	Keys      []string      `placeholder:"DIGITS@TIME,…" help:"Keys to press, each with its time from the answer: 5@3s."`
	Hangup    time.Duration `placeholder:"TIME" help:"Hang up after this time; otherwise stay until the far end does."`
	Record    string        `placeholder:"FILE" help:"Write what is heard to a WAV file."`
	Once      bool          `help:"End after the first call in."`
	Verbose   bool          `short:"v" help:"Log the signalling."`
}

func (c *phoneCmd) Run(ctx context.Context) error {
	script, err := c.script()
	if err != nil {
		return err
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	level := slog.LevelWarn
	if c.Verbose {
		level = slog.LevelDebug
	}
	var calls atomic.Int64
	phone, err := softphone.Start(ctx, softphone.Config{
		Server: c.Server, Transport: c.Transport, Listen: c.Listen,
		User: c.User, Password: c.Password, Codecs: c.Codec,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})),
		OnCall: func(ctx context.Context, leg telephony.Leg) {
			fmt.Printf("call from %s\n", leg.Info().From)
			report(c.recorded(ctx, int(calls.Add(1)), func(s softphone.Script) error { return s.Receive(ctx, leg) }, script))
			if c.Once {
				end()
			}
		},
	})
	if err != nil {
		return err
	}
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = phone.Stop(stopping) // the process ends anyway
	}()
	fmt.Printf("phone at %s\n", phone.Addr())
	if c.Password != "" {
		if err := phone.WaitRegistered(ctx, 10*time.Second); err != nil {
			fmt.Printf("not registered at %s, trying on: %v\n", c.Server, err)
		} else {
			fmt.Printf("registered at %s as %s\n", c.Server, c.User)
		}
	}
	if c.Call == "" {
		<-ctx.Done()
		return nil
	}
	leg, err := phone.Call(ctx, c.Call)
	if err != nil {
		return err
	}
	fmt.Println("answered")
	report(c.recorded(ctx, 1, func(s softphone.Script) error { return s.Talk(ctx, leg) }, script))
	return nil
}

// report prints how a call ended.
func report(err error) {
	var gone *telephony.HangupError
	switch {
	case err == nil:
		fmt.Println("hung up")
	case errors.As(err, &gone):
		fmt.Printf("call ended by %s: %s\n", gone.By, gone.Reason)
	default:
		fmt.Printf("call ended: %v\n", err)
	}
}

// recorded runs a call with a recorder in the script, if one is wanted, and
// writes the file afterwards.
func (c *phoneCmd) recorded(ctx context.Context, n int, run func(softphone.Script) error, script softphone.Script) error {
	if c.Record == "" {
		return run(script)
	}
	path := c.Record
	if n > 1 {
		ext := filepath.Ext(path)
		path = strings.TrimSuffix(path, ext) + "-" + strconv.Itoa(n) + ext
	}
	recorder, err := softphone.NewRecorder()
	if err != nil {
		return err
	}
	script.Record = recorder
	ended := run(script)
	// The file is wanted also where the call was cut off by a signal.
	if err := recorder.Save(context.WithoutCancel(ctx), path); err != nil {
		fmt.Printf("not recorded: %v\n", err)
		return ended
	}
	fmt.Println("recorded to", path)
	return ended
}

// script makes what the flags say into the part the phone plays.
func (c *phoneCmd) script() (softphone.Script, error) {
	s := softphone.Script{RingFor: c.Ring, Refuse: c.Refuse, HangupAfter: c.Hangup, StayOn: true}
	for i, name := range c.Play {
		clip, err := soundNamed(name)
		if err != nil {
			return s, err
		}
		s.Lines = append(s.Lines, softphone.Line{Clip: clip, Loop: c.Repeat && i == len(c.Play)-1})
	}
	for _, k := range c.Keys {
		keys, at, ok := strings.Cut(k, "@")
		after, err := time.ParseDuration(at)
		if !ok || err != nil || keys == "" {
			return s, fmt.Errorf("--keys %q: want DIGITS@TIME, as 5@3s", k)
		}
		s.Keys = append(s.Keys, softphone.Key{After: after, Digits: keys})
	}
	return s, nil
}

// soundNamed is a WAV file, or a tone for "tone:440".
func soundNamed(name string) (*audio.Clip, error) {
	if hz, ok := strings.CutPrefix(name, "tone:"); ok {
		f, err := strconv.ParseFloat(hz, 64)
		if err != nil || f < 50 || f > 3800 {
			return nil, fmt.Errorf("--play %q: want tone: and 50 to 3800 Hz", name)
		}
		return tone.Sine(f, 3*time.Second, 8000, 8000), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	clip, err := wav.Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return clip, nil
}
