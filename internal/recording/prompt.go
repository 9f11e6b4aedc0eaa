package recording

import (
	"context"
	"slices"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/media/resample"
)

// Clips finds the sounds that the server played by their keys.
type Clips interface {
	Clip(ctx context.Context, key string) (*audio.Clip, error)
}

// prompter gives the sounds the server played to one leg.
type prompter struct {
	clips Clips
	rate  int
	rest  []play // not begun yet, in their order

	now     play
	samples []int16 // of now, at rate; nil: nothing sounds
	missing []string
}

// add mixes a block into sum, whose first sample is at that tick.
func (p *prompter) add(ctx context.Context, at int64, sum []int32) error {
	perTick := p.rate / media.ClockRate
	for i := 0; i < len(sum); {
		// The next one cuts off what still sounds, as it did on the phone.
		for len(p.rest) > 0 && p.rest[0].from <= at {
			if err := p.begin(ctx, at); err != nil {
				return err
			}
		}
		end := len(sum)
		if len(p.rest) > 0 {
			end = min(end, i+int(p.rest[0].from-at)*perTick)
		}
		if p.samples == nil || at >= p.now.to {
			p.samples = nil
		} else {
			to := i + int(min(p.now.to-at, int64(end-i)))*perTick
			p.mix(sum[i:min(end, to)], int(at-p.now.began)*perTick)
		}
		at += int64(end-i) / int64(perTick)
		i = end
	}
	return nil
}

// mix adds the present sound from its sample on.
func (p *prompter) mix(sum []int32, from int) {
	if !p.now.loop {
		if from >= len(p.samples) {
			p.samples = nil
			return
		}
		for i, s := range p.samples[from:min(len(p.samples), from+len(sum))] {
			sum[i] += int32(s)
		}
		return
	}
	for i := range sum {
		sum[i] += int32(p.samples[(from+i)%len(p.samples)])
	}
}

// begin makes the next sound the present one. One that cannot be found is
// remembered as missing and leaves silence.
func (p *prompter) begin(ctx context.Context, at int64) error {
	p.now, p.rest, p.samples = p.rest[0], p.rest[1:], nil
	if p.now.to <= at {
		return nil
	}
	clip, err := p.clips.Clip(ctx, p.now.key)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil || clip == nil:
		if !slices.Contains(p.missing, p.now.key) {
			p.missing = append(p.missing, p.now.key)
		}
	case len(clip.Samples) > 0:
		p.samples = resample.Convert(clip.Samples, clip.Rate, p.rate)
	}
	return nil
}
