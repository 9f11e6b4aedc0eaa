package dryrun

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"time"

	"github.com/perezvon/perezvon/internal/call"
)

// Bounds of a dry run. It takes some ten milliseconds of a processor; the
// limits are for one that went wrong.
const (
	limit     = 10 * time.Second // of real time, with the wait for others
	atOnce    = 2
	maxOutput = 16 << 20 // bytes of JSON
	maxTrace  = 4 << 10  // of what a child that failed says
)

// Errors of Process.Run.
var (
	// ErrBusy: others were tried all the time; nothing is wrong with this one.
	ErrBusy    = errors.New("too many dry runs at a time")
	errTooLong = errors.New("the dry run does not end")
)

// Process plays scenes in child processes. Make it with NewProcess.
type Process struct {
	command []string
	limit   time.Duration
	slots   chan struct{}
}

// NewProcess plays with command: a program and its arguments that end up in
// Child. Two run at a time, each for ten seconds at most.
func NewProcess(command ...string) *Process {
	return &Process{command: command, limit: limit, slots: make(chan struct{}, atOnce)}
}

// Self is the path of the running program, for NewProcess. On Linux it is the
// very file that runs, also when an update has put another in its place.
func Self() (string, error) {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe", nil
	}
	return os.Executable()
}

// Run plays the scene: see Play. Errors: ErrBusy, context.Cause(ctx), or a
// failure of the child, whatever it was: it harms nobody else.
func (p *Process) Run(ctx context.Context, s Scene) ([]call.Event, error) {
	given := ctx
	ctx, cancel := context.WithTimeoutCause(ctx, p.limit, errTooLong)
	defer cancel()
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		if cause := context.Cause(given); cause != nil {
			return nil, cause
		}
		return nil, ErrBusy
	}
	scene, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	said, trace := &bounded{max: maxOutput}, &bounded{max: maxTrace, cut: true}
	child := exec.CommandContext(ctx, p.command[0], p.command[1:]...)
	// The server's environment holds secrets, and the child needs none of it.
	child.Env = []string{"GOMAXPROCS=1", "GOMEMLIMIT=256MiB"}
	child.Stdin, child.Stdout, child.Stderr = bytes.NewReader(scene), said, trace
	child.WaitDelay = time.Second // for its output, once it is killed
	if err := child.Run(); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return nil, fmt.Errorf("dry run: %w", cause)
		}
		return nil, fmt.Errorf("dry run: %w: %s", err, trace.b.Bytes())
	}
	var events []call.Event
	if err := json.Unmarshal(said.b.Bytes(), &events); err != nil {
		return nil, fmt.Errorf("dry run: its answer: %w", err)
	}
	return events, nil
}

// bounded keeps what is written up to max bytes. More is an error, or with cut
// lost.
type bounded struct {
	b   bytes.Buffer
	max int
	cut bool
}

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	room := b.max - b.b.Len()
	if len(p) > room && !b.cut {
		return 0, errors.New("too long an answer")
	}
	b.b.Write(p[:min(len(p), room)])
	return len(p), nil
}
