package directory

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/invalid"
)

// Step is one thing that is done with an inbound call: exactly one of its
// fields is set (specification 3-responsible-manager and 5-contract, routes).
// A step that does not take the call passes it on to the step after it.
//
//	switch {
//	case step.Queue != nil:
//		…
type Step struct {
	Responsible   *Responsible   `json:"responsible,omitempty" doc:"Ring the operator who is responsible for the caller"`
	Queue         *ToQueue       `json:"queue,omitempty" doc:"Wait in a queue"`
	Operator      *ToOperator    `json:"operator,omitempty" doc:"Ring an operator"`
	Number        *ToNumber      `json:"number,omitempty" doc:"Ring a number outside"`
	Announce      *Announce      `json:"announce,omitempty" doc:"Say something, then pass on"`
	Menu          *Menu          `json:"menu,omitempty" doc:"Let the caller choose by a key"`
	CallbackOffer *CallbackOffer `json:"callback_offer,omitempty" doc:"Offer to call back"`
	Route         *ToRoute       `json:"route,omitempty" doc:"Go on with the steps of another route, whatever it matches"`
	Hangup        *Hangup        `json:"hangup,omitempty" doc:"End the call"`
}

// Steps are done one after the other until one of them takes the call. In JSON
// they may also come as one step; a step may come as a text: "hangup",
// "route:NAME", "queue:NAME", "operator:101", "number:+74951234567".
type Steps []Step

// Responsible rings the operator who is responsible for the caller, if he is
// free: who talked to him within the window, or whom the CRM names.
type Responsible struct {
	// Source is who knows; empty: call.SourceCalls.
	Source call.ResponsibleSource `json:"source,omitempty" enum:"calls,crm" doc:"Who knows: the calls of this server; or the CRM, and the calls when it names no operator, fails or is late. Default calls"`
	// CRMTimeoutMS is how long the CRM may take, milliseconds; 0:
	// call.DefaultCRMTime.
	CRMTimeoutMS int `json:"crm_timeout_ms,omitempty" doc:"With source crm: how long the caller waits for the CRM's answer, 100 to 10000 milliseconds. Default 1000"`
	// Window is how far back is looked. Default 24 h.
	Window Duration `json:"window" required:"false" doc:"How far back: \"24h\", \"30d\", or seconds. Default 24h"`
	// Policy is ResponsibleLast (default) or ResponsibleFirst.
	Policy string `json:"policy" required:"false" enum:"last,first" doc:"The operator of the newest call within the window, or of the oldest. Default last"`
	RingS  int    `json:"ring_s" required:"false" doc:"1 to 300. Default 15"`
	// Outcomes are those of Outcome… that count; nil: all of them.
	Outcomes []string `json:"outcomes,omitempty" doc:"Which calls count: answered, no_answer, busy. Default: all of them"`
}

// Whose the caller is: see Responsible.Policy.
const (
	ResponsibleLast  = string(call.PolicyLast)
	ResponsibleFirst = string(call.PolicyFirst)
)

// What became of the calls that tell who is responsible.
const (
	OutcomeAnswered = string(call.ContactAnswered)
	OutcomeNoAnswer = string(call.ContactNoAnswer)
	OutcomeBusy     = string(call.ContactBusy)
)

// ToQueue lets the caller wait in a queue. In JSON a name alone is enough.
type ToQueue struct {
	Name string `json:"name"`
	// Priority puts the caller before those who wait with less. 0 to 1000.
	Priority int `json:"priority,omitempty" doc:"0 to 1000: callers with more are before those with less. Default 0"`
}

// ToOperator rings an operator's phones, if he is free. In JSON the extension
// alone is enough.
type ToOperator struct {
	Extension string `json:"extension"`
	RingS     int    `json:"ring_s" required:"false" doc:"1 to 300. Default 30"`
}

// ToNumber rings a number outside: one that the administrator has written, so
// that no caller can choose where a call goes at the account's cost. In JSON
// the number alone is enough.
type ToNumber struct {
	Number string `json:"number" doc:"E.164"`
	RingS  int    `json:"ring_s" required:"false" doc:"1 to 300. Default 45"`
	// Trunk is the one to call out by; empty: the account's, in the order of
	// their names.
	Trunk string `json:"trunk,omitempty" doc:"Default: the account's trunks in the order of their names"`
}

// Announce says a text to the caller.
type Announce struct {
	Text string `json:"text" doc:"Up to 2000 characters"`
}

