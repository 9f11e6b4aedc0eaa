package stream

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/media"
)

// table is a conference without sockets, one frame at a time.
type table struct {
	c   *conference
	out []*sink
	src netip.AddrPort
	now time.Time
	h   header
	b   []byte
}

func newTable(codecs ...media.Codec) *table {
	t := &table{src: netip.MustParseAddrPort("10.0.0.2:4000"), now: time.Now(), h: header{ssrc: 1}, b: make([]byte, headerLen+frame, maxPacket)}
	for i := range frame {
		t.b[headerLen+i] = byte(i * 7)
	}
	var streams []*Stream
	for _, c := range codecs {
		out := &sink{}
		s := newStream(nil, pair{rtp: out, rtcp: &sink{}}, Options{})
		s.Configure(Params{Codec: c, PT: c.PayloadType(), EventPT: 101, Remote: t.src, Send: true, Receive: true})
		t.out, streams = append(t.out, out), append(streams, s)
	}
	t.c = newConference(streams, joint{})
	for _, p := range t.c.parties {
		p.s.connect(&p.route)
	}
	return t
}

// frame lets every phone send a packet, and mixes them.
func (t *table) frame() {
	t.h.seq++
	t.h.ts += frame
	t.now = t.now.Add(mixStep)
	for _, p := range t.c.parties {
		t.h.pt = p.s.params.Load().PT
		t.h.put(t.b)
		p.s.receive(t.now, t.src, t.b)
	}
	t.c.mix(t.now, t.now.Add(mixStep), true)
}

var tables = [][]media.Codec{
	{media.PCMA, media.PCMA, media.PCMA},
	{media.PCMA, media.PCMU, media.G722},
	{media.PCMA, media.PCMA, media.PCMA, media.PCMA, media.PCMA, media.PCMA},
}

func TestMixDoesNotAllocate(t *testing.T) {
	for _, codecs := range tables {
		x := newTable(codecs...)
		for range 5 { // buffers grow to their size
			x.frame()
		}
		if n := testing.AllocsPerRun(1000, x.frame); n != 0 {
			t.Errorf("%v: %v allocations a frame", codecs, n)
		}
		for i, out := range x.out {
			if out.sent != 1006 {
				t.Errorf("%v: phone %d got %d packets of 1006", codecs, i, out.sent)
			}
		}
	}
}

// BenchmarkMix is what a leg costs for 20 ms of a conference: its packet taken
// in, its frame mixed and sent.
func BenchmarkMix(b *testing.B) {
	for _, codecs := range tables {
		b.Run(fmt.Sprintf("%v", codecs), func(b *testing.B) {
			x := newTable(codecs...)
			b.ReportAllocs()
			for b.Loop() {
				x.frame()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(codecs)), "ns/leg")
		})
	}
}
