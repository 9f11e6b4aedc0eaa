package mediatest

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/codec"
	"github.com/perezvon/perezvon/internal/media/stream"
)

const (
	headerLen = 12
	ptime     = 20 * time.Millisecond
	frame     = media.ClockRate / 50 // ticks and payload bytes in a packet
)

// Phone is the far end of a leg: it sends its own tone, and keeps what it
// hears. It speaks one codec; it is silent until Call.
type Phone struct {
	conn    stream.Conn
	codec   media.Codec
	eventPT uint8
	done    chan struct{}
	wg      sync.WaitGroup

	mu      sync.Mutex
	to      netip.AddrPort
	muted   bool
	ssrc    uint32
	seq     uint16
	ts      uint32
	tone    float64 // Hz, 0 silence
	sample  int     // of the tone
	said    []int16 // sent before the tone goes on
	encoder codec.Encoder
	buf     []byte

	decoder codec.Decoder
	packets []Packet
	heard   []int16
	base    uint32 // timestamp of heard[0]
	begun   bool
}

// Packet is what a phone notes of each RTP packet it gets.
type Packet struct {
	At     time.Time
	Marker bool
	PT     uint8
	Seq    uint16
	TS     uint32
	SSRC   uint32
	// Payload is the packet's, kept for telephone events only.
	Payload []byte
	Size    int // of the payload in bytes
}

// EventPT is the payload type of telephone-event that phones use.
const EventPT = 101

// NewPhone makes a phone at ip that will send a tone of freq Hz (0: silence).
// It is closed at the end of the test.
func NewPhone(t testing.TB, n stream.Net, ip netip.Addr, c media.Codec, freq float64) *Phone {
	t.Helper()
	conn, err := n.ListenUDP(netip.AddrPortFrom(ip, 0))
	if err != nil {
		t.Fatalf("phone: %v", err)
	}
	p := &Phone{
		conn:    conn,
		codec:   c,
		eventPT: EventPT,
		done:    make(chan struct{}),
		ssrc:    rand.Uint32(),
		seq:     uint16(rand.Uint32()),
		ts:      rand.Uint32(),
		tone:    freq,
		encoder: codec.NewEncoder(c),
		decoder: codec.NewDecoder(c),
	}
	p.wg.Go(p.listen)
	p.wg.Go(p.talk)
	t.Cleanup(p.Close)
	return p
}

// Close ends the phone.
func (p *Phone) Close() {
	p.mu.Lock()
	closed := p.conn == nil
	conn := p.conn
	p.conn = nil
	p.mu.Unlock()
	if closed {
		return
	}
	close(p.done)
	_ = conn.Close()
	p.wg.Wait()
}

// Addr is where the phone wants its RTP.
func (p *Phone) Addr() netip.AddrPort {
	p.mu.Lock()
	defer p.mu.Unlock()
	return addrOf(p.conn)
}

// Params are what a server agrees on with this phone.
func (p *Phone) Params() stream.Params {
	return stream.Params{
		Codec:   p.codec,
		PT:      p.codec.PayloadType(),
		EventPT: p.eventPT,
		Remote:  p.Addr(),
		Send:    true,
		Receive: true,
	}
}

// Call lets the phone send its tone to an address from now on.
func (p *Phone) Call(to netip.AddrPort) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.to = to
}

// Say lets the phone send samples, at the codec's SampleRate, instead of its
// tone, which goes on afterwards: keys pressed on a phone that sends them as
// sound, for one.
func (p *Phone) Say(samples []int16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said = append(p.said, samples...)
}

// Mute stops and resumes the sending of packets, as a pause in discontinuous
// transmission: time passes.
func (p *Phone) Mute(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.muted = on
}

// Restart lets the phone go on as another source: new SSRC, sequence numbers
// and timestamps.
func (p *Phone) Restart() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ssrc, p.seq, p.ts = rand.Uint32(), uint16(rand.Uint32()), rand.Uint32()
}

// talk sends a packet every 20 ms. What a busy machine made it miss it sends
// late, as a phone's own clock does not stop.
func (p *Phone) talk() {
	ticker := time.NewTicker(ptime)
	defer ticker.Stop()
	due := time.Now()
	for {
		p.mu.Lock()
		for ; !due.After(time.Now()); due = due.Add(ptime) {
			if p.to.IsValid() && !p.muted && p.conn != nil {
				p.sendTone()
			}
			p.ts += frame
		}
		p.mu.Unlock()
		select {
		case <-ticker.C:
		case <-p.done:
			return
		}
	}
}

func (p *Phone) sendTone() {
	rate := p.codec.SampleRate()
	samples := make([]int16, rate/50)
	if p.tone > 0 {
		for i := range samples {
			samples[i] = int16(8000 * math.Sin(2*math.Pi*p.tone*float64(p.sample+i)/float64(rate)))
		}
	}
	p.sample += len(samples)
	p.said = p.said[copy(samples, p.said):]
	p.buf = p.encoder.Encode(p.buf[:0], samples)
	p.send(false, p.codec.PayloadType(), p.ts, p.buf)
}

