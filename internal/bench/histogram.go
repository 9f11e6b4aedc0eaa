package bench

import (
	"fmt"
	"math/bits"
	"sync/atomic"
	"time"
)

// histogram counts durations in buckets a sixteenth of their octave wide (an
// error of at most 6 %), without a lock: it stands on a path that is measured.
type histogram struct {
	buckets [64 * steps]atomic.Int64
}

const steps = 16

func (h *histogram) add(d time.Duration) { h.buckets[bucketOf(d)].Add(1) }

func bucketOf(d time.Duration) int {
	v := uint64(max(d, 1))
	octave := bits.Len64(v) - 1
	fraction := 0
	if octave >= 4 {
		fraction = int(v>>(octave-4)) - steps
	}
	return octave*steps + fraction
}

// upper is the largest duration of a bucket.
func upper(bucket int) time.Duration {
	octave, fraction := bucket/steps, bucket%steps
	if octave < 4 {
		return time.Duration(2)<<octave - 1
	}
	return time.Duration(uint64(fraction+steps+1)<<(octave-4)) - 1
}

// count is how many durations were added.
func (h *histogram) count() int64 {
	var n int64
	for i := range h.buckets {
		n += h.buckets[i].Load()
	}
	return n
}

// percentile is the duration that the share p (0…1) does not exceed, 0 if
// nothing was added.
func (h *histogram) percentile(p float64) time.Duration {
	total := h.count()
	if total == 0 {
		return 0
	}
	want := int64(p*float64(total-1)) + 1
	var n int64
	for i := range h.buckets {
		if n += h.buckets[i].Load(); n >= want {
			return upper(i)
		}
	}
	return 0
}

// String gives the percentiles people ask for.
func (h *histogram) String() string {
	return fmt.Sprintf("p50 %s  p95 %s  p99 %s  max %s  (n=%d)",
		short(h.percentile(0.50)), short(h.percentile(0.95)), short(h.percentile(0.99)), short(h.percentile(1)), h.count())
}

// short rounds a duration to three digits or so.
func short(d time.Duration) string {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}
