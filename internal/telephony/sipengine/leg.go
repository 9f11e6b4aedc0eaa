package sipengine

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/stream"
	"github.com/perezvon/perezvon/internal/telephony"
)

// leg is one phone's part in a call: its sound, its keys, its end. The dialog
// is how it is spoken with.
type leg struct {
	e        *Engine
	id       string
	log      *slog.Logger
	operator string // extension of the phone's owner, for DeviceState
	ctx      context.Context
	cancel   context.CancelCauseFunc
	digits   *telephony.Digits
	stream   *stream.Stream
	// release gives back what the leg took (a trunk's channel).
	release func()
	// in is the INVITE of a leg that called us; nil: we called it.
	in *inbound

	keys     presses
	keepKeys atomic.Bool // of the joins to come
	refers   *telephony.Refers
	held     telephony.Flag // by the phone's own key

	mu     sync.Mutex
	info   telephony.Info
	early  dialogID      // of a call of ours that rings; no remote tag: not told yet
	refer  *subscription // the phone's newest transfer, nil: none yet
	ended  bool
	dialog *dialog
	offers offers
	since  time.Time // answered, or taken off hold; zero: not answered
	timer  sessionTimer
	// acks are INVITEs from the far end that we answered and it has not
	// acknowledged, by CSeq.
	acks map[uint32]*unacked
	// inviting tells that a re-INVITE or UPDATE of ours is under way.
	inviting bool
}

// newLeg makes a leg with a stream of its own. sounds is told when the first
// sound comes from its phone; nil: nobody.
func (e *Engine) newLeg(id string, info telephony.Info, sounds chan *leg) (*leg, error) {
	l := &leg{
		e: e, id: id, info: info, operator: info.Operator,
		log:     e.log.With("call", info.Call, "leg", id, "sip", info.CallID),
		digits:  telephony.NewDigits(),
		refers:  telephony.NewRefers(),
		release: func() {},
		acks:    make(map[uint32]*unacked),
	}
	l.ctx, l.cancel = context.WithCancelCause(context.Background())
	s, err := stream.Open(e.cfg.Ports, stream.Options{Logger: l.log, OnDigit: l.pressed, OnFirstPacket: func() {
		select {
		case sounds <- l:
		default:
		}
	}})
	if err != nil {
		return nil, err
	}
	l.stream = s
	e.enter(l)
	return l, nil
}

// ID is the name of the leg within its call.
func (l *leg) ID() string { return l.id }

// Info is what is known of the leg.
func (l *leg) Info() telephony.Info {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.info
}

// Context ends when the leg does; the cause is a *telephony.HangupError.
func (l *leg) Context() context.Context { return l.ctx }

// Digits are the keys pressed on the phone.
func (l *leg) Digits() *telephony.Digits { return l.digits }

// KeepKeys keeps the phone's keys from whom the leg is joined with.
func (l *leg) KeepKeys(keep bool) { l.keepKeys.Store(keep) }

// Refers are the transfers the phone asks for.
func (l *leg) Refers() *telephony.Refers { return l.refers }

// Held tells whether the phone has put the call on hold.
func (l *leg) Held() *telephony.Flag { return &l.held }

// Record lets t take what is heard on the leg.
func (l *leg) Record(t media.Track) { l.stream.Record(t) }

// Listen lets li hear what is said on the leg.
func (l *leg) Listen(li media.Listener) error {
	l.stream.Tap(li)
	return nil
}

// Play lets the phone hear p.
func (l *leg) Play(ctx context.Context, p telephony.Prompt) error {
	return l.during(ctx, func(ctx context.Context) error { return l.stream.Play(ctx, p.Clip, p.Loop) })
}

// SendDigits sends keys to the phone.
func (l *leg) SendDigits(ctx context.Context, digits string) error {
	return l.during(ctx, func(ctx context.Context) error { return l.stream.SendDigits(ctx, digits) })
}

// during runs f under a context that ends with ctx and with the leg, and
// returns the cause of whichever ended.
func (l *leg) during(ctx context.Context, f func(context.Context) error) error {
	if err := context.Cause(l.ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(l.ctx, func() { cancel(context.Cause(l.ctx)) })()
	err := f(ctx)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, stream.ErrReplaced):
		return telephony.ErrReplaced
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case l.ctx.Err() != nil:
		return context.Cause(l.ctx)
	}
	return err
}

