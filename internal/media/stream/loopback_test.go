package stream_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/mediatest"
	"github.com/perezvon/perezvon/internal/media/stream"
)

func TestOverRealSockets(t *testing.T) {
	loopback := netip.MustParseAddr("127.0.0.1")
	t.Cleanup(func() { goleak.VerifyNone(t) })
	ports := stream.NewPorts(stream.SystemNet(), loopback, 0, 0)
	leg := func(c media.Codec, freq float64) (*stream.Stream, *mediatest.Phone) {
		s, err := stream.Open(ports, stream.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		if s.LocalPort()%2 != 0 {
			t.Errorf("RTP at the odd port %d", s.LocalPort())
		}
		p := mediatest.NewPhone(t, stream.SystemNet(), loopback, c, freq)
		s.Configure(p.Params())
		p.Call(netip.AddrPortFrom(loopback, uint16(s.LocalPort())))
		return s, p
	}
	a, pa := leg(media.PCMA, 440)
	b, pb := leg(media.G722, 1000)
	ctx, stop := context.WithCancel(t.Context())
	playing := make(chan error)
	go func() { playing <- a.Play(ctx, sine(700, time.Second), true) }()
	mediatest.Hears(t, pa, 700)
	stop()
	if err := <-playing; err != context.Canceled {
		t.Errorf("Play: %v", err)
	}
	part := stream.Join(a, b)
	mediatest.Hears(t, pa, 1000)
	mediatest.Hears(t, pb, 440)
	part()
	mediatest.HearsNothing(t, pa)
	// Other programs of the machine may send here too, so nothing is said of
	// what was refused.
	if st := a.Stats(); st.Received == 0 || st.Remote != pa.Addr() {
		t.Errorf("statistics %+v", st)
	}
}
