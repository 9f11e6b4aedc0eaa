package directory

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/invalid"
)

// Widget is the instrument that requests for callbacks come through: a site's
// form, a CRM's button. It holds what its packets need not say, and what is
// done with them.
type Widget struct {
	Name string `json:"name" doc:"Letters, digits, - and _" maxLength:"64"`
	// Packet holds the defaults of the widget's packets: see Apply.
	callback.Packet

	RoundRobin       bool `json:"round_robin,omitempty" doc:"Each request begins with the next of the widget's managers, within their group; managers of the packet are called as they come"`
	ResponsibleFirst bool `json:"responsible_first,omitempty" doc:"The manager who talked to the client last, if among the managers, is called before the others, alone"`
	// ResponsibleSource is who knows; empty: call.SourceCalls.
	ResponsibleSource call.ResponsibleSource `json:"responsible_source,omitempty" enum:"calls,crm" doc:"With responsible_first, who knows him: the calls of this server; or the CRM, and the calls when it names no operator, fails or is late. Default calls"`
	// ResponsibleCRMTimeoutMS is how long the CRM may take, milliseconds; 0:
	// call.DefaultCRMTime.
	ResponsibleCRMTimeoutMS int `json:"responsible_crm_timeout_ms,omitempty" doc:"With responsible_source crm: how long a request waits for the CRM's answer, 100 to 10000 milliseconds. Default 1000"`

	RecallIntervals []Duration   `json:"recall_intervals,omitempty" doc:"How long after each attempt the next one is made: [\"5m\", \"15m\", \"1h\"], or seconds; as many further attempts as there are intervals"`
	RecallOn        []StatusName `json:"recall_on,omitzero" doc:"After which statuses, by slug or code. Default: the manager was not reached (701 to 704), the client was not reached (408, 480, 486, 503), the call was interrupted (712)"`
	Hours           *Hours       `json:"hours,omitempty" doc:"When calls are made. Default: always"`

	Blacklist      []string `json:"blacklist,omitempty" doc:"Clients who are not called: +79161234567; ? is any digit, * at the end any digits: +7809*"`
	RatePerClient  *Rate    `json:"rate_per_client,omitempty" doc:"Requests for one client's number"`
	RatePerAddress *Rate    `json:"rate_per_address,omitempty" doc:"Requests from one client_ip"`
}

// Rate is how many requests are taken within a time.
type Rate struct {
	Count int      `json:"count" minimum:"1" maximum:"10000"`
	Per   Duration `json:"per" doc:"\"10m\", \"24h\", or seconds; at most 30 days"`
}

// Duration is a time in words as time.ParseDuration reads them ("1h30m"), before
// which there may be days ("30d", "1d12h"); in JSON it is also a number of
// seconds.
type Duration time.Duration

// Bounds of a widget.
const (
	maxIntervals   = 100
	minInterval    = Duration(10 * time.Second)
	maxInterval    = Duration(30 * 24 * time.Hour)
	minPeriod      = Duration(time.Second)
	maxBlacklist   = 10_000
	maxRateCount   = 10_000
	maxAttempt     = 1000 // as in callback
	rescheduleWait = 15 * time.Minute
)

// everywhere lets URLs of a widget point anywhere: the policy of URLs is the
// server's and is applied to each packet.
var everywhere = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}

var blacked = regexp.MustCompile(`^\+[0-9?]{0,15}\*?$`)

// recallOn is RecallOn where the widget does not say.
var recallOn = []call.Status{
	call.ManagerNoAnswer, call.ManagerBusy, call.ManagerDeclined, call.ManagerTrunkFailure,
	call.ClientNoAnswer, call.ClientUnavailable, call.ClientBusy, call.ClientTrunkFailure, call.Interrupted,
}

// Validate finds everything wrong with the widget: nil or an invalid.Error.
// Numbers must be in E.164, as Normalize leaves them.
func (w Widget) Validate() error {
	normal, err := w.Normalize("", everywhere...)
	if err != nil {
		return err
	}
	var bad invalid.Error
	for i, m := range normal.Managers {
		if m != w.Managers[i] {
			bad.Add(fmt.Sprintf("managers[%d].number", i), "want a number as +74951234567, or an operator's extension")
		}
	}
	return bad.Err()
}

