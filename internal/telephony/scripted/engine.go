package scripted

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/telephony"
)

// Engine is a telephony.Engine without a network: its phones do what their
// scripts say, at the scripted moments. In a synctest bubble the moments are
// virtual, so a ring of half a minute takes microseconds, and a goroutine that
// a scenario leaves behind fails the test by itself.
//
// It notes who heard what and who was joined with whom, to be asked for when
// the call is over.
type Engine struct {
	start time.Time

	mu      sync.Mutex
	phones  map[string][]Phone
	byLeg   map[string]Phone
	trunks  map[string]Phone
	states  map[string]telephony.DeviceState
	legs    []*leg
	dials   []Dialled
	heard   []Heard
	talks   []Talk
	sent    []Sent
	ringing map[string]bool
	told    map[string][]int // by leg
	// referred is what phones were told of their transfers, by leg.
	referred map[string][]int
	tracks   []Recorded
	keys     map[[2]string][]byte // from, to
}

// Dialled is one call the engine was told to make.
type Dialled struct {
	telephony.Dial
	At time.Duration // since New
	// Outcome is answered, or how it failed: refused, cancelled, timeout,
	// crossed (the answer crossed our cancel and was hung up).
	Outcome string
	Ended   time.Duration // since New
}

// Heard is one sound a phone was let to hear.
type Heard struct {
	Leg  string
	Key  string // of the clip; "early:c1" is the early media of leg c1
	Loop bool
	From time.Duration // since New
	To   time.Duration
	// Whole tells that it was heard to its end.
	Whole bool
}

// Talk is one stretch during which two legs heard each other.
type Talk struct {
	A, B     string
	From, To time.Duration // since New; To -1: they do still
}

// Sent is digits that were sent to a phone.
type Sent struct {
	Leg, Digits string
	From, To    time.Duration // since New
}

// Recorded is one stretch in which a leg was recorded.
type Recorded struct {
	Leg      string
	Track    media.Track
	From, To time.Duration // since New; To -1: it is recorded still
}

// New makes an engine that knows no phone yet. Times count from now.
func New() *Engine {
	return &Engine{
		start:   time.Now(),
		phones:  make(map[string][]Phone),
		byLeg:   make(map[string]Phone),
		trunks:  make(map[string]Phone),
		states:  make(map[string]telephony.DeviceState),
		ringing: make(map[string]bool),
	}
}

// Phone says how the phone of a number, or of an operator's extension, behaves
// on its first call, its second and so on; the last script serves all further
// calls. A number without a script does not exist (404).
func (e *Engine) Phone(number string, scripts ...Phone) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.phones[number] = scripts
}

// Leg says how the phone that is called as that leg of the call behaves, on
// each of its tries ("c1", then "c1.2" on the next trunk), whatever Phone says.
func (e *Engine) Leg(name string, p Phone) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.byLeg[name] = p
}

// Trunk lets every call through the trunk end as p says, whoever is called.
func (e *Engine) Trunk(name string, p Phone) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.trunks[name] = p
}

// SetDeviceState sets what DeviceState tells of an operator. Default: what his
// legs do; without any, not in use if the extension has a phone, else
// unavailable.
func (e *Engine) SetDeviceState(extension string, s telephony.DeviceState) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.states[extension] = s
}

// DeviceState implements telephony.Engine.
func (e *Engine) DeviceState(extension string) telephony.DeviceState {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s, ok := e.states[extension]; ok {
		return s
	}
	for _, l := range e.legs {
		if l.info.Operator == extension && l.ctx.Err() == nil {
			return telephony.InUse
		}
	}
	for _, d := range e.dials {
		if d.Operator == extension && d.Outcome == "" {
			return telephony.Ringing
		}
	}
	if len(e.phones[extension]) > 0 {
		return telephony.NotInUse
	}
	return telephony.Unavailable
}

// Dials is every call made, in the order of the orders.
func (e *Engine) Dials() []Dialled {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.dials)
}

// Heard is every sound that a leg was let to hear, in the order they began.
func (e *Engine) Heard(legID string) []Heard {
	e.mu.Lock()
	defer e.mu.Unlock()
	var hs []Heard
	for _, h := range e.heard {
		if h.Leg == legID {
			hs = append(hs, h)
		}
	}
	return hs
}

// Talks is who was joined with whom, and when.
func (e *Engine) Talks() []Talk {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.talks)
}

// SentDigits is every string of digits sent to a phone.
func (e *Engine) SentDigits() []Sent {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.sent)
}

// Alive names the legs that ring or are on the phone still. A call that is
// over leaves none.
func (e *Engine) Alive() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var names []string
	for name := range e.ringing {
		names = append(names, name)
	}
	for _, l := range e.legs {
		if l.ctx.Err() == nil {
			names = append(names, l.id)
		}
	}
	slices.Sort(names)
	return names
}

// Told is every SIP status that the phone of a call in got from us, in order.
func (e *Engine) Told(legID string) []int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.told[legID])
}

func (e *Engine) tell(legID string, code int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.told == nil {
		e.told = make(map[string][]int)
	}
	e.told[legID] = append(e.told[legID], code)
}

// Referred is every status a phone was told of the transfers that it asked
// for.
func (e *Engine) Referred(legID string) []int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.referred[legID])
}

func (e *Engine) tellReferred(legID string, code int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.referred == nil {
		e.referred = make(map[string][]int)
	}
	e.referred[legID] = append(e.referred[legID], code)
}

// Passed is the keys of a phone that another heard, in order.
func (e *Engine) Passed(from, to string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return string(e.keys[[2]string{from, to}])
}

