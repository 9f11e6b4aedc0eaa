package scripted

import (
	"context"
	"sync"
	"time"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/telephony"
)

// leg is one phone of a scripted Engine.
type leg struct {
	engine *Engine
	id     string
	info   telephony.Info
	digits *telephony.Digits
	refers *telephony.Refers
	held   telephony.Flag
	ctx    context.Context
	end    context.CancelCauseFunc
	ended  time.Duration // since New; of the engine's mutex

	mu     sync.Mutex
	timers []*time.Timer
	// unanswered is what the phone of a call in does from our answer on; nil:
	// it is answered.
	unanswered *Phone
	keep       bool // the keys are not passed on
	hums       bool
	// playing ends the sound that is heard; nil in silence.
	playing func(cause error)
	// listener hears what the phone says, nil: nobody.
	listener media.Listener
}

var _ telephony.Leg = (*leg)(nil)

// answered makes the leg of a phone that was picked up and starts its script.
func (e *Engine) answered(d telephony.Dial, p Phone) *leg {
	l := e.newLeg(d.Leg, telephony.Info{
		From: d.CallerID, FromName: d.CallerName, To: d.Number, Operator: d.Operator,
		Trunk: d.Trunk, Codec: media.PCMA, CallID: "scripted-" + d.Leg, Call: d.Call,
	})
	if d.Record != nil {
		e.recorded(l.id, d.Record)
	}
	l.start(p)
	return l
}

// Incoming is a call in: a leg to be answered, with the name that engines give
// it (o1 from an operator's phone, c1 from a trunk). p is the script of its
// phone: keys count from our answer, the hang-up from now, whether we have
// answered or not.
func (e *Engine) Incoming(info telephony.Info, p Phone) telephony.Leg {
	id := "c1"
	if info.Operator != "" {
		id = "o1"
	}
	info.Inbound, info.CallID = true, "scripted-"+id
	l := e.newLeg(id, info)
	l.unanswered = &Phone{keys: p.keys, acts: p.acts, hums: p.hums}
	l.start(Phone{hangs: p.hangs, hangsUp: p.hangsUp})
	return l
}

func (e *Engine) newLeg(id string, info telephony.Info) *leg {
	l := &leg{engine: e, id: id, info: info, digits: telephony.NewDigits(), refers: telephony.NewRefers()}
	l.ctx, l.end = context.WithCancelCause(context.Background())
	e.mu.Lock()
	defer e.mu.Unlock()
	e.legs = append(e.legs, l)
	return l
}

// start begins what the phone does by itself.
func (l *leg) start(p Phone) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hums = l.hums || p.hums
	for _, k := range p.keys {
		l.timers = append(l.timers, time.AfterFunc(k.after, func() {
			for i := range len(k.keys) {
				if l.ctx.Err() == nil {
					l.press(k.keys[i])
				}
			}
		}))
	}
	for n, t := range p.says {
		l.say(uint32(n+1), t) // #nosec G115 -- a handful
	}
	for _, a := range p.acts {
		l.timers = append(l.timers, time.AfterFunc(a.after, func() {
			if l.ctx.Err() == nil {
				a.do(l)
			}
		}))
	}
	if p.hangs {
		l.timers = append(l.timers, time.AfterFunc(p.hangsUp, func() { l.finish(telephony.ByFar, "BYE") }))
	}
}

// press is a key, heard by whom the leg is joined with unless it is kept.
func (l *leg) press(key byte) {
	l.mu.Lock()
	keep := l.keep
	l.mu.Unlock()
	if !keep {
		l.engine.passed(l.id, key)
	}
	l.digits.Push(telephony.Digit{Key: key, At: time.Now(), Method: "rfc4733"})
}

// Answer implements telephony.Leg.
func (l *leg) Answer(context.Context) error {
	l.mu.Lock()
	p := l.unanswered
	l.unanswered = nil
	l.mu.Unlock()
	if cause := context.Cause(l.ctx); cause != nil {
		return cause
	}
	if p != nil {
		l.engine.tell(l.id, 200)
		l.start(*p)
	}
	return nil
}

// Ringing implements telephony.Leg.
func (l *leg) Ringing(context.Context) error { return l.provisional(180) }

// Progress implements telephony.Leg.
func (l *leg) Progress(context.Context) error { return l.provisional(183) }

func (l *leg) provisional(code int) error {
	l.mu.Lock()
	open := l.unanswered != nil
	l.mu.Unlock()
	if cause := context.Cause(l.ctx); cause != nil {
		return cause
	}
	if open {
		l.engine.tell(l.id, code)
	}
	return nil
}

// Hangup implements telephony.Leg.
func (l *leg) Hangup(code int) { l.refuse(code, "hung up") }

