package stream

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/media/codec"
	"github.com/perezvon/perezvon/internal/media/dtmf"
)

// How keys are sent.
const (
	toneTime  = 100 * time.Millisecond // a key
	pauseTime = 100 * time.Millisecond // the silence after it
	commaTime = 500 * time.Millisecond // ','
	keyStep   = 20 * time.Millisecond  // between packets of a key

	// endPackets is how often the last packet of an event is sent, so that one
	// of them arrives (RFC 4733 §2.5.1.4).
	endPackets = 3
)

// SendDigits sends keys to the phone (0…9, *, #, A…D) as telephone events, or
// as tones if those were not agreed on: each 100 ms with as much pause; ',' is
// a pause of 500 ms. It returns when they are out; meanwhile nothing else is
// heard. A second SendDigits waits for the first. It returns
// context.Cause(ctx) when ctx ends, ErrClosed when the stream is closed, and an
// error that names it, with nothing sent, for a character that is no key.
func (s *Stream) SendDigits(ctx context.Context, digits string) error {
	for _, d := range digits {
		if d != ',' && !strings.ContainsRune(keys, d) {
			return fmt.Errorf("%q is not a key of a phone", d)
		}
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	select {
	case s.keying <- struct{}{}:
		defer func() { <-s.keying }()
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.done:
		return ErrClosed
	}
	k := &keySender{s: s, ctx: ctx, next: time.Now()}
	s.out.setKeys(&k.voice)
	defer s.out.setKeys(nil)
	for i := range len(digits) {
		if err := k.send(digits[i]); err != nil {
			return err
		}
	}
	return nil
}

func (o *sender) setKeys(v *voice) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.keys = v
}

// keySender is one SendDigits at work.
type keySender struct {
	s     *Stream
	ctx   context.Context // SendDigits': it lives no longer
	next  time.Time       // the moment of the next packet
	ts    uint32          // its timestamp
	seq   uint16
	voice voice
	b     [headerLen + frame]byte
}

func (k *keySender) send(key byte) error {
	if key == ',' {
		return k.wait(commaTime)
	}
	p := k.s.params.Load()
	switch {
	case p == nil:
		return k.wait(toneTime + pauseTime)
	case p.EventPT != 0:
		return k.event(key, p.EventPT)
	default:
		return k.tone(key, p)
	}
}

// event sends a key as packets of one timestamp and a growing duration.
func (k *keySender) event(key byte, pt uint8) error {
	const packets = int(toneTime / keyStep)
	h := header{marker: true, pt: pt, ts: k.ts}
	pause := pauseTime
	for n := range packets + endPackets {
		h.seq = k.seq
		k.seq++
		b := k.b[:headerLen+eventLen]
		putEvent(b[headerLen:], uint8(strings.IndexByte(keys, key)), n >= packets, uint16(min(n+1, packets)*frame))
		k.s.out.send(time.Now(), &k.voice, h, true, b)
		h.marker = false
		if n >= packets {
			pause -= keyStep
		}
		if err := k.wait(keyStep); err != nil {
			return err
		}
	}
	return k.wait(pause)
}

// tone sends a key as sound, the pause as silence, so that the far end does not
// draw the tone out over missing packets.
func (k *keySender) tone(key byte, p *Params) error {
	samples := dtmf.Generate(key, toneTime)
	samples = append(samples, make([]int16, media.ClockRate*int(pauseTime/time.Millisecond)/1000)...)
	sound := codec.Clip(p.Codec, &audio.Clip{Rate: media.ClockRate, Samples: samples})
	for len(sound) > 0 {
		n := copy(k.b[headerLen:], sound)
		sound = sound[n:]
		h := header{pt: p.PT, seq: k.seq, ts: k.ts}
		k.seq++
		k.s.out.send(time.Now(), &k.voice, h, false, k.b[:headerLen+n])
		if err := k.wait(keyStep); err != nil {
			return err
		}
	}
	return nil
}

// wait lets d pass on the sender's clock.
func (k *keySender) wait(d time.Duration) error {
	k.next = k.next.Add(d)
	k.ts += ticks(d)
	timer := time.NewTimer(time.Until(k.next))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-k.ctx.Done():
		return context.Cause(k.ctx)
	case <-k.s.done:
		return ErrClosed
	}
}

// maxRelayed bounds the keys of a peer that wait to be sent as tones.
const maxRelayed = 32

// keyQueue holds keys that the peer sent as telephone events for a phone that
// needs tones. A goroutine sends them while there are any.
type keyQueue struct {
	mu      sync.Mutex
	waiting []byte
	sending bool
	closed  bool
}

// push adds a key for the phone of s; one too many is dropped.
func (q *keyQueue) push(s *Stream, key byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || len(q.waiting) >= maxRelayed {
		return
	}
	q.waiting = append(q.waiting, key)
	if !q.sending {
		q.sending = true
		s.wg.Go(func() { q.drain(s) })
	}
}

func (q *keyQueue) drain(s *Stream) {
	for {
		q.mu.Lock()
		if len(q.waiting) == 0 {
			q.sending = false
			q.mu.Unlock()
			return
		}
		key := q.waiting[0]
		q.waiting = q.waiting[1:]
		q.mu.Unlock()
		// The only error possible is ErrClosed, and then the queue is closed.
		_ = s.SendDigits(context.Background(), string(key))
	}
}

func (q *keyQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed, q.waiting = true, nil
}
