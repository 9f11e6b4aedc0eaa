package stream

import (
	"sync"
	"time"

	"github.com/perezvon/perezvon/internal/media"
)

const (
	// jitterSize bounds what waits of one source, in ticks: 512 ms. A power of
	// two that divides 1<<32, so that a timestamp is a place in it.
	jitterSize = 1 << 12
	// spare is the least time that a packet is wanted before its turn: less is
	// made good by waiting a frame more at the beginning.
	spare = media.ClockRate * 5 / 1000
	// ease is after how long a queue that was never short gives back what it
	// holds more than a frame.
	ease = 2 * time.Second
)

// jitterQueue is what waits of one source to be mixed: payload as it came, at the
// place its RTP timestamp says. What did not come is silence, and so is what
// came too late, unless it is the newest: then the rest of the source is heard
// so much later, as its delay has grown. It is written by who reads the socket
// and read by the mixer.
type jitterQueue struct {
	mu      sync.Mutex
	payload [jitterSize]byte
	codecs  [jitterSize]media.Codec // of each byte; NoCodec: nothing is there

	begun  bool
	ssrc   uint32
	turn   uint32    // the timestamp that the next take begins with
	due    time.Time // of that take
	newest uint32    // behind the newest byte

	since time.Time // of the present watch over the delay
	least int32     // ticks that the latest packet in it had to spare
}

// jitterFrame is what one take gives: 20 ms of payload and the codec of each byte.
type jitterFrame struct {
	payload [frame]byte
	codecs  [frame]media.Codec
	any     bool // not all of it is silence
}

// put lays a packet into its place. Hot path.
func (q *jitterQueue) put(now time.Time, c media.Codec, h header, payload []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	wait := int32(ticks(q.due.Sub(now)))
	ahead := int32(h.ts - q.turn)
	late := ahead < 0 && int32(h.ts-q.newest) >= 0 // and nothing newer has come
	switch {
	case len(payload) > jitterSize/2:
		return
	case !q.begun || h.ssrc != q.ssrc || ahead > jitterSize-int32(len(payload)) || ahead < -jitterSize:
		q.anchor(now, h, wait)
	case late:
		q.turn = h.ts
	}
	if end := h.ts + uint32(len(payload)); int32(end-q.newest) > 0 {
		q.newest = end
	}
	ahead = int32(h.ts - q.turn)
	q.watch(now, ahead+wait)
	if ahead < 0 {
		payload = payload[min(int(-ahead), len(payload)):]
		h.ts = q.turn
	}
	for len(payload) > 0 {
		at := h.ts % jitterSize
		n := copy(q.payload[at:], payload)
		for i := range q.codecs[at : int(at)+n] {
			q.codecs[int(at)+i] = c
		}
		payload, h.ts = payload[n:], h.ts+uint32(n)
	}
}

// anchor begins anew with a source: its packet has its turn at the next take,
// or at the one after if that comes too soon.
func (q *jitterQueue) anchor(now time.Time, h header, wait int32) {
	clear(q.codecs[:])
	q.begun, q.ssrc, q.turn, q.newest = true, h.ssrc, h.ts, h.ts
	if wait < spare {
		q.turn -= frame
	}
	q.since, q.least = now, jitterSize
}

// watch looks how long packets wait at the least. If that is more than needed
// for long, the source is brought nearer by leaving out whole frames: its delay
// was for once, or its clock is fast.
func (q *jitterQueue) watch(now time.Time, waits int32) {
	q.least = min(q.least, waits)
	if now.Sub(q.since) < ease {
		return
	}
	for range (q.least - 2*spare) / frame {
		q.drop()
	}
	q.since, q.least = now, jitterSize
}

// drop leaves the next frame out.
func (q *jitterQueue) drop() {
	at := q.turn % jitterSize
	n := min(frame, jitterSize-at)
	clear(q.codecs[at : at+n])
	clear(q.codecs[:frame-n])
	q.turn += frame
}

// take gives the frame whose turn it is; the next one's is at due. Hot path.
func (q *jitterQueue) take(f *jitterFrame, due time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.due = due
	f.any = false
	if !q.begun {
		return
	}
	at := q.turn % jitterSize
	n := copy(f.payload[:], q.payload[at:])
	copy(f.payload[n:], q.payload[:])
	copy(f.codecs[:], q.codecs[at:])
	copy(f.codecs[n:], q.codecs[:])
	for _, c := range f.codecs {
		f.any = f.any || c != media.NoCodec
	}
	q.drop()
}