func (p *Phone) send(marker bool, pt uint8, ts uint32, payload []byte) {
	b := make([]byte, headerLen, headerLen+len(payload))
	b[0], b[1] = 0x80, pt
	if marker {
		b[1] |= 0x80
	}
	binary.BigEndian.PutUint16(b[2:], p.seq)
	binary.BigEndian.PutUint32(b[4:], ts)
	binary.BigEndian.PutUint32(b[8:], p.ssrc)
	p.seq++
	// A phone does not know whether its packets arrive.
	_, _ = p.conn.WriteToUDPAddrPort(append(b, payload...), p.to)
}

// Press sends a key as a telephone event of 100 ms: five packets, then three
// with the end bit, 20 ms apart, instead of the tone. lose tells which of the
// eight, counted from 0, get lost on the way; nil: none.
func (p *Phone) Press(key byte, lose func(n int) bool) {
	event := byte(strings.IndexByte("0123456789*#ABCD", key))
	p.mu.Lock()
	was := p.muted
	p.muted = true
	ts := p.ts
	p.mu.Unlock()
	for n := range 8 {
		payload := []byte{event, 10, 0, 0}
		if n >= 5 {
			payload[1] |= 0x80
		}
		binary.BigEndian.PutUint16(payload[2:], uint16(min(n+1, 5)*frame))
		p.mu.Lock()
		if lose != nil && lose(n) {
			p.seq++
		} else if p.conn != nil {
			p.send(n == 0, p.eventPT, ts, payload)
		}
		p.mu.Unlock()
		time.Sleep(ptime)
	}
	p.mu.Lock()
	p.muted = was
	p.mu.Unlock()
}

// SendPayload sends one packet of any payload type with the time of now.
func (p *Phone) SendPayload(pt uint8, payload []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != nil {
		p.send(false, pt, p.ts, payload)
	}
}

// listen keeps what comes.
func (p *Phone) listen() {
	b := make([]byte, 2048)
	for {
		p.mu.Lock()
		conn := p.conn
		p.mu.Unlock()
		if conn == nil {
			return
		}
		n, _, err := conn.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		p.hear(time.Now(), b[:n])
	}
}

func (p *Phone) hear(now time.Time, b []byte) {
	if len(b) < headerLen || b[0] != 0x80 || b[1] >= 192 && b[1] <= 223 {
		return
	}
	k := Packet{
		At:     now,
		Marker: b[1]&0x80 != 0,
		PT:     b[1] & 0x7f,
		Seq:    binary.BigEndian.Uint16(b[2:]),
		TS:     binary.BigEndian.Uint32(b[4:]),
		SSRC:   binary.BigEndian.Uint32(b[8:]),
		Size:   len(b) - headerLen,
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch k.PT {
	case p.eventPT:
		k.Payload = append([]byte(nil), b[headerLen:]...)
	case p.codec.PayloadType():
		p.keep(k.TS, b[headerLen:])
	}
	p.packets = append(p.packets, k)
}

// maxHeard is the longest time a phone remembers, in ticks.
const maxHeard = 2 * 60 * 60 * media.ClockRate

// keep puts sound where its timestamp says.
func (p *Phone) keep(ts uint32, payload []byte) {
	if !p.begun {
		p.begun, p.base = true, ts
	}
	off := int(int32(ts - p.base))
	if off < 0 || off > maxHeard {
		return
	}
	per := p.codec.SampleRate() / media.ClockRate
	samples := p.decoder.Decode(nil, payload)
	if need := off*per + len(samples); need > len(p.heard) {
		p.heard = append(p.heard, make([]int16, need-len(p.heard))...)
	}
	copy(p.heard[off*per:], samples)
}

// Forget empties what the phone has heard and noted.
func (p *Phone) Forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.packets, p.heard, p.begun = nil, nil, false
}

// Heard is the sound since Forget, at the codec's SampleRate, each packet at
// its timestamp; what did not come is silence.
func (p *Phone) Heard() []int16 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]int16(nil), p.heard...)
}

// Rate is of Heard, in samples a second.
func (p *Phone) Rate() int { return p.codec.SampleRate() }

// Packets are the RTP packets since Forget, in the order they came.
func (p *Phone) Packets() []Packet {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Packet(nil), p.packets...)
}

// Keys are the keys that came as telephone events since Forget, one for each
// timestamp.
func (p *Phone) Keys() string {
	var keys []byte
	var last uint32
	for _, k := range p.Packets() {
		if k.PT != p.eventPT || len(k.Payload) < 4 || k.Payload[0] > 15 || len(keys) > 0 && k.TS == last {
			continue
		}
		keys, last = append(keys, "0123456789*#ABCD"[k.Payload[0]]), k.TS
	}
	return string(keys)
}
