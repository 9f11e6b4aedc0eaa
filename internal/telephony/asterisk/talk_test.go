package asterisk_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/media/tone"
	"github.com/perezvon/perezvon/internal/recording"
	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/telephonytest"
)

// A talk is recorded as it was spoken, on a busy machine too: nothing is
// missing, nothing doubled. The phones' tones go on without a break, so any
// break of the recorded wave is one of the recording.
func TestATalkIsRecordedWithoutABreak(t *testing.T) {
	r := newRig(t)
	var legs [2]telephony.Leg
	for i, o := range r.Outside {
		o.Behave(telephonytest.Manner{Answers: true})
		l, err := r.Engine.Dial(t.Context(), telephony.Dial{Leg: o.Trunk, Trunk: o.Trunk, Number: "+74951234567", Timeout: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		legs[i] = l
	}
	ctx, part := context.WithCancel(t.Context())
	parted := make(chan error, 1)
	go func() { parted <- r.Engine.Join(ctx, legs[0], legs[1]) }()
	defer func() {
		part()
		<-parted
	}()
	// They talk once they hear each other.
	for i, o := range r.Outside {
		for other := r.Outside[1-i].Tone(); ; time.Sleep(10 * time.Millisecond) {
			heard := o.Sound().Heard()
			if n := len(heard); n > 800 && tone.Strength(heard[n-800:], 8000, other) > 0.8 {
				break
			}
		}
	}
	// While a machine stands still for half a second, as one that runs all tests
	// may, Asterisk throws sound away. It does not in every piece of the talk.
	const pieces, lasts = 10, 2 * time.Second
	for range pieces {
		var takes [2]*recording.Take
		for i, l := range legs {
			takes[i] = recording.NewTake(2 * lasts)
			l.Record(takes[i])
		}
		time.Sleep(lasts) // the length of the piece
		whole := true
		for i, l := range legs {
			l.Record(nil)
			heard := takes[i].Clip().Samples
			begins := 0
			for begins < len(heard) && heard[begins] == 0 {
				begins++
			}
			heard = heard[begins:]
			length := time.Duration(len(heard)) * time.Second / 8000
			broken := breaks(heard, r.Outside[i].Tone())
			t.Logf("leg %d: %v, breaks at %v", i, length, broken)
			whole = whole && len(broken) == 0 && length > lasts/2
		}
		if whole {
			return
		}
	}
	t.Errorf("no piece of %v of the talk is whole", lasts)
}

// breaks are where a wave of one frequency, sampled at 8 kHz, does not go on as
// it did: each sample of a sine follows from the two before.
func breaks(samples []int16, freq float64) (at []time.Duration) {
	c := 2 * math.Cos(2*math.Pi*freq/8000)
	for i := 2; i < len(samples); i++ {
		off := float64(samples[i]) - c*float64(samples[i-1]) + float64(samples[i-2])
		if math.Abs(off) < 1500 {
			continue
		}
		when := time.Duration(i) * time.Second / 8000
		if len(at) == 0 || when-at[len(at)-1] > 5*time.Millisecond {
			at = append(at, when)
		}
	}
	return at
}
