package sipengine

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/google/uuid"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/stream"
	"github.com/perezvon/perezvon/internal/telephony"
)

// Dial calls out; see telephony.Engine.
func (e *Engine) Dial(ctx context.Context, d telephony.Dial) (telephony.Leg, error) {
	began := time.Now()
	if !e.tasks.Begin() {
		return nil, &telephony.DialError{Code: sip.StatusServiceUnavailable, Reason: "Stopping", Trunk: d.Trunk, Phase: telephony.PhaseSetup, Err: ErrStopped}
	}
	defer e.tasks.End()

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(e.life, func() { cancel(context.Cause(e.life)) })()
	ctx, release := context.WithTimeoutCause(ctx, cmp.Or(d.Timeout, defaultRingTimeout), errNoAnswer)
	defer release()

	r := &race{e: e, order: d, events: make(chan event), sounds: make(chan *leg, 1)}
	if err := e.route(ctx, d, r); err != nil {
		err.Elapsed = time.Since(began)
		return nil, err
	}
	l, err := r.run(ctx)
	if err != nil {
		err.Elapsed = time.Since(began)
		return nil, err
	}
	return l, nil
}

// route finds whom to call and enters the attempts into the race.
func (e *Engine) route(ctx context.Context, d telephony.Dial, r *race) *telephony.DialError {
	refuse := func(code int, words string, err error) *telephony.DialError {
		for _, a := range r.attempts {
			a.leg.end(&telephony.HangupError{Leg: d.Leg, By: telephony.ByUs, Code: code, Reason: words})
		}
		return &telephony.DialError{Code: code, Reason: words, Trunk: d.Trunk, Phase: telephony.PhaseSetup, Err: err}
	}
	if (d.Trunk == "") == (d.Operator == "") {
		return refuse(sip.StatusNotFound, "Neither a trunk nor an operator", nil)
	}
	if d.Trunk != "" {
		return e.routeTrunk(ctx, d, r, refuse)
	}
	phones := e.phones.Contacts(d.Operator)
	if len(phones) == 0 {
		return refuse(sip.StatusTemporarilyUnavailable, "No phone is registered", nil)
	}
	for _, p := range phones {
		uri, err := p.URI()
		if err != nil {
			continue // the registrar has read it before
		}
		h := hopTo(p.Transport, p.Source)
		req := sip.NewRequest(sip.INVITE, uri)
		ip, _ := e.local(h)
		from := &sip.FromHeader{
			DisplayName: displayName(d.CallerName),
			Address:     sip.Uri{Scheme: "sip", User: userPart(cmp.Or(d.CallerID, "anonymous")), Host: ip.String()},
			Params:      sip.HeaderParams{{K: "tag", V: sip.GenerateTagN(16)}},
		}
		req.AppendHeader(from)
		req.AppendHeader(&sip.ToHeader{Address: sip.Uri{Scheme: "sip", User: userPart(d.Operator), Host: ip.String()}})
		e.assert(req, d.ANI, ip.String())
		info := telephony.Info{From: d.CallerID, FromName: d.CallerName, To: d.Operator, ANI: d.ANI, Operator: d.Operator}
		a, err := e.attempt(r, req, h, info, operatorCodecs)
		if err != nil {
			return refuse(sip.StatusServiceUnavailable, "No media port", err)
		}
		a.behindNAT = true
		r.enter(a)
	}
	return nil
}

func (e *Engine) routeTrunk(ctx context.Context, d telephony.Dial, r *race, refuse func(int, string, error) *telephony.DialError) *telephony.DialError {
	t := e.trunks.Get(d.Trunk)
	if t == nil {
		return refuse(sip.StatusNotFound, "No such trunk", nil)
	}
	release, busy := t.Acquire()
	if busy != nil {
		return busy
	}
	req := sip.NewRequest(sip.INVITE, sip.Uri{})
	if err := t.Prepare(req, d.Number, d.CallerID, d.CallerName); err != nil {
		release()
		return refuse(sip.StatusNotFound, "Not a number", err)
	}
	h, err := e.resolve(ctx, req.Recipient, req.Transport())
	if err != nil {
		release()
		return refuse(sip.StatusServiceUnavailable, "No address", err)
	}
	info := telephony.Info{From: d.CallerID, FromName: d.CallerName, To: d.Number, Trunk: d.Trunk}
	a, err := e.attempt(r, req, h, info, trunkCodecs(t.Codecs))
	if err != nil {
		release()
		return refuse(sip.StatusServiceUnavailable, "No media port", err)
	}
	a.leg.release = release
	a.trunk, a.login = d.Trunk, login{t.Username, t.Password}
	r.enter(a)
	return nil
}

// attempt makes a leg and completes its INVITE.
func (e *Engine) attempt(r *race, req *sip.Request, h hop, info telephony.Info, codecs []media.Codec) (*attempt, error) {
	info.CallID, info.Call = uuid.NewString(), r.order.Call
	l, err := e.newLeg(r.order.Leg, info, r.sounds)
	if err != nil {
		return nil, err
	}
	l.describe(h, codecs)
	callID := sip.CallIDHeader(info.CallID)
	req.AppendHeader(&callID)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: 1, MethodName: sip.INVITE})
	req.AppendHeader(&sip.ContactHeader{Address: e.contact(req.From().Address.User, h)})
	req.AppendHeader(sip.NewHeader("Allow", allowed(l.operator)))
	l.offerTimer(req)
	setSDP(req, l.offer())
	l.ringing(dialogID{info.CallID, tag(req.From().Params), ""})
	e.changes.tell(l.operator)
	e.prepare(req, h)
	return &attempt{e: e, leg: l, req: req}, nil
}

