// Package transcript writes down what was said on a call: who, when, what. The
// two sides of the recording are the two speakers, so nobody has to guess them.
//
// Only the conversation is written down: the stages of the call, in which the
// client and somebody heard each other. What the server said to the manager
// before is in the recording, and not in the transcript.
package transcript

import (
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/recording"
	"github.com/perezvon/perezvon/internal/speech"
)

// ErrNoRecording means that the recording is gone, or the call was never recorded.
var ErrNoRecording = errors.New("there is no recording to write down")

// Calls knows the calls: store.Store.
type Calls interface {
	Events(ctx context.Context, account, callID string, afterSeq int64) ([]call.Event, error)
}

// Recordings opens recordings: recording.Archive.
type Recordings interface {
	Channel(callID string, side recording.Side) (*recording.Channel, error)
}

// Writer writes transcripts.
type Writer struct {
	Calls      Calls
	Recordings Recordings
	Hearing    *speech.Hearing
}

// Write is what was said on a call, in the order of its beginnings.
func (w *Writer) Write(ctx context.Context, c call.Call) ([]call.Segment, error) {
	events, err := w.Calls.Events(ctx, c.Account, c.ID, 0)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(events, func(e call.Event) bool { return e.Type == call.RecordingStarted })
	if i < 0 {
		return nil, ErrNoRecording
	}
	var said []call.Segment
	for side, speaker := range map[recording.Side]call.Speaker{recording.Left: call.ClientSpeaks, recording.Right: call.OperatorSpeaks} {
		more, err := w.side(ctx, c, events[i].At, side, speaker, events[i].Language)
		if err != nil {
			return nil, err
		}
		said = append(said, more...)
	}
	slices.SortStableFunc(said, func(a, b call.Segment) int {
		switch {
		case a.FromS < b.FromS || a.FromS == b.FromS && a.Speaker < b.Speaker:
			return -1
		case a.FromS == b.FromS && a.Speaker == b.Speaker:
			return 0
		}
		return 1
	})
	return said, nil
}

// side is what one side said in the stages of the call. zero is when the
// recording began.
func (w *Writer) side(ctx context.Context, c call.Call, zero time.Time, side recording.Side, speaker call.Speaker, language string) (said []call.Segment, err error) {
	channel, err := w.Recordings.Channel(c.ID, side)
	if err != nil {
		return nil, errors.Join(ErrNoRecording, err)
	}
	defer channel.Close()
	at := int64(0) // in samples
	for _, stage := range c.Stages {
		from := max(samples(stage.From.Sub(zero), channel.Rate()), at)
		to := int64(math.MaxInt64)
		if stage.To != nil {
			to = max(samples(stage.To.Sub(zero), channel.Rate()), from)
		}
		if err := channel.Skip(from - at); errors.Is(err, io.EOF) {
			break // the recording is shorter than the call
		} else if err != nil {
			return nil, err
		}
		part := &section{sound: channel, left: to - from}
		segments, err := w.Hearing.Transcribe(ctx, part, language)
		if err != nil {
			return nil, err
		}
		start := time.Duration(from) * time.Second / time.Duration(channel.Rate())
		for _, s := range segments {
			said = append(said, call.Segment{Speaker: speaker, FromS: seconds(start + s.From), ToS: seconds(start + s.To), Text: s.Text})
		}
		at = from + part.read
	}
	return said, nil
}

// section is a part of a sound.
type section struct {
	sound      speech.Sound
	left, read int64
}

func (s *section) Rate() int { return s.sound.Rate() }

func (s *section) Read(p []int16) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	n, err := s.sound.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	s.read += int64(n)
	return n, err
}

func samples(d time.Duration, rate int) int64 {
	return int64(max(d, 0).Seconds() * float64(rate))
}

// seconds rounds to the hundredth: no recogniser knows more.
func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*100) / 100 }
