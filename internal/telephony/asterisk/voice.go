package asterisk

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"sync"
	"time"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/stream"
)

// voiceFormat is what voices speak, by Asterisk's name; voiceCodec is ours.
const (
	voiceFormat = "alaw"
	voiceCodec  = media.PCMA
)

// voice is a leg's sound with us: a channel of external media in a bridge, its
// home, which the phone's channel or a snoop of it is in as well.
type voice struct {
	e       *Engine
	stream  *stream.Stream
	home    string // bridge
	channel string

	// mu is held while channels move, so that moves are in order.
	mu     sync.Mutex
	open   bool
	failed error
	closed bool
	talk   string // the bridge that the leg is joined in; empty: it is alone
	keep   bool   // its keys are kept from the others
	said   int    // sounds of ours that the phone is to hear
	// phone is the bridge that the phone's channel is in, and ear the one of
	// snoop, a channel that hears the phone wherever that is; empty: none.
	phone, ear string
	snoop      string // made for the leg's first join; empty: there is none
	from       source // the snoop, or the phone, is what is heard at home
}

// record lets t take what the voice hears; nil: nobody.
func (v *voice) record(t media.Track) {
	if t != nil {
		t = &ear{Track: t, source: &v.from}
	}
	v.stream.Record(t)
}

func (e *Engine) newVoice(l *leg) (*voice, error) {
	s, err := stream.Open(e.cfg.Ports, stream.Options{Logger: l.log, OnFirstPacket: l.sounds})
	if err != nil {
		return nil, err
	}
	return &voice{e: e, stream: s, home: e.name(kindHome), channel: e.name(kindVoice)}, nil
}

// enterHome brings the phone's channel home, which is made at its first coming.
func (v *voice) enterHome(ctx context.Context, channel string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.make(ctx); err != nil {
		return err
	}
	if v.phone != "" {
		return nil // it has heard us before it was answered
	}
	return v.move(ctx, &v.phone, v.home, channel, false)
}

// prepare makes the home before anybody comes.
func (v *voice) prepare(ctx context.Context) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.make(ctx)
}

// make makes the home; the lock is held.
func (v *voice) make(ctx context.Context) error {
	if v.open || v.closed || v.failed != nil {
		return v.failed
	}
	if v.failed = v.build(ctx); v.failed == nil {
		v.open = true
	}
	return v.failed
}

func (v *voice) build(ctx context.Context) error {
	if err := v.e.ari.NewBridge(ctx, v.home); err != nil {
		return err
	}
	host := netip.AddrPortFrom(v.e.cfg.MediaAddr, uint16(v.stream.LocalPort())) //nolint:gosec // a port
	come := v.e.expects(v.channel)
	defer v.e.came(v.channel)
	local, err := v.e.ari.ExternalMedia(ctx, v.channel, host.String(), voiceFormat)
	if err != nil {
		return err
	}
	remote, err := netip.ParseAddrPort(local)
	if err != nil {
		return fmt.Errorf("asterisk: where external media takes RTP: %w", err)
	}
	v.stream.Configure(stream.Params{Codec: voiceCodec, PT: voiceCodec.PayloadType(), Remote: remote, Send: true, Receive: true})
	if err := come(ctx); err != nil {
		return err
	}
	return v.e.ari.AddChannels(ctx, v.home, false, v.channel)
}

// joins brings the phone's channel into a bridge with others.
func (v *voice) joins(ctx context.Context, channel, talk string, keepKeys bool) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return nil
	}
	if err := v.listens(ctx, channel); err != nil {
		return err
	}
	v.talk, v.keep = talk, keepKeys
	return v.settle(ctx, channel)
}

// listens makes the snoop, which serves the leg from its first join to its end.
func (v *voice) listens(ctx context.Context, channel string) error {
	if v.snoop != "" {
		return nil
	}
	snoop := v.e.name(kindSnoop)
	come := v.e.expects(snoop)
	defer v.e.came(snoop)
	if err := v.e.ari.Snoop(ctx, channel, snoop); err != nil {
		return err
	}
	v.snoop = snoop
	return come(ctx)
}

// parted notes that talk is no more. The phone's channel is then in no bridge,
// and its snoop at home: it comes home when there is something to hear. So the
// recording goes on without a break, and a talk that follows on another, as at
// transfers, begins soon.
func (v *voice) parted(talk string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, at := range []*string{&v.talk, &v.phone, &v.ear} {
		if *at == talk {
			*at = ""
		}
	}
}

// says notes that sounds of ours begin or end. A joined phone hears them in
// place of the others, who hear the phone all the while.
func (v *voice) says(ctx context.Context, channel string, more int) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.said += more
	if v.closed || !v.open {
		return nil
	}
	return v.settle(ctx, channel)
}

// settle brings the phone's channel and its snoop to where they belong; the lock
// is held.
func (v *voice) settle(ctx context.Context, channel string) error {
	switch {
	case v.said > 0 && v.talk != "":
		err := v.move(ctx, &v.ear, v.talk, v.snoop, true)
		v.from.snoops.Store(false)
		return errors.Join(err, v.move(ctx, &v.phone, v.home, channel, false))
	case v.said > 0:
		err := v.leave(ctx, &v.ear, v.snoop)
		v.from.snoops.Store(false)
		return errors.Join(err, v.move(ctx, &v.phone, v.home, channel, false))
	case v.talk != "":
		err := v.move(ctx, &v.phone, v.talk, channel, v.keep)
		v.from.snoops.Store(true)
		return errors.Join(err, v.move(ctx, &v.ear, v.home, v.snoop, true))
	}
	return nil // it may stay where it is
}

// move brings a channel into a bridge; at is where it is.
func (v *voice) move(ctx context.Context, at *string, bridge, channel string, keepKeys bool) error {
	if *at == bridge {
		return nil
	}
	v.from.moved.Store(math.MaxInt64 - int64(arrives))
	defer func() { v.from.moved.Store(time.Now().UnixNano()) }()
	if err := v.e.ari.AddChannels(ctx, bridge, keepKeys, channel); err != nil {
		return err
	}
	*at = bridge
	return nil
}

// leave takes a channel out of its bridge.
func (v *voice) leave(ctx context.Context, at *string, channel string) error {
	if *at == "" {
		return nil
	}
	if err := v.e.ari.RemoveChannel(ctx, *at, channel); err != nil {
		return err
	}
	*at = ""
	return nil
}

// close ends the voice.
func (v *voice) close() {
	_ = v.stream.Close() // never fails
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return
	}
	v.closed = true
	if !v.open && v.failed == nil {
		return
	}
	v.e.forget(v.channel)
	snoop := v.snoop
	v.e.tidy("end a voice", func(ctx context.Context) error {
		if snoop != "" {
			_ = v.e.ari.Hangup(ctx, snoop, causeNormal, "") // it ends with the phone's channel in any case
		}
		err := v.e.ari.Hangup(ctx, v.channel, causeNormal, "")
		if gone := v.e.ari.DestroyBridge(ctx, v.home); gone != nil {
			return gone
		}
		return err
	})
}
