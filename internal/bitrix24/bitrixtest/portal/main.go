// Portal shows what a CRM would get: it runs a command beside the Bitrix24 of the
// tests, whose calls it lists on a page.
//
//	portal -user 11=101 perezvon demo --bitrix24 {webhook}
//
// {webhook} in the command becomes the address of the portal's incoming webhook.
// The portal ends with the command, and the command is asked to end when the
// portal is.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/perezvon/perezvon/internal/bitrix24/bitrixtest"
)

// usual is where the page is, unless that is taken; on loopback only.
const usual = "127.0.0.1:8090"

// endWithin is how long the command may take to end once it was asked to.
const endWithin = 2 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended):
		os.Exit(max(1, ended.ExitCode())) // it has said why itself
	case err != nil:
		fmt.Fprintln(os.Stderr, "portal:", err)
		os.Exit(1)
	}
}

// people are the employees of the portal, as -user names them.
type people []bitrixtest.User

// String implements flag.Value.
func (p *people) String() string { return "" }

// Set implements flag.Value.
func (p *people) Set(s string) error {
	id, extension, found := strings.Cut(s, "=")
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil || !found || extension == "" {
		return errors.New("want id=extension, such as 11=101")
	}
	*p = append(*p, bitrixtest.User{ID: n, Extension: extension})
	return nil
}

// run serves the portal until the command has ended.
func run(ctx context.Context, args []string, out, problems io.Writer) (err error) {
	var users people
	flags := flag.NewFlagSet("portal", flag.ContinueOnError)
	flags.SetOutput(problems)
	flags.Var(&users, "user", "an employee: `id=extension`; may be repeated")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return errors.New("no command to run")
	}
	l, err := listen(ctx)
	if err != nil {
		return err
	}
	base := "http://" + l.Addr().String()
	portal := bitrixtest.New(base, users...)
	server := &http.Server{Handler: withPage(portal), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	defer func() {
		closed := server.Close()
		if e := <-served; !errors.Is(e, http.ErrServerClosed) {
			closed = errors.Join(closed, e)
		}
		err = errors.Join(err, closed)
	}()

	command := flags.Args()
	for i, word := range command {
		command[i] = strings.ReplaceAll(word, "{webhook}", portal.WebhookURL())
	}
	// The same process group: Ctrl-C reaches both, and a second signal harms
	// nobody.
	cmd := exec.CommandContext(ctx, command[0], command[1:]...) // #nosec G204 -- what the caller wants run
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, out, problems
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = endWithin
	if err := cmd.Run(); err != nil && (ctx.Err() == nil || !errors.Is(err, ctx.Err())) {
		return err
	}
	return nil
}

// listen takes the usual address, or a free one.
func listen(ctx context.Context) (net.Listener, error) {
	var how net.ListenConfig
	if l, err := how.Listen(ctx, "tcp", usual); err == nil {
		return l, nil
	}
	return how.Listen(ctx, "tcp", "127.0.0.1:0")
}
