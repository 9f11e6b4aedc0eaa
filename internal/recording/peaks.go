package recording

import (
	"bufio"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/perezvon/perezvon/internal/media"
)

const (
	// peakInterval is what one pair of peaks stands for, where the recording
	// is no longer than maxPeaks of them; of a longer one each stands for a
	// multiple.
	peakInterval = media.ClockRate / 10
	maxPeaks     = 6000
)

// peaks gathers the waveform that a player shows: the lowest and the highest
// sample of each interval and channel, in 8 bits.
//
//	{"version":1,"duration_ms":1500,"interval_ms":100,"left":[-3,4,…],"right":[…]}
//
// left and right hold min, max, min, max…
type peaks struct {
	length   int64 // of the recording, ticks
	interval int   // ticks
	samples  int   // of an interval
	seen     int   // of the present one
	present  [2]span
	done     [2][]span
}

type span struct{ low, high int8 }

func newPeaks(length int64, rate int) *peaks {
	times := max(1, (length+maxPeaks*peakInterval-1)/(maxPeaks*peakInterval))
	interval := int(times) * peakInterval
	return &peaks{length: length, interval: interval, samples: interval * rate / media.ClockRate}
}

func (p *peaks) add(left, right []int16) {
	for i, l := range left {
		p.present[0].add(l)
		p.present[1].add(right[i])
		if p.seen++; p.seen == p.samples {
			p.end()
		}
	}
}

func (p *peaks) end() {
	for c := range p.done {
		p.done[c] = append(p.done[c], p.present[c])
	}
	p.present, p.seen = [2]span{}, 0
}

func (s *span) add(x int16) {
	s.low, s.high = min(s.low, int8(x>>8)), max(s.high, int8(x>>8))
}

// write completes the last interval and writes everything as JSON.
func (p *peaks) write(w io.Writer) error {
	if p.seen > 0 {
		p.end()
	}
	b := bufio.NewWriter(w)
	b.WriteString(`{"version":1,"duration_ms":` + ms(p.length) + `,"interval_ms":` + ms(int64(p.interval)))
	var number [8]byte
	for c, name := range []string{"left", "right"} {
		b.WriteString(`,"` + name + `":[`)
		for i, s := range p.done[c] {
			if i > 0 {
				b.WriteByte(',')
			}
			b.Write(strconv.AppendInt(number[:0], int64(s.low), 10))
			b.WriteByte(',')
			b.Write(strconv.AppendInt(number[:0], int64(s.high), 10))
		}
		b.WriteByte(']')
	}
	b.WriteString("}\n")
	return b.Flush()
}

func ms(ticks int64) string {
	return strconv.Itoa(int(math.Round(float64(fromTicks(ticks)) / float64(time.Millisecond))))
}
