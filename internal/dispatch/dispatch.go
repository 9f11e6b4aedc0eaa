// Package dispatch takes orders for callbacks and sees each through: it stores
// the order before it answers, runs one goroutine a call, takes up what a dead
// process left, and ends everything in order when the server stops.
package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"github.com/perezvon/perezvon/internal/acd"
	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/numbering"
	"github.com/perezvon/perezvon/internal/scenario"
	"github.com/perezvon/perezvon/internal/speech"
	"github.com/perezvon/perezvon/internal/store"
)

// Errors of Accept, beside invalid.Error.
var (
	// ErrDraining: the server is being stopped and takes nothing new.
	ErrDraining = errors.New("the server is being stopped")
	// ErrUnavailable: the order could not be stored, so it was not accepted.
	ErrUnavailable = errors.New("the database does not take writes")
	// ErrKeyReused: the idempotency key came before, with another body.
	ErrKeyReused = store.ErrKeyReused
)

// DefaultStartWithin is how old an order may be when a restarted server takes
// it up. A client who asked an hour ago does not expect the call any more.
const DefaultStartWithin = 10 * time.Minute

// DefaultRecallBelow is a few hundred calls less than a small server carries.
const DefaultRecallBelow = 500

const (
	storeTimeout = 5 * time.Second  // for the last writes of a call
	stopGrace    = 10 * time.Second // for calls that are ended by Drain
)

// Runner carries out one attempt: scenario.Callbacks.
type Runner interface {
	// Run makes the call and returns when it is over and call.ended is
	// appended. ctx ends it early, with scenario.ErrCancelled or
	// scenario.ErrStopped as its cause.
	Run(ctx context.Context, a scenario.Attempt) call.Status
}

// Board carries out a call that came to us: scenario.Switchboard.
type Board interface {
	// Run returns when the call is over and call.ended is appended. ctx ends it
	// early, with scenario.ErrCancelled or scenario.ErrStopped as its cause.
	Run(ctx context.Context, a scenario.Arrival) call.Status
	// Await waits until it is the turn of a client who has kept his place in a
	// queue.
	Await(ctx context.Context, k acd.Kept) (*scenario.Return, error)
}

// Speech tells whether a text could be spoken, and how long it takes:
// speech.Library.
type Speech interface {
	Check(ctx context.Context, v speech.Voice, text string) error
	// Length is how long the text takes to say, without speaking it; false: it
	// is an estimate.
	Length(ctx context.Context, v speech.Voice, text string) (d time.Duration, known bool)
}

// Responsibles finds the operator who is responsible for a client:
// responsible.Finder.
type Responsibles interface {
	Responsible(ctx context.Context, account, number string, rule call.ResponsibleRule) (call.Responsible, error)
}

// Config is what a Service needs.
type Config struct {
	Store *store.Store
	// Nodes carry out the attempts. Default: Runner is the only one, and has the
	// name of the store's node.
	Nodes  Nodes
	Runner Runner
	// Responsible finds who is to be called first. Default: Store.
	Responsible Responsibles
	Board       Board // nil: calls that come are refused
	Speech      Speech
	// Trials play what Try is asked for. Nil: there is no Try.
	Trials Trials
	// Hearing is what is understood of what people say. Default: nothing.
	Hearing *speech.Hearing
	// Region is whose spelling of numbers is understood (ISO 3166). Default RU.
	Region string
	// Allow lists private networks that URLs of packets may point into.
	Allow []netip.Prefix
	// StartWithin is how old an order may be when Recover takes it up; older
	// ones end as 713. Default DefaultStartWithin.
	StartWithin time.Duration
	// RecallBelow is how many calls may be live before planned attempts wait:
	// an opening to which a night's attempts were moved must not take every
	// channel from those who ask now. Default DefaultRecallBelow.
	RecallBelow int
	// Survivors are the legs that outlived the process before this one, Resumer
	// goes on with their calls; nil: none did.
	Survivors Survivors
	Resumer   Resumer
	// Transfers are the conversations of Runner; nil: none can be transferred.
	Transfers Transfers
	Logger    *slog.Logger // default: none
}

// Service dispatches callbacks. Its methods may be called from any goroutine.
type Service struct {
	config Config

	mu       sync.Mutex
	draining bool
	live     map[string]*attempt // by call
	kept     chan struct{}       // holds a token while a place in a queue may be new
	busy     sync.WaitGroup      // attempts and acceptances under way
}

