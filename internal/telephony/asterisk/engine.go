// Package asterisk is a phone system that somebody has already: telephony.Engine
// over an Asterisk that is driven through ARI. Operators and trunks are its PJSIP
// endpoints.
//
// Each leg is a channel of Asterisk and has a voice: a channel of external media
// whose sound is RTP to and from a stream of ours. A leg that is alone is in a
// bridge with its voice, its home: prompts, ringback, keys and recordings are
// then the built-in engine's. Joined legs are in a bridge of Asterisk's, so that
// they hear each other without us; their voices hear them through snoops.
// docs/decisions/0013-asterisk-voices.md says why.
//
// dial.go is a call out, inbound.go a call in, voice.go the sound of a leg,
// join.go legs that hear each other, event.go what Asterisk tells.
package asterisk

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/media/stream"
	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/asterisk/ari"
	"github.com/perezvon/perezvon/internal/telephony/tasks"
)

// ErrStopped is why calls end when the engine stops.
var ErrStopped = errors.New("the phone system is stopping")

// Directory is what the engine asks of what an administrator has set.
type Directory interface {
	// Trunks are the routes to the outside; Trunk.Endpoint is Asterisk's name of
	// one, by default Trunk.Name.
	Trunks(ctx context.Context) ([]directory.Trunk, error)
	// Operator is the one with an extension, which is also the name of the
	// endpoint; an error: there is none.
	Operator(ctx context.Context, extension string) (directory.Operator, error)
}

// Config is what an Engine needs.
type Config struct {
	// ARI speaks to the node. Required.
	ARI *ari.Client
	// Directory says who is who. Required.
	Directory Directory
	// Ports is where the voices' RTP comes in; MediaAddr is the address of it
	// for Asterisk. Required.
	Ports     *stream.Ports
	MediaAddr netip.Addr
	// Handler takes a call that comes in, and returns when it is done with it:
	// then the leg is hung up. ctx ends with the leg. nil: every call is
	// refused.
	Handler func(ctx context.Context, l telephony.Leg)
	// Logger takes what a support engineer needs; nil: nothing is logged.
	Logger *slog.Logger
}

const (
	// defaultRingTimeout is telephony.Dial's where none is set.
	defaultRingTimeout = 120 * time.Second
	// outage is how long Asterisk may be out of reach before its calls are
	// taken for ended.
	outage = 30 * time.Second
	// tidying bounds a request that nobody waits for.
	tidying = 10 * time.Second
)

// Engine drives one Asterisk. New makes it, Start connects it, Stop ends its
// calls and disconnects.
type Engine struct {
	cfg Config
	ari *ari.Client
	log *slog.Logger
	// mark is what the identifiers of our channels and bridges begin with.
	mark string

	// life ends when Stop begins, listening when all calls have ended.
	life      context.Context
	stop      context.CancelCauseFunc
	listening context.Context
	deafen    context.CancelFunc
	heard     chan struct{} // closed when nothing is listened to any more
	ready     chan struct{} // closed at the first connection

	tasks  *tasks.Group
	states states // of operators' phones, as they change

	mu       sync.Mutex
	trunks   []directory.Trunk
	channels map[string]*leg          // by the phone's channel and the voice's
	used     map[string]int           // calls of each trunk
	coming   map[string]chan struct{} // channels of our making that are not in the application yet
	started  bool
	lost     time.Time // since when there is no connection; zero: there is one
	readied  bool
	left     []*leftover // what a process before this one left; nil once it was asked for
}

var _ telephony.Engine = (*Engine)(nil)

// New makes an engine. Nothing is opened before Start.
func New(c Config) (*Engine, error) {
	if c.ARI == nil || c.Directory == nil || c.Ports == nil || !c.MediaAddr.IsValid() {
		return nil, errors.New("asterisk: ARI, Directory, Ports and MediaAddr must be set")
	}
	e := &Engine{
		cfg: c, ari: c.ARI, log: c.Logger, mark: c.ARI.App() + "-", channels: make(map[string]*leg), used: make(map[string]int), coming: make(map[string]chan struct{}),
		heard: make(chan struct{}), ready: make(chan struct{}),
	}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	e.tasks = tasks.New()
	e.life, e.stop = context.WithCancelCause(context.Background())
	e.listening, e.deafen = context.WithCancel(context.Background())
	return e, nil
}

// Start reads the trunks and connects to Asterisk. It returns when events come,
// or with the cause of ctx when they have not until then. A connection that
// breaks later is opened again.
func (e *Engine) Start(ctx context.Context) error {
	if err := e.Reload(ctx); err != nil {
		return err
	}
	e.mu.Lock()
	e.started = true
	e.mu.Unlock()
	go func() {
		defer close(e.heard)
		_ = e.ari.Listen(e.listening, listener{e}) // it ends when we want it to
	}()
	select {
	case <-e.ready:
		return nil
	case <-ctx.Done():
		e.deafen()
		<-e.heard
		return fmt.Errorf("asterisk: %w", context.Cause(ctx))
	}
}

