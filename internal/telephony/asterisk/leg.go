package asterisk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/stream"
	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/asterisk/ari"
)

// KeyMethod is the telephony.Digit.Method of every key: Asterisk does not tell
// how one came.
const KeyMethod = "asterisk"

// leg is one phone's part in a call: a channel of Asterisk, and its voice.
type leg struct {
	e      *Engine
	id     string
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelCauseFunc
	digits *telephony.Digits
	refers *telephony.Refers
	held   telephony.Flag
	keys   keys
	voice  *voice
	// dialling takes what concerns a call that is not answered yet; nil: the
	// phone called us.
	dialling *telephony.Queue[told]
	keepKeys atomic.Bool // of the joins to come

	mu       sync.Mutex
	info     telephony.Info
	channel  string // the phone's; empty: none has answered yet
	known    map[string]bool
	answered bool
	ended    bool
	refer    bool       // a transfer of the phone's is under way
	left     *leftTalk  // where a process before this one left it; the Engine's lock guards it
	cause    *ari.Event // why the channel is about to end; nil: it is not, or nobody said
	release  func()
	turn     <-chan struct{} // closed when what was last asked inTurn is done; nil: nothing was
}

// told is an event of a channel, or the first sound of a call that rings.
type told struct {
	channel string
	event   ari.Event
	sound   bool
}

func (e *Engine) newLeg(id string, info telephony.Info) (*leg, error) {
	l := &leg{
		e: e, id: id, info: info, log: e.log.With("call", info.Call, "leg", id),
		digits: telephony.NewDigits(), refers: telephony.NewRefers(), known: make(map[string]bool), release: func() {},
	}
	l.ctx, l.cancel = context.WithCancelCause(context.Background())
	var err error
	if l.voice, err = e.newVoice(l); err != nil {
		return nil, err
	}
	e.enter(l.voice.channel, l)
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

// Context ends once, when the leg does.
func (l *leg) Context() context.Context { return l.ctx }

// Digits is the queue of keys pressed on the phone.
func (l *leg) Digits() *telephony.Digits { return l.digits }

// KeepKeys settles whether the keys pressed are for the server alone.
func (l *leg) KeepKeys(keep bool) { l.keepKeys.Store(keep) }

// Refers are the transfers the phone asks for.
func (l *leg) Refers() *telephony.Refers { return l.refers }

// Held tells whether the phone has put the call on hold.
func (l *leg) Held() *telephony.Flag { return &l.held }

// Record lets t take what is heard on the leg.
func (l *leg) Record(t media.Track) { l.voice.record(t) }

// Listen lets li hear what is said on the leg.
func (l *leg) Listen(li media.Listener) error {
	l.voice.stream.Tap(li)
	return nil
}

// Play lets the phone hear p.
func (l *leg) Play(ctx context.Context, p telephony.Prompt) error {
	return l.during(ctx, func(ctx context.Context) error {
		// What has been begun is finished, also of a sound that is given up as it
		// begins: else nobody knows where the phone is.
		whole := context.WithoutCancel(ctx)
		defer func() { _ = l.voice.says(whole, l.its(), -1) }() // the leg may have ended
		if err := l.voice.says(whole, l.its(), 1); err != nil {
			return err
		}
		return l.voice.stream.Play(ctx, p.Clip, p.Loop)
	})
}

const (
	keyTime   = 100 * time.Millisecond // a key that we send, and the pause after it
	commaTime = 500 * time.Millisecond
)

// SendDigits sends keys to the phone.
func (l *leg) SendDigits(ctx context.Context, digits string) error {
	if i := strings.IndexFunc(digits, func(r rune) bool { return !strings.ContainsRune("0123456789*#ABCD,", r) }); i >= 0 {
		return fmt.Errorf("asterisk: %q is no key", digits[i:])
	}
	return l.during(ctx, func(ctx context.Context) error {
		for digits != "" {
			keys, after, pause := strings.Cut(digits, ",")
			took := time.Duration(len(keys)) * 2 * keyTime
			if pause {
				took += commaTime
			}
			if keys != "" {
				if err := l.e.ari.DTMF(ctx, l.its(), keys, keyTime, keyTime); err != nil {
					return err
				}
			}
			out := time.NewTimer(took)
			select {
			case <-out.C:
			case <-ctx.Done():
				out.Stop()
				return context.Cause(ctx)
			}
			digits = after
		}
		return nil
	})
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
	case refused(err):
		return l.goes(ctx, err)
	}
	return err
}

func refused(err error) bool {
	var e *ari.Error
	return errors.As(err, &e)
}

// grace is how long after a refusal the news of a leg's end may come, which is
// mostly the reason of it.
const grace = 500 * time.Millisecond

