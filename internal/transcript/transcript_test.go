package transcript_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/media/utterance"
	"github.com/perezvon/perezvon/internal/media/wav"
	"github.com/perezvon/perezvon/internal/recording"
	"github.com/perezvon/perezvon/internal/speech"
	"github.com/perezvon/perezvon/internal/transcript"
)

// byLoudness is a recogniser that understands how loud somebody speaks.
type byLoudness struct{ fail error }

func (byLoudness) Name() string       { return "test" }
func (byLoudness) Check(string) error { return nil }
func (byLoudness) Recognize(context.Context, *audio.Clip, speech.Question) (string, error) {
	return "", errors.New("not of this test")
}

func (b byLoudness) Transcribe(_ context.Context, s speech.Sound, q speech.Question) (all []speech.Segment, err error) {
	cutter := utterance.New(s.Rate(), utterance.Limits{Pause: 300 * time.Millisecond, Longest: time.Minute})
	add := func(u utterance.Utterance) {
		loudest := int16(0)
		for _, v := range u.Samples {
			loudest = max(loudest, v)
		}
		text := map[bool]string{true: "громко", false: "тихо"}[loudest > 6000]
		length := time.Duration(len(u.Samples)) * time.Second / time.Duration(s.Rate())
		all = append(all, speech.Segment{From: u.From, To: u.From + length, Text: q.Language + " " + text})
	}
	p := make([]int16, 1000)
	for {
		n, err := s.Read(p)
		for _, u := range cutter.Feed(p[:n]) {
			add(u)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	if u, ok := cutter.Flush(); ok {
		add(u)
	}
	return all, b.fail
}

const zeroOffset = 3 * time.Second // of the recording's beginning in the call

type calls struct{ began time.Time }

func (c calls) Events(context.Context, string, string, int64) ([]call.Event, error) {
	return []call.Event{{Type: call.Created, At: c.began}, {Type: call.RecordingStarted, At: c.began.Add(zeroOffset), Transcribe: true, Language: "ru"}}, nil
}

// speak is loud or quiet speech on one side of the recording.
type speak struct {
	side     int
	from, to float64 // seconds
	peak     int16
}

func record(t *testing.T, a *recording.Archive, id string, length float64, words ...speak) {
	t.Helper()
	const rate = 8000
	var sides [2][]int16
	for side := range sides {
		sides[side] = make([]int16, int(length*rate))
	}
	for _, w := range words {
		for i := int(w.from * rate); i < int(w.to*rate); i++ {
			sides[w.side][i] = w.peak * int16(i%20/10*2-1)
		}
	}
	if err := os.MkdirAll(a.Folder(id), 0o700); err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(filepath.Join(a.Folder(id), "recording.wav"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w := wav.NewStereo(file, rate)
	if err := errors.Join(w.Write(sides[0], sides[1]), w.Close()); err != nil {
		t.Fatal(err)
	}
}

// The speakers are the sides of the recording, the times those of the recording,
// the order that in which they began; what the manager heard before the
// conversation, and between its stages, is not in it.
func TestAConversationIsWrittenDownWithItsSpeakers(t *testing.T) {
	began := time.Now()
	c := call.Call{ID: call.NewID(), Account: "a", CallbackID: "k"}
	stage := func(from, to float64) {
		at := func(s float64) time.Time { return began.Add(zeroOffset + time.Duration(s*float64(time.Second))) }
		end := at(to)
		c.Stages = append(c.Stages, call.Stage{From: at(from), To: &end})
	}
	stage(5, 12)
	stage(16, 60) // the recording is shorter
	a := recording.NewArchive(t.TempDir(), nil)
	record(t, a, c.ID, 20,
		speak{1, 1, 4, 9000},   // the greeting
		speak{1, 6, 7, 9000},   // manager
		speak{0, 8, 9, 3000},   // client
		speak{1, 10, 11, 3000}, // manager
		speak{1, 13, 15, 9000}, // music on hold
		speak{0, 17, 18, 9000}, // client
		speak{1, 17, 18, 9000}, // both at once
	)
	w := &transcript.Writer{Calls: calls{began}, Recordings: a, Hearing: speech.NewHearing(byLoudness{}, "")}
	got, err := w.Write(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	want := []call.Segment{
		{Speaker: call.OperatorSpeaks, FromS: 6, ToS: 7, Text: "ru громко"}, {Speaker: call.ClientSpeaks, FromS: 8, ToS: 9, Text: "ru тихо"},
		{Speaker: call.OperatorSpeaks, FromS: 10, ToS: 11, Text: "ru тихо"},
		{Speaker: call.ClientSpeaks, FromS: 17, ToS: 18, Text: "ru громко"}, {Speaker: call.OperatorSpeaks, FromS: 17, ToS: 18, Text: "ru громко"},
	}
	near := cmp.Comparer(func(a, b float64) bool { return a-b < 0.4 && b-a < 0.4 }) // the cutter leaves some air
	if d := cmp.Diff(want, got, near); d != "" {
		t.Error(d)
	}
	wrong := errors.New("out of order")
	w.Hearing = speech.NewHearing(byLoudness{wrong}, "")
	if got, err := w.Write(t.Context(), c); !errors.Is(err, wrong) || got != nil {
		t.Errorf("got %v, %v", got, err)
	}
	w.Hearing = nil
	if _, err := w.Write(t.Context(), c); !errors.Is(err, speech.ErrNoRecognizer) {
		t.Errorf("got %v", err)
	}
	c.ID = call.NewID()
	if _, err := w.Write(t.Context(), c); !errors.Is(err, transcript.ErrNoRecording) {
		t.Errorf("without a recording: %v", err)
	}
}
