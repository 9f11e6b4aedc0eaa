package asterisk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/asterisk/ari"
)

// arrived takes a call that the dialplan has handed over.
func (e *Engine) arrived(c ari.Channel) {
	refuse := func(cause int, why string) {
		e.log.Warn("a call is refused", "channel", c.Name, "why", why)
		e.tidy("refuse a call", func(ctx context.Context) error { return e.ari.Hangup(ctx, c.ID, cause, "") })
	}
	if e.life.Err() != nil || e.cfg.Handler == nil {
		refuse(causeCongestion, "nobody takes calls")
		return
	}
	info := telephony.Info{
		Inbound: true, From: c.Caller.Number, FromName: c.Caller.Name, To: c.Dialplan.Exten, CallID: c.Name,
	}
	endpoint, name := endpointIn(c.Name), "o1"
	if _, ok := e.trunkAt(endpoint); ok {
		name = "c1"
	}
	l, err := e.newLeg(name, info)
	if err != nil {
		refuse(causeCongestion, err.Error())
		return
	}
	l.channel = c.ID
	l.make(c.ID)
	e.enter(c.ID, l)
	e.tasks.Run(func() {
		if err := l.identify(endpoint); err != nil {
			l.log.Warn("a call is refused", "channel", c.Name, "err", err)
			l.Hangup(403)
			return
		}
		e.cfg.Handler(l.ctx, l)
		l.Hangup(0)
	})
}

var errUnknownEndpoint = errors.New("the endpoint is neither a trunk's nor an operator's")

// identify finds whose phone calls.
func (l *leg) identify(endpoint string) error {
	ctx, cancel := context.WithTimeout(l.ctx, tidying)
	defer cancel()
	if t, ok := l.e.trunkAt(endpoint); ok {
		// What a carrier vouches for; a phone's word is not asked for.
		said, err := l.e.ari.Variable(ctx, l.its(), "PJSIP_HEADER(read,P-Asserted-Identity)")
		if err != nil && ctx.Err() == nil {
			said = "" // an Asterisk that does not know the function
		}
		l.mu.Lock()
		l.info.Trunk, l.info.ANI = t.Name, userOf(said)
		l.mu.Unlock()
		return nil
	}
	if _, err := l.e.cfg.Directory.Operator(ctx, endpoint); err != nil {
		return fmt.Errorf("%w: %s", errUnknownEndpoint, endpoint)
	}
	l.mu.Lock()
	l.info.Operator = endpoint
	l.mu.Unlock()
	l.e.states.tell(endpoint)
	// The phone's own key asks us (Asterisk 20.13, 22.3); an older one transfers
	// by itself.
	if err := l.e.ari.SetVariable(ctx, l.its(), transferHandling, ariOnly); err != nil && !ari.Gone(err) {
		l.log.Warn("the transfer key of the phone is Asterisk's own", "err", err)
	}
	return nil
}

const (
	transferHandling = "PJSIP_TRANSFER_HANDLING()"
	ariOnly          = "ari-only"
)

// userOf is the user part of a SIP or tel URI within a header's value; empty if
// there is none.
func userOf(value string) string {
	if _, after, ok := strings.Cut(value, "<"); ok {
		value, _, _ = strings.Cut(after, ">")
	}
	scheme, rest, ok := strings.Cut(value, ":")
	if !ok {
		return ""
	}
	end := "@"
	if strings.EqualFold(strings.TrimSpace(scheme), "tel") {
		end = ";"
	} else if !strings.Contains(rest, "@") {
		return ""
	}
	user, _, _ := strings.Cut(rest, end)
	user, _, _ = strings.Cut(user, ";")
	return user
}

// Answer picks the leg up.
func (l *leg) Answer(ctx context.Context) error {
	return l.takes(ctx, func(ctx context.Context) error {
		if err := l.e.ari.Answer(ctx, l.its()); err != nil {
			return err
		}
		if err := l.voice.enterHome(ctx, l.its()); err != nil {
			return err
		}
		l.voiced()
		l.begin(ctx)
		return nil
	})
}

// Ringing tells the phone that we ring.
func (l *leg) Ringing(ctx context.Context) error {
	return l.takes(ctx, func(ctx context.Context) error { return l.e.ari.Ring(ctx, l.its()) })
}

// Progress tells the phone that it hears us before the answer.
func (l *leg) Progress(ctx context.Context) error {
	return l.takes(ctx, func(ctx context.Context) error {
		if err := l.e.ari.Progress(ctx, l.its()); err != nil {
			return err
		}
		if err := l.voice.enterHome(ctx, l.its()); err != nil {
			return err
		}
		l.voiced()
		return nil
	})
}

// takes does something with a call that was not answered.
func (l *leg) takes(ctx context.Context, f func(ctx context.Context) error) error {
	l.mu.Lock()
	answered := l.answered
	l.mu.Unlock()
	if answered {
		return context.Cause(l.ctx)
	}
	return l.during(ctx, f)
}

// voiced notes that the voice is there.
func (l *leg) voiced() { l.make(l.voice.channel) }

// begin makes the leg an answered one.
func (l *leg) begin(ctx context.Context) {
	codec, err := l.e.ari.Variable(ctx, l.its(), "CHANNEL(audionativeformat)")
	if err != nil && ctx.Err() == nil {
		l.log.Warn("Asterisk does not tell a codec", "err", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answered = true
	l.info.Codec = codecNamed(codec)
}

// order counts a call into its trunk; ok is false when that is full.
func (e *Engine) order(name string, limit int) (release func(), ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if limit > 0 && e.used[name] >= limit {
		return nil, false
	}
	e.used[name]++
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.used[name]--
	}, true
}

// timeoutOf is how long a call may ring.
func timeoutOf(d telephony.Dial) time.Duration { return cmp.Or(d.Timeout, defaultRingTimeout) }
