package recording

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"iter"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/media/codec"
	"github.com/perezvon/perezvon/internal/media/g711"
	"github.com/perezvon/perezvon/internal/media/tone"
)

// phone sends a second's sound over and over, in packets of 20 ms, on a clock
// of its own and over a network of its own.
type phone struct {
	codec   media.Codec
	ssrc    uint32
	first   uint32        // timestamp
	ppm     float64       // the clock runs slow by
	sound   []byte        // payload, repeated
	loss    float64       // share of packets
	stalls  time.Duration // every ten seconds nothing comes for so long, then all at once
	swaps   float64       // share of packets that come after the next one
	renewed time.Duration // when it takes a new SSRC and timestamps; 0 never
}

type packet struct {
	sent, at  time.Duration // at is of the arrival
	ssrc      uint32
	timestamp uint32
	payload   []byte
}

// packets are what comes from the phone between two moments, in the order of
// arrival.
func (p phone) packets(from, to time.Duration) iter.Seq[packet] {
	random := rand.New(rand.NewPCG(uint64(p.ssrc), 7))
	return func(yield func(packet) bool) {
		var held *packet
		ssrc, first := p.ssrc, p.first
		for n := 0; ; n++ {
			ticks := n * 160
			sent := from + time.Duration(float64(ticks)/8000*(1+p.ppm/1e6)*1e9)
			if sent >= to {
				return
			}
			if p.renewed > 0 && sent >= p.renewed {
				ssrc, first = p.ssrc+1, p.first*3+12345
			}
			if random.Float64() < p.loss {
				continue
			}
			came := sent + time.Duration(random.IntN(8))*time.Millisecond
			if p.stalls > 0 {
				came = max(came, sent.Truncate(10*time.Second)+p.stalls)
			}
			begin := ticks % len(p.sound)
			next := packet{sent, came, ssrc, first + uint32(ticks), p.sound[begin : begin+160]}
			if held == nil && random.Float64() < p.swaps {
				held = &next
				continue
			}
			if !yield(next) {
				return
			}
			if held != nil {
				held.at = came
				if !yield(*held) {
					return
				}
				held = nil
			}
		}
	}
}

func (p phone) speak(t media.Track, zero time.Time, from, to time.Duration) {
	for k := range p.packets(from, to) {
		t.Packet(zero.Add(k.at), p.codec, k.ssrc, k.timestamp, k.payload)
	}
}

// humming is a second of a tone as payload.
func humming(c media.Codec, freq, amplitude float64) []byte {
	n := c.SampleRate()
	s := tone.Sine(freq, time.Second, n, amplitude).Samples
	// No fade: it is repeated.
	return codec.NewEncoder(c).Encode(nil, s)
}

// atRest runs a test in virtual time, which stands still while it works: a tape
// is exactly as long as began says, however slow the machine is.
func atRest(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// began is a zero for tapes whose Close is d after it, and what the work takes:
// nothing, atRest.
func began(d time.Duration) time.Time { return time.Now().Add(-d) }

// stereo is a rendered file.
type stereo struct {
	rate        int
	left, right []int16
}

func load(t *testing.T, file string) stereo {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(b, []byte("RIFF")) || binary.LittleEndian.Uint16(b[20:]) != 6 || binary.LittleEndian.Uint16(b[22:]) != 2 {
		t.Fatalf("not a stereo A-law file: % x", b[:min(len(b), 58)])
	}
	s := stereo{rate: int(binary.LittleEndian.Uint32(b[24:]))}
	sound := b[58:]
	if size := binary.LittleEndian.Uint32(b[54:]); int(size) != len(sound) {
		t.Fatalf("the header says %d bytes of %d", size, len(sound))
	}
	both := g711.DecodeALaw(make([]int16, 0, len(sound)), sound)
	for i := 0; i+1 < len(both); i += 2 {
		s.left, s.right = append(s.left, both[i]), append(s.right, both[i+1])
	}
	return s
}

// part is the sound of a channel between two moments.
func (s stereo) part(side Side, from, to time.Duration) []int16 {
	all := s.left
	if side == Right {
		all = s.right
	}
	at := func(d time.Duration) int { return min(len(all), int(d*time.Duration(s.rate)/time.Second)) }
	return all[at(from):at(to)]
}

func (s stereo) duration() time.Duration {
	return time.Duration(len(s.left)) * time.Second / time.Duration(s.rate)
}

// hears fails unless the tone has at least that share of the part.
func (s stereo) hears(t *testing.T, side Side, from, to time.Duration, freq, share float64) {
	t.Helper()
	if got := tone.Strength(s.part(side, from, to), s.rate, freq); got < share {
		t.Errorf("channel %d from %v to %v: %v Hz has %.2f, want %.2f", side, from, to, freq, got, share)
	}
}

// silent fails unless there is nothing.
func (s stereo) silent(t *testing.T, side Side, from, to time.Duration) {
	t.Helper()
	part := s.part(side, from, to)
	if i := slices.IndexFunc(part, func(x int16) bool { return x > 100 || x < -100 }); i >= 0 {
		t.Errorf("channel %d from %v to %v is not silent: %d at %v", side, from, to, part[i],
			from+time.Duration(i)*time.Second/time.Duration(s.rate))
	}
}

// loudest is the moment of the largest sample on the left between two moments
// of a file of 8 kHz. It reads only there.
func loudest(t *testing.T, file string, from, to time.Duration) time.Duration {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const frame, header = 2, 58
	frames := make([]byte, frame*toTicks(to-from))
	if _, err := f.ReadAt(frames, header+frame*toTicks(from)); err != nil {
		t.Fatal(err)
	}
	best, at := 0, 0
	for i, x := range g711.DecodeALaw(nil, frames) {
		if m := max(int(x), -int(x)); i%frame == 0 && m > best {
			best, at = m, i/frame
		}
	}
	return from + fromTicks(int64(at))
}

var errNoClip = errors.New("no such clip")

// clips is a Clips of what it holds.
type clips map[string]*audio.Clip

func (c clips) Clip(_ context.Context, key string) (*audio.Clip, error) {
	if clip, ok := c[key]; ok {
		return clip, nil
	}
	return nil, errNoClip
}

func create(t testing.TB) (*Tape, string) {
	t.Helper()
	dir := t.TempDir() + "/call"
	tape, err := Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tape.Close() }) // a test that has not closed it has its reasons
	return tape, dir
}

func render(t *testing.T, dir string, c clips) (Result, stereo) {
	t.Helper()
	res, err := Render(t.Context(), dir, c)
	if err != nil {
		t.Fatal(err)
	}
	return res, load(t, res.File)
}
