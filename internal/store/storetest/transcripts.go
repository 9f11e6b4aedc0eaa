package storetest

import (
	"testing"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/store"
)

func exerciseTranscripts(t *testing.T, s *store.Store) {
	ctx := t.Context()
	state := func(id, want string) {
		t.Helper()
		c, err := s.Call(ctx, Mine, id)
		same(t, want, c.Transcript, err)
	}
	waiting := func(want ...string) {
		t.Helper()
		calls, err := s.Transcribing(ctx)
		var ids []string
		for _, c := range calls {
			ids = append(ids, c.ID)
		}
		same(t, want, ids, err)
	}
	talked := func(wanted bool) string {
		n := Create(t, s, "+79161234567")
		appendAll(t, s,
			call.Event{CallID: n.CallID, Type: call.RecordingStarted, Transcribe: wanted},
			call.Event{CallID: n.CallID, Type: call.Joined, Leg: "m1", Other: "c1"})
		return n.CallID
	}
	end := func(id, recording string) {
		appendAll(t, s, call.Event{CallID: id, Type: call.Ended, Status: &call.Completed}, call.Event{CallID: id, Type: call.RecordingState, Recording: recording, DurationS: 1})
	}
	id := talked(true)
	state(id, call.TranscriptWaiting)
	waiting() // its recording is not there yet
	end(id, call.RecordingReady)
	state(id, call.TranscriptWaiting)
	waiting(id)

	said := []call.Segment{{Speaker: call.ClientSpeaks, FromS: 1.25, ToS: 2, Text: "Алло\x00? \xff \"'"}, {Speaker: call.OperatorSpeaks, FromS: 2, ToS: 3.5, Text: "Да"}}
	fails(t, s.SaveTranscript(Mine, id, nil), nil)
	fails(t, s.SaveTranscript(Mine, id, said), nil) // takes its place
	said[0].Text = "Алло\x00? \uFFFD \"'"
	got, err := s.Transcript(ctx, Mine, id)
	same(t, said, got, err)
	got, err = s.Transcript(ctx, Theirs, id)
	same(t, nil, got, err)
	appendAll(t, s, call.Event{CallID: id, Type: call.Transcribed, Segments: 2})
	state(id, call.TranscriptReady)
	waiting()

	failed := talked(true)
	end(failed, call.RecordingReady)
	appendAll(t, s, call.Event{CallID: failed, Type: call.NotTranscribed, Reason: "gone"})
	state(failed, call.TranscriptFailed)

	// What was not recorded, or not wanted, or not said, is not written down.
	for recording, want := range map[string]string{call.RecordingNone: call.TranscriptNone, call.RecordingFailed: call.TranscriptFailed} {
		lost := talked(true)
		end(lost, recording)
		state(lost, want)
	}
	unwanted := talked(false)
	end(unwanted, call.RecordingReady)
	state(unwanted, call.TranscriptNone)
	alone := Create(t, s, "+79161234567").CallID
	appendAll(t, s, call.Event{CallID: alone, Type: call.RecordingStarted, Transcribe: true})
	end(alone, call.RecordingReady)
	state(alone, call.TranscriptNone)
	waiting()
}
