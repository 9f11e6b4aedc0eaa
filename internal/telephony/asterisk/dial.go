package asterisk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/stream"
	"github.com/perezvon/perezvon/internal/numbering"
	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/asterisk/ari"
)

var errNoAnswer = errors.New("nobody answered in time")

// attempt is one phone that is called.
type attempt struct {
	channel  string
	endpoint string // as Asterisk dials it
	phase    telephony.Phase
	over     bool
}

// race calls several phones at once; the first to answer wins.
type race struct {
	l        *leg
	order    telephony.Dial
	began    time.Time
	attempts map[string]*attempt
	worst    *telephony.DialError
	ears     ears
}

// Dial calls out; see telephony.Engine.
func (e *Engine) Dial(ctx context.Context, d telephony.Dial) (telephony.Leg, error) {
	r := &race{order: d, began: time.Now(), attempts: make(map[string]*attempt), ears: ears{to: d.Listener, ringback: d.Ringback}}
	if !e.tasks.Begin() {
		return nil, r.failure(503, "Stopping", telephony.PhaseSetup, ErrStopped)
	}
	defer e.tasks.End()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(e.life, func() { cancel(context.Cause(e.life)) })()
	ctx, release := context.WithTimeoutCause(ctx, timeoutOf(d), errNoAnswer)
	defer release()

	endpoint, info, free, failed := e.route(ctx, r)
	if failed != nil {
		return nil, failed
	}
	l, err := e.newLeg(d.Leg, info)
	if err != nil {
		free()
		return nil, r.failure(503, "No media port", telephony.PhaseSetup, err)
	}
	l.release, l.dialling = free, telephony.NewQueue[told](1024)
	r.l = l
	l.Record(d.Record)
	if err := r.run(ctx, endpoint); err != nil {
		by := telephony.ByFar
		if err.Err != nil {
			by = telephony.ByUs
		}
		l.end(&telephony.HangupError{Leg: l.id, By: by, Code: err.Code, Q850: err.Q850, Reason: err.Reason})
		return nil, err
	}
	return l, nil
}

// phones are those that an operator has registered, as Asterisk dials them. A
// function is only to be had of a channel: the voice's.
func (r *race) phones(ctx context.Context) (endpoints []string, err error) {
	l := r.l
	if err := l.voice.prepare(ctx); err != nil {
		return nil, err
	}
	l.voiced()
	contacts, err := l.e.ari.Variable(ctx, l.voice.channel, "PJSIP_DIAL_CONTACTS("+r.order.Operator+")")
	for c := range strings.SplitSeq(contacts, "&"+technology) {
		if c != "" {
			endpoints = append(endpoints, technology+strings.TrimPrefix(c, technology))
		}
	}
	return endpoints, err
}

// route finds whom to call: a trunk's endpoint, or nothing if it is an operator.
func (e *Engine) route(ctx context.Context, r *race) (endpoint string, info telephony.Info, free func(), failed *telephony.DialError) {
	d := r.order
	info = telephony.Info{Call: d.Call, From: d.CallerID, FromName: d.CallerName}
	refuse := func(code int, why string, err error) (string, telephony.Info, func(), *telephony.DialError) {
		return "", info, nil, r.failure(code, why, telephony.PhaseSetup, err)
	}
	switch {
	case ctx.Err() != nil:
		return refuse(487, "Given up", context.Cause(ctx))
	case (d.Trunk == "") == (d.Operator == ""):
		return refuse(404, "Neither a trunk nor an operator", nil)
	case d.Operator != "":
		info.To, info.Operator, info.ANI = d.Operator, d.Operator, d.ANI
		return "", info, func() {}, nil
	}
	t, ok := e.trunk(d.Trunk)
	if !ok {
		return refuse(404, "No such trunk", nil)
	}
	number := d.Number
	if strings.HasPrefix(number, "+") {
		var err error
		if number, err = numbering.Format(number, t.NumberFormat); err != nil {
			return refuse(404, "Not a number", err)
		}
	}
	if number == "" || strings.Trim(number, "+0123456789*#") != "" {
		return refuse(404, "Not a number", nil)
	}
	free, ok = e.order(t.Name, t.MaxChannels)
	if !ok {
		return refuse(503, "All channels of the trunk are busy", nil)
	}
	info.To, info.Trunk = d.Number, d.Trunk
	r.order.CallerID = cmp.Or(d.CallerID, t.CallerID)
	if formatted, err := numbering.Format(r.order.CallerID, t.NumberFormat); err == nil {
		r.order.CallerID = formatted
	}
	return technology + number + "@" + endpointOf(t), info, free, nil
}

