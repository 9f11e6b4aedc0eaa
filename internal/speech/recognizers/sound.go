package recognizers

import (
	"errors"
	"io"
	"time"

	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/media/utterance"
	"github.com/perezvon/perezvon/internal/speech"
)

// clipSound reads a clip as a speech.Sound.
type clipSound struct {
	clip *audio.Clip
	at   int
}

func (c *clipSound) Rate() int { return c.clip.Rate }

func (c *clipSound) Read(p []int16) (int, error) {
	if c.at == len(c.clip.Samples) {
		return 0, io.EOF
	}
	n := copy(p, c.clip.Samples[c.at:])
	c.at += n
	return n, nil
}

// readFull fills p, or returns what is left and io.EOF.
func readFull(s speech.Sound, p []int16) (n int, err error) {
	for n < len(p) && err == nil {
		var more int
		more, err = s.Read(p[n:])
		n += more
	}
	return n, err
}

// eachPiece cuts a sound at its pauses and gives each piece to f, with its place
// in the sound. What is quiet is left out.
func eachPiece(s speech.Sound, l utterance.Limits, f func(from time.Duration, clip *audio.Clip) error) error {
	cutter := utterance.New(s.Rate(), l)
	give := func(u utterance.Utterance) error {
		return f(u.From, &audio.Clip{Rate: s.Rate(), Samples: u.Samples})
	}
	samples := make([]int16, s.Rate())
	for {
		n, err := readFull(s, samples)
		for _, u := range cutter.Feed(samples[:n]) {
			if err := give(u); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if u, ok := cutter.Flush(); ok {
		return give(u)
	}
	return nil
}

// within keeps times that a service says inside the sound that it was given.
// Times that say nothing become the whole of it.
func within(from, to, least, most time.Duration) (time.Duration, time.Duration) {
	from, to = min(max(from, least), most), min(max(to, least), most)
	if to <= from {
		return least, most
	}
	return from, to
}

// seconds reads a service's time. What is out of any bounds is 0.
func seconds(s float64) time.Duration {
	if !(s >= 0 && s <= 7*24*3600) {
		return 0
	}
	return time.Duration(s * float64(time.Second))
}