// Refuse implements telephony.Leg.
func (l *leg) Refuse(code int, why string) { l.refuse(code, why) }

func (l *leg) refuse(code int, why string) {
	l.mu.Lock()
	open := l.unanswered != nil
	l.mu.Unlock()
	if open && l.ctx.Err() == nil {
		if code == 0 {
			code = 603
		}
		l.engine.tell(l.id, code)
	}
	l.finish(telephony.ByUs, why)
}

func (l *leg) finish(by, reason string) {
	l.engine.mu.Lock()
	if l.ctx.Err() == nil {
		l.ended = l.engine.since()
	}
	l.engine.mu.Unlock()
	l.end(&telephony.HangupError{Leg: l.id, By: by, Reason: reason})
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range l.timers {
		t.Stop()
	}
}

func (l *leg) ID() string                { return l.id }
func (l *leg) Info() telephony.Info      { return l.info }
func (l *leg) Context() context.Context  { return l.ctx }
func (l *leg) Digits() *telephony.Digits { return l.digits }
func (l *leg) Refers() *telephony.Refers { return l.refers }
func (l *leg) Held() *telephony.Flag     { return &l.held }

// KeepKeys implements telephony.Leg.
func (l *leg) KeepKeys(keep bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keep = keep
}

// Record implements telephony.Leg.

// Listen implements telephony.Leg.
func (l *leg) Listen(li media.Listener) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listener = li
	return nil
}

// say plans packets of sound as a phone sends them, 20 ms each, and none when
// it is over: the phone suppresses silence. l.mu is held.
func (l *leg) say(ssrc uint32, t talk) {
	const length = 20 * time.Millisecond
	sound := make([]byte, media.ClockRate/50)
	for i := range sound {
		sound[i] = 0x9a // a rattle of some −19 dB, A-law
		if i%16 < 8 {
			sound[i] = 0x1a
		}
	}
	for at := time.Duration(0); at < t.length; at += length {
		timestamp := uint32(at.Milliseconds() * media.ClockRate / 1000) // #nosec G115 -- short
		l.timers = append(l.timers, time.AfterFunc(t.after+at, func() {
			l.mu.Lock()
			li := l.listener
			l.mu.Unlock()
			if li != nil && l.ctx.Err() == nil {
				li.Packet(time.Now(), media.PCMA, ssrc, timestamp, sound)
			}
		}))
	}
}

// bound is ctx that ends with the leg as well.
func (l *leg) bound(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	if cause := context.Cause(l.ctx); cause != nil {
		cancel(cause) // now: AfterFunc takes a goroutine
	}
	stop := context.AfterFunc(l.ctx, func() { cancel(context.Cause(l.ctx)) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

func (l *leg) Play(ctx context.Context, p telephony.Prompt) error {
	ctx, free := l.bound(ctx)
	defer free()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var length <-chan time.Time
	if !p.Loop {
		timer := time.NewTimer(p.Clip.Duration())
		defer timer.Stop()
		length = timer.C
	}
	over := l.begin(p.Clip.Key, p.Loop, cancel)
	select {
	case <-length:
		over(true)
		return nil
	case <-ctx.Done():
		over(false)
		return context.Cause(ctx)
	}
}

// sound lets something be heard until the returned function is called.
func (l *leg) sound(key string, loop bool) (stop func()) {
	over := l.begin(key, loop, func(error) {})
	return func() { over(false) }
}

// begin notes a sound that takes over from the one before. cancel is called
// when another takes over from this one.
func (l *leg) begin(key string, loop bool, cancel func(error)) (over func(whole bool)) {
	e := l.engine
	e.mu.Lock()
	n := len(e.heard)
	e.heard = append(e.heard, Heard{Leg: l.id, Key: key, Loop: loop, From: e.since(), To: -1})
	e.mu.Unlock()
	finish := func(whole bool) {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.heard[n].To < 0 {
			e.heard[n].To, e.heard[n].Whole = e.since(), whole
		}
	}
	l.mu.Lock()
	before := l.playing
	l.playing = func(cause error) {
		finish(false)
		cancel(cause)
	}
	l.mu.Unlock()
	if before != nil {
		before(telephony.ErrReplaced)
	}
	return finish
}

func (l *leg) SendDigits(ctx context.Context, digits string) error {
	ctx, free := l.bound(ctx)
	defer free()
	e := l.engine
	from := e.since()
	// A tone and the pause behind it are 100 ms each (telephony.Leg).
	var length time.Duration
	for _, d := range digits {
		if d == ',' {
			length += 500 * time.Millisecond
			continue
		}
		length += 200 * time.Millisecond
	}
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sent = append(e.sent, Sent{Leg: l.id, Digits: digits, From: from, To: e.since()})
	return nil
}
