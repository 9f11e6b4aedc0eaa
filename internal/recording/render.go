package recording

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/wav"
)

// ErrEmpty is what Render returns where nothing was recorded: the tape was
// never started, or nobody was heard.
var ErrEmpty = errors.New("recording: nothing was recorded")

// Result is what Render made.
type Result struct {
	// File is the recording, WAV: stereo A-law, 8 kHz, or 16 kHz if a leg
	// spoke G.722. Peaks is its waveform, JSON.
	File, Peaks string
	// Consultation is what operators said to each other while the client waited,
	// likewise: who asked left, who was asked right, from the first of it to the
	// last. Empty: there was none, or it is not kept.
	Consultation string
	// Duration is from the tape's start to its close; where a crash took the
	// close away, to the last thing that is known.
	Duration time.Duration
	// Missing are the keys of sounds that were played but could not be found;
	// there is silence in their places.
	Missing []string
}

// Render makes the recording of a call's folder. It reads and writes as it
// goes, in memory that does not grow with the length of the call. The files
// appear under their names when they are whole; rendering again gives the same
// ones. When ctx ends it stops with its cause.
func Render(ctx context.Context, dir string, clips Clips) (Result, error) {
	r, err := look(dir)
	if err != nil {
		return Result{}, err
	}
	talk, private := r.talk(), r.consultation()
	if len(talk.legs) == 0 || r.length == 0 {
		return Result{}, ErrEmpty
	}
	res := Result{
		File:     filepath.Join(dir, wavFile),
		Peaks:    filepath.Join(dir, peaksFile),
		Duration: fromTicks(r.length),
	}
	shape := newPeaks(r.length, talk.rate)
	// The WAV file gets its name last: who finds it finds the others too.
	wavTmp, peaksTmp, privateTmp := res.File+".tmp", res.Peaks+".tmp", filepath.Join(dir, privateFile+".tmp")
	defer os.Remove(wavTmp)
	defer os.Remove(peaksTmp)
	defer os.Remove(privateTmp)
	err = writeFile(wavTmp, func(file *os.File) error {
		res.Missing, err = talk.render(ctx, file, shape, clips)
		return err
	})
	if err == nil && len(private.legs) > 0 {
		res.Consultation = filepath.Join(dir, privateFile)
		err = writeFile(privateTmp, func(file *os.File) error {
			missing, err := private.render(ctx, file, newPeaks(private.to-private.from, private.rate), clips)
			res.Missing = append(res.Missing, missing...)
			return err
		})
		if err == nil {
			err = os.Rename(privateTmp, res.Consultation)
		}
	}
	if err == nil {
		err = writeFile(peaksTmp, func(file *os.File) error { return shape.write(file) })
	}
	if err == nil {
		err = os.Rename(peaksTmp, res.Peaks)
	}
	if err == nil {
		err = os.Rename(wavTmp, res.File)
	}
	if err != nil {
		return Result{}, fmt.Errorf("recording: %w", err)
	}
	return res, nil
}

// writeFile makes a file whose content is on the disk when it returns.
func writeFile(path string, write func(*os.File) error) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = write(file)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// mixdown is one stereo file to be made.
type mixdown struct {
	legs     []legTrack
	rate     int // 8000, or 16000 if a leg spoke G.722
	from, to int64
}

// legTrack is a track and the channel it is mixed into, Left or Right.
type legTrack struct {
	trackInfo
	channel Side
}

func (m *mixdown) add(t trackInfo, channel Side) {
	m.legs = append(m.legs, legTrack{t, channel})
	if t.wide {
		m.rate = 16000
	}
}

// talk is what the client heard and said, the whole call long.
func (r *reel) talk() mixdown {
	m := mixdown{rate: 8000, to: r.length}
	for _, t := range r.tracks {
		if t.side != Private {
			m.add(t, t.side&Right)
		}
	}
	return m
}

// consultation is what operators said among themselves.
func (r *reel) consultation() mixdown {
	m := mixdown{rate: 8000, from: r.length}
	for _, t := range r.tracks {
		if t.side != Private || t.begin < 0 || t.begin >= r.length {
			continue
		}
		channel := Right
		if len(m.legs) == 0 || m.legs[0].leg == t.leg {
			channel = Left // who asked has gone private first
		}
		m.add(t, channel)
		m.from, m.to = min(m.from, t.begin), min(max(m.to, t.end), r.length)
	}
	return m
}

// legSound is where the sound of one leg comes from.
type legSound struct {
	channel Side
	*player
	*prompter
}

func (m mixdown) render(ctx context.Context, file io.WriteSeeker, shape *peaks, clips Clips) (missing []string, err error) {
	var legs []legSound
	defer func() {
		for _, l := range legs {
			l.player.Close()
		}
	}()
	for _, t := range m.legs {
		p, err := newPlayer(t.trackInfo, m.rate, m.from)
		if err != nil {
			return nil, err
		}
		legs = append(legs, legSound{t.channel, p, &prompter{clips: clips, rate: m.rate, rest: t.plays}})
	}

	w := wav.NewStereo(file, m.rate)
	perTick := m.rate / media.ClockRate
	var sums [2][]int32
	var out [2][]int16
	for c := range sums {
		sums[c], out[c] = make([]int32, block*perTick), make([]int16, block*perTick)
	}
	for at := m.from; at < m.to; at += block {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		clear(sums[Left])
		clear(sums[Right])
		for _, l := range legs {
			sum := sums[l.channel]
			samples, err := l.player.next()
			if err != nil {
				return nil, err
			}
			for i, s := range samples {
				sum[i] += int32(s)
			}
			if err := l.prompter.add(ctx, at, sum); err != nil {
				return nil, err
			}
		}
		n := int(min(block, m.to-at)) * perTick
		for c := range out {
			out[c] = out[c][:n]
			for i := range out[c] {
				out[c][i] = saturate(sums[c][i])
			}
		}
		shape.add(out[Left], out[Right])
		if err := w.Write(out[Left], out[Right]); err != nil {
			return nil, err
		}
	}
	for _, l := range legs {
		missing = append(missing, l.missing...)
	}
	slices.Sort(missing)
	return slices.Compact(missing), w.Close()
}
