package trunk

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/google/uuid"

	"github.com/perezvon/perezvon/internal/telephony/sipengine/digestauth"
)

const (
	// registerFor is what we ask for, in seconds: short enough to keep a NAT's
	// mapping of a carrier that calls in.
	registerFor = 300
	// Between failed registrations, with a jitter of a fifth.
	firstBackoff = 5 * time.Second
	maxBackoff   = 5 * time.Minute
	// requestTimeout is how long a REGISTER or OPTIONS may take. RFC 3261 has
	// 32 s (timer F); a carrier that takes ten is of no use to a caller.
	requestTimeout = 10 * time.Second
	// unregisterTimeout bounds how long a stop waits for a carrier.
	unregisterTimeout = 2 * time.Second
)

// errNoTime: the carrier took the registration, for no time at all.
var errNoTime = errors.New("the carrier granted no time")

// registration is what stays the same between the requests of one (RFC 3261
// §10.2.4: one Call-ID, CSeq rising).
type registration struct {
	trunk  *Trunk
	callID string
	tag    string
	cseq   uint32
	ask    int // seconds
}

// registerLoop keeps the trunk registered until ctx ends, then takes the
// registration back.
func (t *Trunk) registerLoop(ctx context.Context) {
	r := &registration{trunk: t, callID: uuid.NewString(), tag: sip.GenerateTagN(16), ask: registerFor}
	backoff := firstBackoff
	var until time.Time // when what was granted runs out
	for {
		granted, err := r.refresh(ctx)
		if ctx.Err() != nil {
			break
		}
		wait := max(granted*8/10, time.Second)
		if err != nil {
			wait = time.Duration(float64(backoff) * (0.8 + 0.4*rand.Float64()))
			backoff = min(2*backoff, maxBackoff)
		} else {
			backoff = firstBackoff
			until = time.Now().Add(granted)
		}
		t.noteRegistration(time.Now().Before(until), err)
		if err != nil && time.Now().Before(until) {
			// What was granted before may run out while we wait.
			if left := time.Until(until); left < wait {
				if !sleep(ctx, left) {
					break
				}
				t.noteRegistration(false, err)
				wait -= left
			}
		}
		if !sleep(ctx, wait) {
			break
		}
	}
	if time.Now().Before(until) {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), unregisterTimeout)
		defer cancel()
		if _, err := r.send(last, 0); err != nil {
			t.log.Info("the registration was not taken back", "err", err)
		}
	}
	t.noteRegistration(false, nil)
}

func (t *Trunk) noteRegistration(registered bool, err error) {
	t.mu.Lock()
	changed := t.registered != registered
	t.registered = registered
	t.regError = ""
	if err != nil {
		t.regError = "REGISTER: " + inWords(err)
	}
	t.mu.Unlock()
	switch {
	case err != nil:
		t.log.Warn("trunk registration failed", "registered", registered, "err", err)
	case changed:
		t.log.Info("trunk registration", "registered", registered)
	}
}

// refresh registers for the time we want, or more if the carrier wants more.
func (r *registration) refresh(ctx context.Context) (granted time.Duration, err error) {
	res, err := r.send(ctx, r.ask)
	if err == nil && res.StatusCode == 423 {
		least, ok := seconds(res.GetHeader("Min-Expires"))
		if !ok || least <= r.ask {
			return 0, &statusError{res}
		}
		r.ask = least
		res, err = r.send(ctx, r.ask)
	}
	if err != nil {
		return 0, err
	}
	if !res.IsSuccess() {
		return 0, &statusError{res}
	}
	granted = r.granted(res)
	if granted <= 0 {
		return 0, errNoTime
	}
	return granted, nil
}

// send sends one REGISTER, answering challenges, and returns the final
// response that is none.
func (r *registration) send(ctx context.Context, expires int) (*sip.Response, error) {
	t := r.trunk
	req := t.request(sip.REGISTER)
	account := sip.Uri{Scheme: "sip", User: escapeUser(t.Username), Host: t.Host}
	req.AppendHeader(&sip.FromHeader{Address: account, Params: sip.HeaderParams{{K: "tag", V: r.tag}}})
	req.AppendHeader(&sip.ToHeader{Address: account})
	callID := sip.CallIDHeader(r.callID)
	req.AppendHeader(&callID)
	r.cseq++
	req.AppendHeader(&sip.CSeqHeader{SeqNo: r.cseq, MethodName: sip.REGISTER})
	req.AppendHeader(&sip.ContactHeader{Address: r.contact()})
	req.AppendHeader(sip.NewHeader("Expires", strconv.Itoa(expires)))

	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	// A first challenge, and one more if its nonce is already stale; a proxy
	// on the way may ask for itself.
	for range 4 {
		res, err := t.table.config.Client.Do(ctx, req)
		if err != nil {
			return nil, fmt.Errorf("no answer: %w", err)
		}
		if res.StatusCode != sip.StatusUnauthorized && res.StatusCode != sip.StatusProxyAuthRequired {
			return res, nil
		}
		if req, err = digestauth.Authorize(req, res, t.Username, t.Password); err != nil {
			return nil, fmt.Errorf("%d %s: %w", res.StatusCode, res.Reason, err)
		}
		r.cseq = req.CSeq().SeqNo
	}
	return nil, digestauth.ErrRejected
}

func (r *registration) contact() sip.Uri {
	c := r.trunk.table.config.Contact(r.trunk.transport(), r.trunk.Host)
	c.User = escapeUser(r.trunk.Username)
	return c
}

// granted is the time our contact got: its own parameter, the Expires header,
// or what we asked for.
func (r *registration) granted(res *sip.Response) time.Duration {
	ours := r.contact()
	for _, h := range res.GetHeaders("Contact") {
		c, ok := h.(*sip.ContactHeader)
		if !ok || c.Address.User != ours.User || !strings.EqualFold(c.Address.Host, ours.Host) || c.Address.Port != ours.Port {
			continue
		}
		for _, p := range c.Params {
			if strings.EqualFold(p.K, "expires") {
				if n, ok := parseSeconds(p.V); ok {
					return time.Duration(n) * time.Second
				}
			}
		}
	}
	if n, ok := seconds(res.GetHeader("Expires")); ok {
		return time.Duration(n) * time.Second
	}
	return time.Duration(r.ask) * time.Second
}

// statusError is a final response that is a failure.
type statusError struct{ res *sip.Response }

func (e *statusError) Error() string { return fmt.Sprintf("%d %s", e.res.StatusCode, e.res.Reason) }

func seconds(h sip.Header) (int, bool) {
	if h == nil {
		return 0, false
	}
	return parseSeconds(h.Value())
}

// parseSeconds reads delta-seconds, a day at most.
func parseSeconds(s string) (int, bool) {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 32)
	return int(min(n, 86400)), err == nil
}
