package recording

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/media/tone"
)

const second = time.Second

func TestClientIsLeftOthersAreRight(t *testing.T) {
	atRest(t, func(t *testing.T) {
		tape, dir := create(t)
		zero := began(10 * second)
		tape.Start(zero)
		phone{codec: media.PCMA, ssrc: 1, sound: humming(media.PCMA, 500, 8000)}.speak(tape.Track("c1", Left), zero, 0, 6*second)
		phone{codec: media.PCMU, ssrc: 2, sound: humming(media.PCMU, 900, 8000)}.speak(tape.Track("m1", Right), zero, 3*second, 9*second)
		if err := tape.Close(); err != nil {
			t.Fatal(err)
		}
		res, s := render(t, dir, nil)
		if s.rate != 8000 || res.Duration != 10*second || s.duration() != res.Duration {
			t.Errorf("%d Hz, %v, file %v", s.rate, res.Duration, s.duration())
		}
		s.hears(t, Left, 100*time.Millisecond, 5900*time.Millisecond, 500, 0.95)
		s.silent(t, Left, 6100*time.Millisecond, 10*second)
		s.silent(t, Right, 0, 2900*time.Millisecond)
		s.hears(t, Right, 3100*time.Millisecond, 8900*time.Millisecond, 900, 0.95)
	})
}

// A click sent at wall time t is found at t ± 20 ms at the end of an hour.
func TestClickAtTheEndOfAnHourIsFoundWhereItWasSent(t *testing.T) {
	const length = time.Hour
	click := bytes.Repeat([]byte{0xd5}, 160)
	for i := range 8 {
		click[i] = 0xaa ^ byte(i%2<<7) // as loud as it gets
	}
	quiet := bytes.Repeat([]byte{0xd5}, 160)
	for name, p := range map[string]phone{
		"1 % loss":        {loss: 0.01},
		"all of it":       {loss: 0.01, stalls: 300 * time.Millisecond, swaps: 0.01, ppm: 50, renewed: 40 * time.Minute},
		"all of it, fast": {loss: 0.01, stalls: 300 * time.Millisecond, swaps: 0.01, ppm: -50, renewed: 40 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tape, dir := create(t)
			zero := began(length)
			tape.Start(zero)
			track := tape.Track("c1", Left)
			p.codec, p.ssrc, p.first, p.sound = media.PCMA, 10, 4000000000, quiet
			var clicks []time.Duration
			next := 10*time.Minute + 3*second
			for k := range p.packets(0, length) {
				if k.sent >= next {
					k.payload = click
					clicks = append(clicks, k.sent)
					next += 10*time.Minute - 1300*time.Millisecond // the last one four seconds from the end
				}
				track.Packet(zero.Add(k.at), p.codec, k.ssrc, k.timestamp, k.payload)
			}
			if err := tape.Close(); err != nil {
				t.Fatal(err)
			}
			if len(clicks) != 6 {
				t.Fatalf("%d clicks", len(clicks))
			}
			res, err := Render(t.Context(), dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, at := range clicks {
				found := loudest(t, res.File, at-2*second, at+2*second)
				if off := found - at; off > 20*time.Millisecond || off < -20*time.Millisecond {
					t.Errorf("click at %v is found at %v: %v off", at, found, off)
				}
			}
		})
	}
}

func TestALongCallIsRenderedInLittleMemory(t *testing.T) {
	const length = 6 * time.Minute // 11 MB
	tape, dir := create(t)
	zero := began(length)
	tape.Start(zero)
	phone{codec: media.PCMA, ssrc: 1, sound: humming(media.PCMA, 500, 8000)}.speak(tape.Track("c1", Left), zero, 0, length)
	phone{codec: media.G722, ssrc: 2, sound: humming(media.G722, 900, 8000)}.speak(tape.Track("m1", Right), zero, 0, 10*second)
	if err := tape.Close(); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	res, err := Render(t.Context(), dir, nil)
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 2<<20 {
		t.Errorf("%d KB were allocated", used>>10)
	}
	if info, err := os.Stat(res.Peaks); err != nil || info.Size() > 200<<10 {
		t.Errorf("peaks of %d bytes, %v", info.Size(), err)
	}
}

func TestWideBandLegMakesA16kHzFile(t *testing.T) {
	tape, dir := create(t)
	zero := began(4 * second)
	tape.Start(zero)
	phone{codec: media.PCMA, ssrc: 1, sound: humming(media.PCMA, 500, 8000)}.speak(tape.Track("c1", Left), zero, 0, 4*second)
	m := tape.Track("m1", Right)
	phone{codec: media.G722, ssrc: 2, sound: humming(media.G722, 5000, 8000)}.speak(m, zero, 0, 2*second)
	phone{codec: media.PCMU, ssrc: 2, sound: humming(media.PCMU, 900, 8000)}.speak(m, zero, 2*second, 4*second)
	tape.Close()
	_, s := render(t, dir, nil)
	if s.rate != 16000 {
		t.Fatalf("%d Hz", s.rate)
	}
	s.hears(t, Left, 100*time.Millisecond, 3900*time.Millisecond, 500, 0.95)
	s.hears(t, Right, 100*time.Millisecond, 1900*time.Millisecond, 5000, 0.9)
	s.hears(t, Right, 2100*time.Millisecond, 3900*time.Millisecond, 900, 0.95)
}