// run calls all phones and returns when one has answered, or none.
func (r *race) run(ctx context.Context, endpoint string) *telephony.DialError {
	l, e := r.l, r.l.e
	endpoints := []string{endpoint}
	if endpoint == "" {
		var err error
		endpoints, err = r.phones(ctx)
		switch {
		case ctx.Err() != nil:
			return r.ended(ctx)
		case err != nil:
			return r.failure(503, "Asterisk does not answer", telephony.PhaseSetup, err)
		case len(endpoints) == 0:
			return r.failure(480, "No phone is registered", telephony.PhaseSetup, nil)
		}
	}
	defer r.ears.stop()
	// The others, and the one that is not wanted any more.
	defer func() {
		for _, a := range r.attempts {
			if !a.over && a.channel != l.its() {
				r.giveUp(ctx, a)
			}
		}
	}()
	for _, endpoint := range endpoints {
		a := &attempt{channel: e.name(kindLeg), endpoint: endpoint, phase: telephony.PhaseTrying}
		r.attempts[a.channel] = a
		e.enter(a.channel, l)
		if err := r.call(ctx, a, len(endpoints) == 1); err != nil {
			if ctx.Err() != nil {
				return r.ended(ctx)
			}
			e.forget(a.channel)
			a.over = true
			r.worst = worse(r.worst, r.failure(503, "Asterisk cannot call", telephony.PhaseSetup, err))
			e.tidy("end a call that did not begin", func(ctx context.Context) error { return e.ari.Hangup(ctx, a.channel, causeNormal, "") })
		}
	}
	for r.running() {
		t, err := l.dialling.Next(ctx)
		if err != nil {
			return r.ended(ctx)
		}
		if t.sound {
			r.ears.hear(l)
			continue
		}
		if a := r.attempts[t.channel]; a != nil && !a.over {
			if r.goesOn(ctx, a, t.event) {
				return r.answered(ctx, a)
			}
		}
	}
	return r.worst
}

// call creates a channel and lets it call. A single phone's early media is
// heard: it comes home before it answers.
func (r *race) call(ctx context.Context, a *attempt, alone bool) error {
	e, d := r.l.e, r.order
	variables := map[string]string{"CONNECTEDLINE(num,i)": d.CallerID, "CONNECTEDLINE(name,i)": d.CallerName}
	if d.CallerID == "" {
		variables = nil
	}
	come := e.expects(a.channel)
	defer e.came(a.channel)
	made, err := e.ari.Create(ctx, a.channel, a.endpoint, variables)
	if err != nil {
		return err
	}
	r.l.make(a.channel)
	r.l.mu.Lock()
	r.l.info.CallID = made.Name
	r.l.mu.Unlock()
	if err := come(ctx); err != nil {
		return err
	}
	if d.Operator != "" {
		if err := e.ari.SetVariable(ctx, a.channel, transferHandling, ariOnly); err != nil {
			r.l.log.Warn("the transfer key of the phone is Asterisk's own", "err", err)
		}
		if d.ANI != "" {
			if err := e.ari.SetVariable(ctx, a.channel, "PJSIP_HEADER(add,P-Asserted-Identity)", "<sip:"+escapedUser(d.ANI)+"@"+e.cfg.MediaAddr.String()+">"); err != nil {
				return err
			}
		}
	}
	if alone {
		if err := r.l.voice.enterHome(ctx, a.channel); err != nil {
			return err
		}
		r.l.voiced()
	}
	return e.ari.DialChannel(ctx, a.channel, timeoutOf(d)+time.Minute) // ours is to the millisecond
}

// escapedUser leaves of a number what an address takes as it is.
func escapedUser(number string) string {
	return strings.Map(func(c rune) rune {
		if strings.ContainsRune("+*#-.", c) || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' {
			return c
		}
		return -1
	}, number)
}

func (r *race) running() bool {
	for _, a := range r.attempts {
		if !a.over {
			return true
		}
	}
	return false
}

// goesOn takes an event of an attempt, and tells whether its phone has answered.
func (r *race) goesOn(ctx context.Context, a *attempt, ev ari.Event) (answered bool) {
	switch ev.Type {
	case ari.DialEvent:
		switch ev.DialStatus {
		case "RINGING":
			a.phase = telephony.PhaseRinging
			r.ears.ring()
			r.progress(telephony.Progress{Code: 180, Ringing: true})
		case "PROGRESS", "PROCEEDING":
			if a.phase == telephony.PhaseTrying {
				a.phase = telephony.PhaseProgress
			}
			r.progress(telephony.Progress{Code: 183, EarlyMedia: ev.DialStatus == "PROGRESS"})
		case "ANSWER":
			return true
		}
	case ari.ChannelStateChange:
		return ev.Channel.State == ari.StateUp
	case ari.ChannelDestroyed:
		a.over = true
		r.l.e.forget(a.channel)
		f := r.failure(statusOf(ev), ev.CauseText, a.phase, nil)
		f.Q850 = causeOf(ev)
		r.worst = worse(r.worst, f)
		if f.Code >= 600 { // RFC 3261 §16.7: a 6xx speaks for all phones
			for _, other := range r.attempts {
				if !other.over {
					r.giveUp(ctx, other)
				}
			}
		}
	}
	return false
}

