package peers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/telephony/telephonytest"
)

// Loopback is where every peer lives.
var Loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// process is a program that runs no longer than its test.
type process struct {
	name string
	cmd  *exec.Cmd
	out  output
	done chan struct{} // closed once it has ended
	err  error         // of Wait, once done is closed
}

// start runs a program; the test's end ends it.
func start(t testing.TB, pkg, name string, args ...string) *process {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("this test needs %s: apt install %s", name, pkg)
	}
	p := &process{name: name, cmd: exec.CommandContext(context.WithoutCancel(t.Context()), path, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.WaitDelay = time.Second
	// Not outliving a test program that was killed.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	telephonytest.Steady()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("%s %s\n%s", name, strings.Join(args, " "), p.out.String())
		}
	})
	return p
}

// grace is enough for a phone to say good-bye to its registrar; sipp does not
// mind being killed.
const grace = 500 * time.Millisecond

// stop asks the program to end, then makes it, and waits for its end.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.done:
	case <-time.After(grace):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// wait waits for the program to end by itself.
func (p *process) wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return fmt.Errorf("%s still runs: %w", p.name, context.Cause(ctx))
	}
}

// output keeps what a program writes.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// until asks again and again until cond holds; false when ctx or the program
// ended before. It is for what another process does: there is nothing to wait
// on but its traces.
func (p *process) until(ctx context.Context, cond func() bool) bool {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-p.done:
			return cond()
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// The ports of the peers: above those of media (bench takes up to 31999) and
// below those that Linux hands out by itself (32768 and up), so nobody is given
// one between our look and the peer's bind.
const firstPort, lastPort = 32000, 32766

// portsGiven counts, so that no port is given twice: a server may still repeat
// what it had to say to the peer that had it before.
var portsGiven atomic.Int64

// freePort is a port that is the test's alone until it ends. Other processes of
// tests see that it is taken by a name in the kernel's table of Unix sockets.
func freePort(t testing.TB) int {
	t.Helper()
	// Each process begins at another place, and takes every second port: baresip
	// takes the one above its own for TLS.
	const slots = (lastPort - firstPort) / 2
	for range slots {
		slot := (os.Getpid()*32 + int(portsGiven.Add(1))) % slots
		port := firstPort + 2*slot
		name, err := net.ListenUnix("unix", &net.UnixAddr{Name: fmt.Sprintf("@perezvon-test-port-%d", port)})
		if err != nil {
			continue
		}
		if !free(port) || !free(port+1) {
			_ = name.Close()
			continue
		}
		t.Cleanup(func() { _ = name.Close() })
		return port
	}
	t.Fatal("no port is free")
	return 0
}

// free tells that nobody has bound the port, for UDP or TCP.
func free(port int) bool {
	udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: Loopback.AsSlice(), Port: port})
	if err != nil {
		return false
	}
	defer udp.Close()
	tcp, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: Loopback.AsSlice(), Port: port})
	if err != nil {
		return false
	}
	return tcp.Close() == nil
}

// listens tells that somebody on this machine has bound the UDP port.
func listens(port int) bool {
	table, err := os.ReadFile("/proc/net/udp")
	if err != nil {
		return false
	}
	return bytes.Contains(table, fmt.Appendf(nil, ":%04X 00000000:0000 ", port))
}

var errEnded = errors.New("the peer has ended")