func TestLegsOfOneSideAreMixedWithoutWrapping(t *testing.T) {
	tape, dir := create(t)
	zero := began(3 * second)
	tape.Start(zero)
	for i, freq := range []float64{500, 900} {
		p := phone{codec: media.PCMA, ssrc: uint32(i), sound: humming(media.PCMA, freq, 8000)}
		p.speak(tape.Track([]string{"m1", "m2"}[i], Right), zero, 0, second)
		p.sound = humming(media.PCMA, 500, 30000)
		p.speak(tape.Track([]string{"m1", "m2"}[i], Right), zero, second, 3*second)
	}
	tape.Close()
	_, s := render(t, dir, nil)
	s.hears(t, Right, 100*time.Millisecond, 900*time.Millisecond, 500, 0.4)
	s.hears(t, Right, 100*time.Millisecond, 900*time.Millisecond, 900, 0.4)
	// Twice 30000 is cut at the top: still mostly the tone, which wrapping
	// would have torn up.
	s.hears(t, Right, 1200*time.Millisecond, 2800*time.Millisecond, 500, 0.8)
	s.silent(t, Left, 0, 3*second)
}

func TestWhatCameBeforeTheStartIsDropped(t *testing.T) {
	atRest(t, func(t *testing.T) {
		tape, dir := create(t)
		zero := began(2 * second)
		c := tape.Track("c1", Left)
		p := phone{codec: media.PCMA, ssrc: 1, sound: humming(media.PCMA, 500, 8000)}
		p.speak(c, zero, -2*second, -second)
		tape.Start(zero)
		tape.Start(zero.Add(-time.Hour)) // only the first counts
		p.speak(c, zero, -second, second)
		tape.Close()
		p.speak(c, zero, second, 2*second) // and nothing after the close
		res, s := render(t, dir, nil)
		if res.Duration != 2*second {
			t.Errorf("%v long", res.Duration)
		}
		s.hears(t, Left, 0, second, 500, 0.9)
		s.silent(t, Left, 1100*time.Millisecond, 2*second)
	})
}

func TestPromptsAreOnTheSideOfTheLegThatHeardThem(t *testing.T) {
	tape, dir := create(t)
	zero := began(20 * second)
	at := func(d time.Duration) time.Time { return zero.Add(d) }
	m, c := tape.Track("m1", Right), tape.Track("c1", Left)
	clip := func(freq float64) *audio.Clip { return tone.Sine(freq, 2*second, 16000, 8000) }
	known := clips{"a": clip(500), "b": clip(900), "c": clip(1300), "ring": tone.Sine(425, second/2, 8000, 8000)}

	m.PlayStarted(at(-second), "a", false, 0) // half of it before the tape
	tape.Start(zero)
	m.PlayEnded(at(second), "a")

	m.PlayStarted(at(2*second), "b", false, 0) // interrupted
	m.PlayEnded(at(3*second), "b")
	m.PlayStarted(at(4*second), "ring", true, 0) // looped until the next
	m.PlayStarted(at(8*second), "c", false, 0)
	m.PlayEnded(at(8*second), "ring") // told late: not the end of c
	m.PlayEnded(at(10*second), "c")
	m.PlayStarted(at(11*second), "gone", false, 0)
	m.PlayEnded(at(12*second), "gone")
	m.PlayStarted(at(12*second), "", false, 0) // of no interest

	c.PlayStarted(at(13*second), "a", false, 0) // its end was never told
	tape.Close()

	res, s := render(t, dir, known)
	if diff := cmp.Diff([]string{"gone"}, res.Missing); diff != "" {
		t.Error(diff)
	}
	ms := time.Millisecond
	for _, x := range []struct {
		side     Side
		from, to time.Duration
		freq     float64
	}{
		{Right, 0, second, 500},
		{Right, second + 20*ms, 2*second - 20*ms, 0},
		{Right, 2 * second, 3 * second, 900},
		{Right, 3*second + 20*ms, 4*second - 20*ms, 0},
		{Right, 4 * second, 8 * second, 425},
		{Right, 8 * second, 10 * second, 1300},
		{Right, 10*second + 20*ms, 20 * second, 0},
		{Left, 0, 13*second - 20*ms, 0},
		{Left, 13 * second, 15 * second, 500},
		{Left, 15*second + 20*ms, 20 * second, 0},
	} {
		if x.freq == 0 {
			s.silent(t, x.side, x.from, x.to)
			continue
		}
		s.hears(t, x.side, x.from, x.to, x.freq, 0.9)
	}
}

