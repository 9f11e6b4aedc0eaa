package call

import "time"

// Policy says which of a client's contacts tells who is responsible for him.
type Policy string

// The policies.
const (
	PolicyLast  Policy = "last"  // the newest
	PolicyFirst Policy = "first" // the oldest
)

// ResponsibleSource is who knows which operator is responsible for a client.
type ResponsibleSource string

// The sources.
const (
	SourceCalls ResponsibleSource = "calls" // the calls of this server
	SourceCRM   ResponsibleSource = "crm"
)

// The time that the CRM is given to name an operator while somebody waits.
const (
	DefaultCRMTime = time.Second
	MinCRMTime     = 100 * time.Millisecond
	MaxCRMTime     = 10 * time.Second
)

// DefaultWindow is how far back the look-up of the responsible manager goes
// where nothing else is said: the day of the source's own query.
const DefaultWindow = 24 * time.Hour

// Ever is the Window of a look-up that goes back as far as there are calls.
const Ever time.Duration = -1

// ResponsibleRule says how the responsible manager of a client is found.
type ResponsibleRule struct {
	// Window is how far back contacts count. Default DefaultWindow; Ever: all.
	Window time.Duration
	// Policy is PolicyLast by default.
	Policy Policy
	// Outcomes are those of the contacts that count. Default: answered,
	// no_answer and busy, as the source has it.
	Outcomes []ContactOutcome
	// Outside lets a manager outside, who has a number and no extension, be
	// the answer. There is no device state to ask for him and nothing to
	// register, so who rings operators leaves it false: the manager's contacts
	// are passed by then and an operator's before them counts.
	Outside bool
	// CRM is how long the client's CRM may take to name the operator, before the
	// contacts are looked at; 0: it is not asked. Who looks in the contacts alone
	// passes it by.
	CRM time.Duration
}

// WithDefaults is the rule with its defaults filled in.
func (r ResponsibleRule) WithDefaults() ResponsibleRule {
	if r.Window == 0 {
		r.Window = DefaultWindow
	}
	if r.Policy == "" {
		r.Policy = PolicyLast
	}
	if len(r.Outcomes) == 0 {
		r.Outcomes = []ContactOutcome{ContactAnswered, ContactNoAnswer, ContactBusy}
	}
	return r
}

// Responsible is the answer of the look-up.
type Responsible struct {
	// Operator is the extension, or with ResponsibleRule.Outside the number of
	// a manager outside; "" if nobody is responsible.
	Operator string
	// CallID, At and Outcome are of the contact that tells so, zero without.
	CallID  string
	At      time.Time
	Outcome ContactOutcome
	// Source is who has named the operator; empty if nobody is responsible.
	Source ResponsibleSource
	// Reason is why, in a sentence for the timeline; never empty.
	Reason string
}

// Found tells that somebody is responsible.
func (r Responsible) Found() bool { return r.Operator != "" }

// Note is the answer as a timeline tells it.
func (r Responsible) Note() string {
	if !r.Found() {
		return "responsible: " + r.Reason
	}
	return "responsible: " + r.Operator + ": " + r.Reason
}
