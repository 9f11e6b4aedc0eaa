// Package checkup examines an Asterisk before, and while, Perezvon drives it:
// what is missing there, and what to do about it. It finds out by doing what the
// engine does (external media, a bridge, a call into the dialplan), with
// channels of its own that it takes away again; calls in progress and a server
// that is connected are not touched.
//
// node.go is the node itself, sound.go RTP both ways, endpoints.go what the
// directory needs, dialplan.go whether calls are handed over, words.go all that
// is said, in English and Russian.
package checkup

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/telephony/asterisk/ari"
)

// Config is what is examined.
type Config struct {
	// URL, User and Password are those of ARI. Required.
	URL, User, Password string
	// App is the Stasis application that the dialplan hands calls to. Required.
	App string
	// MediaAddr is the address of this machine for Asterisk, and Low to High the
	// ports that RTP is taken at; Low 0: any. Required.
	MediaAddr netip.Addr
	Low, High int
	// Trunks and Operators are the directory's; DirectoryErr is why it could not
	// be read.
	Trunks       []directory.Trunk
	Operators    []directory.Operator
	DirectoryErr error
	// Contexts of the dialplan are run beside those of the endpoints, and
	// Extension is what is dialled there; default: what Number says.
	Contexts  []string
	Extension string
	// SkipDialplan: nothing of the dialplan is run.
	SkipDialplan bool
	// Dial opens connections to ARI; nil: the system's.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Logger takes what is asked of Asterisk; nil: nothing is logged.
	Logger *slog.Logger
}

// Number is what is dialled in a context where nothing better is known: nobody's.
const Number = "74950000000"

// Level is how bad a finding is.
type Level string

// The levels. With a fault calls, or some of them, do not work; a warning tells
// what is worse than it could be; a note what could not be examined.
const (
	OK      Level = "ok"
	Note    Level = "note"
	Warning Level = "warning"
	Fault   Level = "fault"
)

// Finding is one thing that was examined.
type Finding struct {
	// Check names what was found, as "module.missing": one of the keys of words.
	Check string
	// Level is how bad it is.
	Level Level
	// About is what it is about: a module, an endpoint, a context; may be empty.
	About string

	args []any // of the words
}

// Report is everything that was found.
type Report struct {
	URL     string
	Version string // empty: it did not get so far
	// Findings are in the order of the examination.
	Findings []Finding
	// Sound is what was measured, if RTP came through.
	Sound *Sound
	// Clock is by how much Asterisk's clock is ahead of ours, and ClockWithin how
	// exact that is; 0: not measured.
	Clock, ClockWithin time.Duration
}

// Faults counts the findings of a level.
func (r *Report) Faults() int { return r.count(Fault) }

// Warnings counts those that are no faults.
func (r *Report) Warnings() int { return r.count(Warning) }

func (r *Report) count(l Level) (n int) {
	for _, f := range r.Findings {
		if f.Level == l {
			n++
		}
	}
	return n
}

// Find is the first finding of a check; ok is false if there is none.
func (r *Report) Find(check string) (f Finding, ok bool) {
	for _, f := range r.Findings {
		if f.Check == check {
			return f, true
		}
	}
	return Finding{}, false
}

// checkup is one examination.
type checkup struct {
	Config

	ari     *ari.Client
	mark    string // what the identifiers of our channels begin with
	r       *Report
	ear     *ear
	modules map[string]string // status by name, without .so
	probe   string            // our channel that functions of the dialplan are asked of; empty: none
	// contexts are those of the endpoints, with who calls there.
	contexts []dialled
}

const (
	// patience is how long Asterisk may take for what it does at once.
	patience = 5 * time.Second
	// tidying bounds taking away what was made.
	tidying = 10 * time.Second
)

// Run examines the node. The error says that the examination itself is wrong or
// was broken off; what is wrong with the node is in the report.
func Run(ctx context.Context, c Config) (*Report, error) {
	mark := "check-" + c.App + "-" + rand.Text()[:8]
	client, err := ari.New(ari.Config{URL: c.URL, User: c.User, Password: c.Password, App: mark, Dial: c.Dial, Logger: c.Logger})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	k := &checkup{Config: c, ari: client, mark: mark, r: &Report{URL: c.URL}}
	k.examine(ctx)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return k.r, nil
}

// examine goes on as far as one step allows the next.
func (k *checkup) examine(ctx context.Context) {
	if !k.reach(ctx) {
		return
	}
	k.examineModules(ctx)
	k.examineApp(ctx)
	heard, done := k.listen(ctx)
	defer done()
	if !heard {
		return
	}
	defer k.examineSound(ctx)()
	k.examineDirectory(ctx)
	k.examineDialplan(ctx)
}

func (k *checkup) found(level Level, check, about string, args ...any) {
	k.r.Findings = append(k.r.Findings, Finding{Check: check, Level: level, About: about, args: args})
}

// id names a channel or bridge of ours.
func (k *checkup) id(what string) string { return k.mark + "-" + what }

// away takes away what was made, whether the examination goes on or not.
func (k *checkup) away(ctx context.Context, take func(ctx context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidying)
	defer cancel()
	if err := take(ctx); err != nil && !ari.Gone(err) {
		k.found(Warning, "left.behind", "", k.mark, reason(err))
	}
}

// hangup ends a channel of ours, and waits for its end: an application that ends
// while it has channels stays behind.
func (k *checkup) hangup(ctx context.Context, channel string) {
	k.away(ctx, func(ctx context.Context) error {
		if err := k.ari.Hangup(ctx, channel, causeNormal, ""); err != nil || k.probe == "" {
			return err // without events there is nothing to wait for
		}
		_, err := k.ear.next(ctx, func(ev ari.Event) bool {
			return ev.Type == ari.ChannelDestroyed && ev.Channel != nil && ev.Channel.ID == channel
		})
		return err
	})
}

// causeNormal is a hang-up (Q.850).
const causeNormal = 16

// readOnly tells the refusal of everything that changes something.
func readOnly(err error) bool {
	var refused *ari.Error
	return errors.As(err, &refused) && refused.Code == http.StatusForbidden
}

// reason is the shortest that tells why.
func reason(err error) string {
	var refused *ari.Error
	if errors.As(err, &refused) {
		return fmt.Sprintf("%d %s", refused.Code, refused.Message)
	}
	var asked *url.Error
	if errors.As(err, &asked) {
		return asked.Err.Error()
	}
	return err.Error()
}
