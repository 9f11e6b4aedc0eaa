package asterisk

import (
	"context"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/asterisk/ari"
)

// leftover is a phone's channel that a process before this one left.
type leftover struct {
	channel ari.Channel
	inbound bool
	// talk is the bridge in which it hears others, nil: it is alone.
	talk *leftTalk
}

// leftTalk is a talk that a process before this one left. Until a Join takes it
// over it is kept as long as one of its legs lives. The Engine's lock is held to
// look at it.
type leftTalk struct {
	bridge string
	legs   int
	taken  bool
}

// takeStock finds, at the first connection, the phones that a process before this
// one left, for Survivors. What only that process could use is ended: voices,
// snoops, bridges without a talk, and phones that it was ringing.
func (e *Engine) takeStock(ctx context.Context, there []ari.Channel, bridges []ari.Bridge) error {
	app, err := e.ari.Application(ctx)
	if err != nil {
		return err
	}
	ours := make(map[string]bool, len(app.Channels))
	for _, id := range app.Channels {
		ours[id] = true
	}
	phones := make(map[string]*leftover)
	for _, c := range there {
		if !ours[c.ID] && !e.ours(c.ID) {
			continue
		}
		inbound := !e.ours(c.ID)
		if strings.HasPrefix(c.Name, technology) && (inbound || c.State == ari.StateUp) {
			phones[c.ID] = &leftover{channel: c, inbound: inbound}
			continue
		}
		e.tidy("hang up what a killed process left", func(ctx context.Context) error { return e.ari.Hangup(ctx, c.ID, causeNormal, "") })
	}
	for _, b := range bridges {
		if !e.ours(b.ID) {
			continue
		}
		talk := &leftTalk{bridge: b.ID}
		for _, id := range b.Channels {
			if p := phones[id]; p != nil && e.isA(kindTalk, b.ID) {
				p.talk = talk
				talk.legs++
			}
		}
		if talk.legs == 0 { // a phone that is at home there hears silence: its voice is dead
			e.tidy("destroy what a killed process left", func(ctx context.Context) error { return e.ari.DestroyBridge(ctx, b.ID) })
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range phones {
		e.left = append(e.left, p)
	}
	return nil
}

// isNew takes a channel that comes into the application off the list of those
// that were left: it came while the list was made.
func (e *Engine) isNew(channel string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, p := range e.left {
		if p.channel.ID == channel {
			e.left = append(e.left[:i], e.left[i+1:]...)
			return
		}
	}
}

// mostAtOnce bounds the requests of Survivors to Asterisk.
const mostAtOnce = 16

// Survivors are the legs that a process before this one left and that live, each
// told once: whoever is given them goes on with them or hangs them up. Their
// Info.CallID is the one they had. Legs that heard each other still do, without
// a break, if they are joined with each other now; all others hear silence. They
// are named after their channels.
//
// Since is when Asterisk was started: calls that were made before it are gone
// with the one before.
func (e *Engine) Survivors(ctx context.Context) (legs []telephony.Leg, since time.Time, err error) {
	if since, err = e.ari.Started(ctx); err != nil {
		return nil, time.Time{}, err
	}
	e.mu.Lock()
	left := e.left
	e.left = nil
	e.mu.Unlock()
	found := make([]*leg, len(left))
	var making errgroup.Group
	making.SetLimit(mostAtOnce)
	for i, p := range left {
		making.Go(func() error {
			found[i] = e.survivor(ctx, p)
			return nil
		})
	}
	_ = making.Wait() // each has told its own trouble
	for _, l := range found {
		if l != nil {
			legs = append(legs, l)
		}
	}
	e.log.Info("calls of the process before", "legs", len(legs))
	return legs, since, nil
}

// survivor makes a leg of a phone that was left; nil: it cannot be.
func (e *Engine) survivor(ctx context.Context, p *leftover) *leg {
	c := p.channel
	info := telephony.Info{Inbound: p.inbound, CallID: c.Name}
	if p.inbound {
		info.From, info.FromName, info.To = c.Caller.Number, c.Caller.Name, c.Dialplan.Exten
	}
	l, err := e.newLeg(c.Name, info)
	if err != nil {
		e.log.Warn("a leg of the process before is hung up", "channel", c.Name, "err", err)
		e.tidy("hang up", func(ctx context.Context) error { return e.ari.Hangup(ctx, c.ID, causeFailure, "") })
		return nil
	}
	l.channel, l.left = c.ID, p.talk
	l.make(c.ID)
	e.enter(c.ID, l)
	if err := l.identify(endpointIn(c.Name)); err != nil {
		l.log.Warn("a leg of the process before", "channel", c.Name, "err", err) // its call knows whose it is
	}
	if trunk := l.Info().Trunk; trunk != "" && !p.inbound {
		l.release, _ = e.order(trunk, 0)
	}
	if c.State == ari.StateUp {
		err = l.during(ctx, func(ctx context.Context) error { return l.takeUp(ctx, p.talk) })
	}
	if err != nil {
		l.end(&telephony.HangupError{Leg: l.id, By: telephony.ByNetwork, Reason: "not taken over after a restart: " + err.Error()})
		return nil
	}
	return l
}

// takeUp gives an answered leg of the process before a voice. Where it talks, its
// place there is kept.
func (l *leg) takeUp(ctx context.Context, talk *leftTalk) error {
	l.begin(ctx)
	// An Asterisk that does not tell leaves it at no.
	if held, err := l.e.ari.Variable(ctx, l.its(), "CHANNEL(rtp,hold,audio)"); err == nil {
		l.held.Set(held == "1")
	}
	var err error
	if talk != nil {
		err = l.voice.stays(ctx, l.its(), talk.bridge)
	} else {
		err = l.voice.enterHome(ctx, l.its())
	}
	l.voiced()
	return err
}

// stays makes the voice of a phone that is in a talk, and lets it hear the phone.
func (v *voice) stays(ctx context.Context, channel, talk string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.make(ctx); err != nil {
		return err
	}
	if err := v.listens(ctx, channel); err != nil {
		return err
	}
	v.phone, v.talk = talk, talk
	return v.settle(ctx, channel)
}

// leaves lets a leg's claim to the talk go that it was left in. take: its bridge
// is to be joined in, and is returned if nobody else has it; then it is the
// caller's to destroy.
func (e *Engine) leaves(l *leg, take bool) (bridge string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	t := l.left
	if t == nil {
		return ""
	}
	l.left = nil
	t.legs--
	switch {
	case t.taken:
	case take:
		t.taken, bridge = true, t.bridge
	case t.legs == 0:
		t.taken = true
		e.tidy("destroy a talk that a killed process left", func(ctx context.Context) error { return e.ari.DestroyBridge(ctx, t.bridge) })
	}
	return bridge
}

// talkOf is the bridge to join legs in: the one that a process before this one
// left some of them in, or a new one.
func (e *Engine) talkOf(ctx context.Context, legs []*leg) (string, error) {
	talk := ""
	for _, l := range legs {
		if t := e.leaves(l, talk == ""); talk == "" {
			talk = t
		}
	}
	if talk != "" {
		return talk, nil
	}
	talk = e.name(kindTalk)
	return talk, e.ari.NewBridge(ctx, talk)
}
