package bitrix24

import (
	"errors"
	"math"
	"sync"
	"time"
)

// Limits of a portal in the cloud, on every plan but the largest
// (https://apidocs.bitrix24.com/limits.html): a counter grows by one with each
// request and shrinks by two a second; beyond fifty a request is refused.
const (
	perSecond = 2
	burst     = 50
	// spare is what is kept for the requests that are not foreseen: who is the
	// user with that extension, an expired token, who is responsible for a caller.
	spare = 10
	// operatingMost is how much time a method may take within ten minutes before
	// we leave it alone: the portal's own bound is 480 s in the cloud and 420 s
	// in a box.
	operatingMost = 400 * time.Second
	// atOnce is how many requests are under way at a portal.
	atOnce = 6
)

// pauses are the waits after failures of the portal as a whole.
var pauses = []time.Duration{5 * time.Second, 15 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute}

// limits keep to what a portal can take. Whoever may not send now is told when
// to come again; each who waits gets a time of his own, so those who wait do
// not all come at once.
type limits struct {
	mu      sync.Mutex
	next    time.Time            // when the counter would be empty again
	spared  time.Time            // when what hurried would be paid back
	turns   map[string]time.Time // by delivery: when it may go
	blocked map[string]time.Time // by method: until when
	resets  map[string]time.Time // by method: the last operating_reset_at
	under   int                  // requests under way

	failures int       // of the portal, one after the other
	slower   int       // refusals for too many requests, one after the other
	until    time.Time // nobody sends before
	probing  bool      // one is finding out whether the portal is back
	why      string    // the last failure
}

func newLimits() *limits {
	return &limits{turns: make(map[string]time.Time), blocked: make(map[string]time.Time), resets: make(map[string]time.Time)}
}

// enter asks for a place to send cost requests for a delivery; leave must be
// called after them. If there is none, wait is when to come again and why says
// for what.
func (l *limits) enter(delivery string, methods []string, cost int) (wait time.Duration, why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if wait := l.until.Sub(now); wait > 0 {
		return wait, l.why
	}
	for _, m := range methods {
		if wait := l.blocked[m].Sub(now); wait > 0 {
			return wait, m + " has used up its time on the portal"
		}
	}
	if l.failures > 0 && l.probing {
		return 20 * time.Second, l.why
	}
	turn, waits := l.turns[delivery]
	if !waits {
		turn = l.take(now, cost)
	}
	if wait := turn.Sub(now); wait > 0 {
		l.turns[delivery] = turn
		return wait, "waits for its turn: the portal takes 2 requests a second"
	}
	if l.under >= atOnce {
		l.turns[delivery] = turn // kept: it is not paid twice
		return time.Second, "waits for its turn"
	}
	delete(l.turns, delivery)
	l.under++
	l.probing = l.failures > 0
	return 0, ""
}

// take counts requests and tells when they may be sent.
func (l *limits) take(now time.Time, cost int) time.Time {
	if l.next.Before(now) {
		l.next = now
	}
	l.next = l.next.Add(time.Duration(cost) * time.Second / perSecond)
	if at := l.next.Add(-(burst - spare) * time.Second / perSecond); at.After(now) {
		return at
	}
	return now
}

// hurry asks for a place to send one request that somebody on the phone waits
// for: it goes before the deliveries that wait for their turns, and they come
// later by what it costs. why is why it must not be sent; empty: it may, and
// hurried must be told what came of it.
func (l *limits) hurry(method string) (why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.until.After(now) {
		return l.why
	}
	if l.blocked[method].After(now) {
		return method + " has used up its time on the portal"
	}
	const one = time.Second / perSecond
	// There is room for it if all who wait are counted as sent, or if it fits
	// into what is spared: they are sent only while that is free.
	if l.next.Add(one).After(now.Add(burst*one)) && l.spared.After(now.Add(2*(spare-1)*one)) {
		return "the portal takes 2 requests a second"
	}
	l.take(now, 1)
	if l.spared.Before(now) {
		l.spared = now
	}
	// It fills up again at half of what the portal takes: however many callers
	// there are, the other half stays with the deliveries.
	l.spared = l.spared.Add(2 * one)
	for delivery, turn := range l.turns {
		if turn.After(now) {
			l.turns[delivery] = turn.Add(one)
		}
	}
	return ""
}

// hurried learns from what came of a request that hurried: nothing, unless the
// portal wants fewer requests. It had little time, and other rights are needed
// for it than for telling of calls, so it says nothing about whether that goes.
func (l *limits) hurried(err error) {
	var e *Error
	if !errors.As(err, &e) {
		return
	}
	switch e.fate() {
	case fateSlower:
		l.tooMany(e.Error())
	case fateMethod:
		l.block(e.Method)
	}
}

// count counts a request that was not foreseen.
func (l *limits) count() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.take(time.Now(), 1)
}

func (l *limits) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.under--
	l.probing = false
}

// answered says that the portal carries out requests.
func (l *limits) answered() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failures = 0; !l.until.After(time.Now()) {
		l.slower, l.why = 0, ""
	}
}

// failed says that the portal carries out none, and tells when it is asked
// again.
func (l *limits) failed(why string) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures++
	l.pause(pauses[min(l.failures, len(pauses))-1], why)
	return l.until
}

// tooMany says that the portal wants fewer requests.
func (l *limits) tooMany(why string) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slower++
	l.pause(min(time.Second<<min(l.slower, 6), time.Minute), why)
	return l.until
}

func (l *limits) pause(d time.Duration, why string) {
	if at := time.Now().Add(d); at.After(l.until) {
		l.until = at
	}
	l.why = why
}

// operating notes how much time a method has used up, and until when that
// counts.
func (l *limits) operating(method string, seconds, resetAt float64) {
	if seconds <= 0 || resetAt <= 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	reset := time.Unix(int64(math.Ceil(resetAt)), 0)
	l.resets[method] = reset
	if seconds > operatingMost.Seconds() {
		l.blocked[method] = reset
	}
}

// block says that the portal has refused a method for its time, and tells until
// when it is left alone.
func (l *limits) block(method string) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	until := l.resets[method]
	if !until.After(now) { // not known, or the next of its minutes has to pass
		until = now.Add(time.Minute)
	}
	l.blocked[method] = until
	return until
}

// blocks tells that a method has used up its time.
func (l *limits) blocks(method string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.blocked[method].After(time.Now())
}

// trouble is why nothing is sent now; empty: nothing is wrong.
func (l *limits) trouble() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failures == 0 && !l.until.After(time.Now()) {
		return ""
	}
	return l.why
}
