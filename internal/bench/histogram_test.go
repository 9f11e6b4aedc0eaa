package bench

import (
	"testing"
	"time"
)

// A percentile may be off by the width of a bucket, a sixteenth of its octave.
func TestPercentilesAreWithinABucketOfTheTruth(t *testing.T) {
	var h histogram
	for i := 1; i <= 1000; i++ {
		h.add(time.Duration(i) * time.Millisecond)
	}
	for _, c := range []struct {
		p    float64
		want time.Duration
	}{{0.5, 500 * time.Millisecond}, {0.99, 990 * time.Millisecond}, {1, time.Second}} {
		got := h.percentile(c.p)
		if got < c.want-2*time.Millisecond || float64(got) > 1.07*float64(c.want) {
			t.Errorf("percentile %v is %v, want about %v", c.p, got, c.want)
		}
	}
	if h.count() != 1000 {
		t.Errorf("count is %d, want 1000", h.count())
	}
}

func TestBucketsCoverEveryDuration(t *testing.T) {
	last := -1
	for d := time.Duration(1); d < time.Hour; d += d/7 + 1 {
		b := bucketOf(d)
		if b < last {
			t.Fatalf("bucket of %v lies below that of a shorter duration", d)
		}
		if upper(b) < d {
			t.Fatalf("%v lies above the upper end %v of its bucket", d, upper(b))
		}
		last = b
	}
}