func TestPromptSoundsTogetherWithThePhone(t *testing.T) {
	tape, dir := create(t)
	zero := began(2 * second)
	tape.Start(zero)
	m := tape.Track("m1", Right)
	m.PlayStarted(zero, "a", true, 0)
	phone{codec: media.PCMA, ssrc: 1, sound: humming(media.PCMA, 500, 8000)}.speak(m, zero, 0, 2*second)
	tape.Close()
	_, s := render(t, dir, clips{"a": tone.Sine(900, second, 8000, 8000)})
	s.hears(t, Right, 0, 2*second, 500, 0.4)
	s.hears(t, Right, 0, 2*second, 900, 0.4)
}

func TestAPacketThatComesHalfASecondLateStillHasItsPlace(t *testing.T) {
	tape, dir := create(t)
	zero := began(2 * second)
	tape.Start(zero)
	c := tape.Track("c1", Left)
	var late []packet
	for k := range (phone{codec: media.PCMA, ssrc: 1, sound: humming(media.PCMA, 500, 8000)}).packets(0, 2*second) {
		if k.sent >= second && k.sent < second+100*time.Millisecond {
			late = append(late, k)
			continue
		}
		c.Packet(zero.Add(k.at), media.PCMA, k.ssrc, k.timestamp, k.payload)
		if k.sent >= second+400*time.Millisecond {
			for _, l := range late {
				c.Packet(zero.Add(k.at), media.PCMA, l.ssrc, l.timestamp, l.payload)
			}
			late = nil
		}
	}
	tape.Close()
	_, s := render(t, dir, nil)
	s.hears(t, Left, second, second+100*time.Millisecond, 500, 0.95)
}

func TestRenderingAgainGivesTheSame(t *testing.T) {
	tape, dir := create(t)
	zero := began(2 * second)
	tape.Start(zero)
	phone{codec: media.PCMA, ssrc: 1, sound: humming(media.PCMA, 500, 8000)}.speak(tape.Track("c1", Left), zero, 0, 2*second)
	tape.Close()
	first, s1 := render(t, dir, nil)
	second, s2 := render(t, dir, nil)
	if diff := cmp.Diff(first, second); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(s1, s2, cmp.AllowUnexported(stereo{})); diff != "" {
		t.Error("the sound differs")
	}
	left, err := filepath.Glob(filepath.Join(dir, "*.tmp"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestRenderStopsWithItsContext(t *testing.T) {
	tape, dir := create(t)
	zero := began(2 * second)
	tape.Start(zero)
	phone{codec: media.PCMA, ssrc: 1, sound: humming(media.PCMA, 500, 8000)}.speak(tape.Track("c1", Left), zero, 0, 2*second)
	tape.Close()
	why := errors.New("the server stops")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if _, err := Render(ctx, dir, nil); !errors.Is(err, why) {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, wavFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is a file: %v", err)
	}
}

func TestPeaks(t *testing.T) {
	atRest(t, func(t *testing.T) {
		tape, dir := create(t)
		zero := began(time.Second)
		tape.Start(zero)
		phone{codec: media.PCMA, ssrc: 1, sound: humming(media.PCMA, 500, 16384)}.speak(tape.Track("c1", Left), zero, 0, 500*time.Millisecond)
		tape.Close()
		res, _ := render(t, dir, nil)
		b, err := os.ReadFile(res.Peaks)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Version  int
			Duration int `json:"duration_ms"`
			Interval int `json:"interval_ms"`
			Left     []int
			Right    []int
		}
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%v in %s", err, b)
		}
		if got.Version != 1 || got.Interval != 100 || got.Duration != 1000 || len(got.Left) != 20 || len(got.Right) != len(got.Left) {
			t.Fatalf("%s", b)
		}
		for i := 2; i < 8; i += 2 {
			if got.Left[i] > -60 || got.Left[i] < -66 || got.Left[i+1] < 60 || got.Left[i+1] > 66 {
				t.Errorf("at %d ms: %d to %d, want ±63", i*50, got.Left[i], got.Left[i+1])
			}
		}
		for i, x := range append(got.Left[12:], got.Right...) {
			if x != 0 {
				t.Errorf("%d is %d", i, x)
			}
		}
	})
}

func TestNothingRecordedIsAnErrorOfItsOwn(t *testing.T) {
	for name, use := range map[string]func(*Tape){
		"never started": func(tape *Tape) { tape.Track("c1", Left).PlayStarted(time.Now(), "a", false, 0) },
		"nobody heard":  func(tape *Tape) { tape.Start(began(second)); tape.Track("c1", Left) },
	} {
		tape, dir := create(t)
		use(tape)
		if err := tape.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := Render(t.Context(), dir, nil); !errors.Is(err, ErrEmpty) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Render(t.Context(), t.TempDir(), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no tape: %v", err)
	}
}
