package stream_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/mediatest"
	"github.com/perezvon/perezvon/internal/media/stream"
)

func TestNothingIsAcceptedBeforeConfigure(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		s := w.open(stream.Options{OnFirstPacket: func() { t.Error("told of a packet") }})
		p := mediatest.NewPhone(t, w.net, phoneIP, media.PCMA, 440)
		p.Call(addr(s))
		time.Sleep(time.Second)
		if st := s.Stats(); st.Received != 0 || st.Early < 49 || st.Remote.IsValid() || !s.LastHeard().IsZero() {
			t.Errorf("statistics %+v, last heard %v", st, s.LastHeard())
		}
	})
}

func TestPhoneBehindNATIsAnsweredWhereItSendsFrom(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		s := w.open(stream.Options{})
		p := mediatest.NewPhone(t, w.net, phoneIP, media.PCMA, 440)
		params := p.Params()
		params.Remote = netip.MustParseAddrPort("192.168.1.10:4000") // what a phone behind NAT believes
		s.Configure(params)
		p.Call(addr(s))
		time.Sleep(100 * time.Millisecond)
		go func() { _ = s.Play(t.Context(), sine(700, time.Second), false) }()
		mediatest.Hears(t, p, 700)

		thief := mediatest.NewPhone(t, w.net, otherIP, media.PCMA, 1000)
		thief.Call(addr(s))
		mediatest.HearsNothing(t, thief)
		if st := s.Stats(); st.Remote != p.Addr() || st.Refused < 20 {
			t.Errorf("statistics %+v", st)
		}
		// A re-INVITE that says the same leaves things as they are.
		s.Configure(params)
		mediatest.HearsNothing(t, thief)
		if got := s.Stats().Remote; got != p.Addr() {
			t.Errorf("latched on %v after the same parameters", got)
		}
		time.Sleep(time.Second)
	})
}

func TestSignalledAddressGoesBeforeAnother(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		s := w.open(stream.Options{})
		p := mediatest.NewPhone(t, w.net, phoneIP, media.PCMA, 440)
		thief := mediatest.NewPhone(t, w.net, otherIP, media.PCMA, 1000)
		s.Configure(p.Params())
		thief.Call(addr(s))
		time.Sleep(100 * time.Millisecond)
		if got := s.Stats().Remote; got != thief.Addr() {
			t.Fatalf("latched on %v", got)
		}
		p.Call(addr(s))
		time.Sleep(100 * time.Millisecond)
		if got := s.Stats().Remote; got != p.Addr() {
			t.Errorf("latched on %v, want the signalled address", got)
		}
	})
}

func TestOneStrayPacketDoesNotLatch(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		s := w.open(stream.Options{})
		p := mediatest.NewPhone(t, w.net, phoneIP, media.PCMA, 440)
		s.Configure(p.Params())
		stray, err := w.net.Listen(netip.AddrPortFrom(otherIP, 0))
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			_, _ = stray.WriteToUDPAddrPort([]byte{0x80, 8, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4, 0xd5}, addr(s))
		}
		time.Sleep(time.Second)
		if st := s.Stats(); st.Received != 0 || st.Refused != 10 {
			t.Errorf("statistics %+v", st)
		}
	})
}

func TestReinviteWithANewAddressOpensTheLatch(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		a, pa := w.leg(media.PCMA, 440, stream.Options{})
		b, pb := w.leg(media.PCMA, 1000, stream.Options{})
		defer stream.Join(a, b)()
		mediatest.Hears(t, pb, 440)
		moved := mediatest.NewPhone(t, w.net, otherIP, media.PCMA, 600)
		a.Configure(moved.Params())
		moved.Call(addr(a))
		pa.Mute(true)
		mediatest.Hears(t, pb, 600)
		mediatest.Hears(t, moved, 1000)
		mediatest.HearsNothing(t, pa)
	})
}

func TestPortsAreEvenAndRest(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		ports := stream.NewPorts(w.net, serverIP, 30001, 30006) // two pairs: 30002, 30004
		open := func() (*stream.Stream, error) { return stream.Open(ports, stream.Options{}) }
		seen := map[int]bool{}
		var last *stream.Stream
		for range 2 {
			s, err := open()
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			seen[s.LocalPort()] = true
			last = s
		}
		if !seen[30002] || !seen[30004] {
			t.Errorf("ports %v", seen)
		}
		if _, err := open(); !errors.Is(err, stream.ErrNoPorts) {
			t.Errorf("a third stream: %v", err)
		}
		_ = last.Close()
		if _, err := open(); !errors.Is(err, stream.ErrNoPorts) {
			t.Errorf("a port that rests was given away: %v", err)
		}
		time.Sleep(6 * time.Second)
		// Another program took the port meanwhile.
		c, err := w.net.Listen(netip.AddrPortFrom(serverIP, uint16(last.LocalPort()+1)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := open(); !errors.Is(err, stream.ErrNoPorts) {
			t.Errorf("a port of another program: %v", err)
		}
		_ = c.Close()
		time.Sleep(6 * time.Second)
		s, err := open()
		if err != nil {
			t.Fatal(err)
		}
		_ = s.Close()
	})
}
