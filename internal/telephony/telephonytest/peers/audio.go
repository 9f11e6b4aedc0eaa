package peers

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"

	"github.com/perezvon/perezvon/internal/media/g711"
	"github.com/perezvon/perezvon/internal/media/tone"
)

const (
	rate        = 8000 // samples a second of all audio here
	packet      = rate / 50
	eventPT     = 101 // telephone-event in the SDP of sipp's scenarios
	amplitude   = 8000
	hearWindow  = rate / 5 // what Hears looks at: the last 200 ms
	hearEnough  = 0.9      // of tone.Strength
	keyDuration = 5        // packets of one key
	keyPause    = 5        // packets between keys
)

// Audio is the RTP end of a sipp peer, which has no ears of its own: it sends
// A-law with a tone, keeps what it hears and can press keys (RFC 4733).
type Audio struct {
	conn *net.UDPConn
	freq float64
	wg   sync.WaitGroup
	stop chan struct{}

	mu     sync.Mutex
	remote netip.AddrPort // invalid: nothing is sent
	heard  []int16
	events []byte        // keys heard
	lastTS uint32        // of the last key heard
	keys   []byte        // keys to press
	words  []int16       // to be said
	said   chan struct{} // closed when they are; nil: nothing is
	news   chan struct{}
	failed error
}

// openAudio binds a port that the system chooses; the test's end closes it.
func openAudio(t testing.TB, freq float64) *Audio {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: Loopback.AsSlice()})
	if err != nil {
		t.Fatal(err)
	}
	a := &Audio{conn: conn, freq: freq, stop: make(chan struct{}), news: make(chan struct{})}
	a.wg.Go(a.receive)
	a.wg.Go(a.send)
	t.Cleanup(func() {
		close(a.stop)
		_ = conn.Close()
		a.wg.Wait()
	})
	return a
}

func (a *Audio) port() int { return a.conn.LocalAddr().(*net.UDPAddr).Port }

// to directs what is sent; an invalid address ends it.
func (a *Audio) to(remote netip.AddrPort) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.remote = remote
}

// Press sends keys by RFC 4733, 100 ms each with as much pause, in between the
// tone. It does not wait for them.
func (a *Audio) Press(keys string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keys = append(a.keys, keys...)
}

// Say sends samples (at 8 kHz) in place of the tone, from now on, and closes said
// when the last of them is sent. One at a time.
func (a *Audio) Say(samples []int16) (said <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.words, a.said = samples, make(chan struct{})
	return a.said
}

// Heard is all that came, at 8 kHz, in order of arrival without the gaps.
func (a *Audio) Heard() []int16 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]int16(nil), a.heard...)
}

// Digits are the keys that came by RFC 4733.
func (a *Audio) Digits() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return string(a.events)
}

// Hears waits until the last 200 ms of what came are the tone of freq Hz.
func (a *Audio) Hears(ctx context.Context, freq float64) error {
	for {
		a.mu.Lock()
		heard, news, failed := tail(a.heard), a.news, a.failed
		strength := tone.Strength(heard, rate, freq)
		a.mu.Unlock()
		if len(heard) == hearWindow && strength >= hearEnough {
			return nil
		}
		if failed != nil {
			return failed
		}
		select {
		case <-news:
		case <-ctx.Done():
			return notHeard(ctx, freq, heard)
		}
	}
}

func tail(heard []int16) []int16 { return heard[max(0, len(heard)-hearWindow):] }

func notHeard(ctx context.Context, freq float64, heard []int16) error {
	return fmt.Errorf("a tone of %.0f Hz is not heard: its strength is %.2f in the last %d samples: %w",
		freq, tone.Strength(heard, rate, freq), len(heard), context.Cause(ctx))
}

func (a *Audio) receive() {
	buf := make([]byte, 2048)
	for {
		n, _, err := a.conn.ReadFromUDPAddrPort(buf)
		if err != nil && !errors.Is(err, net.ErrClosed) {
			continue // ICMP: the other side has no socket yet, or none any more
		}
		a.mu.Lock()
		if err != nil {
			a.failed = errEnded
		} else {
			a.take(buf[:n])
		}
		close(a.news)
		a.news = make(chan struct{})
		a.mu.Unlock()
		if err != nil {
			return
		}
	}
}