// passed notes a key in the talks under way.
func (e *Engine) passed(legID string, key byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.keys == nil {
		e.keys = make(map[[2]string][]byte)
	}
	for _, t := range e.talks {
		way := [2]string{t.A, t.B}
		if t.B == legID {
			way = [2]string{t.B, t.A}
		}
		if t.To < 0 && way[0] == legID {
			e.keys[way] = append(e.keys[way], key)
		}
	}
}

// Recorded is when legs were recorded, and on what, in the order of the
// beginnings.
func (e *Engine) Recorded() []Recorded {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := slices.Clone(e.tracks)
	for i, r := range list {
		if l := e.legLocked(r.Leg); r.To < 0 && l != nil && l.ctx.Err() != nil {
			list[i].To = l.ended
		}
	}
	return list
}

// recorded notes that a leg is recorded on another track. over is what was
// before, if anything, and ended when the leg did, if it has.
func (e *Engine) recorded(legID string, t media.Track) (over Recorded, ended time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if l := e.legLocked(legID); l != nil {
		ended = l.ended
	}
	for i := range e.tracks {
		if r := &e.tracks[i]; r.Leg == legID && r.To < 0 {
			r.To = e.since()
			over = *r
		}
	}
	if t != nil {
		e.tracks = append(e.tracks, Recorded{Leg: legID, Track: t, From: e.since(), To: -1})
	}
	return over, ended
}

// leg is the newest of that name that is on the phone, nil if there is none.
// "call/o1" is one that was dialled for that call.
func (e *Engine) leg(id string) telephony.Leg {
	e.mu.Lock()
	defer e.mu.Unlock()
	wanted, name, named := strings.Cut(id, "/")
	if !named {
		name = id
	}
	for _, l := range slices.Backward(e.legs) {
		if l.id == name && (!named || l.info.Call == wanted) && l.ctx.Err() == nil {
			return l
		}
	}
	return nil
}

func (e *Engine) legLocked(id string) *leg {
	for _, l := range slices.Backward(e.legs) {
		if l.id == id {
			return l
		}
	}
	return nil
}

func (e *Engine) since() time.Duration { return time.Since(e.start) }

// errTimeout is what a dial's own time limit ends with.
var errTimeout = errors.New("nobody answered in time")

// Dial implements telephony.Engine.
func (e *Engine) Dial(ctx context.Context, d telephony.Dial) (telephony.Leg, error) {
	if (d.Operator == "") == (d.Trunk == "") {
		return nil, errors.New("scripted: exactly one of operator and trunk")
	}
	if d.Timeout == 0 {
		d.Timeout = 120 * time.Second
	}
	began := time.Now()
	p, n := e.order(d)
	fail := func(outcome string, err *telephony.DialError) (telephony.Leg, error) {
		e.settle(n, outcome)
		err.Trunk, err.Elapsed = d.Trunk, time.Since(began)
		return nil, err
	}
	limited, cancel := context.WithTimeoutCause(ctx, d.Timeout, errTimeout)
	defer cancel()
	phase, refused, err := p.ring(limited, d)
	switch {
	case refused != nil:
		refusal := *refused
		refusal.Phase = cmp.Or(refusal.Phase, phase)
		return fail("refused", &refusal)
	case err == nil:
		l := e.answered(d, p)
		e.settle(n, "answered")
		return l, nil
	case errors.Is(err, errTimeout):
		return fail("timeout", &telephony.DialError{Code: 408, Reason: "Request Timeout", Phase: phase, Err: err})
	case p.crosses:
		return fail("crossed", &telephony.DialError{Code: 487, Reason: "Request Terminated", Phase: phase, Err: err})
	}
	return fail("cancelled", &telephony.DialError{Code: 487, Reason: "Request Terminated", Phase: phase, Err: err})
}

// order finds the script of the phone that is called and notes the call.
func (e *Engine) order(d telephony.Dial) (Phone, int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	target := d.Number
	if d.Operator != "" {
		target = d.Operator
	}
	before := 0
	for _, o := range e.dials {
		if (d.Operator != "" && o.Operator == d.Operator) || (d.Operator == "" && o.Operator == "" && o.Number == d.Number) {
			before++
		}
	}
	e.dials = append(e.dials, Dialled{Dial: d, At: e.since()})
	e.ringing[d.Leg] = true
	n := len(e.dials) - 1
	if p, ok := e.trunks[d.Trunk]; ok && d.Trunk != "" {
		return p, n
	}
	leg, _, _ := strings.Cut(d.Leg, ".")
	if p, ok := e.byLeg[leg]; ok {
		return p, n
	}
	scripts := e.phones[target]
	switch {
	case len(scripts) > 0:
		return scripts[min(before, len(scripts)-1)], n
	case d.Operator != "":
		return Unreachable(404, "Not Found"), n
	}
	return Refuses(0, 404), n
}

func (e *Engine) settle(n int, outcome string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.dials[n].Outcome, e.dials[n].Ended = outcome, e.since()
	delete(e.ringing, e.dials[n].Leg)
}

// Join implements telephony.Engine. Each pair of legs that hear each other is
// a Talk.
func (e *Engine) Join(ctx context.Context, legs ...telephony.Leg) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	e.mu.Lock()
	first := len(e.talks)
	for i, a := range legs {
		for _, b := range legs[i+1:] {
			e.talks = append(e.talks, Talk{A: a.ID(), B: b.ID(), From: e.since(), To: -1})
		}
	}
	last := len(e.talks)
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		for i := first; i < last; i++ {
			e.talks[i].To = e.since()
		}
	}()
	for _, l := range legs {
		if cause := context.Cause(l.Context()); cause != nil {
			return cause // now: AfterFunc takes a goroutine
		}
		defer context.AfterFunc(l.Context(), func() { cancel(context.Cause(l.Context())) })()
	}
	<-ctx.Done()
	return context.Cause(ctx)
}