// Normalize is the widget with the numbers of its managers in E.164, read as
// somebody in region (ISO 3166) would dial them, or an invalid.Error with every
// fault. URLs may not point into private networks other than those of allow.
func (w Widget) Normalize(region string, allow ...netip.Prefix) (Widget, error) {
	var bad invalid.Error
	if !trunkName.MatchString(w.Name) {
		bad.Add("name", "want 1 to 64 letters, digits, - and _")
	}
	p, err := w.Packet.NormalizeSettings(region, allow...)
	var fields invalid.Error
	if errors.As(err, &fields) {
		bad = append(bad, fields...)
	}
	w.Packet = p

	if w.ResponsibleSource != "" && !w.ResponsibleFirst {
		bad.Add("responsible_source", "belongs to responsible_first")
	}
	checkSource(&bad, "responsible_source", "responsible_crm_timeout_ms", w.ResponsibleSource, w.ResponsibleCRMTimeoutMS)
	if len(w.RecallIntervals) > maxIntervals {
		bad.Add("recall_intervals", fmt.Sprintf("want at most %d", maxIntervals))
	}
	for i, d := range w.RecallIntervals {
		lasting(&bad, fmt.Sprintf("recall_intervals[%d]", i), d, minInterval)
	}
	for i, s := range w.RecallOn {
		path := fmt.Sprintf("recall_on[%d]", i)
		switch {
		case !s.known():
			bad.Add(path, "want a status by its slug or code: client_busy, 486")
		case slices.Contains(w.RecallOn[:i], s):
			bad.Add(path, "named twice")
		}
	}
	if w.Hours != nil {
		w.Hours.validate(&bad, "hours")
	}
	if len(w.Blacklist) > maxBlacklist {
		bad.Add("blacklist", fmt.Sprintf("want at most %d", maxBlacklist))
	}
	for i, mask := range w.Blacklist {
		if len(mask) < 2 || !blacked.MatchString(mask) {
			bad.Add(fmt.Sprintf("blacklist[%d]", i), "want +79161234567, with ? for any digit and * at the end for any digits")
		}
	}
	w.RatePerClient.validate(&bad, "rate_per_client")
	w.RatePerAddress.validate(&bad, "rate_per_address")
	return w, bad.Err()
}

// Responsible is how the manager is found who is called first: who talked to the
// client, however long ago. The managers of a widget may be outside.
func (w Widget) Responsible() call.ResponsibleRule {
	return call.ResponsibleRule{
		Window: call.Ever, Outcomes: []call.ContactOutcome{call.ContactAnswered}, Outside: true,
		CRM: crmTime(w.ResponsibleSource, w.ResponsibleCRMTimeoutMS),
	}
}

// References are what the widget needs to exist.
func (w Widget) References() []Reference {
	var list references
	for i, m := range w.Managers {
		list.add(fmt.Sprintf("managers[%d].number", i), KindOperator, m.Operator())
	}
	list.add("trunk", KindTrunk, w.Trunk)
	for i, trunk := range w.TrunksManager {
		list.add(fmt.Sprintf("trunks_manager[%d]", i), KindTrunk, trunk)
	}
	for i, trunk := range w.TrunksClient {
		list.add(fmt.Sprintf("trunks_client[%d]", i), KindTrunk, trunk)
	}
	return list
}

func (r *Rate) validate(bad *invalid.Error, path string) {
	if r == nil {
		return
	}
	between(bad, path+".count", r.Count, 1, maxRateCount)
	lasting(bad, path+".per", r.Per, minPeriod)
}

func lasting(bad *invalid.Error, path string, d, least Duration) {
	if d < least || d > maxInterval {
		bad.Add(path, fmt.Sprintf("want %s to %s, as \"15m\" or seconds", least, maxInterval))
	}
}

// Apply is the packet with the widget's settings where it has none of its own:
// see callback.Packet.Or.
func (w Widget) Apply(p callback.Packet) callback.Packet { return p.Or(w.Packet) }

