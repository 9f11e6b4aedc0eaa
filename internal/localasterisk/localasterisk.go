// Package localasterisk runs a real Asterisk for a while: a process of its own,
// with its own configuration, on loopback, with ports that were free, from the
// installation that `make asterisk` makes. For tests and measurements that must
// not touch an Asterisk that is in use.
package localasterisk

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"text/template"
	"time"
)

//go:embed etc
var etc embed.FS

// App is the Stasis application that the dialplan hands calls to.
const App = "perezvon"

// Context is the dialplan's context that does.
const Context = "perezvon"

// Asterisk is a running instance.
type Asterisk struct {
	// SIP is where it takes SIP over UDP, HTTP its web server.
	SIP, HTTP netip.AddrPort
	// URL, User and Password are those of ARI.
	URL, User, Password string

	dir     string
	process *exec.Cmd
	ended   chan struct{}
	log     *log
}

// log is what Asterisk wrote.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// starting is how long Asterisk may take to serve ARI.
const starting = time.Minute

// Options say what the configuration holds beside what every instance has: one
// UDP transport, ARI, and a context that hands calls over. The zero value adds
// nothing.
type Options struct {
	// PJSIP is what pjsip.conf says more: endpoints, AORs.
	PJSIP string
	// Extensions is what extensions.conf says more: contexts.
	Extensions string
	// Modules are loaded beside the usual ones, as "app_dial.so".
	Modules []string
	// Files, if set, gives files of the configuration that take the place of the
	// usual ones, as "ari.conf". a has its ports, user and password. Then Start
	// waits until Asterisk says that it is ready: it may be made not to serve ARI.
	Files func(a *Asterisk) (map[string]string, error)
}

// Start starts an Asterisk and waits until it serves ARI. The caller stops it.
// ErrNotInstalled is returned where there is none to start.
func Start(ctx context.Context, o Options) (*Asterisk, error) {
	// Between our choice of a port and Asterisk's use of it somebody else may
	// take it: then it ends at its start.
	var err error
	for range 3 {
		var a *Asterisk
		if a, err = start(ctx, o); err == nil {
			return a, nil
		}
		if !errors.Is(err, errEnded) {
			break
		}
	}
	return nil, err
}

func start(ctx context.Context, o Options) (_ *Asterisk, err error) {
	root, err := installation()
	if err != nil {
		return nil, err
	}
	a := &Asterisk{User: "perezvon", Password: fmt.Sprintf("%x", rand.Uint64()), ended: make(chan struct{}), log: &log{}}
	// Short: the path of its control socket has a limit of 107 bytes.
	if a.dir, err = os.MkdirTemp("", "ast"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			a.Stop()
		}
	}()
	if a.SIP, a.HTTP, err = freePorts(); err != nil {
		return nil, err
	}
	a.URL = "http://" + a.HTTP.String() + "/ari"
	libraries, err := filepath.Glob(filepath.Join(root, "usr/lib/*-linux-gnu*"))
	if err != nil || len(libraries) == 0 {
		return nil, fmt.Errorf("%s has no libraries", root)
	}
	modules := ""
	for _, l := range libraries {
		if m := filepath.Join(l, "asterisk/modules"); modules == "" && exists(m) {
			modules = m
		}
	}
	if err := a.configure(map[string]any{
		"Dir": a.dir, "Root": root, "ModuleDir": modules, "SIP": port(a.SIP), "HTTP": port(a.HTTP), "Password": a.Password,
		"App": App, "Context": Context, "PJSIP": o.PJSIP, "Extensions": o.Extensions, "Modules": o.Modules,
	}); err != nil {
		return nil, err
	}
	if o.Files != nil {
		if err := a.replace(o.Files); err != nil {
			return nil, err
		}
	}
	loader, err := filepath.Glob(filepath.Join(root, "usr/lib/*/ld-linux-*.so.*"))
	if err != nil || len(loader) == 0 {
		return nil, fmt.Errorf("%s has no dynamic loader", root)
	}
	// The installation's own loader finds its own libraries, so that neither
	// root's rights nor a changed root are needed.
	a.process = exec.CommandContext(context.WithoutCancel(ctx), loader[0], //nolint:gosec // our own arguments
		"--library-path", strings.Join(libraries, ":"), filepath.Join(root, "usr/sbin/asterisk"),
		"-f", "-C", filepath.Join(a.dir, "asterisk.conf"))
	a.process.Dir, a.process.Stdout, a.process.Stderr = a.dir, a.log, a.log
	if err := a.process.Start(); err != nil {
		close(a.ended)
		return nil, err
	}
	go func() { defer close(a.ended); _ = a.process.Wait() }() // how it ends is told by its log
	serves := a.asked
	if o.Files != nil {
		serves = a.says
	}
	if err := a.ready(ctx, serves); err != nil {
		return nil, fmt.Errorf("asterisk: %w; its log:\n%s", err, a.Log())
	}
	return a, nil
}

// ErrNotInstalled says that there is no Asterisk to start.
var ErrNotInstalled = errors.New("no Asterisk to run here: `make asterisk` sets one up")

