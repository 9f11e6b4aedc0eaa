package stream_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/mediatest"
	"github.com/perezvon/perezvon/internal/media/stream"
)

var (
	serverIP = netip.MustParseAddr("10.0.0.1")
	phoneIP  = netip.MustParseAddr("10.0.0.2")
	otherIP  = netip.MustParseAddr("10.0.0.3")
)

// world is a virtual network with a server's ports on it.
type world struct {
	*testing.T
	net   *mediatest.Network
	ports *stream.Ports
}

// virtually runs a test in virtual time.
func virtually(t *testing.T, f func(t *testing.T, w world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := mediatest.NewNetwork()
		f(t, world{t, n, stream.NewPorts(n, serverIP, 0, 0)})
	})
}

func (w world) open(o stream.Options) *stream.Stream {
	w.Helper()
	s, err := stream.Open(w.ports, o)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = s.Close() })
	return s
}

// leg is a stream and its phone, agreed and talking.
func (w world) leg(c media.Codec, freq float64, o stream.Options) (*stream.Stream, *mediatest.Phone) {
	w.Helper()
	s := w.open(o)
	p := mediatest.NewPhone(w, w.net, phoneIP, c, freq)
	s.Configure(p.Params())
	p.Call(addr(s))
	return s, p
}

func addr(s *stream.Stream) netip.AddrPort {
	return netip.AddrPortFrom(serverIP, uint16(s.LocalPort()))
}

// continuous checks that packets are one stream: one SSRC, each sequence number
// once and in order, and timestamps that keep to the clock within 30 ms.
func continuous(t *testing.T, packets []mediatest.Packet) {
	t.Helper()
	if len(packets) == 0 {
		t.Fatal("no packets")
	}
	first := packets[0]
	for i, p := range packets[1:] {
		last := packets[i]
		if p.SSRC != first.SSRC {
			t.Fatalf("packet %d: SSRC changed from %x to %x", i+1, first.SSRC, p.SSRC)
		}
		if p.Seq != last.Seq+1 {
			t.Fatalf("packet %d: sequence number %d after %d", i+1, p.Seq, last.Seq)
		}
		if p.PT == mediatest.EventPT {
			continue
		}
		want := p.At.Sub(first.At)
		got := time.Duration(p.TS-first.TS) * time.Second / media.ClockRate
		if d := got - want; d > 30*time.Millisecond || d < -30*time.Millisecond {
			t.Fatalf("packet %d: timestamp says %v, the clock %v", i+1, got, want)
		}
	}
}

func TestJoinLetsEachHearTheOther(t *testing.T) {
	for _, c := range []struct{ a, b media.Codec }{
		{media.PCMA, media.PCMA},
		{media.PCMU, media.PCMU},
		{media.G722, media.G722},
		{media.PCMA, media.PCMU},
		{media.PCMA, media.G722},
		{media.G722, media.PCMU},
	} {
		t.Run(c.a.Name()+" "+c.b.Name(), func(t *testing.T) {
			virtually(t, func(t *testing.T, w world) {
				a, pa := w.leg(c.a, 440, stream.Options{})
				b, pb := w.leg(c.b, 1000, stream.Options{})
				mediatest.HearsNothing(t, pa)
				part := stream.Join(a, b)
				mediatest.Hears(t, pa, 1000)
				mediatest.Hears(t, pb, 440)
				continuous(t, pb.Packets())
				part()
				mediatest.HearsNothing(t, pa)
				mediatest.HearsNothing(t, pb)
			})
		})
	}
}

func TestRelayHasNoGaps(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		a, pa := w.leg(media.PCMA, 440, stream.Options{})
		b, pb := w.leg(media.G722, 1000, stream.Options{})
		defer stream.Join(a, b)()
		time.Sleep(10 * time.Second)
		for _, p := range []*mediatest.Phone{pa, pb} {
			p.Forget()
		}
		time.Sleep(10 * time.Second)
		for _, p := range []*mediatest.Phone{pa, pb} {
			continuous(t, p.Packets())
			if g := mediatest.Gaps(p.Heard(), p.Rate(), 10*time.Millisecond); len(g) > 0 {
				t.Errorf("gaps in the sound: %v", g)
			}
			if l := mediatest.Level(p.Heard()); l < -17 || l > -14 {
				t.Errorf("level is %.1f dB, the tone was sent with -15.3", l)
			}
		}
	})
}

func TestLossAndReorderingPassThrough(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		a, pa := w.leg(media.PCMA, 440, stream.Options{})
		b, pb := w.leg(media.PCMA, 1000, stream.Options{})
		defer stream.Join(a, b)()
		w.net.SetLinkFrom(pa.Addr(), mediatest.Link{Loss: 0.1, Reorder: 0.1, ReorderBy: 30 * time.Millisecond, Jitter: 10 * time.Millisecond})
		time.Sleep(20 * time.Second)
		got := pb.Packets()
		seen := map[uint16]bool{}
		late, span := 0, uint16(0)
		for _, p := range got {
			if p.SSRC != got[0].SSRC {
				t.Fatal("SSRC changed")
			}
			if seen[p.Seq] {
				t.Fatalf("sequence number %d twice", p.Seq)
			}
			seen[p.Seq] = true
			if d := p.Seq - got[0].Seq; d < 1<<15 && d > span {
				span = d
			} else {
				late++
			}
			if d := int32(p.TS-got[0].TS) - 160*int32(int16(p.Seq-got[0].Seq)); d != 0 {
				t.Fatalf("sequence and timestamp moved apart by %d", d)
			}
		}
		if lost := int(span) + 1 - len(got); lost < 50 || lost > 150 {
			t.Errorf("%d of %d missing, want about 100", lost, span+1)
		}
		if late < 50 {
			t.Errorf("only %d out of order", late)
		}
		if st := a.Stats(); st.Lost < 50 || st.Lost > 150 || st.Jitter == 0 {
			t.Errorf("statistics %+v, want about 100 lost and some jitter", st)
		}
	})
}

