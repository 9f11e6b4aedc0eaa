package checkup

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Sound is what was measured of RTP on its way to Asterisk, through a bridge
// there, and back.
type Sound struct {
	// Sent and Returned are packets of 20 ms.
	Sent, Returned int
	// RoundTrip is the median, and Worst the longest, time there and back.
	RoundTrip, Worst time.Duration
}

const (
	// packets are sent each way, one each packetTime.
	packets    = 50
	packetTime = 20 * time.Millisecond
	// straggling is how long the last may take.
	straggling = time.Second
	// reaching is how long the first may take.
	reaching = 2 * time.Second
	// enough packets of silence show that Asterisk reaches us.
	enough = 10
	// slow and lossy are where people begin to hear it.
	slow  = 150 * time.Millisecond
	lossy = 0.01
)

// format is that of the engine's voices, by Asterisk's name.
const format = "alaw"

// examineSound makes two channels of external media, lets Asterisk send silence
// to one, and then each hear the other. The first one stays until done, for what
// needs a channel to be asked of.
func (k *checkup) examineSound(ctx context.Context) (done func()) {
	one, ok := k.open(ctx, "one")
	if !ok {
		return one.close
	}
	if k.clock(ctx, one) {
		k.probe = one.channel
		k.fromAsterisk(ctx, one)
	}
	return func() { k.hangup(ctx, one.channel); one.close() }
}

// open makes a channel of external media toward a socket of ours.
func (k *checkup) open(ctx context.Context, name string) (l *line, ok bool) {
	l, err := takeLine(k.Low, k.High)
	if err != nil {
		k.found(Fault, "media.port", "", k.Low, k.High, reason(err))
		return l, false
	}
	l.channel = k.id(name)
	l.host = netip.AddrPortFrom(k.MediaAddr, l.port())
	l.asked = time.Now()
	local, err := k.ari.ExternalMedia(ctx, l.channel, l.host.String(), format)
	if err == nil {
		l.remote, err = netip.ParseAddrPort(local) // nobody else has the line yet
	}
	switch {
	case err == nil:
		return l, true
	case readOnly(err):
		k.found(Fault, "ari.read_only", k.User, k.User)
	default:
		k.found(Fault, "media.refused", "", reason(err))
	}
	return l, false
}

// clock waits until the channel is in our application: the event tells that
// events come, and Asterisk's time.
func (k *checkup) clock(ctx context.Context, l *line) bool {
	start, err := k.ear.started(ctx, l.channel)
	if err != nil {
		k.found(Fault, "events.silent", "", reason(err))
		return false
	}
	k.found(OK, "events.ok", "")
	// It happened in Asterisk between our question and its arrival here.
	within := start.at.Sub(l.asked) / 2
	if start.Timestamp.IsZero() {
		return true
	}
	ahead := start.Timestamp.Sub(l.asked.Add(within))
	k.r.Clock, k.r.ClockWithin = ahead, within
	if ahead.Abs() > within+tolerable {
		k.found(Warning, "clock.differs", "", ahead.Round(time.Millisecond))
	} else {
		k.found(OK, "clock.ok", "")
	}
	return true
}

// tolerable is how far two clocks may be apart before somebody who compares logs
// is misled.
const tolerable = time.Second

// fromAsterisk has silence sent to us, and goes on to both ways if it comes.
func (k *checkup) fromAsterisk(ctx context.Context, one *line) {
	if err := k.ari.Silence(ctx, one.channel); err != nil {
		k.found(Fault, "media.refused", "", reason(err))
		return
	}
	one.hearUntil(time.Now().Add(reaching))
	came := one.hear(ctx, func(got []arrival) bool { return len(got) >= enough })
	k.away(ctx, func(ctx context.Context) error { return k.ari.Unsilence(ctx, one.channel) })
	if len(came) < enough {
		k.found(Fault, "media.from", one.host.String(), one.host, len(came))
		return
	}
	k.bothWays(ctx, one)
}

