package scenario

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/media/tone"
	"github.com/perezvon/perezvon/internal/recording"
	"github.com/perezvon/perezvon/internal/speech"
	"github.com/perezvon/perezvon/internal/telephony"
)

// course is one call under way: what every scenario has at hand.
type course struct {
	*Services
	callID  string
	account string
	voice   speech.Voice
	log     *slog.Logger
	tape    Tape // nil before the first answer, and if it could not be opened
	// storedFirst flushes the journal once: before the first call goes out.
	storedFirst func() error
	// waited is where the caller waited when the process before this one died, and
	// since when: he has his place again when he comes back to that queue.
	waited struct {
		queue string
		since time.Time
	}
	// operatorLegs is the highest n of the legs named o‹n› so far.
	operatorLegs atomic.Int32
}

func (c *Services) newCourse(callID, account string, voice speech.Voice) *course {
	log := c.Logger
	if log == nil {
		log = slog.Default()
	}
	return &course{
		Services: c,
		callID:   callID,
		account:  account,
		voice:    voice,
		log:      log.With("call", callID),
		storedFirst: sync.OnceValue(func() error {
			ctx, cancel := context.WithTimeout(context.Background(), endTime)
			defer cancel()
			return c.Journal.Flush(ctx)
		}),
	}
}

// perform runs the course to its end: everybody hung up, the tape closed,
// call.ended stored as the last event. A fault of the program ends this call
// (712) and no other.
func (s *course) perform(ctx context.Context, run func(context.Context) error) (out Outcome) {
	defer func() {
		if p := recover(); p != nil {
			s.log.ErrorContext(ctx, "scenario panicked", "panic", p, "stack", string(debug.Stack()))
			out = Outcome{Status: call.Interrupted, Reason: fmt.Sprint("internal error: ", p)}
		}
		s.event(call.Event{
			Type: call.Ended, Status: &out.Status, Reason: out.Reason,
			Reschedule: out.Reschedule, CancelRecalls: out.CancelRecalls,
		})
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
		defer cancel()
		if err := s.Journal.Flush(ctx); err != nil {
			s.log.ErrorContext(ctx, "the end of the call is not stored", "err", err)
		}
	}()
	defer s.closeTape()
	return conclude(run(ctx))
}

// event puts e on the call's timeline.
func (s *course) event(e call.Event) {
	e.CallID, e.At = s.callID, time.Now()
	s.noteLeg(e.Leg)
	s.Journal.Append(e)
}

// noteLeg remembers that a leg of an operator has this name.
func (s *course) noteLeg(name string) {
	if !strings.HasPrefix(name, "o") {
		return
	}
	n, err := strconv.Atoi(name[1:])
	if err != nil {
		return
	}
	for last := s.operatorLegs.Load(); last < int32(n) && !s.operatorLegs.CompareAndSwap(last, int32(n)); {
		last = s.operatorLegs.Load()
	}
}

// operatorLeg is a name that no leg of the call has yet: o1, o2…
func (s *course) operatorLeg() string { return legName("o", int(s.operatorLegs.Add(1))) }

// note puts a decision or a trouble on the timeline.
func (s *course) note(reason string) { s.event(call.Event{Type: call.Note, Reason: reason}) }

// line is a leg that was answered.
type line struct {
	telephony.Leg
	target
	// over notes the leg's end on the timeline, once.
	over func()
	// name is what the call names the leg, if not as the engine does: it came
	// from another call.
	name string
	// gone: the leg belongs to another call now.
	gone bool
	// toldHeld: the timeline has it already that the phone holds the call.
	toldHeld bool
}

// ID names the leg within the call.
func (l *line) ID() string { return cmp.Or(l.name, l.Leg.ID()) }

// pickedUp puts an answer on the timeline.
func (s *course) pickedUp(a answer, t target) *line {
	leg := a.leg
	s.event(call.Event{
		Type: call.Answered, Leg: leg.ID(), Role: t.role, Operator: t.who(), Number: t.number,
		Codec: leg.Info().Codec.Name(), SIPCallID: leg.Info().CallID, ElapsedMS: a.after.Milliseconds(),
	})
	return &line{Leg: leg, target: t, over: onceEnded(s, leg, t)}
}

// onceEnded notes the leg's end, the first time it is called.
func onceEnded(s *course, leg telephony.Leg, t target) func() {
	return sync.OnceFunc(func() { s.legEnded(leg, t, "") })
}

// legName is the name of the n-th leg of its kind.
func legName(kind string, n int) string { return fmt.Sprint(kind, n) }

// legEnded notes how a leg ended; reason is for a leg that we end.
func (s *course) legEnded(leg telephony.Leg, t target, reason string) {
	e := call.Event{Type: call.LegEnded, Leg: leg.ID(), Role: t.role, By: telephony.ByUs, Reason: reason}
	var h *telephony.HangupError
	if errors.As(context.Cause(leg.Context()), &h) {
		e.By, e.SIPCode, e.Q850 = h.By, h.Code, h.Q850
		if reason == "" {
			e.Reason = h.Reason
		}
	}
	s.event(e)
}

// hangUp ends a leg, if it has not ended and is of this call still.
func (s *course) hangUp(l *line) {
	if l.gone {
		return
	}
	l.Hangup(0)
	l.over()
}

