package stream_test

import (
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/stream"
)

func TestTotalsOutliveTheirStreams(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		a, _ := w.leg(media.PCMA, 440, stream.Options{})
		b, _ := w.leg(media.PCMA, 880, stream.Options{})
		defer stream.Join(a, b)()
		time.Sleep(time.Second)
		open := w.ports.Totals()
		if open.Received < 90 || open.Sent < 90 || open.Lost != 0 || open.Refused != 0 {
			t.Errorf("after a second of two phones: %+v", open)
		}
		_, _ = a.Close(), b.Close()
		if closed := w.ports.Totals(); closed.Received < open.Received || closed.Sent < open.Sent {
			t.Errorf("%+v became %+v with the end of the streams", open, closed)
		}
	})
}