func (r *race) progress(p telephony.Progress) {
	if r.order.OnProgress != nil {
		r.order.OnProgress(p)
	}
}

// answered makes the leg that of the phone that has answered.
func (r *race) answered(ctx context.Context, a *attempt) *telephony.DialError {
	l := r.l
	l.mu.Lock()
	l.channel = a.channel
	l.mu.Unlock()
	var err error
	if len(r.attempts) > 1 {
		if err = l.voice.enterHome(ctx, a.channel); err == nil {
			l.voiced()
		}
	}
	if err == nil {
		l.begin(ctx)
	}
	// What came between.
	for _, t := range l.dialling.Drain() {
		if t.channel == a.channel {
			l.handle(t.event)
		}
	}
	switch {
	case l.ctx.Err() != nil:
		return r.failure(480, "Hung up at once", a.phase, context.Cause(l.ctx))
	case ctx.Err() != nil:
		return r.ended(ctx)
	case err != nil:
		return r.failure(503, "No sound", a.phase, err)
	}
	l.log.Info("answered", "trunk", l.Info().Trunk, "operator", l.Info().Operator, "codec", l.Info().Codec)
	return nil
}

// giveUp ends an attempt.
func (r *race) giveUp(ctx context.Context, a *attempt) {
	a.over = true
	why := ""
	// Somebody else has answered: one of these phones, or whom the caller of Dial
	// knows of.
	if r.l.its() != "" || errors.Is(context.Cause(ctx), telephony.ErrElsewhere) {
		why = "answered_elsewhere"
	}
	e := r.l.e
	e.forget(a.channel)
	e.tidy("give a call up", func(ctx context.Context) error { return e.ari.Hangup(ctx, a.channel, causeNormal, why) })
}

// ended is why a race was broken off.
func (r *race) ended(ctx context.Context) *telephony.DialError {
	phase := telephony.PhaseTrying
	for _, a := range r.attempts {
		if a.phase == telephony.PhaseRinging || phase == telephony.PhaseTrying {
			phase = a.phase
		}
	}
	cause := context.Cause(ctx)
	if errors.Is(cause, errNoAnswer) {
		return r.failure(408, "Nobody answered in time", phase, cause)
	}
	return r.failure(487, "Given up", phase, cause)
}

func (r *race) failure(code int, why string, phase telephony.Phase, err error) *telephony.DialError {
	return &telephony.DialError{
		Code: code, Reason: cmp.Or(why, fmt.Sprint(code)), Trunk: r.order.Trunk, Phase: phase, Elapsed: time.Since(r.began), Err: err,
	}
}

// worse is the failure that tells more of why nobody answered: the phones' own
// will before the network's, and a busy phone before one that did not answer.
func worse(a, b *telephony.DialError) *telephony.DialError {
	rank := func(err *telephony.DialError) int {
		switch {
		case err == nil:
			return 0
		case err.Code >= 600:
			return 5
		case err.Code == 486:
			return 4
		case err.Phase == telephony.PhaseRinging:
			return 3
		case err.Code < 500:
			return 2
		}
		return 1
	}
	if rank(b) > rank(a) {
		return b
	}
	return a
}

// codecNamed is a codec by Asterisk's name: alaw, or (alaw).
func codecNamed(name string) media.Codec {
	switch strings.Trim(name, "()") {
	case "alaw":
		return media.PCMA
	case "ulaw":
		return media.PCMU
	case "g722":
		return media.G722
	}
	return media.NoCodec
}

// ears are those of the leg that hears how the dialling goes.
type ears struct {
	to       telephony.Leg
	ringback telephony.Prompt
	end      func() // ends what is heard; nil: nothing is
	early    bool   // early media is heard, which goes before ringback
}

// ring lets the listener hear ringback.
func (h *ears) ring() {
	if h.to == nil || h.ringback.Clip == nil || h.end != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		// Whatever ends it is somebody else's affair: the leg's, or a prompt's.
		_ = h.to.Play(ctx, h.ringback)
	}()
	h.end = func() {
		cancel()
		<-done
	}
}

// hear lets the listener hear a leg's early media.
func (h *ears) hear(from *leg) {
	to, ok := h.to.(*leg)
	if !ok || h.early {
		return
	}
	h.stop()
	h.early = true
	ctx := context.Background()
	if err := to.voice.says(ctx, to.its(), 1); err != nil {
		to.log.Warn("early media is not heard", "err", err)
	}
	end := stream.Listen(from.voice.stream, to.voice.stream)
	h.end = func() {
		end()
		_ = to.voice.says(ctx, to.its(), -1) // the leg may have ended
	}
}

func (h *ears) stop() {
	if h.end != nil {
		h.end()
		h.end = nil
	}
}
