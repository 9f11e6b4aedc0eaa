package scenario

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/telephony"
)

// talk is the conversation of two sides, from the first moment they hear each
// other to the last, however many operators it passes.
type talk struct {
	*course
	// left is the client, or who called in a call between operators; right is
	// the operator. Either changes when a transfer replaces it. Under the lock of
	// Talks, where others look at them.
	left, right *line
	// newest joined last: the stage is his. staged: it is open.
	newest *line
	staged bool

	leaving []leaver

	// asked is what is wanted from outside of the conversation.
	asked *telephony.Queue[wish]
	// talking: both hear each other, so they can be parted for a transfer.
	talking atomic.Bool
}

// wish is what ends a stretch of talk with both still there.
type wish struct {
	by     *line // whose side it is
	action action
	number string           // where to; "": to be dialled yet
	method string           // keys, refer, api
	refer  *telephony.Refer // of by's phone
	give   *handover        // by's other party is wanted by another call
}

// Ways to ask for a transfer, as the timeline names them.
const (
	byKeys  = "keys"
	byRefer = "refer"
	byAPI   = "api"
)

// converse lets a client and an operator talk until one of them leaves, with
// all the transfers in between (specification 2-transfers-and-crm). In a call
// between operators the client is who called. It returns who was on the
// operators' side last, hung up or not, and why the talk is over: the
// *telephony.HangupError of who left, errMerged, ctx's cause, or errNobodyTook
// while the client is on the line still. Whoever joined later and is not last
// was hung up.
func (s *course) converse(ctx context.Context, client, operator *line) (last *line, why error) {
	t := &talk{
		course: s, left: client, right: operator, newest: operator,
		asked: telephony.NewQueue[wish](8),
	}
	return t.run(ctx, nil)
}

// run is converse. begun, if not nil, is under way when it begins.
func (t *talk) run(ctx context.Context, begun func(context.Context) error) (last *line, why error) {
	client := t.left
	t.Talks.add(t)
	defer t.Talks.remove(t)
	if begun != nil {
		why = begun(ctx)
	}
	for why == nil {
		var w wish
		if w, why = t.together(ctx); why == nil {
			why = t.grant(ctx, w)
		}
	}
	t.part(why.Error(), call.Done)
	for _, l := range t.leaving {
		t.hangUp(l.line)
	}
	if t.left != client {
		t.hangUp(t.left)
	}
	return t.right, why
}

// together lets both hear each other until one leaves (the error), or an
// operator or somebody outside wants something else.
func (t *talk) together(ctx context.Context) (wish, error) {
	if !t.staged {
		t.staged = true
		t.event(call.Event{Type: call.Joined, Leg: t.newest.ID(), Other: t.other(t.newest).ID()})
	}
	t.talking.Store(true)
	defer t.talking.Store(false)
	left, right := t.left, t.right
	left.KeepKeys(left.mayTransfer())
	right.KeepKeys(right.mayTransfer())
	join := func(ctx context.Context) (wish, error) { return wish{}, t.Engine.Join(ctx, right.Leg, left.Leg) }
	ways := append([]runner[wish]{{do: join, here: true}, when(t.asked.WhenReady, t.asked.Next)}, t.watch(left, right)...)
	ways = append(ways, t.watch(right, left)...)
	if len(t.leaving) > 0 {
		ways = append(ways, runner[wish]{do: func(ctx context.Context) (wish, error) { return wish{}, t.dismiss(ctx) }})
	}
	winner, all := raceOf(ctx, func(i int, r result[wish]) bool { return i == 0 || r.err == nil }, ways...)
	if cause := context.Cause(ctx); cause != nil {
		return wish{}, cause
	}
	if winner == 0 {
		return t.lastWish(all)
	}
	for i, r := range all {
		if i > 0 && i != winner && r.err == nil {
			t.putBack(r.value)
		}
	}
	return all[winner].value, nil
}

