package asterisk

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/perezvon/perezvon/internal/media"
)

const frame = 160

// tape is a track that keeps what it is given where it is told.
type tape struct {
	media.Track
	zero  time.Time
	bytes []byte // 0: nothing
}

func (p *tape) Packet(at time.Time, _ media.Codec, _, _ uint32, payload []byte) {
	place := int(at.Sub(p.zero) * media.ClockRate / time.Second)
	for len(p.bytes) < place+len(payload) {
		p.bytes = append(p.bytes, 0)
	}
	copy(p.bytes[place:], payload)
}

// snoop is Asterisk's: a queue that a timer reads. All times are in ticks of
// 20 ms, from its beginning.
type snoop struct {
	// forgets: a tick that is missed is lost (res_timing_timerfd); else it is
	// made up for (res_timing_pthread).
	forgets bool
	// reaches is when the packet that a phone sends at a tick is in the queue; −1
	// there is none. It does not decrease.
	reaches []int
	// asleep tells at which ticks the reader does not run.
	asleep []bool
	// late is by how much each packet comes later to us, for the way and because
	// we were asleep.
	late func(tick int) time.Duration
	// quiet tells when the phone sends zeros; nil: never.
	quiet func(tick int) bool
}

// speech is what a phone says at a tick: every one differs, and none is silent.
func speech(tick int) []byte {
	return slices.Repeat([]byte{byte(1 + tick%80), byte(101 + tick/80)}, frame/2)
}

func (s snoop) says(tick int) []byte {
	if s.quiet != nil && s.quiet(tick) {
		return slices.Repeat([]byte{0xD5}, frame)
	}
	return speech(tick)
}

// hears lets a tape hear a snoop.
func hears(s snoop) *tape {
	p := &tape{zero: time.Now()}
	e := &ear{Track: p, source: new(source)}
	e.snoops.Store(true)
	var queue [][]byte
	next, due, ts, last := 0, 0, uint32(1000), 0
	for tick := range s.asleep {
		for ; next < len(s.reaches) && s.reaches[next] <= tick; next++ {
			if s.reaches[next] < 0 {
				continue
			}
			if len(queue) >= 25 {
				queue = nil
			}
			queue = append(queue, s.says(next))
		}
		due++
		if s.asleep[tick] {
			continue
		}
		if s.forgets {
			due = 1
		}
		for ; due > 0; due-- {
			said := slices.Repeat([]byte{0xD5}, frame)
			if len(queue) > 0 {
				said, queue = queue[0], queue[1:]
			}
			if tick-last > 4 { // Asterisk's timestamps, when they are too far from its clock
				ts += uint32(tick-last-1) * frame //nolint:gosec // small
			}
			last = tick
			e.Packet(p.zero.Add(time.Duration(tick)*20*time.Millisecond+s.late(tick)), media.PCMA, 7, ts, said)
			ts += frame
		}
	}
	return p
}

func atOnce(int) time.Duration { return 0 }

func counted(n int) []int {
	r := make([]int, n)
	for i := range r {
		r[i] = i
	}
	return r
}

// said is what a phone said from one tick to another.
func said(from, to int) (all []byte) {
	for i := from; i < to; i++ {
		all = append(all, speech(i)...)
	}
	return all
}

// Whoever is late, Asterisk's reader, its timer, the phone's packets (by less
// than a pause) or we: nothing is left out, doubled, or out of its place for more
// than that.
func TestWhatASnoopHearsIsWholeHoweverLateItIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const ticks, end = 600, 560
		s := snoop{forgets: rapid.Bool().Draw(t, "forgets"), reaches: counted(end), asleep: make([]bool, ticks)}
		lost := 0 // with more of it Asterisk throws away what waits, or it is a pause
		for range rapid.IntRange(0, 8).Draw(t, "stalls") {
			from, n := rapid.IntRange(1, 500).Draw(t, "from"), rapid.IntRange(1, 5).Draw(t, "for")
			if lost += n; lost > 20 {
				break
			}
			for i := range n {
				s.asleep[from+i] = true
			}
		}
		worst := 0
		for range rapid.IntRange(0, 4).Draw(t, "jams") {
			from, n := rapid.IntRange(1, 500).Draw(t, "jammed"), rapid.IntRange(1, pause/frame-1).Draw(t, "until")
			if lost += n; lost > 20 {
				break
			}
			worst = max(worst, n)
			for i := range n {
				s.reaches[from+i] = max(s.reaches[from+i], from+n)
			}
		}
		for i := 1; i < end; i++ {
			s.reaches[i] = max(s.reaches[i], s.reaches[i-1])
		}
		jitter := rapid.IntRange(0, 15).Draw(t, "our own lateness in ms")
		s.late = func(tick int) time.Duration { return time.Duration(tick*7%(jitter+1)) * time.Millisecond }
		got, want := hears(s).bytes, said(0, end)
		if len(got) < len(want) || !slices.Equal(got[len(got)-len(want):], want) {
			t.Fatalf("of %d ms %d ms are on the track, or others", len(want)/8, len(got)/8)
		}
		if shift := len(got) - len(want); shift > frame*(worst+1) {
			t.Errorf("it is %d ms late", shift/8)
		}
	})
}

