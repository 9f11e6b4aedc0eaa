package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/dryrun"
	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/scenario"
	"github.com/perezvon/perezvon/internal/speech"
	"github.com/perezvon/perezvon/internal/store"
)

// Trials play what is tried: dryrun.Process.
type Trials interface {
	// Run returns the timeline of the scene, from call.created to call.ended.
	Run(ctx context.Context, s dryrun.Scene) ([]call.Event, error)
}

// Trial is what would become of a request.
type Trial struct {
	// Events is the timeline of its first call, which has ended.
	Events []call.Event
	Status call.Status
	// StartsAt is when the call would begin: the request's time, or the
	// widget's opening. Zero if nobody would be called (711, 713).
	StartsAt time.Time
	// NextAttemptAt is when the next attempt would be made; nil: none.
	NextAttemptAt *time.Time
	// Open is the open callback that would have answered for the request, and
	// nobody would have been called; the timeline is that of a request without
	// it. Nil: none.
	Open *Accepted
	// Unspeakable are the texts that nothing here can speak: a real request
	// would be refused for them.
	Unspeakable invalid.Error
	// Estimated are the texts whose length is not known.
	Estimated []string
}

// Try is Accept without a call: the same checks, and the timeline that the
// scenario would take if everybody behaved as the order says. Nothing is
// stored, dialled or counted. The order's packet is one of the widget of that
// name.
//
// Errors: an invalid.Error names the fields that are wrong; store.ErrNotFound
// if there is no such widget; ErrUnavailable, and what Trials report.
func (s *Service) Try(ctx context.Context, account, name string, o dryrun.Order) (Trial, error) {
	now := time.Now()
	if err := o.Check(now); err != nil {
		return Trial{}, err
	}
	if o.At != nil {
		now = *o.At
	}
	now = now.UTC().Truncate(time.Millisecond)
	ordered := o.Packet
	if ordered.Widget != "" && ordered.Widget != name {
		return Trial{}, invalid.Error{{Path: "packet.widget", Message: "must be that of the path, or left out"}}
	}
	ordered.Widget = name
	w, err := s.config.Store.Widget(ctx, account, name)
	if err != nil {
		return Trial{}, notThere(err)
	}
	n := store.NewCallback{Account: account, ID: call.NewID(), CallID: call.NewID(), Widget: &w}
	var bad invalid.Error
	if n.Packet, err = s.checkRoutes(ctx, &bad, account, ordered, &w); err == nil {
		err = bad.Err()
	}
	if err != nil {
		return Trial{}, withinPacket(err)
	}
	if err := s.checkScripts(ctx, account, o, n.Packet); err != nil {
		return Trial{}, err
	}
	var unspeakable invalid.Error
	if err := s.checkTexts(ctx, &unspeakable, n.Packet); err != nil {
		return Trial{}, err
	}
	trial := Trial{Unspeakable: unspeakable.Within("packet")}
	judge(&n, ordered, now)
	note, err := s.responsible(ctx, &n)
	if err != nil {
		return Trial{}, err
	}
	answer, err := s.config.Store.Foresee(ctx, n, now)
	if err != nil {
		return Trial{}, notThere(err)
	}
	if answer.Joined {
		trial.Open = &Accepted{ID: answer.ID, CallID: answer.CallID, Joined: true}
	}
	return trial, s.play(ctx, &trial, o, n, answer, note, now)
}

// withinPacket is err with the paths as the body of a trial has them.
func withinPacket(err error) error {
	var fields invalid.Error
	if errors.As(err, &fields) {
		return fields.Within("packet")
	}
	return err
}

// checkScripts finds scripts of nobody.
func (s *Service) checkScripts(ctx context.Context, account string, o dryrun.Order, p callback.Packet) error {
	var bad invalid.Error
	if n := len(p.Managers); len(o.Manager) > n {
		bad.Add(fmt.Sprintf("manager[%d]", n), fmt.Sprintf("%d managers are called", n))
	}
	trunks, err := s.config.Store.Trunks(ctx, account)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	for i, name := range o.TrunksDown {
		if !slices.ContainsFunc(trunks, func(t directory.Trunk) bool { return t.Name == name }) {
			bad.Add(fmt.Sprintf("trunks_down[%d]", i), "there is no trunk "+name)
		}
	}
	return bad.Err()
}

