package stream

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/recording"
)

// sink is a socket that takes everything and gives nothing.
type sink struct{ sent int }

func (*sink) ReadFromUDPAddrPort([]byte) (int, netip.AddrPort, error) {
	return 0, netip.AddrPort{}, net.ErrClosed
}
func (s *sink) WriteToUDPAddrPort(b []byte, _ netip.AddrPort) (int, error) {
	s.sent++
	return len(b), nil
}
func (*sink) LocalAddr() net.Addr { return &net.UDPAddr{} }
func (*sink) Close() error        { return nil }

// tape is a track as cheap as a track can be.
type tape struct{ b []byte }

func (t *tape) Packet(_ time.Time, _ media.Codec, _, _ uint32, payload []byte) {
	t.b = append(t.b[:0], payload...)
}
func (*tape) PlayStarted(time.Time, string, bool, time.Duration) {}
func (*tape) PlayEnded(time.Time, string)                        {}

// line is one packet at a time from a phone to another through two streams
// without sockets.
type line struct {
	a   *Stream
	out *sink
	src netip.AddrPort
	now time.Time
	h   header
	b   []byte
}

func newLine(from, to media.Codec) *line {
	src, dst := netip.MustParseAddrPort("10.0.0.2:4000"), netip.MustParseAddrPort("10.0.0.3:4000")
	out := &sink{}
	a := newStream(nil, pair{rtp: &sink{}, rtcp: &sink{}}, Options{})
	b := newStream(nil, pair{rtp: out, rtcp: &sink{}}, Options{})
	a.Configure(Params{Codec: from, PT: from.PayloadType(), EventPT: 101, Remote: src, Send: true, Receive: true})
	b.Configure(Params{Codec: to, PT: to.PayloadType(), EventPT: 96, Remote: dst, Send: true, Receive: true})
	Join(a, b)
	return &line{a: a, out: out, src: src, now: time.Now(), h: header{pt: from.PayloadType(), ssrc: 1}, b: make([]byte, 172, maxPacket)}
}

// packet lets the next packet of the phone come in.
func (l *line) packet() {
	l.h.seq++
	l.h.ts += frame
	l.now = l.now.Add(20 * time.Millisecond)
	l.h.put(l.b)
	l.a.receive(l.now, l.src, l.b)
}

var ways = []struct {
	name     string
	from, to media.Codec
}{
	{"SameCodec", media.PCMA, media.PCMA},
	{"ALawToULaw", media.PCMA, media.PCMU},
	{"ALawToG722", media.PCMA, media.G722},
	{"G722ToALaw", media.G722, media.PCMA},
}

func TestRelayDoesNotAllocate(t *testing.T) {
	for _, w := range ways {
		for _, recorded := range []bool{false, true} {
			l := newLine(w.from, w.to)
			if recorded {
				l.a.Record(&tape{b: make([]byte, 0, maxPacket)})
			}
			l.packet() // buffers grow to their size
			if n := testing.AllocsPerRun(1000, l.packet); n != 0 {
				t.Errorf("%s, recorded %v: %v allocations a packet", w.name, recorded, n)
			}
			if l.out.sent != 1002 {
				t.Errorf("%s: %d packets went out of 1002", w.name, l.out.sent)
			}
		}
	}
}

func TestSequenceNumbersMayWrapManyTimes(t *testing.T) {
	l := newLine(media.PCMA, media.PCMA)
	const hour = 180_000
	for range hour {
		l.packet()
	}
	st := l.a.Stats()
	if l.out.sent != hour || st.Received != hour || st.Lost != 0 {
		t.Errorf("%d of %d packets went out; %+v", l.out.sent, hour, st)
	}
}

func TestPlayoutDoesNotAllocateFrames(t *testing.T) {
	l := newLine(media.PCMA, media.PCMA)
	pl := &player{loop: true, clip: hush, length: frame, b: make([]byte, headerLen+frame), start: l.now, replaced: make(chan struct{})}
	if !l.a.startPlayer(pl) {
		t.Fatal("closed")
	}
	n := 0
	if a := testing.AllocsPerRun(1000, func() { l.a.sendFrame(pl, l.now, n); n++ }); a != 0 {
		t.Errorf("%v allocations a packet", a)
	}
}

func BenchmarkRelay(b *testing.B) {
	for _, w := range ways {
		b.Run(w.name, func(b *testing.B) {
			l := newLine(w.from, w.to)
			b.ReportAllocs()
			for b.Loop() {
				l.packet()
			}
		})
	}
}

// BenchmarkRelayRecorded writes the recording that ships, to a file.
func BenchmarkRelayRecorded(b *testing.B) {
	l := newLine(media.PCMA, media.PCMA)
	tape, err := recording.Create(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = tape.Close() })
	tape.Start(l.now)
	l.a.Record(tape.Track("m1", recording.Left))
	b.ReportAllocs()
	for b.Loop() {
		l.packet()
	}
}

// BenchmarkRelayLoopback is a packet through real sockets: sent by a phone,
// read, relayed, and read by the other phone.
func BenchmarkRelayLoopback(b *testing.B) {
	ports := NewPorts(SystemNet(), netip.MustParseAddr("127.0.0.1"), 0, 0)
	open := func() (*Stream, *net.UDPConn) {
		s, err := Open(ports, Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = s.Close() })
		c, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: s.LocalPort()})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = c.Close() })
		s.Configure(Params{Codec: media.PCMA, PT: 8, Remote: c.LocalAddr().(*net.UDPAddr).AddrPort(), Send: true, Receive: true})
		return s, c
	}
	s1, c1 := open()
	s2, c2 := open()
	defer Join(s1, s2)()
	h := header{pt: 8, ssrc: 1}
	p, got := make([]byte, 172), make([]byte, 200)
	start := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		h.seq++
		h.ts = ticks(time.Since(start))
		h.put(p)
		if _, err := c1.Write(p); err != nil {
			b.Fatal(err)
		}
		if _, err := c2.Read(got); err != nil {
			b.Fatal(err)
		}
	}
}
