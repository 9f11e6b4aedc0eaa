package stream

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/perezvon/perezvon/internal/media"
)

func TestHeaderIsReadAsOthersWriteIt(t *testing.T) {
	payload := []byte{1, 2, 3, 4, 5}
	for name, p := range map[string]rtp.Packet{
		"plain":     {Header: rtp.Header{Version: 2, PayloadType: 8, SequenceNumber: 65535, Timestamp: 1 << 31, SSRC: 7, Marker: true}},
		"csrc":      {Header: rtp.Header{Version: 2, CSRC: []uint32{1, 2, 3}}},
		"extension": {Header: rtp.Header{Version: 2, Extension: true, ExtensionProfile: 0x1000, CSRC: []uint32{1}}},
		"padding":   {Header: rtp.Header{Version: 2, Padding: true, PaddingSize: 9}, PaddingSize: 9},
	} {
		if name == "extension" {
			if err := p.SetExtension(1, []byte("hello")); err != nil {
				t.Fatal(err)
			}
		}
		p.Payload = payload
		b, err := p.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		h, lo, hi, ok := parseHeader(b)
		want := header{marker: p.Marker, pt: p.PayloadType, seq: p.SequenceNumber, ts: p.Timestamp, ssrc: p.SSRC}
		if !ok || h != want || string(b[lo:hi]) != string(payload) {
			t.Errorf("%s: %+v %q %v, want %+v", name, h, b[lo:hi], ok, want)
		}
		h.put(b[lo-headerLen:])
		var back rtp.Packet
		if err := back.Unmarshal(b[lo-headerLen : hi]); err != nil || string(back.Payload) != string(payload) || back.Timestamp != p.Timestamp {
			t.Errorf("%s: written back as %v, %v", name, back, err)
		}
	}
}

func TestBrokenHeadersAreRefused(t *testing.T) {
	whole := []byte{0x80, 8, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3}
	for name, change := range map[string]func(b []byte) []byte{
		"empty":             func([]byte) []byte { return nil },
		"short":             func(b []byte) []byte { return b[:11] },
		"version 1":         func(b []byte) []byte { b[0] = 0x40; return b },
		"csrc missing":      func(b []byte) []byte { b[0] |= 1; return b },
		"extension missing": func(b []byte) []byte { b[0] |= 0x10; return b },
		"extension too long": func(b []byte) []byte {
			b[0] |= 0x10
			return append(b, 0, 0, 0xff, 0xff)
		},
		"padding of nothing":   func(b []byte) []byte { b[0] |= 0x20; return append(b, 0) },
		"padding over payload": func(b []byte) []byte { b[0] |= 0x20; return append(b, 9) },
	} {
		if _, _, _, ok := parseHeader(change(append([]byte(nil), whole...))); ok {
			t.Errorf("%s is taken for RTP", name)
		}
	}
}

// FuzzReceive throws datagrams at a joined stream from the phone's own address:
// nothing panics, and what goes out is RTP.
func FuzzReceive(f *testing.F) {
	f.Add([]byte{0x80, 8, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xd5})
	f.Add([]byte{0x80, 0x80 | 101, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 5, 0x8a, 0, 160})
	f.Add([]byte{0xb1, 9, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 1})
	sr, err := rtcp.Marshal([]rtcp.Packet{&rtcp.SenderReport{SSRC: 3, Reports: []rtcp.ReceptionReport{{SSRC: 1}}}, rtcp.NewCNAMESourceDescription(3, "x")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sr)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= maxPacket {
			return
		}
		for _, to := range []media.Codec{media.PCMA, media.G722} {
			for _, event := range []uint8{0, 101} {
				l := newLine(media.PCMA, to)
				p := *l.a.params.Load()
				p.EventPT = event
				l.a.Configure(p)
				l.a.o.OnDigit = func(byte, time.Time, string) {}
				l.packet()
				l.a.receive(l.now, l.src, append([]byte(nil), b...))
				l.a.receiveRTCP(l.now, l.src, append([]byte(nil), b...))
				l.packet()
				l.a.report(l.now.Add(time.Minute))
			}
		}
	})
}

func TestLongKeyIsOneKey(t *testing.T) {
	var e eventReceiver
	var got []byte
	h := header{ts: 1000, ssrc: 1}
	packet := func(event byte, end bool, duration uint16) {
		b := make([]byte, eventLen)
		putEvent(b, event, end, duration)
		if key, fresh, ok := e.take(h, b); ok && fresh {
			got = append(got, key)
		}
	}
	for d := range uint16(400) {
		packet(5, false, d*160)
	}
	h.ts += maxEvent // RFC 4733 §2.5.1.3: it goes on as another
	for d := range uint16(100) {
		packet(5, d == 99, d*160)
	}
	h.ts -= maxEvent // a latecomer
	packet(5, false, 400)
	if string(got) != "5" {
		t.Errorf("got %q", got)
	}
	h.ts += 2 * maxEvent
	packet(16, false, 160) // a hook flash is no key
	h.ts += 1600
	packet(5, false, 160)
	h.ts -= staleEvent + 1600 // the phone's clock was set anew
	packet(6, false, 160)
	h.ssrc++
	packet(6, false, 160)
	if string(got) != "5566" {
		t.Errorf("got %q", got)
	}
}

func TestLatecomersFromBeforeASwitchAreLeftOut(t *testing.T) {
	l := newLine(media.PCMA, media.PCMA)
	peer := l.a.route.Load().to
	l.packet()
	l.packet()
	early := append([]byte(nil), l.b...)
	l.h.put(early) // the relay wrote over it
	v := peer.out.relay
	peer.out.setKeys(&voice{}) // somebody else speaks
	l.packet()
	peer.out.setKeys(nil)
	l.packet()
	sent := l.out.sent
	seq := peer.out.seq
	l.a.receive(l.now, l.src, early)
	if l.out.sent != sent || peer.out.seq != seq || peer.out.relay != v {
		t.Error("a packet from before the switch took another's number")
	}
}

func TestSenderReportNamesTheTimeOfTheStream(t *testing.T) {
	at := time.Date(2026, 11, 21, 10, 0, 0, 500_000_000, time.UTC)
	if got := ntp(at); got>>32 != uint64(at.Unix())+2208988800 || uint32(got) != 1<<31 {
		t.Errorf("NTP time %x", got)
	}
	b := make([]byte, eventLen)
	putEvent(b, 5, true, 800)
	if b[0] != 5 || b[1] != 0x8a || binary.BigEndian.Uint16(b[2:]) != 800 {
		t.Errorf("event payload % x", b)
	}
}

func TestLatch(t *testing.T) {
	signalled, other := netip.MustParseAddrPort("10.0.0.2:4000"), netip.MustParseAddrPort("10.0.0.3:4000")
	var l latch
	l.signal(signalled)
	at := func(a netip.AddrPort, ssrc uint32, seq uint16) bool {
		ok, _ := l.admit(a, header{ssrc: ssrc, seq: seq})
		return ok
	}
	if at(other, 1, 10) || at(other, 2, 11) || at(other, 2, 13) {
		t.Error("latched on packets that do not follow each other")
	}
	if !at(other, 2, 14) || !at(other, 9, 99) {
		t.Error("not latched after two in a row")
	}
	if !at(signalled, 3, 1) || at(other, 9, 100) || !at(signalled, 3, 2) {
		t.Error("the signalled address does not go before another")
	}
	if l.signal(signalled) != signalled || l.source != signalled {
		t.Error("the same address opened the latch")
	}
	if l.signal(other) != other || l.source.IsValid() {
		t.Error("a new address did not open the latch")
	}
}
