package sipengine

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"
)

func TestOnlyWhatLooksLikeSIPIsRead(t *testing.T) {
	for _, tt := range []struct {
		datagram string
		want     bool
	}{
		{"INVITE sip:1@10.0.0.1 SIP/2.0\r\nVia: x\r\n\r\n", true},
		{"SIP/2.0 200 OK\r\n\r\n", true},
		{"SIP/2.0 200 \r\n\r\n", true},
		{"OPTIONS tel:+7 SIP/2.0\r\n", true},
		{"\r\n\r\n", false},
		{"", false},
		{"\x00\x01\x00\x00\x21\x12\xa4\x42", false}, // STUN
		{"GET / HTTP/1.1\r\n\r\n", false},
		{"INVITE sip:1@10.0.0.1 SIP/2.0", false},
		{"invite sip:1@10.0.0.1 SIP/2.0\r\n", false},
		{"INVITE  SIP/2.0\r\n", false},
		{"SIP/2.0 999 No\r\n", false},
		{"SIP/2.0 20\r\n", false},
	} {
		if got := looksLikeSIP([]byte(tt.datagram)); got != tt.want {
			t.Errorf("%q: %v, want %v", tt.datagram, got, tt.want)
		}
	}
}

func FuzzFilter(f *testing.F) {
	for _, s := range []string{
		"INVITE sip:1@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK1\r\nContent-Length: 0\r\n\r\n",
		"SIP/2.0 200 OK\r\n\r\n", "\r\n", "A B C\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if !looksLikeSIP(b) {
			// What is dropped must not be a well-formed message of a known method.
			m, err := sip.ParseMessage(b)
			if req, ok := m.(*sip.Request); ok && err == nil && req.SipVersion == "SIP/2.0" &&
				bytes.HasPrefix(b, []byte("INVITE sip:")) && req.Recipient.Host != "" {
				t.Errorf("dropped %q", b)
			}
			return
		}
		line, _, _ := bytes.Cut(b, []byte("\r\n"))
		if !bytes.HasPrefix(line, sipVersion) && !bytes.HasSuffix(line, sipVersion) {
			t.Errorf("let through %q", line)
		}
	})
}

func TestASourceThatSendsTooMuchIsCutOffUnlessItIsATrunk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		carrier, phone := netip.MustParseAddrPort("10.0.0.2:5060"), netip.MustParseAddrPort("10.0.0.3:5060")
		f := newFilter(func(a netip.AddrPort) bool { return a == carrier }, func(netip.Addr) bool { return true })
		ping := []byte("OPTIONS sip:x SIP/2.0\r\n\r\n")
		count := func(from netip.AddrPort) (n int) {
			for range 2000 {
				if f.pass(from, ping) {
					n++
				}
			}
			return n
		}
		if n := count(carrier); n != 2000 {
			t.Errorf("a trunk's messages: %d of 2000", n)
		}
		if n := count(phone); n != sourceBurst {
			t.Errorf("a phone's messages: %d of 2000, want %d", n, sourceBurst)
		}
		time.Sleep(time.Second)
		if n := count(phone); n != sourceRate {
			t.Errorf("a second later: %d, want %d", n, sourceRate)
		}
	})
}

func TestTheSocketForgetsStrangersAndCallsGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		far := w.carrier(0)
		done := w.dial(t.Context())
		s := far.answers()
		l := succeeded(t, done)
		conn, err := w.network.Listen(netipAddrPort("10.7.0.1:5060"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		pool := w.engine.transport.Pool("udp")
		most := 0
		// Strangers with a well-formed start and nothing behind it, from more
		// addresses than one generation remembers.
		for n := range 2*sourcesMax + 100 {
			from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 8, byte(n >> 8), byte(n)}), uint16(1024+n))
			c, err := w.network.Listen(from)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.WriteTo([]byte("OPTIONS sip:x SIP/2.0\r\n\r\n"), net.UDPAddrFromAddrPort(engineAddr)); err != nil {
				t.Fatal(err)
			}
			_ = c.Close()
			if n%512 == 0 {
				time.Sleep(linger)
				synctest.Wait()
				most = max(most, pool.Size())
			}
		}
		time.Sleep(linger)
		synctest.Wait()
		if most > sourcesMax+512+10 || pool.Size() > sourcesMax/2 {
			t.Errorf("the socket remembers up to %d addresses and %d now, want at most %d", most, pool.Size(), sourcesMax)
		}
		s.bye("")
		<-l.Context().Done()
	})
}

func TestAGateThatIsFullGivesWayToAnother(t *testing.T) {
	f := newFilter(func(netip.AddrPort) bool { return false }, func(netip.Addr) bool { return true })
	for n := range sourcesMax {
		f.pass(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 8, byte(n >> 8), byte(n)}), 5060), []byte("OPTIONS sip:x SIP/2.0\r\n\r\n"))
	}
	renewed := 0
	g := newGate(nil, f, func() { renewed++ })
	if _, _, err := g.ReadFrom(nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a full gate reads: %v", err)
	}
	if renewed != 1 {
		t.Errorf("renewed %d times", renewed)
	}
}
