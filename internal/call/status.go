package call

import "fmt"

// Status is how a call ended: a number that v.11 backends get and a slug that
// people read (specification 1-callback §6). The zero Status means the call
// is alive.
type Status struct {
	Code int    `json:"code" doc:"The number a v.11 backend gets" example:"200"`
	Slug string `json:"slug" doc:"The same in words" example:"completed"`
}

// The outcomes of a call. A call ends in exactly one of them.
var (
	Completed            = Status{200, "completed"}              // both talked
	ClientUnknown        = Status{404, "client_unknown"}         // the client's number does not exist
	ClientNoAnswer       = Status{408, "client_no_answer"}       // rang, no answer
	ClientUnavailable    = Status{480, "client_unavailable"}     // phone off, out of reach
	ClientBusy           = Status{486, "client_busy"}            //
	ClientTrunkFailure   = Status{503, "client_trunk_failure"}   // no trunk could carry the call
	ClientDeclined       = Status{603, "client_declined"}        //
	ManagerNoAnswer      = Status{701, "manager_no_answer"}      // also: the last of several
	ManagerBusy          = Status{702, "manager_busy"}           //
	ManagerDeclined      = Status{703, "manager_declined"}       //
	ManagerTrunkFailure  = Status{704, "manager_trunk_failure"}  //
	ManagerHungUp        = Status{706, "manager_hung_up"}        // before the client was joined
	RepeatLimit          = Status{707, "repeat_limit"}           // nobody pressed a key
	CancelledByManager   = Status{708, "cancelled_by_manager"}   // the cancel key
	RescheduledByManager = Status{709, "rescheduled_by_manager"} // the reschedule key
	Cancelled            = Status{710, "cancelled"}              // through API or console
	NotAllowed           = Status{711, "not_allowed"}            // fraud policy: country, rate, blacklist
	Interrupted          = Status{712, "interrupted"}            // the server died or was stopped during the call
	Expired              = Status{713, "expired"}                // could not be started in time

	// Of calls that are no callbacks.
	NoAnswer          = Status{720, "no_answer"}          // nobody of ours picked up
	Busy              = Status{721, "busy"}               // the colleague who was called
	Declined          = Status{722, "declined"}           // by the colleague who was called
	Unavailable       = Status{723, "unavailable"}        // no phone of the colleague is there
	Abandoned         = Status{724, "abandoned"}          // the caller hung up before anybody picked up
	NoRoute           = Status{725, "no_route"}           // the number that was called leads nowhere
	TrunkFailure      = Status{726, "trunk_failure"}      // no trunk could carry it on
	CallbackRequested = Status{727, "callback_requested"} // the caller wants to be called back
	Announced         = Status{728, "announced"}          // the caller heard what there was to hear
)

// CallbackStatuses lists the outcomes of a callback's attempt, in the order of
// the specification's table.
func CallbackStatuses() []Status {
	return []Status{
		Completed, ClientUnknown, ClientNoAnswer, ClientUnavailable, ClientBusy, ClientTrunkFailure, ClientDeclined,
		ManagerNoAnswer, ManagerBusy, ManagerDeclined, ManagerTrunkFailure, ManagerHungUp, RepeatLimit,
		CancelledByManager, RescheduledByManager, Cancelled, NotAllowed, Interrupted, Expired,
	}
}

// Statuses lists every outcome of a call of any direction.
func Statuses() []Status {
	return append(CallbackStatuses(),
		NoAnswer, Busy, Declined, Unavailable, Abandoned, NoRoute, TrunkFailure, CallbackRequested, Announced)
}

// IsZero tells that the call has no outcome yet.
func (s Status) IsZero() bool { return s.Code == 0 }

// String gives "503 client_trunk_failure", for logs.
func (s Status) String() string { return fmt.Sprintf("%d %s", s.Code, s.Slug) }