// Menu says a text and does the steps of the key that the caller presses, also
// while it is being said. Without a key, or with one that has no steps, it is
// said again; after the last time the call is passed on to the step after the
// menu, and so it is by a key's steps that do not take it.
type Menu struct {
	Text string `json:"text" doc:"Up to 2000 characters"`
	// Keys are the steps of each of 0 to 9, * and #.
	Keys     map[string]Steps `json:"keys" doc:"Steps by key: 0 to 9, * and #. Menus may be nested up to 4 deep"`
	TimeoutS int              `json:"timeout_s" required:"false" doc:"Wait for a key after the text, 1 to 60. Default 5"`
	Repeats  int              `json:"repeats" required:"false" doc:"How many times the text is said, 1 to 10. Default 3"`
}

// CallbackOffer offers to call back instead. The caller accepts by the key, and
// the call is ended with his callback ordered; else it goes on.
type CallbackOffer struct {
	Text string `json:"text,omitempty" doc:"Up to 2000 characters; tell the key. Default: words of the server's own"`
	Key  string `json:"key" required:"false" doc:"0 to 9, * or #. Default 1"`
	// Widget is whose settings the callback gets. A queue's offer may do
	// without: the callback is the queue's then.
	Widget string `json:"widget,omitempty" doc:"Whose settings the callback gets. Needed in a route; a queue's own callbacks keep the place in the queue"`
	// AfterS is in queues only: the offer is made after so many seconds of
	// waiting, and again with each announcement of the position.
	AfterS int `json:"after_s,omitempty" doc:"In queues: seconds of waiting before the offer, 0 to 3600. Default 0"`
}

// ToRoute goes on with the steps of another route, whatever it matches and
// whenever it is open; if they do not take the call, it is passed on like by any
// step. In JSON it is the name alone.
type ToRoute struct {
	Name string `json:"name"`
}

// Hangup ends the call.
type Hangup struct {
	// Code is the SIP status that a call nobody has answered is refused with,
	// 400 to 699 (RFC 3261 §21). 0: 480.
	Code int `json:"code,omitempty" doc:"SIP status for a call not yet answered, 400 to 699. Default 480"`
}

// Defaults of steps.
const (
	defaultWindow       = Duration(24 * 3600e9)
	defaultResponsibleS = 15
	defaultOperatorS    = 30
	defaultNumberS      = 45
	defaultMenuS        = 5
	defaultMenuRepeats  = 3
	defaultOfferKey     = "1"
)

// Outcome… that count where a step does not say.
var outcomes = []string{OutcomeAnswered, OutcomeNoAnswer, OutcomeBusy}

// Counted are the outcomes that count.
func (r Responsible) Counted() []string {
	if r.Outcomes == nil {
		return outcomes
	}
	return r.Outcomes
}

// Rule is how the operator is found.
func (r Responsible) Rule() call.ResponsibleRule {
	rule := call.ResponsibleRule{Window: time.Duration(r.Window), Policy: call.Policy(r.Policy), CRM: crmTime(r.Source, r.CRMTimeoutMS)}
	for _, outcome := range r.Counted() {
		rule.Outcomes = append(rule.Outcomes, call.ContactOutcome(outcome))
	}
	return rule
}

// SIPCode is the status that an unanswered call is refused with.
func (h Hangup) SIPCode() int {
	if h.Code == 0 {
		return 480
	}
	return h.Code
}

// UnmarshalJSON takes an object, or a text as Steps tells. The error is an
// invalid.Error.
func (s *Step) UnmarshalJSON(b []byte) error {
	var short string
	if json.Unmarshal(b, &short) != nil {
		type plain Step
		return readObject(b, (*plain)(s))
	}
	what, whom, _ := strings.Cut(short, ":")
	switch {
	case short == "hangup":
		s.Hangup = &Hangup{}
	case whom == "":
		return invalid.Error{{Message: `want a step, "hangup", "route:NAME", "queue:NAME", "operator:101" or "number:+74951234567"`}}
	case what == "route":
		s.Route = &ToRoute{Name: whom}
	case what == "queue":
		s.Queue = &ToQueue{Name: whom}
	case what == "operator":
		s.Operator = &ToOperator{Extension: whom, RingS: defaultOperatorS}
	case what == "number":
		s.Number = &ToNumber{Number: whom, RingS: defaultNumberS}
	default:
		return invalid.Error{{Message: "want route, queue, operator or number before the colon"}}
	}
	return nil
}

// UnmarshalJSON takes a list of steps, or one step.
func (s *Steps) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	var list []json.RawMessage
	if json.Unmarshal(b, &list) != nil {
		*s = make(Steps, 1)
		return (*s)[0].UnmarshalJSON(b)
	}
	*s = make(Steps, len(list))
	var bad invalid.Error
	for i, step := range list {
		within(&bad, fmt.Sprintf("[%d]", i), (*s)[i].UnmarshalJSON(step), &(*s)[i])
	}
	return bad.Err()
}

