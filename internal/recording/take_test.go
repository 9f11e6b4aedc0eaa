package recording

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/codec"
	"github.com/perezvon/perezvon/internal/media/tone"
)

// dictate sends a tone to the take, a packet each 20 ms, but those that are
// lost.
func dictate(t *Take, c media.Codec, freq float64, packets int, lost func(int) bool) {
	clip := tone.Sine(freq, time.Duration(packets)*20*time.Millisecond, c.SampleRate(), 8000)
	payload := codec.NewEncoder(c).Encode(nil, clip.Samples)
	for i := range packets {
		if !lost(i) {
			t.Packet(time.Now(), c, 7, uint32(1000+160*i), payload[160*i:160*(i+1)])
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func none(int) bool { return false }

func TestATakeHasWhatWasSaidAtItsTime(t *testing.T) {
	for _, c := range []media.Codec{media.PCMA, media.PCMU, media.G722} {
		synctest.Test(t, func(t *testing.T) {
			take := NewTake(time.Minute)
			time.Sleep(time.Second)
			dictate(take, c, 440, 100, func(i int) bool { return i >= 50 && i < 60 })
			take.PlayStarted(time.Now(), "tone:beep", false, 0)
			take.PlayEnded(time.Now(), "tone:beep")
			clip := take.Clip()
			if clip.Rate != c.SampleRate() || clip.Duration() != 3*time.Second {
				t.Fatalf("%v: %d Hz, %v", c, clip.Rate, clip.Duration())
			}
			part := func(from, to float64) []int16 {
				return clip.Samples[int(from*float64(clip.Rate)):int(to*float64(clip.Rate))]
			}
			for name, p := range map[string]struct {
				from, to float64
				sounds   bool
			}{"before": {0, 0.95, false}, "said": {1.02, 1.98, true}, "lost": {2.05, 2.15, false}, "said on": {2.25, 3, true}} {
				if got := tone.Strength(part(p.from, p.to), clip.Rate, 440) > 0.8; got != p.sounds {
					t.Errorf("%v: %s: %v", c, name, got)
				}
			}
		})
	}
}

func TestATakeIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		take := NewTake(time.Second)
		dictate(take, media.PCMA, 440, 75, none)
		if d := take.Clip().Duration(); d != time.Second {
			t.Errorf("%v", d)
		}
		dictate(take, media.PCMA, 440, 5, none)
		if d := take.Clip().Duration(); d != time.Second {
			t.Errorf("it went on: %v", d)
		}
	})
}

func TestATakeOfTwoCodecsIsWide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		take := NewTake(time.Minute)
		dictate(take, media.PCMA, 440, 50, none)
		dictate(take, media.G722, 440, 50, none)
		clip := take.Clip()
		if clip.Rate != 16000 || clip.Duration() != 2*time.Second {
			t.Fatalf("%d Hz, %v", clip.Rate, clip.Duration())
		}
		if s := tone.Strength(clip.Samples[:15000], 16000, 440); s < 0.8 {
			t.Errorf("the narrow part: %.2f", s)
		}
	})
}

func TestATakeOfNobodyIsEmpty(t *testing.T) {
	if clip := NewTake(time.Minute).Clip(); len(clip.Samples) != 0 || clip.Rate != 8000 {
		t.Errorf("%+v", clip)
	}
}