// goes waits a little for the end of a leg whose channel Asterisk has refused to
// do something with.
func (l *leg) goes(ctx context.Context, err error) error {
	wait, cancel := context.WithTimeoutCause(ctx, grace, err)
	defer cancel()
	select {
	case <-l.ctx.Done():
		return context.Cause(l.ctx)
	case <-wait.Done():
		return context.Cause(wait)
	}
}

// its is the phone's channel.
func (l *leg) its() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.channel
}

// made tells whether Asterisk must know a channel of the leg.
func (l *leg) made(channel string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.known[channel] && !l.ended
}

// make notes that Asterisk knows a channel.
func (l *leg) make(channel string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known[channel] = true
}

// sounds is told that the voice has heard the phone for the first time.
func (l *leg) sounds() {
	if l.dialling != nil {
		l.dialling.Push(told{sound: true})
	}
}

// told takes an event of a channel of the leg. It does not wait.
func (l *leg) told(channel string, ev ari.Event) {
	if channel == l.voice.channel {
		if ev.Type == ari.ChannelDestroyed {
			l.end(&telephony.HangupError{Leg: l.id, By: telephony.ByNetwork, Reason: "its voice in Asterisk has ended"})
		}
		return
	}
	if channel != l.its() {
		l.dialling.Push(told{channel: channel, event: ev})
		return
	}
	l.handle(ev)
}

func (l *leg) handle(ev ari.Event) {
	switch ev.Type {
	case ari.ChannelDtmfReceived:
		if len(ev.Digit) == 1 && l.keys.isNew(ev) {
			l.digits.Push(telephony.Digit{Key: ev.Digit[0], At: time.Now(), Method: KeyMethod})
		}
	case ari.ChannelHold:
		l.held.Set(true)
		l.e.states.tell(l.Info().Operator)
	case ari.ChannelUnhold:
		l.held.Set(false)
		l.e.states.tell(l.Info().Operator)
	case ari.ChannelHangupRequest:
		if ev.Cause != 0 {
			l.mu.Lock()
			l.cause = &ev
			l.mu.Unlock()
		}
	case ari.StasisEnd:
		// Of a channel that Asterisk made nothing more is told, of ours it is.
		l.mu.Lock()
		cause := l.cause
		l.mu.Unlock()
		if l.Info().Inbound {
			if cause == nil {
				cause = &ari.Event{Cause: causeNormal}
			}
			l.end(hangup(l.id, *cause))
		}
	case ari.ChannelDestroyed:
		l.end(hangup(l.id, ev))
	}
}

// end ends the leg, once; Asterisk is told unless it was who told.
func (l *leg) end(cause *telephony.HangupError) {
	if l.claimEnd() {
		l.endFor(cause)
	}
}

// claimEnd leaves the end of the leg to the caller; false: it has ended.
func (l *leg) claimEnd() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := !l.ended
	l.ended = true
	return first
}

// endFor ends the leg for who has claimed its end.
func (l *leg) endFor(cause *telephony.HangupError) {
	l.mu.Lock()
	channel, answered := l.channel, l.answered
	l.mu.Unlock()
	l.cancel(cause)
	l.log.Info("leg ended", "by", cause.By, "code", cause.Code, "q850", cause.Q850, "reason", cause.Reason)
	l.e.forget(channel, l.voice.channel)
	if channel != "" && cause.By != telephony.ByFar {
		why := causeNormal
		if !answered {
			why = causeFor(cause.Code)
		}
		l.inTurn("hang up", func(ctx context.Context) error { return l.e.ari.Hangup(ctx, channel, why, "") })
	}
	l.voice.close()
	l.e.leaves(l, false)
	l.release()
	l.e.states.tell(l.Info().Operator)
}

// inTurn is Engine.tidy of what must come after what was asked of this leg
// before: the phone is to be told of its transfer before it is hung up.
func (l *leg) inTurn(what string, ask func(ctx context.Context) error) {
	done := make(chan struct{})
	l.mu.Lock()
	before := l.turn
	l.turn = done
	l.mu.Unlock()
	l.e.tasks.Run(func() {
		defer close(done)
		if before != nil {
			<-before
		}
		l.e.ask(what, ask)
	})
}

// Hangup ends the leg.
func (l *leg) Hangup(code int) {
	l.mu.Lock()
	refused := !l.answered
	l.mu.Unlock()
	h := &telephony.HangupError{Leg: l.id, By: telephony.ByUs, Reason: "hung up"}
	if refused {
		h.Code, h.Reason = code, "refused"
		if code == 0 {
			h.Code = 603
		}
	}
	l.end(h)
}

// Refuse is Hangup: Asterisk has no words for phones.
func (l *leg) Refuse(code int, why string) {
	l.log.Info("refused, and Asterisk cannot tell the phone why", "why", why)
	l.Hangup(code)
}
