package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/stream"
	"github.com/perezvon/perezvon/internal/media/tone"
	"github.com/perezvon/perezvon/internal/softphone"
	"github.com/perezvon/perezvon/internal/telephony"
)

// phones are the far side of everything: they take every call, manager's or
// client's, and send a tone for as long as it lasts.
type phones struct {
	phone *softphone.Phone
	now   atomic.Pointer[turn]
}

// turn is a load of calls from its first request to its end.
type turn struct {
	*waits
	posted  sync.Map // the manager's number → time of the request
	talking atomic.Int64
	over    context.Context // ends when the phones hang up
	hangUp  context.CancelFunc
}

// waits is how long people wait, and what becomes of their packets.
type waits struct {
	// postToInvite is from before the request to the manager's phone; greeting
	// from the manager's answer to the first sound, join the same for the
	// client; relay the way from phone to phone.
	postToInvite, greeting, join, relay histogram
	// sent and heard count packets that left one phone and reached another.
	sent, heard atomic.Int64
}

// registering bounds how long the phones' registration may take.
const registering = 10 * time.Second

// startPhones brings the phones of a system up and makes them known to it.
func startPhones(ctx context.Context, s system, codec media.Codec) (p *phones, err error) {
	p = &phones{}
	config := s.line()
	config.Codecs = []string{codec.Name()}
	config.Ports = stream.NewPorts(newProbeNet(&p.now), netip.MustParseAddr("127.0.0.1"), 32000, 59999)
	config.OnCall = p.take
	if p.phone, err = softphone.Start(ctx, config); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.stop())
		}
	}()
	if config.Password != "" {
		if err := p.phone.WaitRegistered(ctx, registering); err != nil {
			return nil, err
		}
	}
	return p, s.connect(ctx, p.phone.Addr())
}

func (p *phones) stop() error {
	if t := p.now.Load(); t != nil {
		t.hangUp()
	}
	return p.phone.Stop(context.Background())
}

// begin lets the calls that come now belong to a new turn.
func (p *phones) begin(ctx context.Context, w *waits) *turn {
	t := &turn{waits: w}
	t.over, t.hangUp = context.WithCancel(ctx)
	p.now.Store(t)
	return t
}

// take answers at once, and talks until the far end hangs up or the turn is
// over.
func (p *phones) take(ctx context.Context, leg telephony.Leg) {
	t := p.now.Load()
	first := &firstSound{into: &t.join}
	if at, manager := t.posted.Load(strings.TrimPrefix(leg.Info().To, "+")); manager {
		t.postToInvite.add(time.Since(at.(time.Time)))
		first.into = &t.greeting
	}
	leg.Record(first)
	first.answered = time.Now()
	if err := leg.Answer(ctx); err != nil {
		return
	}
	t.talking.Add(1)
	defer t.talking.Add(-1)
	stop := context.AfterFunc(t.over, func() { leg.Hangup(0) })
	defer stop()
	_ = leg.Play(ctx, telephony.Prompt{Clip: tone.Sine(440, time.Second, 8000, 8000), Loop: true}) // until the call ends
}

// waitTalking waits until n phones are talking and the clients among them are
// joined, which is some seconds of prompts after their managers answered.
func (t *turn) waitTalking(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("not all calls came about within a minute"))
	defer cancel()
	for t.talking.Load() < int64(n) {
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("%d of %d phones talk: %w", t.talking.Load(), n, err)
		}
	}
	return sleep(ctx, time.Second) // the last joins
}

// firstSound is a track that tells how long after the answer sound came.
type firstSound struct {
	answered time.Time
	once     sync.Once
	into     *histogram
}

func (f *firstSound) Packet(at time.Time, _ media.Codec, _, _ uint32, _ []byte) {
	f.once.Do(func() { f.into.add(at.Sub(f.answered)) })
}
func (f *firstSound) PlayStarted(time.Time, string, bool, time.Duration) {}
func (f *firstSound) PlayEnded(time.Time, string)                        {}