// bothWays lets two lines hear each other through a bridge of Asterisk's.
func (k *checkup) bothWays(ctx context.Context, one *line) {
	two, ok := k.open(ctx, "two")
	defer two.close()
	if !ok {
		return
	}
	defer k.hangup(ctx, two.channel)
	if _, err := k.ear.started(ctx, two.channel); err != nil {
		k.found(Fault, "events.silent", "", reason(err))
		return
	}
	bridge := k.id("bridge")
	if err := k.ari.NewBridge(ctx, bridge); err != nil {
		k.found(Fault, "bridge.refused", "", reason(err))
		return
	}
	defer k.away(ctx, func(ctx context.Context) error { return k.ari.DestroyBridge(ctx, bridge) })
	if err := k.ari.AddChannels(ctx, bridge, false, one.channel, two.channel); err != nil {
		k.found(Fault, "bridge.refused", "", reason(err))
		return
	}
	s := exchange(ctx, one, two)
	switch {
	case s.Returned == 0:
		k.found(Fault, "media.to", one.to().String(), one.to())
		return
	case float64(s.Sent-s.Returned) > lossy*float64(s.Sent):
		k.found(Warning, "media.lost", "", s.Sent-s.Returned, s.Sent)
	case s.RoundTrip > slow:
		k.found(Warning, "media.slow", "", s.RoundTrip.Round(time.Millisecond))
	default:
		k.found(OK, "media.ok", one.host.String(), s.RoundTrip.Round(100*time.Microsecond), s.Worst.Round(100*time.Microsecond), s.Returned, s.Sent, one.host)
	}
	k.r.Sound = &s
}

// exchange sends both ways at once and measures what arrives at the other line.
func exchange(ctx context.Context, one, two *line) Sound {
	s := Sound{Sent: 2 * packets}
	if !meet(ctx, one, two) {
		return s
	}
	heard := make(chan []arrival, 2)
	for _, l := range []*line{one, two} {
		l.hearUntil(time.Time{}) // not before all is sent
		go func() {
			heard <- l.hear(ctx, func(got []arrival) bool { return distinct(got) == packets })
		}()
	}
	var sent [packets]time.Time
	tick := time.NewTicker(packetTime)
	defer tick.Stop()
	for i := 0; i < packets && ctx.Err() == nil; i++ {
		sent[i] = time.Now()
		one.send(firstValue + byte(i))
		two.send(firstValue + byte(i))
		<-tick.C
	}
	one.hearUntil(time.Now().Add(straggling))
	two.hearUntil(time.Now().Add(straggling))
	var took []time.Duration
	for range 2 {
		var seen [packets]bool
		for _, a := range <-heard {
			if n, ok := numberOf(a.payload); ok && !seen[n] {
				seen[n] = true
				took = append(took, a.at.Sub(sent[n]))
			}
		}
	}
	slices.Sort(took)
	if s.Returned = len(took); s.Returned > 0 {
		s.RoundTrip, s.Worst = took[len(took)/2], took[len(took)-1]
	}
	return s
}

// meet sends until both lines hear each other: channels come into a bridge some
// time after Asterisk has said so.
func meet(ctx context.Context, one, two *line) bool {
	met := make(chan bool, 2)
	for _, l := range []*line{one, two} {
		l.hearUntil(time.Now().Add(reaching))
		go func() {
			got := l.hear(ctx, func(got []arrival) bool { return len(got) > 0 && got[len(got)-1].payload == greeting })
			met <- len(got) > 0 && got[len(got)-1].payload == greeting
		}()
	}
	tick := time.NewTicker(packetTime)
	defer tick.Stop()
	for both, n := true, 0; ; {
		one.send(greeting)
		two.send(greeting)
		select {
		case is := <-met:
			if both, n = both && is, n+1; n == 2 {
				return both
			}
		case <-tick.C:
		}
	}
}