// notThere keeps store.ErrNotFound apart from a failure.
func notThere(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// play fills in what happens from the request on.
func (s *Service) play(ctx context.Context, trial *Trial, o dryrun.Order, n store.NewCallback, answer store.Answered, note string, now time.Time) error {
	client, _ := n.Packet.ClientNumber()
	created := call.Event{
		Seq: 1, At: now, CallID: n.CallID, Type: call.Created,
		Direction: call.Callback, CallbackID: n.ID, Widget: n.Widget.Name, Attempt: n.Packet.Attempt, Number: client,
	}
	if v := answer.Verdict; !v.Status.IsZero() {
		trial.Status = v.Status
		trial.Events = []call.Event{created, {Seq: 2, At: now, CallID: n.CallID, Type: call.Ended, Status: &v.Status, Reason: v.Reason}}
		return nil
	}
	var begin []call.Event
	if note != "" {
		begin = append(begin, call.Event{Type: call.Note, Reason: note})
	}
	trial.StartsAt = now
	if !n.StartAt.IsZero() {
		trial.StartsAt = n.StartAt
		begin = append(begin, call.Event{Type: call.Note, Reason: asPlanned})
	}
	node, why := s.config.Nodes.Nearest(clientAddr(n.Packet))
	begin = append(begin, call.Event{Type: call.NodeChosen, Node: node.Name, Reason: why})
	scene := dryrun.Scene{
		Created: created, StartAt: trial.StartsAt, Begin: begin, Packet: withoutBackends(answer.Packet),
		Manager: o.Manager, Client: o.Client, TrunksDown: o.TrunksDown,
	}
	var err error
	if err = s.furnish(ctx, trial, n.Account, &scene); err != nil {
		return err
	}
	if trial.Events, err = s.config.Trials.Run(ctx, scene); err != nil {
		return err
	}
	last := len(trial.Events) - 1
	if last < 0 || trial.Events[last].Type != call.Ended || trial.Events[last].Status == nil {
		return errors.New("the dry run has no end")
	}
	end := &trial.Events[last]
	trial.Status = *end.Status
	end.NextAttemptAt = nextAttempt(*n.Widget, n.Packet.Attempt, *end)
	trial.NextAttemptAt = end.NextAttemptAt
	return nil
}

// nextAttempt is what the store decides at the end of an attempt. (Nobody cancels
// a trial from outside.)
func nextAttempt(w directory.Widget, attempt int, end call.Event) *time.Time {
	if end.CancelRecalls {
		return nil
	}
	at, ok := w.RecallAt(attempt, *end.Status, end.Reschedule, end.At)
	if !ok {
		return nil
	}
	at = at.UTC().Truncate(time.Millisecond)
	return &at
}

// withoutBackends leaves out where nothing is sent.
func withoutBackends(p callback.Packet) callback.Packet {
	p.LogURL, p.StatusURL, p.EventsURL = "", "", ""
	return p
}

// furnish gives the scene what the scenario would ask for: the operators'
// phones, the locations, how long the texts take.
func (s *Service) furnish(ctx context.Context, trial *Trial, account string, scene *dryrun.Scene) error {
	scene.Phones = make(map[string][]string)
	for _, m := range scene.Packet.Managers {
		if extension := m.Operator(); extension != "" {
			o, err := s.config.Store.Operator(ctx, account, extension)
			if err != nil {
				return fmt.Errorf("%w: %w", ErrUnavailable, err) // it was there a moment ago
			}
			scene.Phones[extension] = o.Phones
		}
	}
	tree, err := s.config.Store.LocationTree(ctx, account)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	scene.Locations = tree.Own()
	scene.SpeechMS = make(map[string]int64)
	voice := speech.Voice{Language: scene.Packet.Language, Name: scene.Packet.Voice}
	for _, text := range scenario.Texts(scene.Packet) {
		length, known := s.config.Speech.Length(ctx, voice, text)
		scene.SpeechMS[text] = length.Milliseconds()
		if !known && !slices.Contains(trial.Estimated, text) {
			trial.Estimated = append(trial.Estimated, text)
		}
	}
	return nil
}
