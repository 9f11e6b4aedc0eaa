package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/speech/prompts"
	"github.com/perezvon/perezvon/internal/telephony"
)

// Pickups are the operators' phones that ring now, for a colleague who takes
// such a call at his own: by a code, or by his phone's key (an INVITE with
// Replaces, RFC 3891). One Pickups serves all scenarios of an engine.
type Pickups struct {
	mu    sync.Mutex
	rings []*ring // the oldest first
}

// NewPickups makes a Pickups without phones that ring.
func NewPickups() *Pickups { return &Pickups{} }

// ring is phones that are called together.
type ring struct {
	handover // of the colleague's leg to the call that rings; call is that one
	account  string
	targets  []target
}

func (ps *Pickups) add(r *ring) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.rings = append(ps.rings, r)
}

func (ps *Pickups) remove(r *ring) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.rings = slices.DeleteFunc(ps.rings, func(other *ring) bool { return other == r })
}

// find is the oldest ring of the account with a phone that is meant.
func (ps *Pickups) find(account string, meant func(r *ring, t target) bool) (*ring, target, bool) {
	if ps == nil {
		return nil, target{}, false
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, r := range ps.rings {
		if r.account != account {
			continue
		}
		for _, t := range r.targets {
			if t.who() != "" && meant(r, t) {
				return r, t, true
			}
		}
	}
	return nil, target{}, false
}

// orPickedUp lets a colleague take the call while the targets are rung by f. It
// returns what f does, and the colleague's line, nil if none did; both, if both
// answered in the same instant.
func (s *course) orPickedUp(ctx context.Context, targets []target, f func(ctx context.Context)) *line {
	if s.Pickups == nil || !slices.ContainsFunc(targets, func(t target) bool { return t.operator != "" }) {
		f(ctx)
		return nil
	}
	ringing, end := context.WithCancelCause(ctx)
	defer end(nil)
	_, all := race(ringing, func(i int, r result[*line]) bool { return i == 0 || r.value != nil },
		func(ctx context.Context) (*line, error) {
			defer context.AfterFunc(ctx, func() { end(context.Cause(ctx)) })()
			f(ringing)
			return nil, nil //nolint:nilnil // f tells what came of it
		},
		func(ctx context.Context) (*line, error) {
			for ctx.Err() == nil {
				if l := s.pickedUpBy(ctx, targets); l != nil {
					end(errElsewhere)
					return l, nil
				}
			}
			return nil, context.Cause(ctx)
		})
	return all[1].value
}

// pickedUpBy waits for a colleague's leg and answers it; nil: he hung up, or
// ctx ended.
func (s *course) pickedUpBy(ctx context.Context, targets []target) *line {
	began := time.Now()
	r := &ring{handover: handover{call: s.callID, leg: telephony.NewQueue[*line](1)}, account: s.account, targets: targets}
	s.Pickups.add(r)
	got := r.take(ctx)
	s.Pickups.remove(r)
	if got == nil {
		return nil
	}
	l := &line{Leg: got.Leg, target: got.target, name: s.operatorLeg()}
	l.leg = l.name
	l.over = sync.OnceFunc(func() { s.legEnded(l, l.target, "") })
	s.event(call.Event{Type: call.Merged, Leg: l.ID(), Role: l.role, Operator: l.who(), OtherCall: got.name})
	if err := l.Answer(ctx); err != nil {
		s.hangUp(l)
		return nil
	}
	s.event(call.Event{
		Type: call.Answered, Leg: l.ID(), Role: l.role, Operator: l.who(), Codec: l.Info().Codec.Name(),
		SIPCallID: l.Info().CallID, ElapsedMS: time.Since(began).Milliseconds(),
	})
	l.Record(s.trackOf(l.target))
	return l
}

// Why a call to take another one did not get it.
var errNothingRings = errors.New("nothing rings there")

// ringMeant is what an operator wants to take with his call; ok is false for a
// call that wants nothing of the kind.
func (a *arrival) ringMeant() (meant func(r *ring, t target) bool, ok bool) {
	f := a.features()
	self := a.info.Operator
	extension, directed := strings.CutPrefix(a.info.To, f.PickUp)
	switch {
	case a.info.Replaces != nil:
		rung := a.info.Replaces
		return func(r *ring, t target) bool { return r.call == rung.Info().Call && t.leg == rung.ID() }, true
	case f.PickUpAny != "" && a.info.To == f.PickUpAny:
		return func(_ *ring, t target) bool { return t.who() != self }, true
	case f.PickUp != "" && directed && extension != "":
		return func(_ *ring, t target) bool { return t.who() == extension }, true
	}
	return nil, false
}

// pickUpOther gives the operator's leg to the call that rings at a colleague's.
func (a *arrival) pickUpOther(ctx context.Context, meant func(r *ring, t target) bool) error {
	self := target{role: call.Operator, operator: a.info.Operator}
	a.begin(call.Internal, a.info.Operator, self)
	for {
		r, t, ok := a.Pickups.find(a.account, meant)
		if !ok {
			return a.refuse(ctx, 404, promptRefusal, a.words(prompts.NotAvailable), errNothingRings)
		}
		t.operator, t.owner, t.number, t.trunks = a.info.Operator, "", "", nil
		if r.give(&line{Leg: a.caller.Leg, target: t, name: a.callID}) {
			a.event(call.Event{Type: call.Merged, Leg: a.caller.ID(), Operator: a.info.Operator, OtherCall: r.call})
			a.caller.gone = true
			a.caller.over()
			return fmt.Errorf("%w: %s", errMerged, r.call)
		}
		a.Pickups.remove(r) // it has stopped ringing in this instant
	}
}
