package asterisk

import (
	"context"
	"strings"
	"sync"
	"unicode"

	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/asterisk/ari"
)

// numberMax bounds what is taken for a number, in bytes.
const numberMax = 128

// referred takes a transfer that a phone asked for with its own key. Asterisk
// leaves it to us (PJSIP_TRANSFER_HANDLING()=ari-only).
func (l *leg) referred(ev ari.Event) {
	channel := l.its()
	l.inTurn("hear of a transfer", func(ctx context.Context) error { return l.settled(ctx, channel) })
	tell := func(state string) {
		l.inTurn("tell of a transfer", func(ctx context.Context) error { return l.e.ari.TransferProgress(ctx, channel, state) })
	}
	l.mu.Lock()
	allowed := l.info.Operator != "" && !l.refer
	if allowed {
		l.refer = true
	}
	l.mu.Unlock()
	r := telephony.Refer{To: destination(ev)}
	if ev.ReferTo != nil && ev.ReferTo.Destination != nil {
		if other := l.e.find(ev.ReferTo.Destination.ID); other != nil {
			r.Replaces = other
		}
	}
	if !allowed || r.To == "" && r.Replaces == nil {
		tell("channel_declined")
		return
	}
	var mu sync.Mutex
	over := false
	r.Progress = func(code int) {
		mu.Lock()
		defer mu.Unlock()
		if over {
			return
		}
		over = code >= 200
		if over {
			l.mu.Lock()
			l.refer = false
			l.mu.Unlock()
		}
		switch {
		case code < 200: // there is no word for ringing
		case code < 300:
			tell("channel_answered")
		case code == 603:
			tell("channel_declined")
		default:
			tell("channel_unavailable")
		}
	}
	tell("channel_progress") // the phone is told 100: somebody is at it
	l.refers.Push(r)
}

// settled returns when Asterisk has done all that it was doing with a phone's
// SIP. It tells of a transfer before it is ready to hear how that goes, and who
// is quicker kills it: refer_incoming_ari_request of res_pjsip_refer.c (22.10)
// sets ari_state after its event, and refer_ari_progress_framehook writes there.
// Both are work of the phone's one queue, and what is read here waits in it.
func (l *leg) settled(ctx context.Context, channel string) error {
	_, err := l.e.ari.Variable(ctx, channel, "CHANNEL(pjsip,call-id)")
	return err
}

// destination is the number a transfer is to go to, empty if there is none.
func destination(ev ari.Event) string {
	if ev.ReferTo == nil || ev.ReferTo.Requested == nil {
		return ""
	}
	to := ev.ReferTo.Requested.Destination
	if strings.Contains(to, ":") {
		to = userOf(to)
	}
	to, _, _ = strings.Cut(to, "@")
	if len(to) > numberMax || strings.ContainsFunc(to, unicode.IsControl) {
		return ""
	}
	return to
}
