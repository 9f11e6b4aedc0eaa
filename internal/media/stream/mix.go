package stream

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/codec"
	"github.com/perezvon/perezvon/internal/media/resample"
)

// mixStep is the step of a mixer: 20 ms, frame ticks.
const mixStep = 20 * time.Millisecond

// wideRate is that of a mix in which somebody speaks G.722; of others it is
// media.ClockRate.
const wideRate = 16000

// Mix lets the phones of three streams or more hear each other until part is
// called: each hears the sum of the others and never itself. Like Join it
// replaces what they were joined or listened to before, and a sound that plays
// to one of them goes before the others until it ends. A key that comes as
// telephone events is sent on to the others, as events or as tones, whole, and
// meanwhile they hear nothing else.
//
// A mix has a clock, a goroutine of its own, and a short queue for each source:
// it adds 5 to 25 ms of delay, more while a source jitters.
func Mix(streams []*Stream, options ...JoinOption) (part func()) {
	var j joint
	for _, o := range options {
		o(&j)
	}
	c := newConference(streams, j)
	stops := make([]func(), len(c.parties))
	for i, p := range c.parties {
		stops[i] = p.s.connect(&p.route)
	}
	var wg sync.WaitGroup
	wg.Go(c.run)
	once := sync.OnceFunc(func() {
		close(c.done)
		for _, stop := range stops {
			stop()
		}
	})
	return func() {
		once()
		wg.Wait()
	}
}

// conference is a mix at work. All but the queues belongs to its goroutine.
type conference struct {
	parties []*party
	done    chan struct{}

	rate int     // of the sums
	sum  []int32 // of all parties
	ts   uint32  // of the next frame
}

// party is one stream in a conference: what its phone says and hears there.
type party struct {
	s     *Stream
	in    *conference
	route route       // of what the phone says; its voice is that of what it hears
	queue jitterQueue // what it said and is not mixed yet

	frame    jitterFrame
	decoders [media.G722 + 1]codec.Decoder
	narrow   []int16             // what of frame is G.711
	wide     []int16             // what of frame is G.722
	up       *resample.Resampler // of narrow in a wide mix
	said     []int16             // frame at the rate of the mix; empty: silence
	codec    media.Codec         // that the phone is sent
	encoder  codec.Encoder       // of it
	down     *resample.Resampler // of a wide mix for a phone of G.711
	heard    []int16             // what the phone hears, at the rate of the mix
	lowered  []int16             // and through down
	b        []byte
	seq      uint16
}

func newConference(streams []*Stream, j joint) *conference {
	c := &conference{done: make(chan struct{}), rate: media.ClockRate, sum: make([]int32, wideRate/50)}
	for _, s := range streams {
		p := &party{s: s, in: c, b: make([]byte, headerLen, headerLen+frame)}
		p.route = route{to: s, mix: p}
		for _, from := range j.withhold {
			p.route.withhold = p.route.withhold || from == s
		}
		for c := media.PCMA; c <= media.G722; c++ {
			p.decoders[c] = codec.NewDecoder(c)
		}
		p.queue.due = time.Now().Add(mixStep)
		c.parties = append(c.parties, p)
	}
	return c
}

// run mixes a frame each 20 ms, each at its moment counted from the start, so
// that it does not drift.
func (c *conference) run() {
	moment := time.Now().Add(mixStep)
	timer := time.NewTimer(mixStep)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-c.done:
			return
		}
		now := time.Now()
		// After a stall of the machine the phones are not flooded: what is too
		// late is mixed for nobody.
		send := now.Sub(moment) < tooLate
		moment = moment.Add(mixStep)
		c.mix(now, moment, send)
		timer.Reset(time.Until(moment))
	}
}

