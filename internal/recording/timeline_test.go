package recording

import (
	"testing"

	"github.com/perezvon/perezvon/internal/media"
)

// arrival is one packet: when it came, what it said, where it belongs.
type arrival struct {
	at        int64
	codec     media.Codec
	ssrc      uint32
	timestamp uint32
	want      int64
}

func TestPlaceOfPackets(t *testing.T) {
	const a, u = media.PCMA, media.PCMU
	for name, packets := range map[string][]arrival{
		"the first one is where it came": {{100, a, 1, 5000, 100}},
		"then the timestamps tell":       {{100, a, 1, 5000, 100}, {290, a, 1, 5160, 260}, {420, a, 1, 5320, 420}},
		"a lost one leaves its place":    {{100, a, 1, 5000, 100}, {430, a, 1, 5320, 420}},
		"a late one has its own place":   {{0, a, 1, 5000, 0}, {320, a, 1, 5320, 320}, {330, a, 1, 5160, 160}, {480, a, 1, 5480, 480}},
		"timestamps wrap":                {{0, a, 1, 0xffffff60, 0}, {160, a, 1, 0, 160}, {330, a, 1, 160, 320}},
		"a late one behind the wrap":     {{0, a, 1, 0xfffffec0, 0}, {320, a, 1, 0, 320}, {330, a, 1, 0xffffff60, 160}},
		"silence is not sent":            {{0, a, 1, 5000, 0}, {80000, a, 1, 85000, 80000}},
		"a stall is caught up":           {{0, a, 1, 5000, 0}, {9000, a, 1, 5160, 160}, {9000, a, 1, 5320, 320}},
		"another SSRC begins anew":       {{0, a, 1, 5000, 0}, {200, a, 2, 5160, 200}, {360, a, 2, 5320, 360}},
		"another codec begins anew":      {{0, a, 1, 5000, 0}, {200, u, 1, 5160, 200}},
		"a jump ahead begins anew":       {{0, a, 1, 5000, 0}, {170, a, 1, 900000, 170}, {320, a, 1, 900160, 330}},
		"a jump back begins anew":        {{0, a, 1, 900000, 0}, {170, a, 1, 5000, 170}, {330, a, 1, 5160, 330}},
		"a late anchor is corrected":     {{800, a, 1, 5000, 800}, {820, a, 1, 5160, 820}, {980, a, 1, 5320, 980}},
		"a little early is no matter":    {{100, a, 1, 5000, 100}, {160, a, 1, 5160, 260}},
	} {
		t.Run(name, func(t *testing.T) {
			var l timeline
			for i, p := range packets {
				if got := l.place(p.at, p.codec, p.ssrc, p.timestamp); got != p.want {
					t.Errorf("packet %d: %d, want %d", i, got, p.want)
				}
			}
		})
	}
}

// run feeds packets of 20 ms from one moment to another, each late by delay,
// and gives how far the last one was placed off the arrival clock without it.
func run(l *timeline, from, to int64, timestamp uint32, delay func(at int64) int64) int64 {
	off := int64(0)
	for at := from; at < to; at += 160 {
		off = l.place(at+delay(at), media.PCMA, 1, timestamp) - at
		timestamp += 160
	}
	return off
}

func TestJitterIsNotTakenForSkew(t *testing.T) {
	var l timeline
	// Nine of ten packets are late by up to a second, for a minute.
	off := run(&l, 0, 60*media.ClockRate, 77, func(at int64) int64 {
		if at/160%10 == 0 {
			return 0
		}
		return at * 7919 % 8000
	})
	if off != 0 {
		t.Errorf("placed %d ticks off", off)
	}
}

func TestLastingDelayIsTakenForSkew(t *testing.T) {
	var l timeline
	off := run(&l, 0, 20*media.ClockRate, 77, func(at int64) int64 {
		if at < 10*media.ClockRate {
			return 0
		}
		return 400
	})
	if off != 400 {
		t.Errorf("placed %d ticks off, want 400", off)
	}
}

func TestTimestampsThatStoodStillInAHoldAreFoundWithinASecond(t *testing.T) {
	var l timeline
	none := func(int64) int64 { return 0 }
	run(&l, 0, 80000, 0, none)
	// Ten seconds later they go on where they stopped.
	if off := run(&l, 160000, 160000+media.ClockRate+320, 80000, none); off != 0 {
		t.Errorf("placed %d ticks off", off)
	}
}

func TestClockOfTheSenderMayDrift(t *testing.T) {
	for _, ppm := range []int64{-500, -50, 50, 500} {
		var l timeline
		timestamp, worst := uint32(0), int64(0)
		for at := int64(0); at < 3600*media.ClockRate; at = int64(timestamp) + int64(timestamp)*ppm/1e6 {
			off := l.place(at, media.PCMA, 1, timestamp) - at
			worst = max(worst, off, -off)
			timestamp += 160
		}
		// What is tolerated, and what comes on top until a window shows it.
		if limit := skew + 2*window*max(ppm, -ppm)/1e6 + 1; worst > limit {
			t.Errorf("%d ppm: up to %d ticks off, want %d", ppm, worst, limit)
		}
	}
}
