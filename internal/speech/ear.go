package speech

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/media/codec"
	"github.com/perezvon/perezvon/internal/media/utterance"
)

const (
	// keyPause ends what is said to name a key, keyLongest cuts a talk.
	keyPause   = 500 * time.Millisecond
	keyLongest = 8 * time.Second
	// keyTime is what the recogniser has for it. Later the key is of no use.
	keyTime = 5 * time.Second
	// quietAfter ends an utterance after which no packet comes: phones that
	// suppress silence.
	quietAfter = 700 * time.Millisecond
	// maxGap is how much sound that was lost or not sent is made up by silence,
	// in ticks: enough to end an utterance.
	maxGap = media.ClockRate
	// maxPackets is how many wait while the recogniser thinks: ten seconds of
	// the usual ones.
	maxPackets = 500
)

// Heard is one utterance, understood.
type Heard struct {
	Text string
	// Key is the key that was named, 0: none.
	Key    byte
	Length time.Duration
}

// Ear listens to one leg and understands what its phone says, utterance by
// utterance. It is the media.Listener to give to the leg: Packet only takes the
// packet down; everything else happens in Next.
type Ear struct {
	hearing *Hearing
	ask     Question
	came    chan struct{} // holds a token while something may wait

	mu      sync.Mutex
	waiting []packet
	dropped int

	// These belong to the goroutine that calls Next.
	codec   media.Codec
	ssrc    uint32
	next    uint32 // timestamp of what comes next
	decoder codec.Decoder
	cutter  *utterance.Cutter
	samples []int16
	ended   []*audio.Clip // utterances
}

type packet struct {
	codec           media.Codec
	ssrc, timestamp uint32
	payload         []byte
}

// Listen makes an ear for somebody who may name keys in a language.
func (h *Hearing) Listen(language string) *Ear {
	language = Voice{Language: language}.defaults().Language
	return &Ear{
		hearing: h, came: make(chan struct{}, 1),
		ask: Question{Language: language, Phrases: keyPhrases(language)},
	}
}

// Packet implements media.Listener. It never waits; what comes faster than it
// is understood is dropped.
func (e *Ear) Packet(_ time.Time, c media.Codec, ssrc, timestamp uint32, payload []byte) {
	e.mu.Lock()
	if len(e.waiting) < maxPackets {
		e.waiting = append(e.waiting, packet{c, ssrc, timestamp, slices.Clone(payload)})
	} else {
		e.dropped++
	}
	e.mu.Unlock()
	select {
	case e.came <- struct{}{}:
	default:
	}
}

// Next waits for the next utterance and what the recogniser makes of it. An
// error is the recogniser's, and the ear goes on listening, or it is
// context.Cause(ctx).
func (e *Ear) Next(ctx context.Context) (Heard, error) {
	clip, err := e.utterance(ctx)
	if err != nil {
		return Heard{}, err
	}
	limited, cancel := context.WithTimeout(ctx, keyTime)
	defer cancel()
	text, err := e.hearing.recognizer.Recognize(limited, clip, e.ask)
	if cause := context.Cause(ctx); cause != nil {
		return Heard{}, cause
	}
	if err != nil {
		if limited.Err() != nil {
			err = fmt.Errorf("no answer within %v", keyTime)
		}
		return Heard{}, fmt.Errorf("recogniser %s: %w", e.hearing.recognizer.Name(), err)
	}
	h := Heard{Text: clean(text), Length: clip.Duration()}
	h.Key, _ = SpokenKey(e.ask.Language, h.Text)
	return h, nil
}

// utterance waits for the next one.
func (e *Ear) utterance(ctx context.Context) (*audio.Clip, error) {
	for {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		if len(e.ended) > 0 {
			u := e.ended[0]
			e.ended = e.ended[1:]
			return u, nil
		}
		if p, ok := e.take(); ok {
			e.hear(p)
			continue
		}
		if e.cutter == nil || !e.cutter.Open() {
			select {
			case <-e.came:
			case <-ctx.Done():
			}
			continue
		}
		quiet := time.NewTimer(quietAfter)
		select {
		case <-e.came:
		case <-quiet.C:
			e.flush()
		case <-ctx.Done():
		}
		quiet.Stop()
	}
}

func (e *Ear) take() (packet, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.waiting) == 0 {
		return packet{}, false
	}
	p := e.waiting[0]
	e.waiting = e.waiting[1:]
	return p, true
}

// hear puts a packet in its place. One that comes too late has none.
func (e *Ear) hear(p packet) {
	switch gap := int32(p.timestamp - e.next); {
	case e.decoder == nil || p.codec != e.codec || p.ssrc != e.ssrc || gap > maxGap || gap < -maxGap:
		e.flush()
		e.codec, e.ssrc = p.codec, p.ssrc
		e.decoder = codec.NewDecoder(p.codec)
		e.cutter = utterance.New(p.codec.SampleRate(), utterance.Limits{Pause: keyPause, Longest: keyLongest})
	case gap < 0:
		return
	case gap > 0:
		e.feed(make([]int16, int(gap)*p.codec.SampleRate()/media.ClockRate))
	}
	e.next = p.timestamp + uint32(len(p.payload)) // #nosec G115 -- a packet
	e.samples = e.decoder.Decode(e.samples[:0], p.payload)
	e.feed(e.samples)
}

func (e *Ear) feed(samples []int16) {
	for _, u := range e.cutter.Feed(samples) {
		e.keep(u)
	}
}

func (e *Ear) keep(u utterance.Utterance) {
	e.ended = append(e.ended, &audio.Clip{Rate: e.codec.SampleRate(), Samples: u.Samples})
}

// flush ends the utterance that has begun.
func (e *Ear) flush() {
	if e.cutter == nil {
		return
	}
	if u, ok := e.cutter.Flush(); ok {
		e.keep(u)
	}
}
