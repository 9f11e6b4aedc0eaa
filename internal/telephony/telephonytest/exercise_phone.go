package telephonytest

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/mediatest"
)

// Manner is how a SIPPhone treats a call that comes in. The zero value rings
// until the test lets it do something else.
type Manner struct {
	// Wait is the silence before its first word. Mute: it never says one, and
	// refuses the INVITE when it is repeated, half a second later: else the
	// engine would wait 32 s for its last word.
	Wait time.Duration
	Mute bool
	// Unavailable: it answers OPTIONS with 503.
	Unavailable bool
	// Says are the provisional responses: nil is 180, empty none. A 183 brings
	// early media.
	Says []int
	// Answers lets it pick up at once, or After that time.
	Answers bool
	After   time.Duration
	// Refuses is the final status it refuses with, at once or After that time;
	// Reason a Reason header of it.
	Refuses int
	Reason  string
	// Demands is the password that a caller must prove it knows (407).
	Demands string
	// DropsAck loses the first ACK.
	DropsAck bool
	// LateAck: the network holds its ACK up for so long. ByeFirst: it hangs up
	// at once, which overtakes the ACK.
	LateAck  time.Duration
	ByeFirst bool
	// CrossesCancel: when it is cancelled it has just picked up.
	CrossesCancel bool
	// Codec is the one it speaks; default PCMA. Foreign: one nobody else does.
	Codec   media.Codec
	Foreign bool
	// Asserts is the number it vouches for in calls that it makes
	// (P-Asserted-Identity).
	Asserts string
	// LateNotify: it takes so long to answer what it is told of its transfers.
	LateNotify time.Duration
	// NoEvents: it knows no telephone-event.
	NoEvents bool
}

// The states of a SIPPhone.
const (
	PhoneIdle    = "idle"
	PhoneRinging = "ringing" // called, and nothing decided
	PhoneCalling = "calling" // calls, and nobody has answered
	PhoneTalking = "talking"
)

// SIPPhone is a phone for the suite, or what a carrier looks like to an
// engine: it takes a call to any number and holds one at a time. It is made of
// a socket and the message parser only, so that it can do what no decent stack
// would, in an order that the test decides. It sends a tone of its own and
// knows what it hears. Safe for concurrent use.
type SIPPhone struct {
	t    testing.TB
	conn *net.UDPConn
	tone float64
	done chan struct{} // closed by close
	wg   sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	manner  Manner
	state   string
	call    *farCall      // the current call or the last one
	account *sip.Uri      // the Contact that is registered here, nil if none
	final   int           // of the last call out or registration
	refusal *sip.Response // of the last call out, nil if it was not
	waiting map[string]chan *sip.Response
	sent    map[string]*sip.Response // by branch and method, for repeats
	timers  []*time.Timer
}

// farCall is a call as the phone sees it.
type farCall struct {
	invite    *sip.Request // as received or sent last
	out       bool         // the phone called
	local     string       // the phone's tag
	remote    string       // the engine's tag
	target    sip.Uri      // where requests go
	peer      netip.AddrPort
	cseq      uint32
	manner    Manner
	media     *mediatest.Phone
	acked     bool
	acks      int
	answers   int    // 2xx that came
	confirmed bool   // the ACK of it was sent
	direction string // as in SDP; empty: sendrecv
	cancelled bool   // a CANCEL came
	why       string // its Reason
	byes      int    // BYEs that came
	says      []int
	transfer  []string // what it was told of its transfers
}

// NewSIPPhone makes a phone on loopback that sends a tone of freq Hz in calls.
// It is closed at the end of the test.
func NewSIPPhone(t testing.TB, freq float64) *SIPPhone {
	t.Helper()
	return NewSIPPhoneAt(t, netip.MustParseAddr("127.0.0.1"), freq)
}

// NewSIPPhoneAt is NewSIPPhone at an address of loopback, for engines that know
// a carrier by its address alone.
func NewSIPPhoneAt(t testing.TB, ip netip.Addr, freq float64) *SIPPhone {
	t.Helper()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
	if err != nil {
		t.Fatal(err)
	}
	p := &SIPPhone{
		t: t, conn: conn, tone: freq, done: make(chan struct{}), state: PhoneIdle,
		waiting: map[string]chan *sip.Response{}, sent: map[string]*sip.Response{},
	}
	p.wg.Go(p.read)
	t.Cleanup(p.close)
	return p
}

func (p *SIPPhone) close() {
	p.mu.Lock()
	p.closed = true
	for _, timer := range p.timers {
		timer.Stop()
	}
	p.mu.Unlock()
	close(p.done)
	_ = p.conn.Close()
	p.wg.Wait()
}

// Addr is where it speaks SIP.
func (p *SIPPhone) Addr() netip.AddrPort { return p.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// Tone is what it sends, in Hz.
func (p *SIPPhone) Tone() float64 { return p.tone }

// Behave settles how it treats the next calls.
func (p *SIPPhone) Behave(m Manner) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.manner = m
}

// State is one of the Phone… constants.
func (p *SIPPhone) State() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}

// Called tells of the last call that came in, or went out: its INVITE; nil if
// there was none.
func (p *SIPPhone) Called() *sip.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.call == nil {
		return nil
	}
	return p.call.invite
}