// Reload reads the trunks anew.
func (e *Engine) Reload(ctx context.Context) error {
	ts, err := e.cfg.Directory.Trunks(ctx)
	if err != nil {
		return fmt.Errorf("read the trunks: %w", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.trunks = ts
	return nil
}

// Stop ends every call and waits until Asterisk knows. When ctx ends first the
// rest is left as it is, and its cause returned.
func (e *Engine) Stop(ctx context.Context) error {
	e.stop(ErrStopped)
	for _, l := range e.legs() {
		l.Hangup(503)
	}
	err := e.tasks.Drain(ctx)
	e.deafen()
	e.mu.Lock()
	started := e.started
	e.mu.Unlock()
	if started {
		<-e.heard
	}
	e.ari.Close()
	return err
}

// Leave disconnects from Asterisk and leaves all calls there as they are, for
// the process that comes (Survivors). The engine cannot be used afterwards: its
// legs do not tell of anything any more, and must be left alone.
func (e *Engine) Leave() {
	e.stop(ErrStopped)
	e.deafen()
	e.mu.Lock()
	started := e.started
	e.mu.Unlock()
	if started {
		<-e.heard
	}
	e.ari.Close()
}

// name is a new identifier for a channel or a bridge of that kind.
func (e *Engine) name(kind string) string { return e.mark + kind + "-" + rand.Text() }

// The kinds of what we make in Asterisk: a leg's channel, its voice, its snoop
// and its home, and the bridge of a talk.
const (
	kindLeg   = "leg"
	kindVoice = "voice"
	kindSnoop = "snoop"
	kindHome  = "home"
	kindTalk  = "talk"
)

// isA tells whether an identifier is one that name has made for that kind.
func (e *Engine) isA(kind, id string) bool { return strings.HasPrefix(id, e.mark+kind+"-") }

// ours tells whether an identifier is of our making.
func (e *Engine) ours(id string) bool { return strings.HasPrefix(id, e.mark) }

// errNoStart: an event that must come has not.
var errNoStart = errors.New("asterisk: a channel was made and did not come into the application")

// expects is called before a channel is made. It returns what waits until the
// channel is in the application: before, Asterisk answers the request and
// refuses the next one about it.
func (e *Engine) expects(channel string) (come func(ctx context.Context) error) {
	is := make(chan struct{})
	e.mu.Lock()
	e.coming[channel] = is
	e.mu.Unlock()
	return func(ctx context.Context) error {
		defer e.came(channel)
		ctx, cancel := context.WithTimeoutCause(ctx, tidying, errNoStart)
		defer cancel()
		select {
		case <-is:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// came notes that a channel is in the application.
func (e *Engine) came(channel string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if is, ok := e.coming[channel]; ok {
		delete(e.coming, channel)
		close(is)
	}
}

// enter lets a leg be told of a channel.
func (e *Engine) enter(channel string, l *leg) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.channels[channel] = l
}

// forget ends what enter began.
func (e *Engine) forget(channels ...string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range channels {
		delete(e.channels, c)
	}
}

// find is the leg of a channel, nil if there is none.
func (e *Engine) find(channel string) *leg {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.channels[channel]
}

// legs are all there are.
func (e *Engine) legs() (all []*leg) {
	seen := make(map[*leg]bool)
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, l := range e.channels {
		if !seen[l] {
			seen[l] = true
			all = append(all, l)
		}
	}
	return all
}

// trunk is the one of a name, and trunkAt the one of an endpoint.
func (e *Engine) trunk(name string) (directory.Trunk, bool) {
	return e.findTrunk(func(t directory.Trunk) bool { return t.Name == name })
}

func (e *Engine) trunkAt(endpoint string) (directory.Trunk, bool) {
	return e.findTrunk(func(t directory.Trunk) bool { return endpointOf(t) == endpoint })
}

func (e *Engine) findTrunk(is func(directory.Trunk) bool) (directory.Trunk, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, t := range e.trunks {
		if is(t) {
			return t, true
		}
	}
	return directory.Trunk{}, false
}

func endpointOf(t directory.Trunk) string {
	if t.Endpoint != "" {
		return t.Endpoint
	}
	return t.Name
}

// TrunkCalls counts the calls out through a trunk; ok is false for one that is
// not known.
func (e *Engine) TrunkCalls(name string) (calls int, ok bool) {
	if _, ok = e.trunk(name); !ok {
		return 0, false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.used[name], true
}

// tidy asks something of Asterisk that nobody waits for.
func (e *Engine) tidy(what string, ask func(ctx context.Context) error) {
	e.tasks.Run(func() { e.ask(what, ask) })
}

// ask asks something of Asterisk, and waits; nobody else need know how it ends.
func (e *Engine) ask(what string, ask func(ctx context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), tidying)
	defer cancel()
	if err := ask(ctx); err != nil && !ari.Gone(err) {
		e.log.Warn("Asterisk did not do what it was asked", "what", what, "err", err)
	}
}
