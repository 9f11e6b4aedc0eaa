package stream

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perezvon/perezvon/internal/media"
)

// Errors of the package.
var (
	// ErrNoPorts: every pair of ports of the range is in use or resting after
	// its last call, or cannot be bound.
	ErrNoPorts = errors.New("no free RTP port")
	// ErrReplaced is what Play returns when another Play took the leg over.
	ErrReplaced = errors.New("another sound took over")
	// ErrClosed is what Play and SendDigits return once the stream is closed.
	ErrClosed = errors.New("stream closed")
)

// How a key was heard: the method that Options.OnDigit is told.
const (
	MethodRFC4733 = "rfc4733" // a telephone-event packet
	MethodInband  = "inband"  // the tones themselves
)

// Options are fixed for the life of a stream. The functions are called from
// the goroutine that reads the socket: they must return at once and must not
// call Close. Any of them may be nil.
type Options struct {
	// Logger takes what a support engineer needs, with the leg's keys already
	// in it; nil: nothing is logged.
	Logger *slog.Logger
	// OnDigit is told each key once, when it begins. method is MethodRFC4733
	// or MethodInband.
	OnDigit func(key byte, at time.Time, method string)
	// OnFirstPacket is told once that the phone has begun to send sound.
	OnFirstPacket func()
}

// Params is what the two sides agreed on in SDP.
type Params struct {
	// Codec is the encoding both ways and PT its payload type here.
	Codec media.Codec
	PT    uint8
	// EventPT is the payload type of telephone-event (RFC 4733); 0: it was not
	// agreed, keys are tones in the sound.
	EventPT uint8
	// Remote is where the far end wants its RTP. An unspecified address
	// (0.0.0.0, the old way to hold) or port 0: nothing is sent, and the
	// address known before stays in force.
	Remote netip.AddrPort
	// Ptime is how much sound the far end wants in a packet that we make
	// ourselves: 10…60 ms in tens; anything else is 20 ms. Relayed packets
	// keep their sender's.
	Ptime time.Duration
	// Send allows sound to the phone. While it is false nothing leaves, but
	// time passes: a prompt goes on unheard.
	Send bool
	// Receive allows sound from the phone. While it is false the packets are
	// counted, and neither recorded nor passed on.
	Receive bool
}

// Stream is one leg's RTP session. Its methods may be called from any
// goroutine.
type Stream struct {
	ports  *Ports
	pair   pair
	o      Options
	opened time.Time

	params atomic.Pointer[Params]   // nil before Configure
	route  atomic.Pointer[route]    // where the sound of this leg goes
	track  atomic.Pointer[trackBox] // who records it
	tap    atomic.Pointer[tapBox]   // who else listens
	heard  atomic.Int64             // time since opened of the last packet, 0: none

	in    receiver
	out   sender
	cname string // our name in RTCP

	// These belong to the goroutine that reads the RTP socket.
	sounding bool // the first packet has been told of
	events   eventReceiver
	inband   inbandReceiver

	keying  chan struct{} // holds a token while SendDigits is at work
	relayed keyQueue      // keys of the peer to be sent on

	done chan struct{}
	wg   sync.WaitGroup // the two readers, and the sender of relayed keys
	once sync.Once
}

// trackBox and tapBox give an interface value an address.
type (
	trackBox struct{ media.Track }
	tapBox   struct{ media.Listener }
)

// Open takes a pair of ports and begins to read them; what comes before the
// first Configure is dropped. The error is ErrNoPorts or wraps it.
func Open(p *Ports, o Options) (*Stream, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	pr, err := p.take()
	if err != nil {
		return nil, err
	}
	s := newStream(p, pr, o)
	p.add(s)
	s.wg.Go(s.readRTP)
	s.wg.Go(s.readRTCP)
	return s, nil
}

func newStream(p *Ports, pr pair, o Options) *Stream {
	s := &Stream{
		ports:  p,
		pair:   pr,
		o:      o,
		opened: time.Now(),
		cname:  strconv.FormatUint(rand.Uint64(), 36),
		keying: make(chan struct{}, 1),
		done:   make(chan struct{}),
	}
	s.out.init(pr.rtp)
	return s
}

// LocalPort is the even port that takes RTP; RTCP is at the next one.
func (s *Stream) LocalPort() int { return s.pair.port }

// Configure sets or changes what was agreed. A Remote that differs from the
// last one opens the latch anew, so that the stream follows a re-INVITE.
func (s *Stream) Configure(p Params) {
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	remote := netip.AddrPortFrom(p.Remote.Addr().Unmap(), p.Remote.Port())
	if !usable(remote) {
		p.Send = false
		remote = s.in.latch.signalled
	}
	p.Remote = remote
	if remote != s.in.latch.signalled {
		s.in.rtcp.to = netip.AddrPort{}
	}
	to := s.in.latch.signal(remote)
	s.params.Store(&p)
	s.out.configure(to, p.Send && usable(to))
}

func usable(a netip.AddrPort) bool {
	return a.IsValid() && !a.Addr().IsUnspecified() && a.Port() != 0
}

// Record lets t take the sound of the phone from now on; nil ends it. A sound
// that is being played just now goes on in it.
func (s *Stream) Record(t media.Track) {
	var box *trackBox
	if t != nil {
		box = &trackBox{t}
	}
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	old := s.track.Swap(box)
	if pl := s.out.play; pl != nil && pl.key != "" {
		now := time.Now()
		if old != nil {
			old.PlayEnded(now, pl.key)
		}
		if box != nil {
			box.PlayStarted(now, pl.key, pl.loop, now.Sub(pl.start))
		}
	}
}

// Tap lets l hear the phone from now on, beside its recording; nil ends it. A
// packet that is under way may still come afterwards.
func (s *Stream) Tap(l media.Listener) {
	if l == nil {
		s.tap.Store(nil)
		return
	}
	s.tap.Store(&tapBox{l})
}

// LastHeard is when the last RTP or RTCP packet came from the phone; the zero
// time if none has.
func (s *Stream) LastHeard() time.Time {
	since := s.heard.Load()
	if since == 0 {
		return time.Time{}
	}
	return s.opened.Add(time.Duration(since))
}

func (s *Stream) hear(now time.Time) { s.heard.Store(max(int64(now.Sub(s.opened)), 1)) }

// Close ends the stream, waits for its goroutines and gives the ports back.
// What plays on it returns ErrClosed. More than one Close is one.
func (s *Stream) Close() error {
	s.once.Do(func() {
		close(s.done)
		s.route.Store(nil)
		s.out.close()
		s.relayed.close()
		s.ports.remove(s)
		s.pair.close()
		s.wg.Wait()
		s.ports.give(s.pair)
	})
	return nil
}