// whileOn is ctx that ends when the phone hangs up, too, with its
// *HangupError as the cause. free must be called.
func (s *course) whileOn(ctx context.Context, l *line) (bound context.Context, end context.CancelCauseFunc, free func()) {
	bound, end = context.WithCancelCause(ctx)
	if cause := context.Cause(l.Context()); cause != nil {
		l.over()
		end(cause) // now: AfterFunc takes a goroutine
	}
	stop := context.AfterFunc(l.Context(), func() {
		l.over() // first: the timeline shows the reason before what follows from it
		end(context.Cause(l.Context()))
	})
	return bound, end, func() {
		if !stop() {
			l.over() // waits for the one above, if it is at it
		}
		end(context.Canceled)
	}
}

// startRecording opens the tape; from now on everything is recorded, and written
// down afterwards if transcribe says so. A call without a recording is better
// than no call.
func (s *course) startRecording(transcribe bool) {
	tape, err := s.Tapes.Open(s.callID)
	if err != nil {
		s.log.Error("no recording", "err", err)
		s.note("no recording: " + err.Error())
		return
	}
	tape.Start(time.Now())
	s.tape = tape
	e := call.Event{Type: call.RecordingStarted, Transcribe: transcribe}
	if transcribe {
		e.Language = s.voice.Language
	}
	s.event(e)
}

func (s *course) closeTape() {
	if s.tape == nil {
		return
	}
	if err := s.tape.Close(); err != nil {
		s.log.Error("the tape was not closed well", "err", err)
		s.note("recording: " + err.Error())
	}
}

// track is where a leg is recorded, nil if nothing is.
func (s *course) track(leg string, role call.Role) media.Track {
	if s.tape == nil {
		return nil
	}
	side := recording.Right
	switch role {
	case call.Client:
		side = recording.Left
	case call.Colleague:
		side = recording.Private
	}
	return s.tape.Track(leg, side)
}

// trackOf is where a phone is recorded from its first sound on.
func (s *course) trackOf(t target) media.Track {
	if t.left && t.role == call.Operator {
		return s.track(t.leg, call.Client)
	}
	return s.track(t.leg, t.role)
}

// say lets l hear a text and returns when it was heard to the end. A text that
// cannot be spoken now is noted and left out: the door let it pass because it
// could be, and the call matters more.
func (s *course) say(ctx context.Context, l *line, prompt, text string) error {
	if text == "" {
		return context.Cause(ctx)
	}
	clip, err := s.Speech.Say(ctx, s.voice, text)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		s.log.WarnContext(ctx, "not spoken", "prompt", prompt, "err", err)
		s.note(prompt + " is not spoken: " + err.Error())
		return nil
	}
	return s.play(ctx, l, prompt, text, clip)
}

// play lets l hear a clip and returns when it was heard to the end. text is
// what it says, as far as that is known.
func (s *course) play(ctx context.Context, l *line, prompt, text string, clip *audio.Clip) error {
	s.event(call.Event{Type: call.PromptStarted, Leg: l.ID(), Prompt: prompt, Text: text})
	err := l.Play(ctx, telephony.Prompt{Clip: clip})
	how := "finished"
	switch {
	case errors.Is(err, errLost):
		how = "interrupted" // by what stands before it on the timeline
	case err != nil:
		how = "interrupted: " + err.Error()
	}
	s.event(call.Event{Type: call.PromptEnded, Leg: l.ID(), Prompt: prompt, Reason: how})
	return err
}

// errPauseOver is the good end of a pause.
var errPauseOver = errors.New("the pause is over")

// pause waits. The phone hears silence, so that sound keeps flowing through
// its NAT and its own hang-up on dead media.
func (s *course) pause(ctx context.Context, l *line, why string, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	s.event(call.Event{Type: call.Waiting, Leg: l.ID(), Reason: why, TimeoutMS: d.Milliseconds()})
	ctx, cancel := context.WithTimeoutCause(ctx, d, errPauseOver)
	defer cancel()
	err := s.silence(ctx, l)
	if errors.Is(err, errPauseOver) {
		return nil
	}
	return err
}

// silence lets l hear nothing until ctx or the leg ends.
func (s *course) silence(ctx context.Context, l *line) error {
	return l.Play(ctx, telephony.Prompt{Clip: tone.Silence(time.Second), Loop: true})
}

// sendDigits presses keys toward the far end.
func (s *course) sendDigits(ctx context.Context, l *line, digits string) error {
	if digits == "" {
		return context.Cause(ctx)
	}
	err := l.SendDigits(ctx, digits)
	if err == nil {
		s.event(call.Event{Type: call.DigitsSent, Leg: l.ID(), Digits: digits})
	}
	return err
}

// dialExtension passes the far end's own switchboard, if an extension is
// given.
func (s *course) dialExtension(ctx context.Context, l *line) error {
	if l.extension == "" {
		return nil
	}
	if err := s.pause(ctx, l, "before the extension", l.extensionDelay); err != nil {
		return err
	}
	return s.sendDigits(ctx, l, l.extension)
}

// millis and seconds read a packet's times; a normalised packet has them all.
func millis(n *int) time.Duration  { return time.Duration(number(n)) * time.Millisecond }
func seconds(n *int) time.Duration { return time.Duration(number(n)) * time.Second }

func isTrue(b *bool) bool { return b != nil && *b }

func number(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}
