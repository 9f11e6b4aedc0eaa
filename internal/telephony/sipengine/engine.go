// Package sipengine is the built-in phone system: telephony.Engine over SIP and
// RTP of our own (RFC 3261 and what carriers and phones need around it).
//
// sipgo reads and writes messages and runs their transactions; everything above
// is here: dialogs, offers and answers, the machine of 2xx and ACK, CANCEL and
// its races, forking, session timers, dead media. docs/decisions/0001 says why.
//
// A reader who follows a call out begins with dial.go and invite.go; a call in
// with serve.go, inbound.go and answer.go; what happens in a call that stands is in
// indialog.go, reinvite.go, timer.go and bye.go; a transfer that a phone asks for in
// refer.go, a call it picks up in replaces.go; how phones see what others do in
// states.go, subscribe.go and watch.go; what outlives a killed process in ledger.go
// and restart.go.
package sipengine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/sipengine/digestauth"
	"github.com/perezvon/perezvon/internal/telephony/sipengine/registrar"
	"github.com/perezvon/perezvon/internal/telephony/sipengine/trunk"
	"github.com/perezvon/perezvon/internal/telephony/tasks"
)

// ErrStopped is why calls end when the engine stops.
var ErrStopped = errors.New("the phone system is stopping")

// Engine is the built-in phone system. New makes it, Start opens its sockets,
// Stop ends every call and closes them.
type Engine struct {
	cfg    Config
	log    *slog.Logger
	auth   *digestauth.Server
	phones *registrar.Registrar
	trunks *trunk.Table

	udp, tcp, tls netip.AddrPort // listened on
	transport     *sip.TransportLayer
	transactions  *sip.TransactionLayer
	sockets       []interface{ Close() error }
	ledger        *ledger
	loops         sync.WaitGroup // the transport's read loops

	// life ends when Stop begins.
	life context.Context
	stop context.CancelCauseFunc

	tasks *tasks.Group  // all goroutines but the read loops
	gone  chan struct{} // closed when the sockets are: nobody need be waited for

	closing sync.Once
	using   sync.RWMutex // held for reading while the transport is used

	mu      sync.Mutex
	dialogs map[dialogID]*leg
	legs    map[*leg]struct{}
	orphans map[string]*orphan // by Call-ID
	subs    subscriptions

	changes changes // of what operators' phones are doing
}

var _ telephony.Engine = (*Engine)(nil)

// setGlobals sets, once and before any socket, what sipgo has as globals.
//
// It lifts the limit of 1,300 bytes for a message on UDP. RFC 3261 §18.1.1
// would have us change to TCP above it, which carriers on UDP do not offer; an
// INVITE with credentials passes the limit easily, and IP fragments arrive. And
// it silences the logger that sipgo falls back on.
var setGlobals = sync.OnceFunc(func() {
	sip.UDPMTUSize = 65535
	sip.SetDefaultLogger(slog.New(slog.DiscardHandler))
})

// New makes an engine. Nothing is opened before Start.
func New(cfg Config) (*Engine, error) {
	if cfg.Ports == nil || cfg.Directory == nil {
		return nil, errors.New("sipengine: Ports and Directory must be set")
	}
	setGlobals()
	e := &Engine{cfg: cfg.withDefaults(), dialogs: make(map[dialogID]*leg), legs: make(map[*leg]struct{}), orphans: make(map[string]*orphan)}
	e.log = e.cfg.Logger
	e.life, e.stop = context.WithCancelCause(context.Background())
	e.tasks, e.gone = tasks.New(), make(chan struct{})
	e.auth = digestauth.New(digestauth.Config{Realm: e.cfg.Realm, Lookup: e.password, Exempt: e.exempt, Logger: e.log})
	e.phones = registrar.New(registrar.Config{
		Keeper: e.cfg.Phones, Logger: e.log,
		OnChange: func(extension string, _ bool) { e.changes.tell(extension) },
	})
	e.trunks = trunk.NewTable(trunk.Config{Client: client{e}, Contact: e.trunkContact, Logger: e.log})
	return e, nil
}

// Start opens the sockets, loads the trunks and begins to serve. It does not
// wait for trunks to register, nor for the end of the calls that a killed
// process left (see Config.Ledger).
func (e *Engine) Start(ctx context.Context) error {
	e.transport = sip.NewTransportLayer(net.DefaultResolver, newParser(), e.cfg.TLS,
		sip.WithTransportLayerLogger(quiet(e.log)))
	e.transactions = sip.NewTransactionLayer(e.transport,
		sip.WithTransactionLayerLogger(quiet(e.log)),
		sip.WithTransactionLayerUnhandledResponseHandler(e.onStrayResponse))
	e.transactions.OnRequest(e.onRequest)
	var left []entry
	var err error
	if e.ledger, left, err = openLedger(e.cfg.Ledger, e.log); err != nil {
		return err
	}
	if err := e.listen(); err != nil {
		e.close()
		return err
	}
	if err := e.Reload(ctx); err != nil {
		e.close()
		return err
	}
	e.phones.Start(e.life)
	e.trunks.Start(e.life)
	e.endLeft(left)
	e.tasks.Run(e.watchPhones)
	if e.cfg.MediaTimeout > 0 {
		e.tasks.Run(e.sweep)
	}
	e.log.Info("SIP is served", "udp", e.udp, "tcp", e.tcp, "tls", e.tls)
	return nil
}