// mix takes a frame of each party and sends each the sum of the others. The
// next one is due at that time. Hot path.
func (c *conference) mix(now, due time.Time, send bool) {
	wide := false
	for _, p := range c.parties {
		p.queue.take(&p.frame, due)
		wide = wide || p.wideband()
	}
	c.setRate(wide)
	n := c.rate / 50
	sum := c.sum[:n]
	clear(sum)
	for _, p := range c.parties {
		p.listen(wide)
		for i, s := range p.said {
			sum[i] += int32(s)
		}
	}
	if send {
		for _, p := range c.parties {
			p.tell(now, sum, c.ts, wide)
		}
	}
	c.ts += frame
}

// setRate settles how the frame at hand is mixed. Who joins with G.722, or
// leaves it, makes all filters begin anew.
func (c *conference) setRate(wide bool) {
	rate := media.ClockRate
	if wide {
		rate = wideRate
	}
	if rate == c.rate {
		return
	}
	c.rate = rate
	for _, p := range c.parties {
		p.up, p.down = nil, nil
		if wide {
			p.up, p.down = resample.New(media.ClockRate, wideRate), resample.New(wideRate, media.ClockRate)
		}
	}
}

// wideband tells that the phone hears G.722, or said something in it now.
func (p *party) wideband() bool {
	if q := p.s.params.Load(); q != nil && q.Codec == media.G722 {
		return true
	}
	if !p.frame.any {
		return false
	}
	for _, c := range p.frame.codecs {
		if c == media.G722 {
			return true
		}
	}
	return false
}

// listen decodes the frame at hand into said.
func (p *party) listen(wide bool) {
	p.said, p.narrow, p.wide = p.said[:0], p.narrow[:0], p.wide[:0]
	if !p.frame.any && !wide {
		return
	}
	for i := 0; i < frame; {
		c, n := p.frame.codecs[i], 1
		for i+n < frame && p.frame.codecs[i+n] == c {
			n++
		}
		payload := p.frame.payload[i : i+n]
		i += n
		switch c {
		case media.NoCodec:
			p.narrow, p.wide = hold(p.narrow, n), hold(p.wide, 2*n)
		case media.G722:
			p.narrow, p.wide = hold(p.narrow, n), p.decoders[c].Decode(p.wide, payload)
		default:
			p.narrow, p.wide = p.decoders[c].Decode(p.narrow, payload), hold(p.wide, 2*n)
		}
	}
	if !wide {
		p.said = append(p.said, p.narrow...)
		return
	}
	p.said = p.up.Process(p.said, p.narrow)
	for i, s := range p.wide {
		p.said[i] = saturate(int32(p.said[i]) + int32(s))
	}
}

// hold appends n samples of silence.
func hold(dst []int16, n int) []int16 {
	all := slices.Grow(dst, n)[:len(dst)+n]
	clear(all[len(dst):])
	return all
}

// tell sends the phone what all others said.
func (p *party) tell(now time.Time, sum []int32, ts uint32, wide bool) {
	q := p.s.params.Load()
	if q == nil || !q.Send {
		return
	}
	if q.Codec != p.codec {
		p.codec, p.encoder = q.Codec, codec.NewEncoder(q.Codec)
	}
	p.heard = p.heard[:0]
	for i, all := range sum {
		if len(p.said) > 0 {
			all -= int32(p.said[i])
		}
		p.heard = append(p.heard, saturate(all))
	}
	heard := p.heard
	if wide && q.Codec != media.G722 {
		p.lowered = p.down.Process(p.lowered[:0], heard)
		heard = p.lowered
	}
	p.b = p.encoder.Encode(p.b[:headerLen], heard)
	if len(p.b) == headerLen {
		return
	}
	h := header{pt: q.PT, seq: p.seq, ts: ts}
	p.seq++
	p.s.out.send(now, &p.route.voice, h, false, p.b)
}

// key sends a key that the phone sent as an event on to all others.
func (p *party) key(key byte) {
	for _, other := range p.in.parties {
		if other != p {
			other.s.relayed.push(other.s, key)
		}
	}
}

func saturate(x int32) int16 { return int16(max(math.MinInt16, min(math.MaxInt16, x))) }