const keyNames = "0123456789*#ABCD" // by event code (RFC 4733 §3.2)

func (a *Audio) take(b []byte) {
	var p rtp.Packet
	if p.Unmarshal(b) != nil {
		return
	}
	switch p.PayloadType {
	case 8:
		a.heard = g711.DecodeALaw(a.heard, p.Payload)
	case 0:
		a.heard = g711.DecodeULaw(a.heard, p.Payload)
	case eventPT:
		const end = 0x80
		if len(p.Payload) >= 4 && p.Payload[1]&end != 0 && p.Timestamp != a.lastTS && int(p.Payload[0]) < len(keyNames) {
			a.lastTS = p.Timestamp
			a.events = append(a.events, keyNames[p.Payload[0]])
		}
	}
}

// send writes a packet every 20 ms. What a busy machine holds up goes out as
// soon as it can, as from a phone behind a jittery network: the sound itself
// has no gap.
func (a *Audio) send() {
	due := time.NewTimer(0)
	defer due.Stop()
	next := time.Now()
	header := rtp.Header{Version: 2, SSRC: uint32(a.port()), SequenceNumber: 1000, Timestamp: 5000}
	var samples [packet]int16
	var key keyPress
	for phase := 0; ; phase += packet {
		select {
		case <-due.C:
		case <-a.stop:
			return
		}
		next = next.Add(20 * time.Millisecond)
		due.Reset(time.Until(next))
		a.mu.Lock()
		remote := a.remote
		if remote.IsValid() && key.left == 0 && len(a.keys) > 0 {
			key = keyPress{code: keyCode(a.keys[0]), at: header.Timestamp, left: keyDuration + keyPause}
			a.keys = a.keys[1:]
		}
		for i := range samples {
			samples[i] = int16(amplitude * math.Sin(2*math.Pi*a.freq*float64(phase+i)/rate))
		}
		if remote.IsValid() {
			a.words = a.words[copy(samples[:], a.words):]
			if len(a.words) == 0 && a.said != nil {
				close(a.said)
				a.said = nil
			}
		}
		a.mu.Unlock()
		if remote.IsValid() {
			p := rtp.Packet{Header: header, Payload: g711.EncodeALaw(nil, samples[:])}
			p.PayloadType = 8
			if key.left > keyPause {
				key.packet(&p)
			}
			if b, err := p.Marshal(); err == nil {
				_, _ = a.conn.WriteToUDPAddrPort(b, remote) // lost like any packet
				for range key.repeats() {
					_, _ = a.conn.WriteToUDPAddrPort(b, remote)
				}
			}
			header.SequenceNumber++
		}
		key.left = max(0, key.left-1)
		header.Timestamp += packet
	}
}

// keyPress is a key on its way: packets of its event, then of the pause.
type keyPress struct {
	code byte
	at   uint32 // RTP timestamp of its beginning, in all its packets
	left int    // packets to go
}

// packet makes p the event's next (RFC 4733 §2.3).
func (k keyPress) packet(p *rtp.Packet) {
	sent := keyDuration + keyPause - k.left
	duration := uint16((sent + 1) * packet)
	flags := byte(10) // volume
	if k.left == keyPause+1 {
		flags |= 0x80
	}
	p.PayloadType, p.Marker, p.Timestamp = eventPT, sent == 0, k.at
	p.Payload = []byte{k.code, flags, byte(duration >> 8), byte(duration)}
}

// repeats is how often the packet goes out again: the last of an event does
// twice (RFC 4733 §2.5.1.4), here as duplicates, as networks make them.
func (k keyPress) repeats() int {
	if k.left == keyPause+1 {
		return 2
	}
	return 0
}

func keyCode(key byte) byte {
	for i := range len(keyNames) {
		if keyNames[i] == key {
			return byte(i)
		}
	}
	return 0
}
