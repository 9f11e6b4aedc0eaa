package stream

import (
	"time"

	"github.com/perezvon/perezvon/internal/media"
)

// route is where the sound of one stream goes. It is found by an atomic pointer
// and swapped to change who hears it.
type route struct {
	to       *Stream
	mix      *party // where sound goes to be mixed, instead of directly; to is then the source itself
	withhold bool   // telephone-event packets stay here
	voice    voice  // its place in what to's phone hears

	work transcoder // of the goroutine that reads the source's socket
}

// JoinOption changes what Join passes on.
type JoinOption func(*joint)

type joint struct{ withhold []*Stream }

// WithholdDigits keeps the keys pressed on from away from its peer, for keys
// that are meant for the server. They reach Options.OnDigit in any case. Where
// telephone-event was not agreed on, keys are part of the sound and pass.
func WithholdDigits(from *Stream) JoinOption {
	return func(j *joint) { j.withhold = append(j.withhold, from) }
}

// Join lets the phones of a and b hear each other until part is called. It
// replaces what either was joined or listened to before; a sound that plays to
// one of them goes before its peer until it ends. Different codecs are
// transcoded. Telephone events pass with the payload type changed, or become
// tones for a phone that did not agree on them.
func Join(a, b *Stream, options ...JoinOption) (part func()) {
	var j joint
	for _, o := range options {
		o(&j)
	}
	ab, ba := &route{to: b}, &route{to: a}
	for _, from := range j.withhold {
		ab.withhold = ab.withhold || from == a
		ba.withhold = ba.withhold || from == b
	}
	stopAB, stopBA := a.connect(ab), b.connect(ba)
	return func() {
		stopAB()
		stopBA()
	}
}

// Listen lets the phone of to hear the phone of from (its early media) and not
// the other way round, until stop is called. Keys are not passed on. It
// replaces what from was joined to and what to was hearing.
func Listen(from, to *Stream) (stop func()) {
	return from.connect(&route{to: to, withhold: true})
}

// connect puts r in force. After stop has returned nothing more of it is heard,
// even if r has been replaced before.
func (s *Stream) connect(r *route) (stop func()) {
	o := &r.to.out
	o.mu.Lock()
	o.relay = &r.voice
	o.mu.Unlock()
	s.route.Store(r)
	return func() {
		s.route.CompareAndSwap(r, nil)
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.relay == &r.voice {
			o.relay = nil
		}
	}
}

// forward sends a packet of sound on. b has room for a header before the
// payload. Hot path.
func (r *route) forward(now time.Time, h header, codec media.Codec, b []byte) {
	if r.mix != nil {
		r.mix.queue.put(now, codec, h, b[headerLen:])
		return
	}
	q := r.to.params.Load()
	if q == nil {
		return
	}
	h.pt = q.PT
	if codec != q.Codec {
		b = r.work.convert(codec, q.Codec, b)
	}
	r.to.out.send(now, &r.voice, h, false, b)
}

// skip closes the gap that a packet leaves which is not sent on.
func (r *route) skip(h header) {
	if r.mix == nil {
		r.to.out.withhold(&r.voice, h)
	}
}

// forwardEvent sends a telephone-event on as such or as tones, or keeps it and
// closes the gap.
func (r *route) forwardEvent(now time.Time, h header, key byte, fresh bool, b []byte) {
	if r.mix != nil {
		if fresh && !r.withhold {
			r.mix.key(key)
		}
		return
	}
	q := r.to.params.Load()
	if q == nil {
		return
	}
	if q.EventPT != 0 && !r.withhold {
		h.pt = q.EventPT
		r.to.out.send(now, &r.voice, h, true, b)
		return
	}
	r.to.out.withhold(&r.voice, h)
	if fresh && !r.withhold {
		r.to.relayed.push(r.to, key)
	}
}
