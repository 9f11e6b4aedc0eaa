package recording

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/tone"
)

// One file; silence for the time without us is at its place, so that both sides
// stay in time, and the duration is that of the call.
func TestATapeGoesOnWhereAKilledProcessLeftIt(t *testing.T) {
	atRest(t, func(t *testing.T) {
		tape, dir := create(t)
		zero := time.Now()
		tape.Start(zero)
		left, right := tape.Track("c1", Left), tape.Track("o1", Right)
		right.PlayStarted(zero, "ring", true, 0) // for ever, as far as the dead one told
		phone{codec: media.PCMA, ssrc: 1, sound: humming(media.PCMA, 500, 8000)}.speak(left, zero, 0, 4*second)
		phone{codec: media.PCMA, ssrc: 2, sound: humming(media.PCMA, 900, 8000)}.speak(right, zero, 2*second, 4*second)
		tape.Flush() // and is killed
		torn, err := filepath.Glob(filepath.Join(dir, "*o1.track"))
		if err != nil || len(torn) != 1 {
			t.Fatal(torn, err)
		}
		file, err := os.OpenFile(torn[0], os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.Write([]byte{byte(kindSound), 1, 0}); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}

		time.Sleep(7 * second)
		tape, err = Reopen(dir)
		if err != nil {
			t.Fatal(err)
		}
		tape.Start(time.Now()) // changes nothing
		phone{codec: media.PCMA, ssrc: 3, sound: humming(media.PCMA, 600, 8000)}.speak(tape.Track("c1", Left), zero, 7*second, 9*second)
		phone{codec: media.PCMA, ssrc: 4, sound: humming(media.PCMA, 1000, 8000)}.speak(tape.Track("o1", Right), zero, 7*second, 9*second)
		time.Sleep(3 * second)
		if err := tape.Close(); err != nil {
			t.Fatal(err)
		}
		res, s := render(t, dir, clips{"ring": tone.Ringback()})
		if res.Duration != 10*second {
			t.Errorf("%v, want 10 s", res.Duration)
		}
		s.hears(t, Left, 100*time.Millisecond, 3900*time.Millisecond, 500, 0.95)
		s.silent(t, Left, 4100*time.Millisecond, 6900*time.Millisecond)
		s.hears(t, Left, 7100*time.Millisecond, 8900*time.Millisecond, 600, 0.95)
		s.hears(t, Right, 100*time.Millisecond, 900*time.Millisecond, 425, 0.95)
		s.hears(t, Right, 2100*time.Millisecond, 3900*time.Millisecond, 900, 0.4)
		s.silent(t, Right, 4100*time.Millisecond, 6900*time.Millisecond)
		s.hears(t, Right, 7100*time.Millisecond, 8900*time.Millisecond, 1000, 0.95)
	})
}

func TestATapeThatIsOverDoesNotGoOn(t *testing.T) {
	tape, dir := create(t)
	if _, err := Reopen(dir); !errors.Is(err, errNotStarted) {
		t.Error(err)
	}
	tape.Start(time.Now())
	if err := tape.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Reopen(dir); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}
