// Package dryrun tries a callback without calling anybody: the scenario itself,
// unchanged, on scripted phones and in virtual time, so that an hour of talk
// takes microseconds. Nothing of it reaches the database, the network, a
// recording or a counter: Play knows none of them.
//
// Virtual time needs a bubble of testing/synctest, whose mishaps (a deadlock)
// end the process. So a server plays in a child process of its own program:
// Process on the server's side, Child on the other
// (docs/decisions/0010-dry-run.md).
package dryrun

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/numbering"
	"github.com/perezvon/perezvon/internal/recording"
	"github.com/perezvon/perezvon/internal/scenario"
	"github.com/perezvon/perezvon/internal/speech"
	"github.com/perezvon/perezvon/internal/telephony/scripted"
)

// Scene is everything that a dry run depends on, with nothing left to ask for.
// It is plain data: it travels to the child process as JSON.
type Scene struct {
	// Created is call.created, as the store would write it.
	Created call.Event `json:"created"`
	// StartAt is when the attempt begins: Created.At, or the widget's opening.
	StartAt time.Time `json:"start_at"`
	// Begin is what stands on the timeline then, before the scenario's own.
	Begin []call.Event `json:"begin,omitempty"`
	// Packet is normalised and its managers are in the order of the call.
	Packet callback.Packet `json:"packet"`
	// Phones are the outside phones of the operators among the managers, by
	// extension.
	Phones map[string][]string `json:"phones,omitempty"`
	// Locations are the account's own, beside those that ship.
	Locations []numbering.Location `json:"locations,omitempty"`
	// SpeechMS is how long the texts take to say, in milliseconds. A text that
	// is not there is estimated.
	SpeechMS map[string]int64 `json:"speech_ms,omitempty"`

	Manager    []Script `json:"manager,omitempty"`
	Client     Script   `json:"client"`
	TrunksDown []string `json:"trunks_down,omitempty"`
}

// Play carries the scene out and returns its timeline: from call.created to
// call.ended, numbered from 1. It must be called within a bubble of
// testing/synctest; the clock there must not be past Scene.Created.At.
func Play(ctx context.Context, s Scene) ([]call.Event, error) {
	tree, err := numbering.NewTree(numbering.Shipped(), s.Locations)
	if err != nil {
		return nil, fmt.Errorf("locations: %w", err)
	}
	log := &timeline{}
	time.Sleep(time.Until(s.Created.At))
	log.Append(s.Created)
	time.Sleep(time.Until(s.StartAt))
	for _, e := range s.Begin {
		e.CallID, e.At = s.Created.CallID, time.Now()
		log.Append(e)
	}
	c := scenario.Callbacks{Services: scenario.Services{
		Engine: s.phones(), Journal: log, Tapes: noTapes{}, Speech: voices(s.SpeechMS),
		Operators: operators(s.Phones), Locations: locations{tree}, Logger: slog.New(slog.DiscardHandler),
	}}
	packet := s.Packet
	packet.VoiceControl, packet.Transcribe = nil, nil // nobody speaks, and nothing is recorded
	c.Run(ctx, scenario.Attempt{
		CallID: s.Created.CallID, CallbackID: s.Created.CallbackID, Account: directory.DefaultAccount, Number: s.Created.Attempt, Packet: packet,
	})
	return log.events, nil
}

// phones are the scripted phones of everybody who may be called, by leg: the
// scenario counts the phones of the managers in the order of the groups.
func (s Scene) phones() *scripted.Engine {
	e := scripted.New()
	for _, trunk := range s.TrunksDown {
		e.Trunk(trunk, scripted.Unreachable(503, "the trunk is down"))
	}
	client := s.Client
	if client.picksUp() && client.HangsUpAfterS == nil {
		seconds := talkFor.Seconds()
		client.HangsUpAfterS = &seconds
	}
	e.Leg("c1", client.phone())
	count, at := 0, 0
	for _, group := range s.Packet.Managers.Groups() {
		for _, m := range group {
			var a Script
			if at < len(s.Manager) {
				a = s.Manager[at]
			}
			at++
			count++
			e.Leg(fmt.Sprintf("m%d", count), a.phone())
			// Who picks up does so once: his phone here, while those outside ring.
			if a.picksUp() {
				a = Script{Answer: NoAnswer}
			}
			for range s.Phones[m.Operator()] {
				count++
				e.Leg(fmt.Sprintf("m%d", count), a.phone())
			}
		}
	}
	return e
}

// timeline keeps events as the store's journal does, and nowhere else.
type timeline struct {
	mu     sync.Mutex
	events []call.Event
}

// Append implements scenario.Journal.
func (t *timeline) Append(e call.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e.Seq = int64(len(t.events) + 1)
	t.events = append(t.events, e)
}

// Flush implements scenario.Journal.
func (t *timeline) Flush(context.Context) error { return nil }

// noTapes record nothing.
type noTapes struct{}

// Open implements scenario.Tapes.
func (noTapes) Open(string) (scenario.Tape, error) { return noTapes{}, nil }

// Start implements scenario.Tape.
func (noTapes) Start(time.Time) {}

// Track implements scenario.Tape.
func (noTapes) Track(string, recording.Side) media.Track { return nil }

// Close implements scenario.Tape.
func (noTapes) Close() error { return nil }

// voices are silent, but take their time: milliseconds by text.
type voices map[string]int64

// Say implements scenario.Speech.
func (v voices) Say(_ context.Context, _ speech.Voice, text string) (*audio.Clip, error) {
	ms, ok := v[text]
	if !ok {
		ms = speech.Estimate(text).Milliseconds()
	}
	const rate = 1000 // a sample a millisecond: nobody hears it
	return &audio.Clip{Rate: rate, Samples: make([]int16, ms)}, nil
}

// operators are their outside phones by extension.
type operators map[string][]string

// Operator implements scenario.Operators. Everybody is there: the order was
// checked.
func (o operators) Operator(_ context.Context, _, extension string) (directory.Operator, error) {
	return directory.Operator{Extension: extension, Phones: o[extension]}, nil
}

type locations struct{ tree *numbering.Tree }

// LocationTree implements scenario.Locations.
func (l locations) LocationTree(context.Context, string) (*numbering.Tree, error) {
	return l.tree, nil
}