// Blocked tells that the number (E.164) is on the blacklist.
func (w Widget) Blocked(number string) bool {
	return slices.ContainsFunc(w.Blacklist, func(mask string) bool { return masks(mask, number) })
}

func masks(mask, number string) bool {
	prefix, any := strings.CutSuffix(mask, "*")
	if len(number) < len(prefix) || !any && len(number) != len(prefix) {
		return false
	}
	for i := range len(prefix) {
		if prefix[i] != '?' && prefix[i] != number[i] {
			return false
		}
	}
	return true
}

// RecallAt is when another attempt is due after the attempt of that number
// (from 1) ended with status at now; false: none is. The n-th attempt is
// followed after the n-th interval, if the status deserves it. A moment that the
// widget is closed at moves to its next opening.
//
// reschedule says that the manager asked for another call: one is made whatever
// the status, after the last interval once they have run out, and in 15 minutes
// where the widget has none.
func (w Widget) RecallAt(attempt int, status call.Status, reschedule bool, now time.Time) (time.Time, bool) {
	if attempt < 1 || attempt >= maxAttempt {
		return time.Time{}, false
	}
	var wait time.Duration
	switch {
	case reschedule && len(w.RecallIntervals) == 0:
		wait = rescheduleWait
	case reschedule:
		wait = time.Duration(w.RecallIntervals[min(attempt, len(w.RecallIntervals))-1])
	case attempt > len(w.RecallIntervals) || !w.recalls(status):
		return time.Time{}, false
	default:
		wait = time.Duration(w.RecallIntervals[attempt-1])
	}
	at := w.Hours.Next(now.Add(wait))
	return at, !at.IsZero()
}

func (w Widget) recalls(s call.Status) bool {
	if w.RecallOn == nil {
		return slices.Contains(recallOn, s)
	}
	return slices.Contains(w.RecallOn, StatusName(s.Slug))
}

// StatusName is the slug of a status. In JSON it may come as its code too.
type StatusName string

// UnmarshalJSON takes "client_busy", 486 and "486". What is none is kept for
// Validate to name.
func (n *StatusName) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) != nil {
		text = string(b) // a number
	}
	*n = StatusName(text)
	code, err := strconv.Atoi(text)
	if err != nil {
		return nil
	}
	for _, s := range call.CallbackStatuses() {
		if s.Code == code {
			*n = StatusName(s.Slug)
		}
	}
	return nil
}

func (n StatusName) known() bool {
	return slices.ContainsFunc(call.CallbackStatuses(), func(s call.Status) bool { return s.Slug == string(n) })
}

// UnmarshalJSON takes "15m", "2d" and a number of seconds. What is none of them
// becomes -1, which no field takes, for Validate to name.
func (d *Duration) UnmarshalJSON(b []byte) error {
	*d = -1
	var text string
	if json.Unmarshal(b, &text) == nil {
		if v, err := parseDuration(text); err == nil {
			*d = Duration(v)
		}
		return nil
	}
	if s, err := strconv.ParseFloat(string(b), 64); err == nil && s >= 0 && s <= longest.Seconds() {
		*d = Duration(s * float64(time.Second))
	}
	return nil
}

// longest is the longest time that can be written in seconds or days.
const longest = 100 * 366 * 24 * time.Hour

// parseDuration is time.ParseDuration with days: "30d", "1d12h".
func parseDuration(text string) (time.Duration, error) {
	days, rest, ok := strings.Cut(text, "d")
	if !ok {
		return time.ParseDuration(text)
	}
	n, err := strconv.ParseUint(days, 10, 16)
	whole := time.Duration(n) * 24 * time.Hour
	if err != nil || whole > longest {
		return 0, strconv.ErrRange
	}
	if rest == "" {
		return whole, nil
	}
	part, err := time.ParseDuration(rest)
	if err == nil && (part < 0 || part > longest) {
		err = strconv.ErrRange
	}
	return whole + part, err
}

// MarshalText writes "1h30m", "15m", "10s".
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String is the shortest way to write it: "1h", not "1h0m0s".
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
