package fastagi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/telephony"
)

// The variables that agi://host/responsible sets.
const (
	VarManager = "MANAGER"            // the operator's extension, or empty
	VarState   = "MANAGER_STATE"      // what his phones are doing; empty without an operator
	VarReason  = "RESPONSIBLE_REASON" // why, in a sentence; never empty
)

// Paused is the MANAGER_STATE of an operator who is paused here.
const Paused = "PAUSED"

// lookUpTime bounds a look-up, beside what the CRM may take: a caller is waiting.
const lookUpTime = time.Second

// maxReason is how much of a reason a variable gets.
const maxReason = 400

// LookUp finds the operator who is responsible for a client:
// responsible.Finder.
type LookUp interface {
	Responsible(ctx context.Context, account, number string, rule call.ResponsibleRule) (call.Responsible, error)
}

// Operators are an account's: store.Store.
type Operators interface {
	Operator(ctx context.Context, account, extension string) (directory.Operator, error)
}

// Responsible is the script of agi://host/responsible: who is responsible for
// the caller (specification 3-responsible-manager).
//
//	AGI(agi://host/responsible)
//	AGI(agi://host/responsible?window=30d&policy=first,${NUMBER})
//
// The number is the first argument, by default the caller's. The query takes
// window, policy, outcomes and source as a route's step does
// (directory.Responsible), and hints, the context of the phones' hints (default ext-local, as FreePBX has
// it).
type Responsible struct {
	LookUp    LookUp
	Operators Operators
	// State is what the phones of an operator are doing that register with this
	// server; asked where Asterisk does not know him.
	State   func(extension string) telephony.DeviceState
	Account string
	Logger  *slog.Logger
}

// Serve is the Script.
func (r *Responsible) Serve(ctx context.Context, s *Session) error {
	number := s.Arg(0)
	if len(s.Args) == 0 {
		number = s.CallerID()
	}
	rule, hints, err := options(s.Query)
	if err != nil {
		// A dialplan that is wrong must not lose calls: nobody is responsible.
		return errors.Join(err, r.tell(s, "", "", "the address is wrong: "+err.Error()))
	}
	asking, cancel := context.WithTimeout(ctx, lookUpTime+rule.CRM)
	defer cancel()
	found, err := r.LookUp.Responsible(asking, r.Account, number, rule)
	if err != nil {
		return errors.Join(err, r.tell(s, "", "", "the look-up failed"))
	}
	state := ""
	if found.Found() {
		if state, err = r.state(asking, s, found.Operator, hints); err != nil {
			return err
		}
	}
	r.Logger.InfoContext(ctx, "responsible", "channel", s.Channel(), "operator", found.Operator, "state", state, "why", found.Reason)
	return r.tell(s, found.Operator, state, found.Reason)
}

func (r *Responsible) tell(s *Session, extension, state, why string) error {
	if len(why) > maxReason {
		why = strings.ToValidUTF8(why[:maxReason], "")
	}
	return errors.Join(s.Set(VarManager, extension), s.Set(VarState, state), s.Set(VarReason, why))
}

// state is what the operator's phones are doing: as Asterisk says, whose call
// it is, by his hint and by his PJSIP device; else as this server's own phone
// system says.
func (r *Responsible) state(ctx context.Context, s *Session, extension, hints string) (string, error) {
	// The extension has digits only: nothing of it is dialplan.
	if o, err := r.Operators.Operator(ctx, r.Account, extension); err == nil && o.Paused {
		return Paused, nil
	}
	for _, expression := range []string{
		"${EXTENSION_STATE(" + extension + "@" + hints + ")}",
		"${DEVICE_STATE(PJSIP/" + extension + ")}",
	} {
		state, err := s.Eval(expression)
		if err != nil {
			return "", err
		}
		switch state {
		case "", "UNKNOWN", "INVALID": // no hint, no such device
		default:
			return state, nil
		}
	}
	return string(r.State(extension)), nil
}

// options reads the query of the address; the error is an invalid.Error.
func options(query url.Values) (rule call.ResponsibleRule, hints string, err error) {
	hints = "ext-local"
	var bad invalid.Error
	for name := range query {
		switch value := query.Get(name); name {
		case "window":
			var d directory.Duration
			if err := d.UnmarshalJSON(strconv.AppendQuote(nil, value)); err != nil || d < directory.Duration(time.Second) || d > maxWindow {
				bad.Add(name, "want a time such as 90m, 24h or 30d, up to ten years")
			}
			rule.Window = time.Duration(d)
		case "policy":
			if rule.Policy = call.Policy(value); rule.Policy != call.PolicyLast && rule.Policy != call.PolicyFirst {
				bad.Add(name, "want last or first")
			}
		case "outcomes":
			for outcome := range strings.SplitSeq(value, ",") {
				rule.Outcomes = append(rule.Outcomes, call.ContactOutcome(outcome))
			}
			if !allKnown(rule.Outcomes) {
				bad.Add(name, fmt.Sprintf("want some of %v, each once", call.ContactOutcomes()))
			}
		case "source":
			switch call.ResponsibleSource(value) {
			case call.SourceCalls:
			case call.SourceCRM:
				rule.CRM = call.DefaultCRMTime
			default:
				bad.Add(name, "want calls or crm")
			}
		case "hints":
			if hints = value; !isContext(value) {
				bad.Add(name, "want the name of a context")
			}
		default:
			bad.Add(name, "want window, policy, outcomes, source or hints")
		}
	}
	return rule, hints, bad.Err()
}

// maxWindow is ten years, as elsewhere.
const maxWindow = directory.Duration(10 * 365 * 24 * time.Hour)

func allKnown(outcomes []call.ContactOutcome) bool {
	for i, o := range outcomes {
		if !slices.Contains(call.ContactOutcomes(), o) || slices.Contains(outcomes[:i], o) {
			return false
		}
	}
	return true
}

// isContext tells a name of a dialplan's context from what would do something
// else within an expression.
func isContext(name string) bool {
	return name != "" && len(name) < 80 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == ""
}