// operatorCodecs are what phones are offered: the carriers' first, so that
// most calls need no transcoding.
var operatorCodecs = []media.Codec{media.PCMA, media.PCMU, media.G722}

// trunkCodecs reads a trunk's list; empty or without one we speak: PCMA, PCMU.
func trunkCodecs(names []string) (codecs []media.Codec) {
	for _, name := range names {
		if c, ok := media.CodecByName(name); ok {
			codecs = append(codecs, c)
		}
	}
	if len(codecs) == 0 {
		return []media.Codec{media.PCMA, media.PCMU}
	}
	return codecs
}

// race calls several phones at once; the first to answer wins.
type race struct {
	e        *Engine
	order    telephony.Dial
	attempts []*attempt
	events   chan event
	sounds   chan *leg // a leg from which the first early media came
	listener listener
	recorded *leg
}

// event is what an attempt tells: progress, or its end.
type event struct {
	*attempt
	progress *telephony.Progress
	failure  *telephony.DialError
}

func (r *race) enter(a *attempt) { r.attempts = append(r.attempts, a) }

// run calls all and returns the leg that answered first. When it returns the
// others have been cancelled, and nobody tells anything any more.
func (r *race) run(ctx context.Context) (*leg, *telephony.DialError) {
	lost, cancel := context.WithCancelCause(ctx)
	r.listener = listener{to: r.order.Listener, ringback: r.order.Ringback}
	defer r.listener.stop()
	for _, a := range r.attempts {
		a.progress = func(p telephony.Progress) { r.tell(lost, event{attempt: a, progress: &p}) }
		go func() { r.events <- event{attempt: a, failure: a.run(lost)} }()
	}
	var winner *leg
	var worst *telephony.DialError
	for running := len(r.attempts); running > 0; {
		select {
		case l := <-r.sounds:
			if winner == nil && !l.answered() {
				r.listener.hear(l)
				r.record(l)
			}
		case ev := <-r.events:
			if ev.progress != nil {
				if winner == nil {
					r.progress(*ev.progress)
				}
				continue
			}
			running--
			switch {
			case ev.failure != nil:
				ev.leg.end(&telephony.HangupError{Leg: ev.leg.id, By: whose(ev.failure), Code: ev.failure.Code, Q850: ev.failure.Q850, Reason: ev.failure.Reason})
				worst = worse(worst, ev.failure)
				if ev.failure.Code >= 600 {
					cancel(telephony.ErrElsewhere) // RFC 3261 §16.7: a 6xx speaks for all phones
				}
			case winner != nil:
				ev.leg.Hangup(0) // it answered in the same moment
			default:
				winner = ev.leg
				r.record(winner)
				cancel(telephony.ErrElsewhere)
			}
		}
	}
	cancel(nil)
	if winner == nil {
		return nil, worst
	}
	winner.log.Info("answered", "trunk", winner.Info().Trunk, "operator", winner.operator, "codec", winner.Info().Codec)
	return winner, nil
}

// whose tells who ended a call that failed.
func whose(err *telephony.DialError) string {
	if err.Err != nil {
		return telephony.ByUs
	}
	return telephony.ByFar
}

// tell hands an event to the goroutine of Dial, unless the race is over.
func (r *race) tell(ctx context.Context, ev event) {
	select {
	case r.events <- ev:
	case <-ctx.Done():
	}
}

func (r *race) progress(p telephony.Progress) {
	if p.Ringing {
		r.listener.ring()
	}
	if r.order.OnProgress != nil {
		r.order.OnProgress(p)
	}
}

// record moves the order's track to a leg.
func (r *race) record(l *leg) {
	if r.order.Record == nil || r.recorded == l {
		return
	}
	if r.recorded != nil {
		r.recorded.stream.Record(nil)
	}
	r.recorded = l
	l.stream.Record(r.order.Record)
}

// worse is the failure that tells more of why nobody answered: the phones'
// own will before the network's (RFC 3261 §16.7: 6xx, then the rest), and a
// busy phone before one that did not answer.
func worse(a, b *telephony.DialError) *telephony.DialError {
	if a == nil || errors.Is(a.Err, telephony.ErrElsewhere) {
		return b
	}
	rank := func(err *telephony.DialError) int {
		switch {
		case errors.Is(err.Err, telephony.ErrElsewhere):
			return 0
		case err.Code >= 600:
			return 5
		case err.Code == sip.StatusBusyHere:
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

// listener is the leg that hears how the dialling goes.
type listener struct {
	to       telephony.Leg
	ringback telephony.Prompt
	end      func() // ends what is heard; nil: nothing is
	early    bool   // early media is heard, which goes before ringback
}

// ring lets the listener hear ringback.
func (h *listener) ring() {
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
func (h *listener) hear(from *leg) {
	to, ok := h.to.(*leg)
	if !ok || h.early {
		return
	}
	h.stop()
	h.early = true
	h.end = stream.Listen(from.stream, to.stream)
}

func (h *listener) stop() {
	if h.end != nil {
		h.end()
		h.end = nil
	}
}
