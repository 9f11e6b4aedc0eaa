// Package scenario is what happens on a call, written the way the
// specification tells it: sequential code, one goroutine a call, waiting is a
// blocking call with a context. Why something ended is the cause of a context;
// one table (outcome.go) turns it into the call's status.
//
// To see what happens when a manager presses 5, read callback.go from its top.
package scenario

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/perezvon/perezvon/internal/acd"
	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/recording"
	"github.com/perezvon/perezvon/internal/speech"
	"github.com/perezvon/perezvon/internal/telephony"
)

// Causes with which the context given to Run ends a call from outside.
var (
	// ErrCancelled: through the API or the console; status 710.
	ErrCancelled = errors.New("cancelled through the API")
	// ErrStopped: the server is being stopped; status 712.
	ErrStopped = errors.New("the server is being stopped")
)

// Journal keeps the timelines of calls.
type Journal interface {
	// Append adds an event to its call's timeline and gives it its Seq (and
	// its At, if zero). The order of calls is kept.
	Append(call.Event)
	// Flush returns when everything appended so far is stored.
	Flush(ctx context.Context) error
}

// Tapes is where recordings are made.
type Tapes interface {
	Open(callID string) (Tape, error)
}

// Tape is the recording of one call.
type Tape interface {
	// Start sets the recording's zero: what was heard before is dropped.
	Start(at time.Time)
	// Track is the part of one leg.
	Track(leg string, side recording.Side) media.Track
	Close() error
}

// Speech turns texts into sound.
type Speech interface {
	Say(ctx context.Context, v speech.Voice, text string) (*audio.Clip, error)
}

// Operators finds operators by their extension.
type Operators interface {
	Operator(ctx context.Context, account, extension string) (directory.Operator, error)
}

// Pauses pauses operators: for all queues and the responsible manager.
type Pauses interface {
	SetPaused(ctx context.Context, account, extension string, paused bool) error
}

// Attempt is one call of a callback.
type Attempt struct {
	CallID, CallbackID, Account string
	Number                      int // of the attempt, from 1
	// Packet is normalised, and names a trunk if it needs one.
	Packet callback.Packet
}

// Services is what scenarios work with. All fields but Locations, Hearing
// and Logger are needed.
type Services struct {
	Engine    telephony.Engine
	Journal   Journal
	Tapes     Tapes
	Speech    Speech
	Operators Operators
	Locations Locations       // nil: caller IDs are the packet's and the trunks'
	Hearing   *speech.Hearing // nil: no recogniser
	Directory Directory       // what can be dialled; nil: operators alone
	Queues    *acd.Hall       // nil: there are no queues
	Pauses    Pauses          // nil: no member is paused for not answering
	Lines     *Lines          // of all scenarios of the engine; nil: nobody is kept from a second call
	Features  Features        // the keys to transfer by
	Talks     *Talks          // of all scenarios of the engine; nil: no transfers between two calls, nor through the API
	Pickups   *Pickups        // of all scenarios of the engine; nil: nobody takes a call that rings at a colleague's
	Region    string          // whose spelling of numbers is understood (ISO 3166). Default RU
	Logger    *slog.Logger    // nil: slog.Default
}

// Callbacks carries out callbacks.
type Callbacks struct{ Services }

// Outcome is how an attempt ended and what the manager wants of the next ones.
type Outcome struct {
	Status call.Status
	// Reason says why in words, for the timeline.
	Reason string
	// Reschedule: the reschedule key was pressed; another attempt is wanted
	// after the widget's next interval, whatever the status.
	Reschedule bool
	// CancelRecalls: nothing that is planned for this callback is wanted any
	// more.
	CancelRecalls bool
}

// Run is Perform for who only wants the status.
func (c *Callbacks) Run(ctx context.Context, a Attempt) call.Status {
	return c.Perform(ctx, a).Status
}

// endTime bounds what a call waits for once it is over.
const endTime = 5 * time.Second

// Perform makes the call and returns when it is over: everybody hung up, the
// tape closed, call.ended stored as the last event. ctx ends the call early,
// with ErrCancelled or ErrStopped as its cause. A fault of the program ends
// this call (712) and no other.
func (c *Callbacks) Perform(ctx context.Context, a Attempt) Outcome {
	voice := speech.Voice{Language: a.Packet.Language, Name: a.Packet.Voice}
	s := &callbackCourse{course: c.newCourse(a.CallID, a.Account, voice), packet: a.Packet}
	return s.perform(ctx, func(ctx context.Context) error {
		_, err := beside(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, s.run(ctx) }, s.warmUp)
		return err
	})
}