func TestNewSourceOfAPhoneContinuesTheStreamOfItsPeer(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		a, pa := w.leg(media.PCMA, 440, stream.Options{})
		b, pb := w.leg(media.PCMA, 1000, stream.Options{})
		defer stream.Join(a, b)()
		time.Sleep(time.Second)
		pa.Restart()
		time.Sleep(time.Second)
		pa.Mute(true) // a hold at the phone: its clock stands
		time.Sleep(3 * time.Second)
		pa.Mute(false)
		time.Sleep(time.Second)
		continuous(t, pb.Packets())
		marked := 0
		for _, p := range pb.Packets() {
			if p.Marker {
				marked++
			}
		}
		if marked != 2 {
			t.Errorf("%d packets marked, want the first and that of the new source", marked)
		}
	})
}

func TestEarlyMediaIsHeardOneWay(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		manager, pm := w.leg(media.PCMA, 440, stream.Options{})
		first := 0
		client, pc := w.leg(media.PCMU, 1000, stream.Options{OnFirstPacket: func() { first++ }})
		stop := stream.Listen(client, manager)
		mediatest.Hears(t, pm, 1000)
		mediatest.HearsNothing(t, pc)
		if first != 1 {
			t.Errorf("told %d times of the first packet", first)
		}
		part := stream.Join(manager, client)
		stop() // what was replaced ends nothing
		mediatest.Hears(t, pm, 1000)
		mediatest.Hears(t, pc, 440)
		part()
	})
}

func TestHoldSendsNothingAndIsResumed(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		a, _ := w.leg(media.PCMA, 440, stream.Options{})
		b, pb := w.leg(media.PCMA, 1000, stream.Options{})
		defer stream.Join(a, b)()
		time.Sleep(time.Second)
		for name, hold := range map[string]func(*stream.Params){
			"sendonly":        func(p *stream.Params) { p.Send = false },
			"address 0.0.0.0": func(p *stream.Params) { p.Remote = netip.MustParseAddrPort("0.0.0.0:4000") },
		} {
			params := pb.Params()
			hold(&params)
			b.Configure(params)
			mediatest.HearsNothing(t, pb)
			pb.Forget()
			b.Configure(pb.Params())
			time.Sleep(time.Second)
			if got := pb.Packets(); len(got) < 49 || !got[0].Marker || got[1].Marker {
				t.Errorf("%s: %d packets after the hold, the first of them must be marked", name, len(got))
			}
			mediatest.Hears(t, pb, 440)
		}
	})
}

func TestReceiveOffIsNotPassedOn(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		a, pa := w.leg(media.PCMA, 440, stream.Options{})
		b, pb := w.leg(media.PCMA, 1000, stream.Options{})
		defer stream.Join(a, b)()
		params := pb.Params()
		params.Receive = false
		b.Configure(params)
		mediatest.HearsNothing(t, pa)
		mediatest.Hears(t, pb, 440)
		if since := time.Since(b.LastHeard()); since > 20*time.Millisecond {
			t.Errorf("last heard %v ago, the phone still sends", since)
		}
	})
}

func TestCodecMayChangeInTheMiddle(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		a, pa := w.leg(media.PCMA, 440, stream.Options{})
		b, pb := w.leg(media.PCMA, 1000, stream.Options{})
		defer stream.Join(a, b)()
		mediatest.Hears(t, pa, 1000)
		p2 := mediatest.NewPhone(t, w.net, otherIP, media.G722, 2000)
		b.Configure(p2.Params())
		pb.Mute(true)
		p2.Call(addr(b))
		mediatest.Hears(t, pa, 2000)
		mediatest.Hears(t, p2, 440)
	})
}

func TestCloseEndsWhatPlaysAndStopsTheRelay(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		a, _ := w.leg(media.PCMA, 440, stream.Options{})
		b, pb := w.leg(media.PCMA, 1000, stream.Options{})
		part := stream.Join(a, b)
		time.Sleep(time.Second)
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		mediatest.HearsNothing(t, pb)
		if err := b.Play(t.Context(), sine(300, time.Second), false); err != stream.ErrClosed {
			t.Errorf("Play on a closed stream: %v", err)
		}
		if err := b.SendDigits(t.Context(), "1"); err != stream.ErrClosed {
			t.Errorf("SendDigits on a closed stream: %v", err)
		}
		b.Configure(pb.Params())
		mediatest.HearsNothing(t, pb)
		part()
		_ = b.Close()
	})
}

func TestComfortNoiseIsLifeButNoSound(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		a, pa := w.leg(media.PCMA, 440, stream.Options{})
		b, pb := w.leg(media.PCMA, 1000, stream.Options{})
		rec := &track{}
		a.Record(rec)
		defer stream.Join(a, b)()
		time.Sleep(time.Second)
		pa.Mute(true)
		before := rec.count()
		for range 20 { // a phone that saves silence: noise now and then
			time.Sleep(200 * time.Millisecond)
			pa.SendPayload(13, []byte{60})
		}
		if since := time.Since(a.LastHeard()); since > 300*time.Millisecond {
			t.Errorf("last heard %v ago", since)
		}
		if n := rec.count(); n > before+1 {
			t.Errorf("%d packets of noise recorded", n-before)
		}
		pa.Mute(false)
		time.Sleep(time.Second)
		continuous(t, pb.Packets())
		if st := a.Stats(); st.Lost != 0 || st.Unwanted != 20 {
			t.Errorf("statistics %+v", st)
		}
	})
}