// line is a socket of ours and the channel of Asterisk's at its other end.
type line struct {
	conn     *net.UDPConn
	channel  string
	host     netip.AddrPort // where we take RTP
	asked    time.Time
	sequence uint16

	mu     sync.Mutex
	remote netip.AddrPort // where Asterisk does
}

// arrival is a packet that came.
type arrival struct {
	at      time.Time
	payload byte // the first of it
}

// takeLine binds an even port of a range, as a server does, which may run beside
// us.
func takeLine(low, high int) (*line, error) {
	if low == 0 {
		conn, err := net.ListenUDP("udp4", nil)
		if err != nil {
			return nil, err
		}
		return &line{conn: conn}, nil
	}
	err := fmt.Errorf("no even port in %d-%d", low, high)
	for port := low + low%2; port+1 <= high; port += 2 {
		var conn *net.UDPConn
		if conn, err = net.ListenUDP("udp4", &net.UDPAddr{Port: port}); err == nil {
			return &line{conn: conn}, nil
		}
	}
	return nil, err
}

func (l *line) port() uint16 { return l.conn.LocalAddr().(*net.UDPAddr).AddrPort().Port() }

func (l *line) close() {
	if l != nil {
		_ = l.conn.Close() // it cannot be helped
	}
}

// latch sends to where sound comes from, as the engine does: what Asterisk says
// may be an address behind a NAT.
func (l *line) latch(from netip.AddrPort) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remote = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
}

func (l *line) to() netip.AddrPort {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.remote
}

// RTP (RFC 3550 §5.1): a header, and 20 ms of A-law.
const (
	headerLen  = 12
	payloadLen = 160
	rtpVersion = 0x80
	pcma       = 8
	sourceID   = 0x70657265
)

// send sends a packet whose samples are all one value: the encoding of a sample
// survives any path through Asterisk.
func (l *line) send(value byte) {
	var p [headerLen + payloadLen]byte
	p[0], p[1] = rtpVersion, pcma
	l.sequence++
	p[2], p[3] = byte(l.sequence>>8), byte(l.sequence)
	ts := uint32(l.sequence) * payloadLen
	p[4], p[5], p[6], p[7] = byte(ts>>24), byte(ts>>16), byte(ts>>8), byte(ts)
	p[8], p[9], p[10], p[11] = sourceID>>24&0xff, sourceID>>16&0xff, sourceID>>8&0xff, sourceID&0xff
	for i := headerLen; i < len(p); i++ {
		p[i] = value
	}
	_, _ = l.conn.WriteToUDPAddrPort(p[:], l.to()) // lost, as any other
}

// firstValue tells packet 0, those after it the next; greeting is of none. A-law's
// silence (0xd5, 0x55) is not among them.
const (
	firstValue = 0x58
	greeting   = firstValue - 1
)

// numberOf is the number of the packet that a payload is of.
func numberOf(payload byte) (n int, ok bool) {
	n = int(payload) - firstValue
	return n, n >= 0 && n < packets
}

func distinct(got []arrival) (n int) {
	var seen [packets]bool
	for _, a := range got {
		if i, ok := numberOf(a.payload); ok && !seen[i] {
			seen[i] = true
			n++
		}
	}
	return n
}

// hearUntil ends hear at a time; the zero time: not.
func (l *line) hearUntil(t time.Time) { _ = l.conn.SetReadDeadline(t) } // only a closed socket has none

// hear takes RTP until it is enough, or the time of hearUntil.
func (l *line) hear(ctx context.Context, enough func([]arrival) bool) (got []arrival) {
	defer context.AfterFunc(ctx, func() { l.hearUntil(time.Now()) })()
	var p [2048]byte
	for !enough(got) {
		n, from, err := l.conn.ReadFromUDPAddrPort(p[:])
		if err != nil {
			return got
		}
		if n > headerLen && p[0]&0xc0 == rtpVersion && p[1]&0x7f == pcma {
			l.latch(from)
			got = append(got, arrival{time.Now(), p[headerLen]})
		}
	}
	return got
}