// watch is all that can happen on one side while it talks with the other.
func (t *talk) watch(l, other *line) []runner[wish] {
	hold := when(l.Held().WhenOn, func(ctx context.Context) (wish, error) {
		return wish{}, t.onHold(ctx, l, other, t.trackOn(l, l == t.left))
	})
	if !l.mayTransfer() {
		return []runner[wish]{hold, when(l.Digits().WhenReady, func(ctx context.Context) (wish, error) { return wish{}, t.noteKeys(ctx, l) })}
	}
	return []runner[wish]{
		hold,
		when(l.Digits().WhenReady, func(ctx context.Context) (wish, error) {
			a, err := t.code(ctx, l, other, t.features().talking())
			return wish{by: l, action: a, method: byKeys}, err
		}),
		when(l.Refers().WhenReady, func(ctx context.Context) (wish, error) {
			r, err := l.Refers().Next(ctx)
			return referred(l, r), err
		}),
	}
}

// lastWish looks, after somebody left, for a transfer that his phone asked for
// before: many phones hang up as soon as their REFER is accepted.
func (t *talk) lastWish(all []result[wish]) (wish, error) {
	for _, r := range all[1:] {
		if r.err == nil {
			t.putBack(r.value)
		}
	}
	for _, l := range []*line{t.right, t.left} {
		if l.mayTransfer() && l.Context().Err() != nil && t.other(l).Context().Err() == nil {
			if rs := l.Refers().Drain(); len(rs) > 0 {
				return referred(l, rs[0]), nil
			}
		}
	}
	return wish{}, all[0].err
}

// putBack keeps a wish that came in the same instant as another for later. A
// code that was pressed has to be pressed again.
func (t *talk) putBack(w wish) {
	switch {
	case w.give != nil || w.method == byAPI:
		t.asked.Push(w)
	case w.refer != nil:
		w.by.Refers().Push(*w.refer)
	}
}

// mayTransfer tells an operator's phone from the rest: only there codes are
// heard and transfers taken. A colleague who was reached on an outside number
// has none.
func (t target) mayTransfer() bool { return t.who() != "" || t.role == call.Manager }

func (t *talk) other(l *line) *line {
	if l == t.left {
		return t.right
	}
	return t.left
}

// replace puts another in the place of one who left the conversation.
func (t *talk) replace(who, by *line) {
	left := who == t.left
	by.Record(t.trackOn(by, left))
	t.Talks.change(t, func() {
		if left {
			t.left = by
		} else {
			t.right = by
		}
	})
	t.newest = by
}

// trackOn is where a leg is recorded while it is one of the two sides.
func (s *course) trackOn(l *line, left bool) media.Track {
	if left {
		return s.track(l.ID(), call.Client)
	}
	return s.track(l.ID(), call.Operator)
}

// part ends the stage, if one is open.
func (t *talk) part(why string, how call.Outcome) {
	if !t.staged {
		return
	}
	t.staged = false
	t.event(call.Event{Type: call.Parted, Leg: t.newest.ID(), Other: t.other(t.newest).ID(), Reason: why, Outcome: how})
}

// onHold lets the other hear music whenever l's phone holds the call. track is
// where l is recorded otherwise.
func (t *talk) onHold(ctx context.Context, l, other *line, track media.Track) error {
	for {
		if err := l.Held().Wait(ctx, true); err != nil {
			return err
		}
		if !l.toldHeld {
			t.event(call.Event{Type: call.Held, Leg: l.ID()})
		}
		l.toldHeld = false
		if l.mayTransfer() {
			l.Record(nil) // what the phone plays meanwhile is not heard
		}
		_, err := first(ctx,
			func(ctx context.Context) error { return l.Held().Wait(ctx, false) },
			func(ctx context.Context) error { return t.music(ctx, other) },
		)
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		if err != nil {
			return err // who heard the music left
		}
		t.event(call.Event{Type: call.Resumed, Leg: l.ID()})
		if l.mayTransfer() {
			l.Record(track)
		}
	}
}

// music lets l hear music until ctx or the leg ends. Another sound may take
// over.
func (s *course) music(ctx context.Context, l *line) error {
	return s.loop(ctx, l, music())
}

// loop lets l hear a sound over and over until ctx or the leg ends. Another
// may take over; then it waits.
func (s *course) loop(ctx context.Context, l *line, p telephony.Prompt) error {
	err := l.Play(ctx, p)
	if errors.Is(err, telephony.ErrReplaced) {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	return err
}