func TestAPauseOfThePhoneIsAsLongAsItWas(t *testing.T) {
	for _, forgets := range []bool{false, true} {
		s := snoop{forgets: forgets, reaches: counted(300), asleep: make([]bool, 320), late: atOnce}
		for i := 100; i < 150; i++ {
			s.reaches[i] = -1
		}
		// The reader sleeps before it, so that there is a queue.
		for i := 60; i < 65; i++ {
			s.asleep[i] = true
		}
		got := hears(s).bytes
		want := slices.Concat(said(0, 100), make([]byte, 50*frame), said(150, 300))
		if !slices.Equal(got, want) {
			t.Errorf("forgets %v: %d ms on the track, want %d", forgets, len(got)/8, len(want)/8)
		}
	}
}

// A phone whose pauses are exact silence (noise suppression, a made voice): those
// of 240 ms and more are as long as they were, but that they make up for what the
// shorter ones have left out: by an eighth of themselves, or at once if they last
// for more than half a second.
func TestAPauseInExactSilenceIsAsLongAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const end = 600
		s := snoop{forgets: rapid.Bool().Draw(t, "forgets"), reaches: counted(end), asleep: make([]bool, end+10)}
		silent := map[int]bool{}
		s.quiet = func(tick int) bool { return silent[tick] }
		type silence struct{ from, n int }
		var pauses []silence
		short := 0 // in all: more than flushed is made up for at once
		for at := rapid.IntRange(20, 60).Draw(t, "first words"); at < 500; at += rapid.IntRange(10, 60).Draw(t, "words") {
			n := rapid.OneOf(rapid.IntRange(1, 3), rapid.IntRange(pause/frame, 40)).Draw(t, "silence")
			if n < pause/frame {
				if short += n; short > 40 {
					break
				}
			} else {
				pauses = append(pauses, silence{at, n})
			}
			for i := range n {
				silent[at+i] = true
			}
			at += n
		}
		jitter := rapid.IntRange(0, 15).Draw(t, "our own lateness in ms")
		s.late = func(tick int) time.Duration { return time.Duration(tick*7%(jitter+1)) * time.Millisecond }
		got := hears(s).bytes
		place := func(tick int) int {
			i := bytes.Index(got, speech(tick))
			if i < 0 {
				t.Fatalf("what was said at tick %d is not on the track", tick)
			}
			return i
		}
		for _, p := range pauses {
			was := p.n * frame
			is := place(p.from+p.n) - place(p.from-1) - frame
			most := was / 8
			if was > flushed {
				most = earliest
			}
			if off := is - was; off < 0 || off > most {
				t.Errorf("a pause of %d ms is one of %d ms", was/8, is/8)
			}
		}
		if early := (end-1)*frame - place(end-1); early < 0 || early > earliest {
			t.Errorf("the end is early by %d ms", early/8)
		}
	})
}

// A timer that forgets leaves more and more in the queue until Asterisk throws
// it away: what follows is in its place again.
func TestAfterAQueueThatWasThrownAwayThePlaceIsRightAgain(t *testing.T) {
	s := snoop{forgets: true, reaches: counted(900), asleep: make([]bool, 940), late: atOnce}
	for i := 20; i < 500; i += 10 {
		s.asleep[i] = true
	}
	got := hears(s).bytes
	last := said(880, 900)
	if at := len(got) - len(last); !slices.Equal(got[at:], last) || at/frame < 877 || at/frame > 883 {
		t.Errorf("what was said last is at tick %d, said at 880", at/frame)
	}
}

// Of what comes from the phone itself the timestamps tell all.
func TestWhatComesFromThePhoneIsPassedAsItIs(t *testing.T) {
	p := &tape{zero: time.Now()}
	e := &ear{Track: p, source: new(source)}
	e.Packet(p.zero, media.PCMA, 7, 0, speech(0))
	e.Packet(p.zero.Add(time.Second), media.PCMA, 7, 8000, slices.Repeat([]byte{0xD5}, frame))
	if want := slices.Concat(speech(0), make([]byte, 8000-frame), slices.Repeat([]byte{0xD5}, frame)); !slices.Equal(p.bytes, want) {
		t.Errorf("%d bytes on the track", len(p.bytes))
	}
}

// While a phone is brought from bridge to bridge nobody reads it: what it said
// meanwhile comes at once, and belongs behind what was heard before.
func TestAPhoneOnItsWayBetweenBridgesIsHeardWithoutAGap(t *testing.T) {
	p := &tape{zero: time.Now()}
	e := &ear{Track: p, source: new(source)}
	at := func(tick int) time.Time { return p.zero.Add(time.Duration(tick) * 20 * time.Millisecond) }
	straight := func(came, tick int) {
		e.Packet(at(came), media.PCMA, 7, 5000+uint32(tick)*frame, speech(tick))
	}
	ticks := uint32(70000)
	heard := func(came int, said []byte) {
		e.Packet(at(came), media.PCMA, 9, ticks, said)
		ticks += frame
	}
	for i := range 50 {
		straight(i, i)
	}
	// Into a talk: its snoop is read all the while.
	e.moved.Store(at(1000).UnixNano())
	e.snoops.Store(true)
	for i := 50; i < 65; i++ {
		heard(i, slices.Repeat([]byte{0xD5}, frame))
	}
	e.moved.Store(at(64).UnixNano())
	for i := 65; i < 120; i++ {
		heard(i, speech(i-15))
	}
	// And home, where it is read from 0.4 s later on. What the snoop was to hear
	// meanwhile is lost.
	e.snoops.Store(false)
	for i := 121; i < 141; i++ {
		straight(141, i)
	}
	for i := 141; i < 200; i++ {
		straight(i, i)
	}
	want := slices.Concat(said(0, 105), make([]byte, 16*frame), said(121, 200))
	if !slices.Equal(p.bytes, want) {
		t.Errorf("%d ms are on the track, want %d", len(p.bytes)/8, len(want)/8)
	}
}
