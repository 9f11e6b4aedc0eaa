package bitrix24

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/store"
)

const (
	// giveUpAfter is how long a step is tried.
	giveUpAfter = 72 * time.Hour
	// stale is the age from which nobody wants a card opened or closed.
	stale = time.Minute
	// noted is the wait from which it is written down: a job that waits longer
	// leaves and comes back by what is written.
	noted = 2 * time.Second
)

// again are the waits after failures of one step while the portal is well.
var again = []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute}

// Follow stores, in the event's own transaction, what the event gives to tell,
// and says in which lane.
func (s *Service) Follow(ctx context.Context, tx *store.Tx, c call.Call, e call.Event) ([]store.Lane, error) {
	story, err := s.story(ctx, tx, c, e)
	if err != nil || story == nil {
		return nil, err
	}
	step, ok := story.Next(c, e)
	if !ok {
		return nil, nil
	}
	body, err := json.Marshal(step)
	if err != nil {
		return nil, err
	}
	lane := store.Lane{Account: c.Account, CallID: c.ID, Kind: Kind}
	return []store.Lane{lane}, tx.AddDelivery(ctx, store.Delivery{
		Lane: lane, ID: call.NewID(), Seq: e.Seq, URL: "bitrix24:" + step.method(), Body: body, CreatedAt: time.Now(),
	})
}

// following is what is remembered of a live call.
type following struct {
	story *Story // nil: its account has no portal
	seq   int64  // of the newest event that it has seen
}

// story is what the call has been before the event. It is remembered while the
// call lives, and made anew of the timeline otherwise: after a restart, for what
// comes after the end, and when an event comes again because it could not be
// stored the first time. nil: the event tells the portal nothing. Whether the
// account has a portal is asked at the call's first event.
func (s *Service) story(ctx context.Context, tx *store.Tx, c call.Call, e call.Event) (*Story, error) {
	switch e.Type {
	case call.Created, call.Dialing, call.Arrived, call.Merged, call.DialFailed, call.DialCancelled, call.LegEnded, call.Ended, call.RecordingState, call.Transcribed:
	default:
		return nil, nil
	}
	if c.Direction == call.Internal {
		return nil, nil
	}
	f, ok := s.followed[c.ID]
	if !ok || f.seq >= e.Seq {
		var err error
		if f.story, err = s.retell(ctx, tx, c, e.Seq); err != nil {
			return nil, err
		}
	}
	if f.seq = e.Seq; c.EndedAt.IsZero() {
		s.followed[c.ID] = f
	} else {
		delete(s.followed, c.ID)
	}
	return f.story, nil
}