// end ends the leg, once, with its cause; the far end is told unless it was
// who ended it. It may be called from any goroutine but the stream's.
func (l *leg) end(cause *telephony.HangupError) {
	l.mu.Lock()
	if l.ended {
		l.mu.Unlock()
		return
	}
	l.ended = true
	d, answered := l.dialog, !l.since.IsZero()
	l.timer.stop()
	if cause.By == telephony.ByFar {
		// Who hangs up has our answer, though its ACK may come later or never.
		for cseq, u := range l.acks {
			delete(l.acks, cseq)
			close(u.done)
		}
	}
	l.mu.Unlock()

	l.cancel(cause)
	l.log.Info("leg ended", "by", cause.By, "code", cause.Code, "q850", cause.Q850, "reason", cause.Reason)
	l.e.forget(l)
	switch {
	case d == nil:
	case answered && cause.By != telephony.ByFar:
		l.part(d)
	default:
		l.e.forgetDialog(d)
	}
	_ = l.stream.Close() // never fails
	l.release()
}

// Hangup ends the leg; before its answer it is refused with code.
func (l *leg) Hangup(code int) {
	if l.in != nil && l.in.refuse(l, code, "") {
		return
	}
	l.end(&telephony.HangupError{Leg: l.id, By: telephony.ByUs, Reason: "hung up"})
}

// Refuse ends a leg that was not answered and tells the phone why.
func (l *leg) Refuse(code int, why string) {
	if l.in != nil && l.in.refuse(l, code, why) {
		return
	}
	l.end(&telephony.HangupError{Leg: l.id, By: telephony.ByUs, Reason: why})
}

// begin makes the leg an answered one; false if it has ended meanwhile.
func (l *leg) begin(d *dialog) bool {
	l.mu.Lock()
	if l.ended {
		l.mu.Unlock()
		return false
	}
	if l.dialog != d { // a call in has it, and is read by requests that found it
		l.dialog = d
	}
	l.since = time.Now()
	l.info.Codec = l.offers.chosen.Codec
	d.keep() // here, so that an end at the same time drops it afterwards
	l.mu.Unlock()
	l.e.enterDialog(l, d)
	l.e.changes.tell(l.operator)
	return true
}

func (l *leg) inbound() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.info.Inbound
}

// ringing notes the far end of a call of ours that may ring (RFC 3261 §12.1.2).
func (l *leg) ringing(id dialogID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.early = id
}

// rings is the dialog of a call of ours that may ring; zero if it is answered,
// or not ours.
func (l *leg) rings() dialogID {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.info.Inbound || !l.since.IsZero() {
		return dialogID{}
	}
	return l.early
}

func (l *leg) answered() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.since.IsZero()
}

func (l *leg) onHold() bool { return l.held.On() }

// silentSince is since when nothing has been heard of the phone; counts is
// false while nothing need be heard: before the answer, on hold, at the end.
func (l *leg) silentSince() (since time.Time, counts bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	since = l.since
	if heard := l.stream.LastHeard(); heard.After(since) {
		since = heard
	}
	return since, !l.since.IsZero() && !l.held.On() && !l.ended
}

// pressed takes a key that the stream heard.
func (l *leg) pressed(key byte, at time.Time, method string) {
	d := telephony.Digit{Key: key, At: at, Method: method}
	if l.answered() && l.keys.first(d) {
		l.digits.Push(d)
	}
}

// presses knows which keys have been heard already: a phone may send each by
// RTP, by INFO and as a tone, and it was pressed once.
type presses struct {
	mu     sync.Mutex
	recent []press
}

type press struct {
	telephony.Digit
	heard map[string]bool // the methods it was heard by
}

// sameKey is within what time two methods report one press.
const sameKey = time.Second

// first tells whether a key is news: no earlier press of it is left which this
// method has not reported yet.
func (p *presses) first(d telephony.Digit) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.recent) > 0 && d.At.Sub(p.recent[0].At) > sameKey {
		p.recent = p.recent[1:]
	}
	for _, r := range p.recent {
		if r.Key == d.Key && !r.heard[d.Method] {
			r.heard[d.Method] = true
			return false
		}
	}
	p.recent = append(p.recent, press{Digit: d, heard: map[string]bool{d.Method: true}})
	return true
}
