package sipengine

import (
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/perezvon/perezvon/internal/telephony"
)

// sessionTimer is RFC 4028: one side repeats the INVITE (or sends UPDATE) in
// the middle of every interval, and a call that nobody repeats is over. The
// leg's lock covers it.
type sessionTimer struct {
	interval time.Duration // 0: there is none
	ours     bool          // we are the refresher
	timer    *time.Timer
}

func (t *sessionTimer) stop() {
	if t.timer != nil {
		t.timer.Stop()
	}
}

// seconds reads delta-seconds, with perhaps parameters behind.
func seconds(value string) (time.Duration, bool) {
	number, _, _ := strings.Cut(value, ";")
	n, err := strconv.ParseUint(strings.TrimSpace(number), 10, 31)
	return time.Duration(n) * time.Second, err == nil
}

// refresherOf is the refresher parameter of a Session-Expires: uac, uas or "".
func refresherOf(value string) string {
	for _, p := range splitQuoted(value, ';')[1:] {
		k, v, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(k), "refresher") {
			return strings.ToLower(strings.TrimSpace(v))
		}
	}
	return ""
}

// offerTimer puts the session interval we want into a request of ours (RFC
// 4028 §7.1, §7.4).
func (l *leg) offerTimer(req *sip.Request) {
	l.mu.Lock()
	interval, ours := l.timer.interval, l.timer.ours
	l.mu.Unlock()
	value := strconv.Itoa(int(l.e.cfg.SessionExpires / time.Second))
	if interval > 0 {
		value = strconv.Itoa(int(interval / time.Second))
		if ours {
			value += ";refresher=uac" // the role does not move with the request
		} else {
			value += ";refresher=uas"
		}
	}
	req.AppendHeader(sip.NewHeader("Supported", supports(l.operator)))
	req.AppendHeader(sip.NewHeader("Session-Expires", value))
	req.AppendHeader(sip.NewHeader("Min-SE", strconv.Itoa(int(minSessionExpires/time.Second))))
}

// startTimer (re)starts the timer from what a 2xx says (RFC 4028 §7.2, §10);
// weAsked tells that the request was ours. A 2xx without Session-Expires ends
// the timer: the far end does not know it, and a call must not end for that.
func (l *leg) startTimer(res *sip.Response, weAsked bool) {
	value := header(res, "Session-Expires", "x")
	interval, ok := seconds(value)
	if !ok || interval < minSessionExpires {
		interval = 0
	}
	ours := (refresherOf(value) == "uas") != weAsked
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer.stop()
	if l.ended {
		return
	}
	l.timer = sessionTimer{interval: interval, ours: ours}
	l.restartTimer()
}

// restartTimer runs the interval from now. l.mu is held.
func (l *leg) restartTimer() {
	t := &l.timer
	t.stop()
	switch {
	case t.interval == 0:
	case t.ours:
		t.timer = time.AfterFunc(t.interval/2, func() { l.e.tasks.Run(l.refresh) })
	default:
		// RFC 4028 §10: the BYE comes before the end of the interval.
		t.timer = time.AfterFunc(t.interval-min(t.interval/3, 32*time.Second), l.expired)
	}
}

func (l *leg) expired() {
	l.end(&telephony.HangupError{Leg: l.id, By: telephony.ByNetwork, Reason: "the session timer ran out"})
}

// refresh is our turn to show that the call lives: an UPDATE, or, where the
// far end does not know that, a re-INVITE with the description in force.
func (l *leg) refresh() {
	l.mu.Lock()
	if l.ended || l.inviting || len(l.acks) > 0 {
		// The far end is changing something just now, which counts as well.
		l.restartTimer()
		l.mu.Unlock()
		return
	}
	l.inviting = true
	d := l.dialog
	l.mu.Unlock()
	outcome := l.sendRefresh(d)
	l.mu.Lock()
	l.inviting = false
	l.mu.Unlock()
	if outcome != nil {
		l.end(outcome)
	}
}

// agreeTimer answers the timer of a request of the far end's in our 2xx (RFC
// 4028 §9): the interval it wants, which check has found long enough, and the
// refresher it names. A far end that names none repeats itself, if it can.
func (l *leg) agreeTimer(req *sip.Request, res *sip.Response) {
	value := header(req, "Session-Expires", "x")
	interval, ok := seconds(value)
	knows := lists(req, "timer", "Supported", "k")
	if !ok {
		if !knows {
			return
		}
		interval = l.e.cfg.SessionExpires
	}
	refresher := refresherOf(value)
	switch {
	case !knows:
		refresher = "uas" // a proxy put it in
	case refresher == "":
		refresher = "uac"
	}
	if knows && refresher == "uac" {
		res.AppendHeader(sip.NewHeader("Require", "timer"))
	}
	res.AppendHeader(sip.NewHeader("Session-Expires", strconv.Itoa(int(interval/time.Second))+";refresher="+refresher))
}

// tooBrief is the 422 for an interval below our least (RFC 4028 §6), nil if it
// will do.
func (e *Engine) tooBrief(req *sip.Request) *sip.Response {
	interval, ok := seconds(header(req, "Session-Expires", "x"))
	if !ok || interval >= minSessionExpires {
		return nil
	}
	res := sip.NewResponseFromRequest(req, statusIntervalTooSmall, "Session Interval Too Small", nil)
	res.AppendHeader(sip.NewHeader("Min-SE", strconv.Itoa(int(minSessionExpires/time.Second))))
	return res
}