// installation is where scripts/install-asterisk puts Asterisk.
func installation() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	root := filepath.Join(cache, "perezvon", "asterisk")
	if !exists(filepath.Join(root, "usr/sbin/asterisk")) {
		return "", fmt.Errorf("%s: %w", root, ErrNotInstalled)
	}
	return root, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

type portOf struct{ Port uint16 }

func port(a netip.AddrPort) portOf { return portOf{a.Port()} }

// given are the ports that were chosen by this process, so that no two
// instances get one.
var given sync.Map

// freePorts chooses a port that is free for UDP and one for TCP. They lie below
// those that the system gives to connections, and above Asterisk's own for RTP.
func freePorts() (udp, tcp netip.AddrPort, err error) {
	const low, high, tries = 20000, 32000, 1000
	loopback := netip.MustParseAddr("127.0.0.1")
	free := func(try func(addr string) (io.Closer, error)) (netip.AddrPort, error) {
		for range tries {
			a := netip.AddrPortFrom(loopback, uint16(low+rand.IntN(high-low))) //nolint:gosec // a port, no secret
			c, err := try(a.String())
			if err != nil {
				continue // somebody has it
			}
			if err := c.Close(); err != nil {
				return a, err
			}
			if _, taken := given.LoadOrStore(a, true); !taken {
				return a, nil
			}
		}
		return netip.AddrPort{}, errors.New("no port is free")
	}
	if udp, err = free(func(addr string) (io.Closer, error) { return net.ListenPacket("udp4", addr) }); err != nil {
		return udp, tcp, err
	}
	tcp, err = free(func(addr string) (io.Closer, error) { return net.Listen("tcp4", addr) })
	return udp, tcp, err
}

// defaults are the files that Asterisk complains about where there are none.
var defaults = []string{
	"acl", "ccss", "cdr", "cel", "features", "indications", "manager", "pjproject", "stasis", "udptl", "websocket_client",
}

// configure writes the configuration.
func (a *Asterisk) configure(values map[string]any) error {
	for _, name := range defaults {
		if err := os.WriteFile(filepath.Join(a.dir, name+".conf"), nil, 0o600); err != nil {
			return err
		}
	}
	files, err := fs.ReadDir(etc, "etc")
	if err != nil {
		return err
	}
	for _, f := range files {
		text, err := etc.ReadFile("etc/" + f.Name())
		if err != nil {
			return err
		}
		tmpl, err := template.New(f.Name()).Option("missingkey=error").Parse(string(text))
		if err != nil {
			return err
		}
		var b bytes.Buffer
		if err := tmpl.Execute(&b, values); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(a.dir, f.Name()), b.Bytes(), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// replace puts files in the place of those that configure has written.
func (a *Asterisk) replace(files func(*Asterisk) (map[string]string, error)) error {
	all, err := files(a)
	if err != nil {
		return err
	}
	for name, text := range all {
		if err := os.WriteFile(filepath.Join(a.dir, filepath.Base(name)), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// ready returns when serves returns nil.
func (a *Asterisk) ready(ctx context.Context, serves func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, starting)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := serves(ctx)
		switch {
		case err == nil && strings.Contains(a.Log(), noTransport), errors.Is(err, errForeign):
			return errEnded
		case err == nil:
			return nil
		}
		select {
		case <-again.C:
		case <-a.ended:
			return errEnded
		case <-ctx.Done():
			return fmt.Errorf("not ready in %v: %w", starting, err)
		}
	}
}

var (
	// errEnded: perhaps for want of a port.
	errEnded = errors.New("it ended at its start or has no port")
	// errForeign: another Asterisk answers at the port.
	errForeign = errors.New("answered by another")
)

// noTransport is what it says when somebody has its port for SIP.
const noTransport = "could not be started"

// asked tells whether ARI answers.
func (a *Asterisk) asked(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.URL+"/asterisk/info", nil)
	if err != nil {
		return err
	}
	req.SetBasicAuth(a.User, a.Password)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized:
		return errForeign
	default:
		return errors.New(res.Status)
	}
	return nil
}

// says tells whether Asterisk calls itself ready.
func (a *Asterisk) says(context.Context) error {
	if !strings.Contains(a.Log(), "Asterisk Ready.") {
		return errNotReady
	}
	return nil
}

var errNotReady = errors.New("it is still starting")

// Log is what Asterisk has written so far.
func (a *Asterisk) Log() string { return a.log.String() }

// PID is the number of the process.
func (a *Asterisk) PID() int { return a.process.Process.Pid }

// Dir is the folder of the instance: configuration, recordings, spool. Stop
// removes it.
func (a *Asterisk) Dir() string { return a.dir }

// Stop kills the process, as a node that fails, waits for its end and removes
// its folder. A second Stop does nothing.
func (a *Asterisk) Stop() {
	if a.process != nil && a.process.Process != nil {
		_ = a.process.Process.Signal(syscall.SIGKILL) // it may have ended
		<-a.ended
	}
	_ = os.RemoveAll(a.dir) // what is left is the system's to clean up
}