// Reload reads the trunks anew.
func (e *Engine) Reload(ctx context.Context) error {
	ts, err := e.cfg.Directory.Trunks(ctx)
	if err != nil {
		return fmt.Errorf("read the trunks: %w", err)
	}
	e.trunks.Reload(ts)
	return nil
}

// Stop ends every call, waits for what was said to be heard, and closes the
// sockets. When ctx ends first the rest is cut off, and its cause returned. A
// second Stop waits likewise and does nothing.
func (e *Engine) Stop(ctx context.Context) error {
	if e.transport == nil {
		return nil // never started
	}
	e.stop(ErrStopped)
	e.mu.Lock()
	live := make([]*leg, 0, len(e.legs))
	for l := range e.legs {
		live = append(live, l)
	}
	e.mu.Unlock()
	for _, l := range live {
		l.Hangup(sip.StatusServiceUnavailable)
	}
	e.subs.end()
	err := e.tasks.Drain(ctx)
	e.phones.Stop()
	e.trunks.Stop()
	e.close()
	if err != nil {
		// Their transactions are gone: what still runs comes to its end.
		<-e.tasks.Drained()
	}
	return err
}

// close ends transactions and sockets and waits for the read loops. What was
// not said by then stays in the ledger.
func (e *Engine) close() {
	e.closing.Do(func() {
		e.using.Lock()
		close(e.gone)
		e.using.Unlock()
		e.ledger.close()
		e.transactions.Close()
		for _, s := range e.sockets {
			_ = s.Close() // nothing can be done about it
		}
		e.loops.Wait()
		_ = e.transport.Close()
	})
}

// Addr is the address that SIP over UDP (and TCP, at the same port) is served
// on, once Start has returned.
func (e *Engine) Addr() netip.AddrPort { return e.udp }

// TLSAddr is the address of SIP over TLS; zero if there is none.
func (e *Engine) TLSAddr() netip.AddrPort { return e.tls }

// TrunkStates tells how the trunks are, for the console.
func (e *Engine) TrunkStates() []trunk.State { return e.trunks.States() }

// password finds what an authenticating phone must know, or a trunk that calls
// from an address which is not its own: the account's password, the only secret
// that both sides have.
func (e *Engine) password(ctx context.Context, user string) (string, bool, error) {
	if op, err := e.cfg.Directory.Operator(ctx, user); err == nil {
		return op.Password, true, nil
	}
	if t := e.trunks.MatchUser(user); t != nil {
		return t.Password, true, nil
	}
	return "", false, nil
}

// exempt tells the addresses that are never silenced: the trunks'.
func (e *Engine) exempt(ip netip.Addr) bool {
	return e.trunks.MatchSource(netip.AddrPortFrom(ip, 0)) != nil
}

// enter makes a leg known, so that requests of its dialog find it.
func (e *Engine) enter(l *leg) {
	e.mu.Lock()
	e.legs[l] = struct{}{}
	e.mu.Unlock()
	e.changes.tell(l.operator)
}

func (e *Engine) enterDialog(l *leg, d *dialog) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.dialogs[d.id] = l
}

// forget ends what enter began.
func (e *Engine) forget(l *leg) {
	e.mu.Lock()
	delete(e.legs, l)
	e.mu.Unlock()
	e.changes.tell(l.operator)
}

// forgetDialog ends what enterDialog began.
func (e *Engine) forgetDialog(d *dialog) {
	d.drop()
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.dialogs, d.id)
}

// find is the leg of a dialog, nil if there is none.
func (e *Engine) find(id dialogID) *leg {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.dialogs[id]
}

// sweep ends the legs whose phones have fallen silent, once a second.
func (e *Engine) sweep() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-e.life.Done():
			return
		case now := <-tick.C:
			for _, l := range e.silent(now) {
				l.end(&telephony.HangupError{
					Leg: l.id, By: telephony.ByNetwork,
					Reason: fmt.Sprintf("no media for %s", e.cfg.MediaTimeout),
				})
			}
		}
	}
}

func (e *Engine) silent(now time.Time) (dead []*leg) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for l := range e.legs {
		if since, counts := l.silentSince(); counts && now.Sub(since) > e.cfg.MediaTimeout {
			dead = append(dead, l)
		}
	}
	return dead
}
