package stream_test

import (
	"sync"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/stream"
)

// ear counts the bytes that it hears.
type ear struct {
	mu    sync.Mutex
	heard int
}

func (e *ear) Packet(_ time.Time, _ media.Codec, _, _ uint32, payload []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard += len(payload)
}

func (e *ear) bytes() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.heard
}

// A tap hears what the phone sends while it is there, joined or not, and not
// what the phone hears; the recording goes on beside it.
func TestATapHearsThePhone(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		a, _ := w.leg(media.PCMA, 500, stream.Options{})
		b, phone := w.leg(media.PCMA, 0, stream.Options{})
		phone.Mute(true)
		own, other := &ear{}, &ear{}
		a.Tap(own)
		b.Tap(other)
		time.Sleep(time.Second)
		part := stream.Join(a, b)
		time.Sleep(time.Second)
		part()
		a.Tap(nil)
		heard := own.bytes()
		if heard < 15680 || heard > 16320 {
			t.Errorf("heard %d bytes in two seconds", heard)
		}
		if n := other.bytes(); n != 0 {
			t.Errorf("a mute phone was heard: %d bytes", n)
		}
		time.Sleep(time.Second)
		if more := own.bytes() - heard; more != 0 {
			t.Errorf("%d bytes were heard after the end", more)
		}
	})
}