// retell makes the story of a call up to an event; nil if its account has no
// portal.
func (s *Service) retell(ctx context.Context, tx *store.Tx, c call.Call, before int64) (*Story, error) {
	if has, err := tx.HasIntegration(ctx, c.Account, name); err != nil || !has {
		return nil, err
	}
	story := &Story{}
	if c.CallbackID != "" {
		received, err := tx.Received(ctx, c.CallbackID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		story.Clicked(orderOf(received))
	}
	timeline, err := tx.Timeline(ctx, c.ID)
	if err != nil {
		return nil, err
	}
	past := call.Call{Account: c.Account}
	for _, e := range timeline {
		if e.Seq >= before {
			break
		}
		past.Apply(e)
		story.Next(past, e)
	}
	return story, nil
}

func (s Step) method() string {
	switch s.Do {
	case DoRecord:
		return methodRecord
	case DoTranscript:
		return methodTranscript
	}
	return "telephony.externalCall." + s.Do
}

// methods are those that the step will ask for, and how many requests that is at
// most if nothing goes wrong.
func (s Step) methods(p progress) (methods []string, cost int) {
	methods, cost = []string{s.method()}, 1
	if s.Do != DoRegister && p.CallID == "" {
		methods, cost = append(methods, methodRegister), cost+1
	}
	if s.Do == DoRecord {
		if cost++; p.uploads() {
			methods, cost = nil, 1
		}
	}
	if p.Finishing && !p.Finished || p.Transcribing {
		cost++
	}
	return methods, cost
}

// Send makes the next try in the lane, if one is due. more tells that something
// waits in the lane afterwards, wait when it is due. An error is not the
// portal's but ours, or the end of ctx: nothing was counted.
func (s *Service) Send(ctx context.Context, lane store.Lane) (wait time.Duration, more bool, err error) {
	db := s.config.Store
	d, err := db.NextDelivery(ctx, lane)
	if errors.Is(err, store.ErrNotFound) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	if wait := time.Until(d.NextTryAt); wait > 0 {
		return wait, true, nil
	}
	p, err := s.portal(ctx, lane.Account)
	if errors.Is(err, ErrNotConnected) {
		return s.dead(ctx, d, ErrNotConnected.Error(), true)
	}
	if err != nil {
		return 0, false, err
	}
	t, err := s.teller(ctx, p, d)
	if err != nil {
		return 0, false, err
	}
	if !p.settings().installed() {
		return s.postpone(ctx, d, time.Minute, "the application is not installed on the portal yet")
	}
	if late, err := t.late(ctx); err != nil {
		return 0, false, err
	} else if late {
		return s.done(ctx, d)
	}
	methods, cost := t.step.methods(t.progress)
	if wait, why := p.limits.enter(d.ID, methods, cost); wait > 0 {
		return s.postpone(ctx, d, wait, why)
	}
	err = func() error { defer p.limits.leave(); return t.tell(ctx) }()
	if ctx.Err() != nil {
		return 0, true, context.Cause(ctx)
	}
	return s.judge(ctx, p, t, d, err)
}

// judge writes down what came of a try.
func (s *Service) judge(ctx context.Context, p *portal, t *teller, d store.Delivery, err error) (time.Duration, bool, error) {
	if err == nil {
		p.limits.answered()
		d.Tries++
		return s.done(ctx, d)
	}
	if errors.Is(err, os.ErrNotExist) {
		return s.dead(ctx, d, "the recording is gone", false)
	}
	var e *Error
	if !errors.As(err, &e) {
		return 0, true, err
	}
	d.Tries++
	d.LastStatus, d.LastError = e.Status, e.Error()
	log := s.config.Logger.With("call", d.CallID, "step", t.step.Do, "tries", d.Tries, "error", d.LastError)
	if time.Since(d.CreatedAt) > giveUpAfter {
		log.Warn("Bitrix24 was not told: given up")
		return s.dead(ctx, d, d.LastError, true)
	}
	pause := again[min(d.Tries, len(again))-1]
	switch e.fate() {
	case fateRefused:
		p.limits.answered()
		// Without its registration or its end a call has no record to attach to.
		whole := t.step.Do == DoFinish || t.progress.CallID == ""
		log.Warn("Bitrix24 refuses", "whole_call", whole)
		return s.dead(ctx, d, d.LastError, whole)
	case fateAgain:
		p.limits.answered()
	case fatePortal:
		pause = max(pause, time.Until(p.limits.failed(d.LastError)))
	case fateSlower:
		pause = time.Until(p.limits.tooMany(d.LastError))
	case fateMethod:
		pause = time.Until(p.limits.block(e.Method))
	}
	log.Info("Bitrix24 was not told, will be tried again", "in", pause.Round(time.Second))
	d.NextTryAt = time.Now().Add(pause)
	return pause, true, s.config.Store.SettleDelivery(ctx, d, false)
}

func (s *Service) done(ctx context.Context, d store.Delivery) (time.Duration, bool, error) {
	d.State, d.LastStatus, d.LastError, d.NextTryAt, d.DeliveredAt = store.DeliveryDone, 200, "", time.Time{}, time.Now()
	if d.Tries == 0 {
		d.LastStatus = 0 // nothing had to be sent
	}
	return 0, true, s.config.Store.SettleDelivery(ctx, d, false)
}

func (s *Service) dead(ctx context.Context, d store.Delivery, why string, whole bool) (time.Duration, bool, error) {
	d.State, d.LastError, d.NextTryAt = store.DeliveryDead, why, time.Time{}
	return 0, true, s.config.Store.SettleDelivery(ctx, d, whole)
}

// postpone lets a delivery wait without counting a try.
func (s *Service) postpone(ctx context.Context, d store.Delivery, wait time.Duration, why string) (time.Duration, bool, error) {
	if wait < noted {
		return wait, true, nil
	}
	d.NextTryAt, d.LastError = time.Now().Add(wait), why
	return wait, true, s.config.Store.SettleDelivery(ctx, d, false)
}
