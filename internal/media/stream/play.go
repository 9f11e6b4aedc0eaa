package stream

import (
	"context"
	"time"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/media/codec"
)

// Packets that we make hold 20 ms unless the far end asked for another length.
const (
	defaultPtime = 20 * time.Millisecond
	maxPtime     = 60 * time.Millisecond
)

// tooLate is how far behind its moment a packet is left out rather than sent:
// after a stall of the machine the phone is not flooded.
const tooLate = 200 * time.Millisecond

// hush fills up the last packet of a sound.
var hush = &audio.Clip{Rate: media.ClockRate, Samples: make([]int16, media.ClockRate*int(maxPtime/time.Millisecond)/1000)}

// player is a sound on its way to the phone.
type player struct {
	voice    voice // guarded by the sender's lock
	key      string
	loop     bool
	start    time.Time
	replaced chan struct{} // closed when another player took over

	clip   *audio.Clip
	codec  media.Codec // of sound
	sound  []byte      // clip encoded
	length int         // of a packet, in bytes and ticks
	seq    uint16
	b      []byte
}

// Play lets the phone hear clip, over and over if loop, and returns nil when it
// has been heard to the end. The first packet leaves at once, the others each
// at its moment counted from the start, so that it does not drift. It returns
// context.Cause(ctx) when ctx ends, ErrReplaced when another Play takes the
// stream over, ErrClosed when the stream is closed. While it plays, the relay
// to this phone is silent; it comes back afterwards.
func (s *Stream) Play(ctx context.Context, clip *audio.Clip, loop bool) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if clip == nil || len(clip.Samples) == 0 {
		return nil
	}
	pl := &player{
		key:      clip.Key,
		loop:     loop,
		replaced: make(chan struct{}),
		clip:     clip,
		length:   int(ticks(defaultPtime)),
		b:        make([]byte, headerLen+int(ticks(maxPtime))),
	}
	if p := s.params.Load(); p != nil {
		pl.encode(p.Codec) // before anybody else is silenced
		if n := int(ticks(p.Ptime)); n > 0 && n%80 == 0 && p.Ptime <= maxPtime {
			pl.length = n
		}
	}
	if !s.startPlayer(pl) {
		return ErrClosed
	}
	defer s.stopPlayer(pl)

	step := duration(uint32(pl.length))
	timer := time.NewTimer(step)
	defer timer.Stop()
	total := int(ticks(clip.Duration()))
	for n := 0; loop || n*pl.length < total; n++ {
		moment := pl.start.Add(time.Duration(n) * step)
		now := time.Now()
		if now.Sub(moment) < tooLate {
			s.sendFrame(pl, now, n)
		}
		timer.Reset(time.Until(moment.Add(step)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-pl.replaced:
			return ErrReplaced
		case <-s.done:
			return ErrClosed
		}
	}
	return nil
}

// startPlayer takes the stream over from another player.
func (s *Stream) startPlayer(pl *player) bool {
	o := &s.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if s.closed() {
		return false
	}
	pl.start = time.Now()
	if old := o.play; old != nil {
		close(old.replaced)
		s.noteEnd(old)
	}
	o.play = pl
	if t := s.track.Load(); t != nil && pl.key != "" {
		t.PlayStarted(pl.start, pl.key, pl.loop, 0)
	}
	return true
}

func (s *Stream) stopPlayer(pl *player) {
	o := &s.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.play == pl {
		o.play = nil
		s.noteEnd(pl)
	}
}

// noteEnd tells the track that pl is over, in order with the start of the next.
func (s *Stream) noteEnd(pl *player) {
	if t := s.track.Load(); t != nil && pl.key != "" {
		t.PlayEnded(time.Now(), pl.key)
	}
}

// sendFrame sends packet n of the sound. Hot path.
func (s *Stream) sendFrame(pl *player, now time.Time, n int) {
	p := s.params.Load()
	if p == nil || !p.Send {
		return
	}
	if p.Codec != pl.codec {
		pl.encode(p.Codec)
	}
	b := pl.fill(n)
	if len(b) == headerLen {
		return
	}
	h := header{pt: p.PT, seq: pl.seq, ts: uint32(n * pl.length)}
	pl.seq++
	s.out.send(now, &pl.voice, h, false, b)
}

// encode makes the sound anew for codec c.
func (pl *player) encode(c media.Codec) {
	pl.codec, pl.sound = c, codec.Clip(c, pl.clip)
}

// fill puts packet n together. A loop has no seam; the last packet of another
// sound is filled up with silence.
func (pl *player) fill(n int) []byte {
	b := pl.b[:headerLen+pl.length]
	at, end := n*pl.length, len(pl.sound)
	if end == 0 {
		return b[:headerLen]
	}
	if !pl.loop {
		n := copy(b[headerLen:], pl.sound[min(at, end):])
		copy(b[headerLen+n:], codec.Clip(pl.codec, hush))
		return b
	}
	for rest := b[headerLen:]; len(rest) > 0; {
		c := copy(rest, pl.sound[at%end:])
		rest, at = rest[c:], at+c
	}
	return b
}
