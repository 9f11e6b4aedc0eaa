// Package serverproc runs `perezvon serve` as a process of its own on free
// loopback ports: for the demo, the bench and the acceptance tests, which see
// the server as everybody else does.
package serverproc

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/perezvon/perezvon/internal/apiclient"
)

// Options say how the server is run. The zero value of a field takes its
// default.
type Options struct {
	// Binary is the program.
	Binary string
	// Data is the data folder; default: a new one that Stop removes.
	Data string
	// HTTP and SIP are its addresses, host:port; default: free ones on
	// loopback.
	HTTP, SIP string
	// Key is its first API key; default: a new one.
	Key string
	// Args are further flags of serve.
	Args []string
	// Env is added to this process's environment.
	Env []string
	// Log takes what the server prints; nil: nobody.
	Log io.Writer
}

// Process is a running server.
type Process struct {
	// API speaks to it with all rights.
	API *apiclient.Client
	// SIP is its SIP address, host:port; Data its data folder.
	SIP, Data string

	cmd   *exec.Cmd
	temp  string // a folder to remove with the server
	ended chan struct{}
	err   error // of the process, once ended
}

// tries bounds how often a server is started that found its port taken.
const tries = 3

// Start runs the server and waits until it is ready. Between our finding a free
// port and the server's binding it somebody else may be given it: then it is
// started anew with others.
func Start(ctx context.Context, o Options) (p *Process, err error) {
	for range tries {
		if p, err = start(ctx, o); err == nil || !errors.Is(err, errEndedAtOnce) || o.HTTP != "" && o.SIP != "" {
			break
		}
	}
	return p, err
}

var errEndedAtOnce = errors.New("it ended at once")

func start(ctx context.Context, o Options) (*Process, error) {
	p := &Process{Data: o.Data, SIP: o.SIP, ended: make(chan struct{})}
	if o.HTTP == "" || o.SIP == "" {
		http, sip, err := freePorts()
		if err != nil {
			return nil, err
		}
		if o.HTTP == "" {
			o.HTTP = http
		}
		if o.SIP == "" {
			p.SIP = sip
		}
	}
	if o.Key == "" {
		o.Key = rand.Text()
	}
	if p.Data == "" {
		dir, err := os.MkdirTemp("", "perezvon-")
		if err != nil {
			return nil, err
		}
		p.temp, p.Data = dir, filepath.Join(dir, "data")
	}
	p.API = &apiclient.Client{Base: "http://" + o.HTTP, Key: o.Key}
	args := append([]string{"serve", "--data", p.Data, "--http", o.HTTP, "--sip", p.SIP}, o.Args...)
	p.cmd = exec.Command(o.Binary, args...)
	p.cmd.Env = append(append(os.Environ(), "PEREZVON_ADMIN_KEY="+o.Key), o.Env...)
	p.cmd.Stdout, p.cmd.Stderr = o.Log, o.Log
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(err, p.cleanUp())
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	if err := p.waitReady(ctx); err != nil {
		return nil, errors.Join(err, p.Kill(), p.cleanUp())
	}
	return p, nil
}

// waitReady waits until the server answers, or has ended.
func (p *Process) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 30*time.Second, errors.New("not ready within 30 s"))
	defer cancel()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	go func() {
		select {
		case <-p.ended:
			end(fmt.Errorf("%w: %w", errEndedAtOnce, p.exitError()))
		case <-ctx.Done():
		}
	}()
	return p.API.WaitReady(ctx)
}

// Stop ends the server as an administrator would (SIGTERM), waits for it, and
// removes its data folder if Start made it. Within 90 s it must be gone.
func (p *Process) Stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	timer := time.AfterFunc(90*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	<-p.ended
	return errors.Join(p.exitError(), p.cleanUp())
}

// Kill ends the server as a crash would (SIGKILL). Its data stays.
func (p *Process) Kill() error {
	err := p.cmd.Process.Kill()
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	<-p.ended
	return err
}

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// PID is the number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

func (p *Process) exitError() error {
	if p.err != nil {
		return fmt.Errorf("server: %w", p.err)
	}
	return nil
}

func (p *Process) cleanUp() error {
	if p.temp == "" {
		return nil
	}
	return os.RemoveAll(p.temp)
}

// freePorts finds two loopback addresses nobody uses just now: one for HTTP, one
// that is free for both UDP and TCP, for SIP.
func freePorts() (http, sip string, err error) {
	h, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	defer h.Close()
	// What is free for TCP may be taken for UDP: phones take what the system gives.
	for range 20 {
		t, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", "", err
		}
		defer t.Close()
		u, err := net.ListenPacket("udp", t.Addr().String())
		if err != nil {
			continue
		}
		return h.Addr().String(), t.Addr().String(), u.Close()
	}
	return "", "", errors.New("no port is free for TCP and UDP")
}
