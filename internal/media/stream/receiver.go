package stream

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/perezvon/perezvon/internal/media"
)

// maxPacket is the size of the buffer a socket is read into. What fills it was
// cut off and is dropped.
const maxPacket = 2048

// receiver is what is known of the stream that a phone sends.
type receiver struct {
	mu    sync.Mutex
	latch latch

	begun   bool
	ssrc    uint32
	baseSeq uint32 // of the present source
	maxSeq  uint32 // newest, with the cycles above the 16 bits
	got     uint32 // packets of the present source

	lostBefore int64  // of former sources
	jitter     uint32 // in 1/16 ticks (RFC 3550 §A.8)
	transit    uint32

	packets, bytes                      uint64
	refused, malformed, early, unwanted uint64

	rtcp reports
}

// readRTP is the goroutine of the RTP socket.
func (s *Stream) readRTP() { s.read(s.pair.rtp, s.receive) }

// readRTCP is the goroutine of the RTCP socket.
func (s *Stream) readRTCP() { s.read(s.pair.rtcp, s.receiveRTCP) }

func (s *Stream) read(c Conn, take func(now time.Time, from netip.AddrPort, b []byte)) {
	b := make([]byte, maxPacket)
	failed := 0
	for {
		n, from, err := c.ReadFromUDPAddrPort(b)
		if err != nil {
			failed++
			if errors.Is(err, net.ErrClosed) || failed > 100 {
				if !s.closed() {
					s.o.Logger.Error("media socket failed", "port", s.pair.port, "error", err)
				}
				return
			}
			continue
		}
		failed = 0
		if n == len(b) {
			continue
		}
		take(time.Now(), netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), b[:n])
	}
}

func (s *Stream) closed() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// receive takes one datagram of the RTP socket: a packet in is a packet out.
// Hot path.
func (s *Stream) receive(now time.Time, from netip.AddrPort, b []byte) {
	if isRTCP(b) {
		s.receiveRTCP(now, from, b)
		return
	}
	h, lo, hi, ok := parseHeader(b)
	p, codec, k := s.admit(now, from, h, hi-lo, ok)
	if k == refused {
		return
	}
	s.hear(now)
	r := s.route.Load()
	if k == other {
		if r != nil {
			r.skip(h)
		}
		return
	}
	if !s.sounding {
		s.sounding = true
		if s.o.OnFirstPacket != nil {
			s.o.OnFirstPacket()
		}
	}
	if !p.Receive {
		return
	}
	if k == event {
		key, fresh, ok := s.events.take(h, b[lo:hi])
		if !ok {
			return
		}
		if fresh && s.o.OnDigit != nil {
			s.o.OnDigit(key, now, MethodRFC4733)
		}
		if r != nil {
			r.forwardEvent(now, h, key, fresh, b[lo-headerLen:hi])
		}
		return
	}
	if t := s.track.Load(); t != nil {
		t.Packet(now, codec, h.ssrc, h.ts, b[lo:hi])
	}
	if t := s.tap.Load(); t != nil {
		t.Packet(now, codec, h.ssrc, h.ts, b[lo:hi])
	}
	if p.EventPT == 0 && s.o.OnDigit != nil {
		s.inband.take(s, now, codec, b[lo:hi])
	}
	if r != nil {
		r.forward(now, h, codec, b[lo-headerLen:hi])
	}
}

// kind is what a packet turned out to be.
type kind uint8

const (
	refused kind = iota // not the phone's, or not RTP
	sound               // payload of a codec
	event               // a telephone-event
	other               // the phone's, but no payload type we know: comfort noise (RFC 3389), mostly
)

// admit decides what a packet is, and counts it in any case. p and codec are
// meant for sound and events.
func (s *Stream) admit(now time.Time, from netip.AddrPort, h header, size int, valid bool) (p *Params, codec media.Codec, k kind) {
	in := &s.in
	in.mu.Lock()
	defer in.mu.Unlock()
	p = s.params.Load()
	switch {
	case p == nil:
		in.early++
		return nil, 0, refused
	case !valid:
		in.malformed++
		return nil, 0, refused
	}
	k, codec = sound, p.codec(h.pt)
	switch {
	case p.EventPT != 0 && h.pt == p.EventPT:
		k = event
	case codec == media.NoCodec:
		in.unwanted++
		if from != in.latch.source {
			return nil, 0, refused // it proves nothing of its sender
		}
		in.count(now, h, size, false)
		return p, codec, other
	}
	ok, shut := in.latch.admit(from, h)
	if !ok {
		in.refused++
		return nil, 0, refused
	}
	if shut {
		s.out.redirect(from)
		if from != in.latch.signalled {
			s.o.Logger.Info("media comes from another address than signalled", "signalled", in.latch.signalled, "source", from)
		}
	}
	in.count(now, h, size, k == sound)
	return p, codec, k
}

// codec is what payload type pt means: the codec agreed on, or another whose
// static type the phone switched to without a word.
func (p *Params) codec(pt uint8) media.Codec {
	if pt == p.PT {
		return p.Codec
	}
	switch pt {
	case 0:
		return media.PCMU
	case 8:
		return media.PCMA
	case 9:
		return media.G722
	}
	return media.NoCodec
}

// count keeps the statistics of RFC 3550 §A.1, §A.3, §A.8. timed tells that the
// timestamp moves with the clock: that of an event stands still.
func (in *receiver) count(now time.Time, h header, size int, timed bool) {
	in.packets++
	in.bytes += uint64(size)
	d := int16(h.seq - uint16(in.maxSeq))
	if !in.begun || h.ssrc != in.ssrc || d > maxDropout || d < -maxMisorder {
		in.lostBefore += in.lost()
		in.begun = true
		in.ssrc = h.ssrc
		in.baseSeq = uint32(h.seq)
		in.maxSeq = in.baseSeq
		in.got = 1
		in.transit = 0
		in.rtcp.lastLost, in.rtcp.lastExpected = 0, 0
	} else {
		in.got++
		if d > 0 {
			in.maxSeq += uint32(d)
		}
	}
	if !timed {
		return
	}
	transit := uint32(now.UnixMicro()*media.ClockRate/1e6) - h.ts
	if in.transit != 0 {
		d := int32(transit - in.transit)
		if d < 0 {
			d = -d
		}
		if d < maxLeap { // a new timeline is not jitter
			in.jitter += uint32(d) - (in.jitter+8)>>4
		}
	}
	in.transit = transit
}

// expected is how many packets the present source has sent.
func (in *receiver) expected() uint32 {
	if !in.begun {
		return 0
	}
	return in.maxSeq - in.baseSeq + 1
}

// lost is how many of them did not come; duplicates are not counted against it.
func (in *receiver) lost() int64 { return max(int64(in.expected())-int64(in.got), 0) }
