package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/perezvon/perezvon/internal/store"
)

// pauses are the waits after failed tries. After the last of them, a day and a
// half after the first try, a delivery is dead.
var pauses = []time.Duration{
	5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 4 * time.Hour, 6 * time.Hour, 6 * time.Hour, 8 * time.Hour, 8 * time.Hour,
}

const (
	// longestPause bounds what a receiver may ask for by Retry-After.
	longestPause = 8 * time.Hour
	// jitter is the share by which pauses differ, so that what failed together
	// does not come back together.
	jitter = 0.1
	// maxReason is how much of an answer's text is kept, bytes.
	maxReason = 200
)

// Send makes the next try in the lane, if one is due. more tells that
// something waits in the lane afterwards, wait when it is due. An error is not
// the receiver's but ours, or the end of ctx: nothing was counted.
func (s *Service) Send(ctx context.Context, lane store.Lane) (wait time.Duration, more bool, err error) {
	d, err := s.config.Store.NextDelivery(ctx, lane)
	if errors.Is(err, store.ErrNotFound) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	if wait := time.Until(d.NextTryAt); wait > 0 {
		return wait, true, nil
	}
	subscription, gone, err := s.recipient(ctx, &d)
	switch {
	case err != nil:
		return 0, false, err
	case gone != "":
		d.State, d.NextTryAt, d.LastError = store.DeliveryDead, time.Time{}, gone
		return 0, true, s.config.Store.SettleDelivery(ctx, d, true)
	}
	leave, wait := s.hosts.enter(hostOf(d.URL))
	if leave == nil {
		return wait, true, nil
	}
	a := func() answer { defer leave(); return s.post(ctx, d) }()
	if ctx.Err() != nil {
		return 0, true, context.Cause(ctx)
	}
	if a.ours != nil {
		return 0, true, a.ours
	}
	wholeLane := s.judge(&d, a)
	if err = s.config.Store.SettleDelivery(ctx, d, wholeLane); err == nil && subscription != nil {
		err = s.fares(ctx, subscription, a)
	}
	return max(0, time.Until(d.NextTryAt)), true, err
}

// answer is what came of a request.
type answer struct {
	status int    // 0: none came
	reason string // in words, if it was no success
	after  time.Duration
	asked  bool  // after is the receiver's Retry-After
	ours   error // the request could not be made; the receiver has no part in it
}

func (a answer) succeeded() bool { return a.status >= 200 && a.status < 300 }

// refusedBody: the same body would be refused for ever.
func (a answer) refusedBody() bool {
	switch a.status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return true
	}
	return false
}

// judge writes into the delivery what follows from the answer. wholeLane: what
// waits behind it shares its death.
//
//   - 2xx is a success.
//   - 410 ends the lane: the receiver wants no more of it.
//   - 400, 413, 415 and 422 judge this body, which will not change: it is dead,
//     the lane goes on.
//   - Everything else may be mended on the other side and is tried again, and
//     the lane waits: order matters. 429 and 503 may say when.
func (s *Service) judge(d *store.Delivery, a answer) (wholeLane bool) {
	now := time.Now()
	d.Tries++
	d.LastStatus, d.LastError, d.NextTryAt = a.status, a.reason, time.Time{}
	log := s.config.Logger.With("call", d.CallID, "kind", d.Kind, "host", hostOf(d.URL), "tries", d.Tries)
	switch {
	case a.succeeded():
		d.State, d.DeliveredAt = store.DeliveryDone, now
		return false
	case a.status == http.StatusGone:
		wholeLane = true
	case a.refusedBody():
	case d.Tries <= len(pauses):
		pause := pauses[d.Tries-1]
		pause += time.Duration(jitter * (2*rand.Float64() - 1) * float64(pause))
		if a.asked {
			pause = min(max(a.after, time.Second), longestPause)
		}
		d.NextTryAt = now.Add(pause)
		log.Info("delivery failed, will be tried again", "in", pause.Round(time.Second), "error", a.reason)
		return false
	default:
		wholeLane = true
	}
	d.State = store.DeliveryDead
	log.Warn("delivery given up", "error", a.reason)
	return wholeLane
}

func (s *Service) post(ctx context.Context, d store.Delivery) answer {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL, bytes.NewReader(d.Body))
	if err != nil {
		return answer{reason: "not a URL"}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", s.config.UserAgent)
	if err := s.sign(ctx, req.Header, d); err != nil {
		return answer{ours: err}
	}
	res, err := s.config.Client.Do(req)
	if err != nil {
		return answer{reason: reasonOf(err)}
	}
	defer res.Body.Close()
	// The status has come; a body that breaks off changes nothing.
	text, _ := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	a := answer{status: res.StatusCode}
	if a.succeeded() {
		return a
	}
	a.reason = fmt.Sprintf("%d %s", a.status, http.StatusText(a.status))
	if a.status >= 300 && a.status < 400 {
		a.reason += ": redirects are not followed, give the final address"
	} else if text := clean(text); text != "" {
		a.reason += ": " + text
	}
	if a.status == http.StatusTooManyRequests || a.status == http.StatusServiceUnavailable {
		a.after, a.asked = retryAfter(res.Header.Get("Retry-After"))
	}
	return a
}

// reasonOf says why no answer came, without what it tells of our own network.
func reasonOf(err error) string {
	if forbidden(err) {
		return "the address is in a private network that --outbound-allow does not list"
	}
	var u *url.Error
	if errors.As(err, &u) {
		if u.Timeout() {
			return "no answer in time"
		}
		err = u.Err // without the URL
	}
	return clean([]byte(err.Error()))
}

// retryAfter reads the header (RFC 9110 §10.2.3): seconds or a date.
func retryAfter(s string) (time.Duration, bool) {
	if n, err := strconv.Atoi(s); err == nil && n >= 0 {
		return time.Duration(min(n, int(longestPause/time.Second))) * time.Second, true
	}
	if at, err := http.ParseTime(s); err == nil {
		return max(0, time.Until(at)), true
	}
	return 0, false
}

// clean makes one short line of a text that strangers wrote.
func clean(b []byte) string {
	s := strings.ToValidUTF8(string(b[:min(len(b), maxReason)]), "")
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if len(b) > maxReason {
		s += "…"
	}
	return s
}

func hostOf(address string) string {
	if u, err := url.Parse(address); err == nil {
		return strings.ToLower(u.Host)
	}
	return ""
}
