package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/perezvon/perezvon/internal/acd"
	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/speech/prompts"
	"github.com/perezvon/perezvon/internal/telephony"
)

// Return is the call to a client who has kept his place in a queue without
// waiting on the line: the member is rung first, as for any caller whose turn it
// is, then the client is called.
type Return struct {
	board *Switchboard
	kept  acd.Kept
	queue directory.Queue
	to    destination
	place *acd.Place
	turn  *acd.Turn
	// used tells that the client's place is used up.
	used bool
}

// Await takes the client's place in the queue again and waits until it is his
// turn and a member is free. Run or Leave must be called on what it returns. The
// error is ctx's cause, or why he cannot be called: the queue cannot be read (any
// more), no trunk is set.
func (b *Switchboard) Await(ctx context.Context, k acd.Kept) (*Return, error) {
	if b.Queues == nil {
		return nil, errNoQueue
	}
	q, err := b.Directory.Queue(ctx, k.Account, k.Queue)
	if err != nil {
		return nil, err
	}
	trunks, err := b.newCourse("", k.Account, b.Voice).trunks(ctx, nil)
	if err != nil {
		return nil, err
	}
	r := &Return{board: b, kept: k, queue: q, to: destination{number: k.Client, trunks: trunks}}
	r.place, err = b.Queues.Join(ctx, q, acd.Caller{
		Account: k.Account, Number: k.Client, Name: k.Name, Priority: k.Priority, Since: k.Since, Away: true,
	})
	if err != nil {
		return nil, err
	}
	if r.turn, err = r.place.Next(ctx); err != nil {
		r.Leave()
		return nil, err
	}
	return r, nil
}

// Leave gives the turn back.
func (r *Return) Leave() { r.place.Leave(acd.Stopped) }

// Used tells, when Run is over, that the client's place is used up: he was
// called, whatever came of it, or the call was cancelled through the API. Else he
// may be awaited again.
func (r *Return) Used() bool { return r.used }

// Run carries the call out, as Switchboard.Run does.
func (r *Return) Run(ctx context.Context, callID string) call.Status {
	defer r.Leave()
	c := r.board.newCourse(callID, r.kept.Account, r.board.Voice)
	return c.perform(ctx, func(ctx context.Context) error {
		err := r.run(ctx, c)
		if !r.used && errors.Is(context.Cause(ctx), ErrCancelled) {
			err = errors.Join(err, r.useUp(context.WithoutCancel(ctx)))
		}
		return err
	}).Status
}

// useUp removes the client's place.
func (r *Return) useUp(ctx context.Context) error {
	if err := r.board.Later.GiveUpPlace(ctx, r.kept); err != nil {
		return fmt.Errorf("%w: the place is not given up: %w", errNotStored, err)
	}
	r.used = true
	return nil
}

func (r *Return) run(ctx context.Context, c *course) error {
	k := r.kept
	c.Journal.Append(call.Event{
		CallID: c.callID, Account: c.account, At: time.Now(), Type: call.Created, Direction: call.Outbound, Number: k.Client,
	})
	c.note(fmt.Sprintf("queue %s: the client asked to be called back in call %s", k.Queue, k.CallID))
	c.event(call.Event{Type: call.QueueJoined, Queue: k.Queue, Position: r.place.Position()})
	operator, err := r.member(ctx, c)
	c.event(call.Event{Type: call.QueueLeft, Queue: k.Queue, Reason: string(howLeft(err)), ElapsedMS: time.Since(k.Since).Milliseconds()})
	if err != nil {
		return err
	}
	defer c.hangUp(operator)
	c.startRecording(false)
	operator.Record(c.track(operator.ID(), operator.role))
	client, err := r.client(ctx, c, operator)
	if err != nil {
		return err
	}
	client.Record(c.track(client.ID(), client.role))
	last, why := c.converse(ctx, client, operator)
	c.hangUp(client)
	c.hangUp(last)
	if errors.As(why, new(*telephony.HangupError)) {
		return errTalked
	}
	return why
}

// member rings members, the first of them by the turn that was awaited, until
// one answers.
func (r *Return) member(ctx context.Context, c *course) (*line, error) {
	for {
		rings := time.Duration(r.queue.RingS) * time.Second
		operator, err := c.ringMembers(ctx, r.turn, caller{number: r.kept.Client, name: r.kept.Name}, rings)
		if err != nil || operator != nil {
			return operator, err
		}
		if r.turn, err = r.place.Next(ctx); err != nil {
			return nil, err
		}
	}
}

// client tells the member what is coming and calls the client, who is not called
// again whatever becomes of it.
func (r *Return) client(ctx context.Context, c *course, operator *line) (*line, error) {
	waiting, _, free := c.whileOn(ctx, operator)
	defer free()
	if err := c.say(waiting, operator, promptConnecting, c.words(prompts.Connecting)); err != nil {
		return nil, err
	}
	if err := r.useUp(waiting); err != nil {
		return nil, err
	}
	client, err := c.dialFirst(waiting, []target{outside(call.Client, "c1", r.to, "", outsideRings)}, operator)
	if cause := context.Cause(waiting); cause != nil {
		if client != nil {
			c.hangUp(client)
		}
		return nil, cause
	}
	return client, err
}
