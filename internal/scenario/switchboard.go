package scenario

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/perezvon/perezvon/internal/acd"
	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/speech"
	"github.com/perezvon/perezvon/internal/telephony"
)

// Switchboard takes the calls that come to us: of clients, through trunks, and
// of operators, from their phones. All of Services but Locations, Region and
// Logger must be set.
type Switchboard struct {
	Services
	// Voice speaks what the server itself says to callers.
	Voice speech.Voice
	// Responsible finds the operator who knows a client; nil: nobody does.
	Responsible Responsibles
	// Later calls clients back who do not want to wait; nil: it is not offered.
	Later Later
	// Notices are what operators let those hear who do not reach them; nil:
	// there are none.
	Notices Notices
	// NoticeRules say who may record them, and when they are heard.
	NoticeRules NoticeRules
}

// Responsibles finds the operator who is responsible for a client.
type Responsibles interface {
	// Responsible is who is responsible for the client with that number, and why.
	// It keeps to the rule's time where the CRM is asked.
	Responsible(ctx context.Context, account, number string, rule call.ResponsibleRule) (call.Responsible, error)
}

// Later plans callbacks.
type Later interface {
	// CallBack orders a callback of the widget to the client (E.164).
	CallBack(ctx context.Context, account, widget, client string) error
	// KeepPlace stores the place of a caller who will be called when it is his
	// turn (Switchboard.Await), and GiveUpPlace removes it, before he is called.
	KeepPlace(ctx context.Context, k acd.Kept) error
	GiveUpPlace(ctx context.Context, k acd.Kept) error
}

// Arrival is a call that came to us.
type Arrival struct {
	CallID, Account string
	Leg             telephony.Leg
}

// Run carries the call out and returns when it is over: everybody hung up, the
// tape closed, call.ended stored as the last event. ctx ends it early, with
// ErrCancelled or ErrStopped as its cause; the end of the leg that arrived does
// not by itself, for an operator may have transferred the call.
func (b *Switchboard) Run(ctx context.Context, in Arrival) call.Status {
	a := &arrival{
		course: b.newCourse(in.CallID, in.Account, b.Voice), board: b, info: in.Leg.Info(), at: time.Now(),
	}
	a.caller = &line{Leg: in.Leg}
	status := a.perform(ctx, func(ctx context.Context) error {
		if a.info.Operator != "" {
			return a.fromOperator(ctx)
		}
		return a.fromTrunk(ctx)
	}).Status
	if a.caller.gone {
		// Its phone system hangs it up when we return, and it is on another call.
		<-a.caller.Context().Done()
	}
	return status
}

// arrival is a call that came to us, under way.
type arrival struct {
	*course
	board  *Switchboard
	info   telephony.Info
	at     time.Time
	caller *line
	// answered tells that the caller's phone was picked up, by somebody or by
	// the server itself.
	answered bool
	// rang tells that somebody was to be called.
	rang bool
	// talked tells that the caller had somebody, and lost him by a transfer.
	talked bool
	// transcribe: the conversation is written down, for its route says so.
	transcribe bool
	// routes counts the routes that the call was sent on to.
	routes int
}

// begin puts the call and its first leg on the timeline. client is whose call
// it is.
func (a *arrival) begin(direction call.Direction, client string, t target) {
	t.leg = a.caller.ID()
	a.caller.target = t
	a.caller.over = onceEnded(a.course, a.caller.Leg, t)
	a.Journal.Append(call.Event{
		CallID: a.callID, Account: a.account, At: a.at, Type: call.Created, Direction: direction, Number: client,
	})
	a.event(call.Event{
		Type: call.Arrived, Leg: t.leg, Role: t.role, Operator: t.operator, Number: cmp.Or(t.number, a.info.From),
		Trunk: a.info.Trunk, CallerID: a.info.To, SIPCallID: a.info.CallID,
	})
}

// pickUp answers the caller, if nobody has: from here on everything is
// recorded.
func (a *arrival) pickUp(ctx context.Context) error {
	if a.answered {
		return nil
	}
	if err := a.answer(ctx); err != nil {
		return err
	}
	a.startRecording(a.wantsTranscript(a.transcribe))
	a.caller.Record(a.track(a.caller.ID(), a.caller.role))
	return nil
}

// answer is pickUp of a call that is not recorded.
func (a *arrival) answer(ctx context.Context) error {
	if err := a.caller.Answer(ctx); err != nil {
		return err
	}
	a.answered = true
	a.event(call.Event{
		Type: call.Answered, Leg: a.caller.ID(), Role: a.caller.role, Operator: a.caller.operator,
		Codec: a.caller.Info().Codec.Name(), SIPCallID: a.info.CallID, ElapsedMS: time.Since(a.at).Milliseconds(),
	})
	return nil
}

// refuse tells the caller in words and by the status why the call goes nowhere,
// and returns why.
func (a *arrival) refuse(ctx context.Context, code int, prompt string, text string, why error) error {
	if !a.answered {
		if err := a.caller.Progress(ctx); err != nil {
			return why
		}
	}
	// Whether it was heard to the end changes nothing.
	_ = a.say(ctx, a.caller, prompt, text)
	if !a.answered {
		a.caller.Refuse(code, why.Error())
	}
	return why
}

// errCallerLeft is the cause of the caller's hanging up, as the timeline has it
// already.
func callerLeft(err error) bool { return errors.As(err, new(*telephony.HangupError)) }
