package scenario

import (
	"errors"

	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/telephony"
)

// alongTrunks tries each trunk once, in order, as long as the rule says that
// another may do better (specification 1-callback §5).
func alongTrunks[T any](trunks []string, failsOver func(*telephony.DialError) bool, try func(trunk string) (T, error)) (v T, err error) {
	for _, trunk := range trunks {
		v, err = try(trunk)
		var e *telephony.DialError
		if err == nil || !errors.As(err, &e) || !failsOver(e) {
			return v, err
		}
	}
	return v, err
}

// failoverRules are those of §5, by the packet's failover_on.
var failoverRules = map[string]func(*telephony.DialError) bool{
	callback.FailoverNetwork: networkFailed,
	callback.FailoverAny:     notAPerson,
}

// networkFailed: 403, 404, 408 without ringing, 480 without ringing, 5xx,
// transport failure.
func networkFailed(e *telephony.DialError) bool {
	switch {
	case e.Phase == telephony.PhaseSetup, e.Code == 403, e.Code == 404, e.Code >= 500 && e.Code < 600:
		return true
	case e.Code == 408, e.Code == 480:
		return e.Phase != telephony.PhaseRinging
	}
	return false
}

// notAPerson: every failure but busy from a phone that rang, a decline, and the
// callee's own no-answer. Carriers that are out of order say busy as well.
func notAPerson(e *telephony.DialError) bool {
	if networkFailed(e) {
		return true
	}
	switch rang := e.Phase == telephony.PhaseRinging; refusalOf(e, false) {
	case declined:
		return false
	case busy, noAnswer:
		return !rang
	}
	return true
}