// UnmarshalJSON reads an object; what is not there takes its default.
func (r *Responsible) UnmarshalJSON(b []byte) error {
	type plain Responsible
	p := plain{Window: defaultWindow, Policy: ResponsibleLast, RingS: defaultResponsibleS}
	err := readObject(b, &p)
	*r = Responsible(p)
	return err
}

// UnmarshalJSON takes a queue's name, or an object.
func (q *ToQueue) UnmarshalJSON(b []byte) error {
	type plain ToQueue
	return nameOrObject(b, &q.Name, (*plain)(q))
}

// MarshalJSON writes the name alone where it says everything.
func (q ToQueue) MarshalJSON() ([]byte, error) {
	if q.Priority == 0 {
		return json.Marshal(q.Name)
	}
	type plain ToQueue
	return json.Marshal(plain(q))
}

// UnmarshalJSON takes an extension, or an object; what is not there takes its
// default.
func (o *ToOperator) UnmarshalJSON(b []byte) error {
	type plain ToOperator
	*o = ToOperator{RingS: defaultOperatorS}
	return nameOrObject(b, &o.Extension, (*plain)(o))
}

// MarshalJSON writes the extension alone where it says everything.
func (o ToOperator) MarshalJSON() ([]byte, error) {
	if o.RingS == defaultOperatorS {
		return json.Marshal(o.Extension)
	}
	type plain ToOperator
	return json.Marshal(plain(o))
}

// UnmarshalJSON takes a number, or an object; what is not there takes its
// default.
func (n *ToNumber) UnmarshalJSON(b []byte) error {
	type plain ToNumber
	*n = ToNumber{RingS: defaultNumberS}
	return nameOrObject(b, &n.Number, (*plain)(n))
}

// MarshalJSON writes the number alone where it says everything.
func (n ToNumber) MarshalJSON() ([]byte, error) {
	if n.RingS == defaultNumberS && n.Trunk == "" {
		return json.Marshal(n.Number)
	}
	type plain ToNumber
	return json.Marshal(plain(n))
}

// UnmarshalJSON takes a route's name, or an object with it.
func (r *ToRoute) UnmarshalJSON(b []byte) error {
	type plain ToRoute
	return nameOrObject(b, &r.Name, (*plain)(r))
}

// MarshalJSON writes the name.
func (r ToRoute) MarshalJSON() ([]byte, error) { return json.Marshal(r.Name) }

func nameOrObject(b []byte, name *string, object any) error {
	if json.Unmarshal(b, name) == nil {
		return nil
	}
	if len(b) > 0 && b[0] != '{' {
		return invalid.Error{{Message: "want a text, or an object"}}
	}
	return readObject(b, object)
}

// UnmarshalJSON reads an object.
func (a *Announce) UnmarshalJSON(b []byte) error {
	type plain Announce
	return readObject(b, (*plain)(a))
}

// UnmarshalJSON reads an object; what is not there takes its default.
func (m *Menu) UnmarshalJSON(b []byte) error {
	read := struct {
		Text     string   `json:"text"`
		Keys     menuKeys `json:"keys"`
		TimeoutS int      `json:"timeout_s"`
		Repeats  int      `json:"repeats"`
	}{TimeoutS: defaultMenuS, Repeats: defaultMenuRepeats}
	err := readObject(b, &read)
	*m = Menu{read.Text, read.Keys, read.TimeoutS, read.Repeats}
	return err
}

// menuKeys reads Menu.Keys so that each fault names its key.
type menuKeys map[string]Steps

// UnmarshalJSON reads an object.
func (k *menuKeys) UnmarshalJSON(b []byte) error {
	var object map[string]json.RawMessage
	if json.Unmarshal(b, &object) != nil {
		return invalid.Error{{Message: "want an object of steps by key"}}
	}
	if object == nil {
		return nil
	}
	*k = make(menuKeys, len(object))
	var bad invalid.Error
	for key, raw := range object {
		var steps Steps
		within(&bad, fmt.Sprintf("[%q]", key), steps.UnmarshalJSON(raw), &steps)
		(*k)[key] = steps
	}
	return bad.Err()
}

// UnmarshalJSON reads an object; what is not there takes its default.
func (o *CallbackOffer) UnmarshalJSON(b []byte) error {
	type plain CallbackOffer
	*o = CallbackOffer{Key: defaultOfferKey}
	return readObject(b, (*plain)(o))
}

// UnmarshalJSON reads an object.
func (h *Hangup) UnmarshalJSON(b []byte) error {
	type plain Hangup
	return readObject(b, (*plain)(h))
}
