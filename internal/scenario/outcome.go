package scenario

import (
	"errors"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/telephony"
)

// The good ends: both talked, and what the manager wanted then.
var (
	errTalked              = errors.New("both talked")
	errTalkedCancelRecalls = errors.New("both talked; the manager wants no further calls")
	errTalkedReschedule    = errors.New("both talked; the manager wants another call")
)

// The ends of calls that came to us.
var (
	errAbandoned   = errors.New("the caller hung up before anybody picked up")
	errNobody      = errors.New("nobody picked up")
	errNoRoute     = errors.New("no route matches the call")
	errUnknown     = errors.New("the number that was dialled leads nowhere")
	errForbidden   = errors.New("the operator may not call that number")
	errWillCall    = errors.New("the caller wants to be called back")
	errAnnounced   = errors.New("the caller heard what there was to hear")
	errRouteHungUp = errors.New("the route ends the call")
)

// endings is the one table from the cause of a call's end to its outcome.
var endings = []struct {
	cause error
	Outcome
}{
	{errTalked, Outcome{Status: call.Completed}},
	{errTalkedCancelRecalls, Outcome{Status: call.Completed, CancelRecalls: true}},
	{errTalkedReschedule, Outcome{Status: call.Completed, Reschedule: true}},
	{errNobodyTook, Outcome{Status: call.Completed}},
	{errMerged, Outcome{Status: call.Completed}},
	{errCancelKey, Outcome{Status: call.CancelledByManager, CancelRecalls: true}},
	{errRescheduleKey, Outcome{Status: call.RescheduledByManager, Reschedule: true}},
	{errRepeatLimit, Outcome{Status: call.RepeatLimit}},
	{errClientLeft, Outcome{Status: call.ClientDeclined}},
	{ErrCancelled, Outcome{Status: call.Cancelled}},
	{ErrStopped, Outcome{Status: call.Interrupted}},
	{errNotStored, Outcome{Status: call.Interrupted}},
	{errAbandoned, Outcome{Status: call.Abandoned}},
	{errNobody, Outcome{Status: call.NoAnswer}},
	{errRouteHungUp, Outcome{Status: call.NoAnswer}},
	{errNoRoute, Outcome{Status: call.NoRoute}},
	{errUnknown, Outcome{Status: call.NoRoute}},
	{errForbidden, Outcome{Status: call.NotAllowed}},
	{errWillCall, Outcome{Status: call.CallbackRequested}},
	{errAnnounced, Outcome{Status: call.Announced}},
}

// refusals is the same for a side that was not reached.
var refusals = map[call.Role]map[refusal]call.Status{
	call.Client: {
		unknown:     call.ClientUnknown,
		busy:        call.ClientBusy,
		declined:    call.ClientDeclined,
		noAnswer:    call.ClientNoAnswer,
		unavailable: call.ClientUnavailable,
		trunkFailed: call.ClientTrunkFailure,
	},
	call.Manager: {
		unknown:     call.ManagerNoAnswer,
		busy:        call.ManagerBusy,
		declined:    call.ManagerDeclined,
		noAnswer:    call.ManagerNoAnswer,
		unavailable: call.ManagerNoAnswer,
		trunkFailed: call.ManagerTrunkFailure,
	},
	call.Operator: {
		unknown:     call.NoRoute,
		busy:        call.Busy,
		declined:    call.Declined,
		noAnswer:    call.NoAnswer,
		unavailable: call.Unavailable,
		trunkFailed: call.TrunkFailure,
	},
}

// conclude makes the outcome of why a call ended.
func conclude(why error) Outcome {
	for _, e := range endings {
		if errors.Is(why, e.cause) {
			out := e.Outcome
			out.Reason = why.Error()
			return out
		}
	}
	out := Outcome{Status: call.Interrupted, Reason: reason(why)}
	if u := (*unreached)(nil); errors.As(why, &u) {
		out.Status = refusals[u.role][refusalOf(u.last, u.operator)]
	} else if errors.As(why, new(*telephony.HangupError)) {
		// Before the join the manager's is the only leg whose end ends the call.
		out.Status = call.ManagerHungUp
	}
	return out
}

// refusal is what a failed call means to people.
type refusal int

const (
	trunkFailed refusal = iota // no way to the phone
	unknown                    // the number does not exist
	busy
	declined
	noAnswer    // it rang
	unavailable // off, out of reach
)

// refusalOf reads a failure; operator says that an operator's registered
// phones were called, where there is no trunk to fail.
//
//   - Nothing was sent (no such trunk, trunk full or down): the trunk failed.
//     For an operator it means that no phone is there: unavailable.
//   - 486, 600, 603, 607, 608 are a person's or a phone's own answer.
//   - Else a Q.850 cause, where the carrier tells one that is in causes, is
//     more exact than the SIP status it was folded into (RFC 3398 §7.2.4.1).
//   - Else the SIP status: 404, 410, 484, 485, 604 unknown; 480, 408 and 487
//     (a carrier's own limit) no answer once it rang; before that 480 and 487
//     unavailable, and 408 no answer if the network had made progress, else
//     the trunk is dead.
//   - All else (401, 403, 407, 488, 5xx…) is between us and the trunk.
func refusalOf(e *telephony.DialError, operator bool) refusal {
	if e.Phase == telephony.PhaseSetup {
		if operator {
			return unavailable
		}
		return trunkFailed
	}
	switch e.Code {
	case 486, 600:
		return busy
	case 603, 607, 608:
		return declined
	}
	rang := e.Phase == telephony.PhaseRinging
	if r, ok := causes[e.Q850]; ok {
		if r == unavailable && rang {
			return noAnswer
		}
		return r
	}
	switch e.Code {
	case 404, 410, 484, 485, 604:
		return unknown
	case 480, 487:
		if rang {
			return noAnswer
		}
		return unavailable
	case 408:
		if rang || e.Phase == telephony.PhaseProgress {
			return noAnswer
		}
	}
	return trunkFailed
}

// causes are the Q.850 causes that tell more than "something failed" (ITU-T
// Q.850 §2.2.7).
var causes = map[int]refusal{
	1:  unknown,     // unallocated number
	22: unknown,     // number changed
	28: unknown,     // invalid number format
	17: busy,        // user busy
	21: declined,    // call rejected
	19: noAnswer,    // no answer, user alerted
	18: unavailable, // no user responding
	20: unavailable, // subscriber absent
	27: unavailable, // destination out of order
	2:  trunkFailed, // no route to transit network
	3:  trunkFailed, // no route to destination
	34: trunkFailed, // no circuit available
	38: trunkFailed, // network out of order
	41: trunkFailed, // temporary failure
	42: trunkFailed, // switching equipment congestion
	47: trunkFailed, // resource unavailable
}

// reason is an error in words, for the timeline.
func reason(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