// attempt is a call in the making, from before it is stored until it is over.
type attempt struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
}

// New makes a service. Call Recover before the first Accept.
func New(c Config) *Service {
	if c.Region == "" {
		c.Region = "RU"
	}
	if c.StartWithin == 0 {
		c.StartWithin = DefaultStartWithin
	}
	if c.RecallBelow == 0 {
		c.RecallBelow = DefaultRecallBelow
	}
	if c.Nodes == nil {
		c.Nodes = onlyNode{Name: c.Store.Node(), Runner: c.Runner}
	}
	if c.Responsible == nil {
		c.Responsible = c.Store
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Service{config: c, live: make(map[string]*attempt), kept: make(chan struct{}, 1)}
}

// Accepted is the answer to an order.
type Accepted struct {
	ID     string // of the callback
	CallID string // of its first call
	// Replayed: the order came before with the same idempotency key; this is
	// the answer it got then.
	Replayed bool
	// Joined: the client has an open callback of the same widget; it is the
	// answer, and nobody is called twice. A recall that was planned for it is
	// made now.
	Joined bool
}

// Accept checks the order, stores it and starts its call. When it returns
// without error the order is on the disk. raw is the request's body as it came;
// idempotencyKey may be empty.
//
// Errors: an invalid.Error names the fields that are wrong; ErrDraining,
// ErrUnavailable, ErrKeyReused.
func (s *Service) Accept(ctx context.Context, account string, p callback.Packet, raw []byte, idempotencyKey string) (Accepted, error) {
	n := store.NewCallback{Account: account, ID: call.NewID(), CallID: call.NewID(), Received: raw, Key: idempotencyKey}
	// The call is known as live before it is stored, so that a cancellation
	// finds it whenever it comes.
	a, err := s.begin(n.CallID)
	if err != nil {
		return Accepted{}, err
	}
	answer, note, err := s.accept(ctx, &n, p)
	if note != "" && err == nil && !answer.Replayed && !answer.Joined && answer.Verdict.Status.IsZero() {
		s.config.Store.Journal().Append(call.Event{CallID: n.CallID, Type: call.Note, Reason: note})
	}
	accepted := Accepted{ID: answer.ID, CallID: answer.CallID, Replayed: answer.Replayed, Joined: answer.Joined}
	switch {
	case err != nil, answer.Replayed, !answer.Verdict.Status.IsZero():
		s.end(n.CallID)
	case answer.Recall != nil:
		s.config.Store.Journal().Append(call.Event{CallID: n.CallID, Type: call.Note, Reason: "brought forward: another request for this client joined the callback"})
		s.start(a, attemptOf(*answer.Recall))
	case answer.Joined:
		s.end(n.CallID)
		s.config.Store.Journal().Append(call.Event{CallID: answer.CallID, Type: call.Note, Reason: "another request for this client joined the callback"})
	case !n.StartAt.IsZero():
		s.end(n.CallID)
		if errors.Is(context.Cause(a.ctx), scenario.ErrCancelled) {
			s.finish(n.CallID, call.Cancelled, "") // who cancelled it took it for live
		}
	default:
		s.start(a, scenario.Attempt{CallID: n.CallID, CallbackID: n.ID, Account: account, Number: answer.Packet.Attempt, Packet: answer.Packet})
	}
	return accepted, err
}

// Refuse stores an order that is not carried out, with a call that has ended at
// once: 711, for that reason. So whoever has asked finds it, and who is told of
// calls is told of it. Of the packet the client counts; he is kept as he is
// spelt if that is no number. Errors: ErrUnavailable, ErrKeyReused.
func (s *Service) Refuse(ctx context.Context, account string, p callback.Packet, raw []byte, idempotencyKey, reason string) (Accepted, error) {
	client, _ := p.ClientNumber()
	if e164, err := numbering.Normalize(client, s.config.Region); err == nil {
		client = e164
	}
	answer, err := s.config.Store.CreateCallback(store.NewCallback{
		Account: account, ID: call.NewID(), CallID: call.NewID(), Received: raw, Key: idempotencyKey,
		Packet: callback.Packet{Client: client, Attempt: 1}, Verdict: store.Verdict{Status: call.NotAllowed, Reason: reason},
	})
	if err != nil && !errors.Is(err, ErrKeyReused) {
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return Accepted{ID: answer.ID, CallID: answer.CallID, Replayed: answer.Replayed}, err
}

// accept stores the order. note is what is to stand on its call's timeline.
func (s *Service) accept(ctx context.Context, n *store.NewCallback, p callback.Packet) (answer store.Answered, note string, err error) {
	if err := s.config.Store.Healthy(); err != nil {
		return store.Answered{}, "", fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if n.Key != "" {
		// Before the checks: a repetition gets the first answer even if the
		// trunk it names is gone meanwhile.
		switch answer, err := s.config.Store.Replay(ctx, n.Account, n.Key, n.Received); {
		case err == nil || errors.Is(err, ErrKeyReused):
			return answer, "", err
		case !errors.Is(err, store.ErrNotFound):
			return store.Answered{}, "", fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	if n.Widget, err = s.widget(ctx, n.Account, p.Widget); err != nil {
		return store.Answered{}, "", err
	}
	if n.Packet, err = s.check(ctx, n.Account, p, n.Widget); err != nil {
		return store.Answered{}, "", err
	}
	judge(n, p, time.Now())
	if note, err = s.responsible(ctx, n); err != nil {
		return store.Answered{}, "", err
	}
	answer, err = s.config.Store.CreateCallback(*n)
	switch {
	case errors.Is(err, store.ErrNotFound):
		err = noWidget(p.Widget) // it was there a moment ago
	case err != nil && !errors.Is(err, ErrKeyReused):
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return answer, note, err
}

// begin makes the call known as live. A call that waited for its widget to open
// may be begun by two at once: the second gets ErrNotScheduled.
func (s *Service) begin(callID string) (*attempt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return nil, ErrDraining
	}
	if _, ok := s.live[callID]; ok {
		return nil, ErrNotScheduled
	}
	a := &attempt{}
	a.ctx, a.cancel = context.WithCancelCause(context.Background())
	s.live[callID] = a
	s.busy.Add(1)
	return a, nil
}

func (s *Service) end(callID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live[callID].cancel(nil)
	delete(s.live, callID)
	s.busy.Done()
}

// start runs the attempt on its media node, in a goroutine of its own.
func (s *Service) start(a *attempt, what scenario.Attempt) {
	node, why := s.config.Nodes.Nearest(clientAddr(what.Packet))
	s.config.Store.Journal().Append(call.Event{CallID: what.CallID, Type: call.NodeChosen, Node: node.Name, Reason: why})
	go s.perform(a, what.Account, what.CallID, func(ctx context.Context) call.Status { return node.Runner.Run(ctx, what) })
}

// perform sees a call through to its end in the store.
func (s *Service) perform(a *attempt, account, callID string, run func(context.Context) call.Status) {
	defer s.end(callID)
	status, reason := s.run(a.ctx, callID, run)
	if c, err := s.config.Store.Call(context.Background(), account, callID); err != nil || c.EndedAt.IsZero() {
		s.finish(callID, status, reason) // the runner failed to
	}
}

// run carries the call out; a panic ends this call as interrupted and no other.
func (s *Service) run(ctx context.Context, callID string, run func(context.Context) call.Status) (status call.Status, reason string) {
	defer func() {
		if p := recover(); p != nil {
			s.config.Logger.Error("call panicked", "call", callID, "panic", p, "stack", string(debug.Stack()))
			status, reason = call.Interrupted, "internal error"
		}
	}()
	if status = run(ctx); status.IsZero() {
		status, reason = call.Interrupted, "the scenario ended without a status"
	}
	return status, reason
}

// finish sees to it that the call has ended in the store too.
func (s *Service) finish(callID string, status call.Status, reason string) {
	s.config.Store.Journal().Append(call.Event{CallID: callID, Type: call.Ended, Status: &status, Reason: reason})
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	if err := s.config.Store.Journal().Flush(ctx); err != nil {
		// It stays in the journal's queue.
		s.config.Logger.Error("end of call is not stored yet", "call", callID, "error", err)
	}
}

// Ready is nil while orders are taken, ErrDraining after.
func (s *Service) Ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return ErrDraining
	}
	return nil
}

// Live is how many calls are being made.
func (s *Service) Live() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.live)
}
