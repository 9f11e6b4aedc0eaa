package mediatest_test

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/mediatest"
	"github.com/perezvon/perezvon/internal/media/tone"
)

var ip = netip.MustParseAddr("10.0.0.1")

func listen(t *testing.T, n *mediatest.Network) *mediatest.Conn {
	t.Helper()
	c, err := n.Listen(netip.AddrPortFrom(ip, 0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// through sends a thousand numbers, one each 20 ms, and tells in which order
// and after which time they came.
func through(t *testing.T, l mediatest.Link) (order []int, took []time.Duration) {
	t.Helper()
	n := mediatest.NewNetwork()
	a, b := listen(t, n), listen(t, n)
	n.SetLink(l)
	start := time.Now()
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 8)
		for {
			if _, _, err := b.ReadFromUDPAddrPort(buf); err != nil {
				return
			}
			i := int(binary.BigEndian.Uint16(buf))
			order = append(order, i)
			took = append(took, time.Since(start)-time.Duration(i)*20*time.Millisecond)
		}
	}()
	for i := range 1000 {
		_, _ = a.WriteToUDPAddrPort(binary.BigEndian.AppendUint16(nil, uint16(i)), b.AddrPort())
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(time.Second)
	_ = b.Close()
	<-done
	return order, took
}

func late(order []int) (n int) {
	newest := -1
	for _, i := range order {
		if i < newest {
			n++
		}
		newest = max(newest, i)
	}
	return n
}

func TestLinkDoesWhatItSays(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name                    string
		link                    mediatest.Link
		minGot, maxGot, maxLate int
		minLate                 int
		from, to                time.Duration
	}{
		{name: "perfect", minGot: 1000, maxGot: 1000},
		{name: "delay", link: mediatest.Link{Delay: 40 * ms}, minGot: 1000, maxGot: 1000, from: 40 * ms, to: 40 * ms},
		{name: "jitter keeps the order", link: mediatest.Link{Delay: 40 * ms, Jitter: 100 * ms}, minGot: 1000, maxGot: 1000, from: 40 * ms, to: 140 * ms},
		{name: "loss", link: mediatest.Link{Loss: 0.1}, minGot: 850, maxGot: 950},
		{name: "reordering", link: mediatest.Link{Reorder: 0.1, ReorderBy: 30 * ms}, minGot: 1000, maxGot: 1000, minLate: 50, maxLate: 150, to: 30 * ms},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				order, took := through(t, c.link)
				if len(order) < c.minGot || len(order) > c.maxGot {
					t.Errorf("%d arrived", len(order))
				}
				if n := late(order); n < c.minLate || n > c.maxLate {
					t.Errorf("%d out of order", n)
				}
				for i, d := range took {
					if d < c.from || d > c.to {
						t.Fatalf("number %d took %v", order[i], d)
					}
				}
			})
		})
	}
}

func TestConnIsAPacketConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := mediatest.NewNetwork()
		a, b := listen(t, n), listen(t, n)
		if _, err := n.Listen(a.AddrPort()); err == nil {
			t.Error("a port was given twice")
		}
		if _, err := a.WriteTo([]byte("hello"), b.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 10)
		if k, from, err := b.ReadFrom(buf); err != nil || string(buf[:k]) != "hello" || from.String() != a.LocalAddr().String() {
			t.Errorf("read %q from %v, %v", buf[:k], from, err)
		}
		start := time.Now()
		_ = b.SetReadDeadline(start.Add(time.Second))
		if _, _, err := b.ReadFrom(buf); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		_ = b.SetReadDeadline(time.Time{})
		time.AfterFunc(time.Second, func() { _ = b.Close() })
		if _, _, err := b.ReadFrom(buf); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if _, err := b.WriteTo(nil, a.LocalAddr()); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if _, err := n.Listen(b.AddrPort()); err != nil {
			t.Errorf("a closed port cannot be had again: %v", err)
		}
	})
}

func TestPhonesHearEachOther(t *testing.T) {
	for _, c := range []media.Codec{media.PCMA, media.PCMU, media.G722} {
		t.Run(c.Name(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := mediatest.NewNetwork()
				a := mediatest.NewPhone(t, n, ip, c, 440)
				b := mediatest.NewPhone(t, n, ip, c, 1000)
				a.Call(b.Addr())
				mediatest.Hears(t, b, 440)
				mediatest.HearsNothing(t, a)
				b.Call(a.Addr())
				mediatest.Hears(t, a, 1000)
				b.Forget()
				a.Press('5', nil)
				a.Press('#', func(n int) bool { return n != 4 })
				if got := b.Keys(); got != "5#" {
					t.Errorf("got keys %q", got)
				}
			})
		})
	}
}

func TestMeters(t *testing.T) {
	clip := tone.Sine(440, time.Second, 8000, 16384)
	if l := mediatest.Level(clip.Samples); l < -9.5 || l > -8.5 {
		t.Errorf("half of full scale is %.1f dB, want -9", l)
	}
	if l := mediatest.Level(make([]int16, 100)); l != -120 {
		t.Errorf("silence is %.1f dB", l)
	}
	clear(clip.Samples[4000:4400])
	gaps := mediatest.Gaps(clip.Samples, 8000, 40*time.Millisecond)
	if len(gaps) != 1 || gaps[0].At.Round(time.Millisecond) != 500*time.Millisecond || gaps[0].Length.Round(time.Millisecond) != 50*time.Millisecond {
		t.Errorf("gaps %v, want 50 ms at 500 ms", gaps)
	}
}