// Cancelled tells whether the last call was cancelled from the other side, and
// HungUp whether it sent a BYE.
func (p *SIPPhone) Cancelled() bool { return p.look(func(c *farCall) bool { return c.cancelled }) }

// CancelReason is the Reason of the CANCEL that ended the last call, if it had one.
func (p *SIPPhone) CancelReason() (why string) {
	p.look(func(c *farCall) bool {
		why = c.why
		return true
	})
	return why
}

// HungUp tells whether the other side ended the last call with BYE.
func (p *SIPPhone) HungUp() bool { return p.look(func(c *farCall) bool { return c.byes > 0 }) }

// Acked tells whether the other side has acknowledged the answer.
func (p *SIPPhone) Acked() bool { return p.look(func(c *farCall) bool { return c.acked }) }

// Account is the Contact that the engine has registered here, as with a
// carrier; empty: none.
func (p *SIPPhone) Account() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.account == nil {
		return ""
	}
	return p.account.String()
}

// Final is the final status of the last call out or registration, 0 before it.
func (p *SIPPhone) Final() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.final
}

// Refusal is in what words the last call out was refused: the reason phrase and
// the Warning (RFC 3261 §20.43).
func (p *SIPPhone) Refusal() (reason, warning string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refusal == nil {
		return "", ""
	}
	if h := p.refusal.GetHeader("Warning"); h != nil {
		warning = h.Value()
	}
	return p.refusal.Reason, warning
}

// Heard are the provisional statuses that came during the last call out.
func (p *SIPPhone) Heard() (codes []int) {
	p.look(func(c *farCall) bool {
		codes = slices.Clone(c.says)
		return true
	})
	return codes
}

func (p *SIPPhone) look(f func(*farCall) bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.call != nil && f(p.call)
}

// Answers is how often the last call out was answered, repeats included.
func (p *SIPPhone) Answers() (n int) {
	p.look(func(c *farCall) bool {
		n = c.answers
		return true
	})
	return n
}

// Confirmed tells whether the phone has sent the ACK of the answer to its call.
func (p *SIPPhone) Confirmed() bool { return p.look(func(c *farCall) bool { return c.confirmed }) }

// Sound is the phone's ear and mouth in the last call; nil before it has any.
func (p *SIPPhone) Sound() *mediatest.Phone {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.call == nil {
		return nil
	}
	return p.call.media
}

// Early lets a ringing phone send sound before it answers.
func (p *SIPPhone) Early() { p.ringing(func(c *farCall) { p.say(c, 183) }) }

// Answer picks a ringing phone up.
func (p *SIPPhone) Answer() { p.ringing(p.answer) }

// Refuse ends the ringing with a status.
func (p *SIPPhone) Refuse(code int) {
	p.ringing(func(c *farCall) {
		p.respond(c.invite, code, "", nil)
		p.state = PhoneIdle
	})
}

func (p *SIPPhone) ringing(f func(*farCall)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == PhoneRinging {
		f(p.call)
	}
}

// Hangup ends the call with BYE. reason, if not empty, is its Reason header.
func (p *SIPPhone) Hangup(reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state != PhoneTalking {
		return
	}
	bye := p.inDialog(p.call, sip.BYE)
	if reason != "" {
		bye.AppendHeader(sip.NewHeader("Reason", reason))
	}
	p.send(bye, p.call.peer)
	p.over(p.call)
}

// Hold puts the call on hold or takes it off, and waits for the final status
// of the re-INVITE, which it returns. Meanwhile the phone is silent.
func (p *SIPPhone) Hold(on bool) int {
	if on {
		return p.Direct("sendonly")
	}
	return p.Direct("sendrecv")
}

// Direct is Hold with a direction of the phone's choice, as SDP has it: it is
// silent unless that is sendrecv.
func (p *SIPPhone) Direct(direction string) int {
	p.mu.Lock()
	if p.state != PhoneTalking {
		p.mu.Unlock()
		return 0
	}
	c := p.call
	c.direction = direction
	c.media.Mute(direction != "sendrecv")
	req := p.inDialog(c, sip.INVITE)
	req.AppendHeader(&sip.ContactHeader{Address: p.contact()})
	req.AppendHeader(sip.NewHeader("Content-Type", "application/sdp"))
	req.SetBody(p.description(c))
	p.mu.Unlock()
	res := p.exchange(req, c.peer, nil)
	if res == nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if res.IsSuccess() {
		ack := p.inDialog(c, sip.ACK)
		ack.CSeq().SeqNo = req.CSeq().SeqNo
		p.write(ack.String(), c.peer)
	}
	return res.StatusCode
}

// Die lets the phone vanish from its call without a word.
func (p *SIPPhone) Die() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == PhoneTalking {
		p.over(p.call)
	}
}

// Info sends a key with SIP INFO.
func (p *SIPPhone) Info(key byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state != PhoneTalking {
		return
	}
	req := p.inDialog(p.call, sip.INFO)
	req.AppendHeader(sip.NewHeader("Content-Type", "application/dtmf-relay"))
	req.SetBody([]byte("Signal=" + string(key) + "\r\nDuration=160\r\n"))
	p.send(req, p.call.peer)
}

// after runs f, with the lock held, unless the phone is closed by then.
func (p *SIPPhone) after(d time.Duration, f func()) {
	p.timers = append(p.timers, time.AfterFunc(d, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if !p.closed {
			f()
		}
	}))
}
