package stream_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/mediatest"
	"github.com/perezvon/perezvon/internal/media/stream"
)

// Two streams are each other's phones, so both ends of RTCP are ours.
func TestReportsTellLossJitterAndRoundTrip(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		a, b := w.open(stream.Options{}), w.open(stream.Options{})
		params := stream.Params{Codec: media.PCMA, PT: 8, Send: true, Receive: true}
		params.Remote = addr(b)
		a.Configure(params)
		params.Remote = addr(a)
		b.Configure(params)
		w.net.SetLink(mediatest.Link{Delay: 40 * time.Millisecond, Jitter: 20 * time.Millisecond})
		w.net.SetLinkFrom(addr(a), mediatest.Link{Delay: 40 * time.Millisecond, Jitter: 20 * time.Millisecond, Loss: 0.05})
		done := make(chan error)
		go func() { done <- b.Play(t.Context(), sine(440, time.Minute), false) }()
		if err := a.Play(t.Context(), sine(440, time.Minute), false); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		st := a.Stats()
		if st.RTT < 80*time.Millisecond || st.RTT > 120*time.Millisecond {
			t.Errorf("round trip %v, the network takes 80 to 120 ms", st.RTT)
		}
		if st.RemoteLost < 100 || st.RemoteLost > 200 {
			t.Errorf("the far end missed %d of 3000, want about 150", st.RemoteLost)
		}
		if st.RemoteJitter == 0 || st.RemoteJitter > 20*time.Millisecond {
			t.Errorf("jitter at the far end %v", st.RemoteJitter)
		}
		if st.Sent != 3000 || st.SentBytes != 480000 || st.Received < 2990 {
			t.Errorf("statistics %+v", st)
		}
		if got := b.Stats().Lost; got < 100 || got > 200 {
			t.Errorf("lost %d", got)
		}
		if st := b.Stats(); st.RemoteLost != 0 {
			t.Errorf("nothing of b was lost, told %d", st.RemoteLost)
		}
	})
}

func TestRTCPCountsAsLife(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		a, b := w.open(stream.Options{}), w.open(stream.Options{})
		params := stream.Params{Codec: media.PCMA, PT: 8, Send: true, Receive: true}
		params.Remote = addr(b)
		a.Configure(params)
		params.Remote, params.Send = addr(a), false // b holds and is silent
		b.Configure(params)
		for range 6 {
			time.Sleep(10 * time.Second)
			if d := time.Since(a.LastHeard()); d > 8*time.Second {
				t.Errorf("last heard %v ago, reports come every 5 s", d)
			}
		}
		if a.Stats().Received != 0 {
			t.Error("RTP came")
		}
	})
}

func TestReportsOfStrangersAreRefused(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		a, pa := w.leg(media.PCMA, 440, stream.Options{})
		time.Sleep(100 * time.Millisecond)
		pa.Mute(true)
		time.Sleep(10 * time.Second)
		heard := a.LastHeard()
		stranger, err := w.net.Listen(netip.AddrPortFrom(otherIP, 0))
		if err != nil {
			t.Fatal(err)
		}
		b, err := rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: 1}})
		if err != nil {
			t.Fatal(err)
		}
		for _, port := range []int{a.LocalPort(), a.LocalPort() + 1} {
			_, _ = stranger.WriteToUDPAddrPort(b, netip.AddrPortFrom(serverIP, uint16(port)))
		}
		time.Sleep(time.Second)
		if st := a.Stats(); st.Refused != 2 || a.LastHeard() != heard {
			t.Errorf("statistics %+v, last heard %v, before %v", st, a.LastHeard(), heard)
		}
	})
}
