package asterisk

import (
	"fmt"

	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/asterisk/ari"
)

// Causes by Q.850 that we end channels with or that mean something to us.
const (
	causeUnallocated   = 1
	causeNoRoute       = 3
	causeNormal        = 16
	causeBusy          = 17
	causeNoResponse    = 18
	causeNoAnswer      = 19
	causeAbsent        = 20
	causeRejected      = 21
	causeNumberChanged = 22
	causeOutOfOrder    = 27
	causeInvalidNumber = 28
	causeUnspecified   = 31
	causeNoCircuit     = 34
	causeFailure       = 38
	causeTemporary     = 41
	causeCongestion    = 42
	causeNoChannel     = 44 // also: no RTP for long
	causeIncompatible  = 58
	causeNotSupported  = 88
)

// statuses are the SIP statuses that causes stand for where no status is known
// (RFC 3398 §8.2.6.1), and causes the other way round, as chan_pjsip refuses
// calls: a status that is not here is refused with 480.
var statuses = map[int]int{
	causeUnallocated: 404, 2: 404, causeNoRoute: 404, causeBusy: 486, causeNoResponse: 408, causeNoAnswer: 480, causeAbsent: 480,
	causeRejected: 403, causeNumberChanged: 410, causeOutOfOrder: 502, causeInvalidNumber: 484, causeUnspecified: 480, causeNoCircuit: 503,
	causeFailure: 500, causeTemporary: 503, causeCongestion: 503, causeNoChannel: 503, causeIncompatible: 488, causeNotSupported: 488,
}

var causes = map[int]int{
	403: causeRejected, 404: causeUnallocated, 408: causeNoResponse, 410: causeNumberChanged, 480: causeNoAnswer, 484: causeInvalidNumber,
	486: causeBusy, 488: causeIncompatible, 500: causeFailure, 502: causeOutOfOrder, 503: causeCongestion, 600: causeBusy, 603: causeRejected,
}

// causeFor is how a call that came in is refused with a SIP status, as near as
// Asterisk can: it chooses the status by the cause.
func causeFor(code int) int {
	if code == 0 {
		return causeRejected
	}
	if c, ok := causes[code]; ok {
		return c
	}
	return causeUnspecified
}

// statusOf is the SIP status a call ended with.
func statusOf(ev ari.Event) int {
	if ev.TechCause >= 300 {
		return ev.TechCause
	}
	if s, ok := statuses[ev.Cause]; ok {
		return s
	}
	return 480
}

// made are the causes that Asterisk makes of statuses, where the scenarios would
// read more into them than the status says: 480 is one of a phone that is off as
// well (ast_sip_hangup_sip2cause in res_pjsip.c). What the network says of the
// cause is lost on the way: chan_pjsip_session_end overwrites it.
var made = map[int]int{
	401: causeRejected, 403: causeRejected, 407: causeRejected, 404: causeUnallocated, 408: causeNoResponse, 410: causeNumberChanged,
	420: causeNoRoute, 480: causeNoAnswer, 483: causeNoAnswer, 484: causeInvalidNumber, 485: causeUnallocated, 486: causeBusy, 488: causeIncompatible,
	500: causeFailure, 502: causeOutOfOrder, 503: causeNoCircuit, 600: causeBusy, 603: causeRejected, 604: causeUnallocated, 606: causeIncompatible,
}

// causeOf is the Q.850 cause of a call that did not come about, 0 if it tells no
// more than the status.
func causeOf(ev ari.Event) int {
	if ev.TechCause != 0 && made[ev.TechCause] == ev.Cause {
		return 0
	}
	return ev.Cause
}

// hangup tells of the end of an answered channel.
func hangup(leg string, ev ari.Event) *telephony.HangupError {
	h := &telephony.HangupError{Leg: leg, By: telephony.ByFar, Q850: ev.Cause, Reason: ev.CauseText}
	switch ev.Cause {
	case causeNoChannel, causeNoCircuit, causeFailure, causeTemporary, causeOutOfOrder:
		if ev.TechCause == 0 {
			h.By = telephony.ByNetwork
		}
	}
	if h.Reason == "" {
		h.Reason = fmt.Sprintf("hung up, cause %d", ev.Cause)
	}
	return h
}
