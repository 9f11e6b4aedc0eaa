// Package responsible finds the operator who is responsible for a client: in the
// CRM, if that is asked for, and in the calls of this server otherwise, and
// whenever the CRM names no operator, fails, or does not answer in time
// (specification 2-transfers-and-crm, 3-responsible-manager).
package responsible

import (
	"context"
	"fmt"

	"github.com/perezvon/perezvon/internal/call"
)

// Calls look in the calls of this server: store.Store.
type Calls interface {
	Responsible(ctx context.Context, account, number string, rule call.ResponsibleRule) (call.Responsible, error)
}

// CRM is the account's CRM: bitrix24.Service.
type CRM interface {
	// Responsible is the extension of the operator who is responsible for the
	// client there, and why; "" and why nobody is. It returns when ctx ends.
	Responsible(ctx context.Context, account, number string) (extension, why string, err error)
}

// Finder finds. Both fields are needed. Its method may be called from any
// goroutine.
type Finder struct {
	Calls Calls
	CRM   CRM
}

// Responsible is who is responsible for the client with that number. If the rule
// has a time for the CRM, that is asked first, within it; then the reason tells
// what it said, or why it has not, before what the calls say. Errors: those of
// Calls, and ctx's cause.
func (f *Finder) Responsible(ctx context.Context, account, number string, rule call.ResponsibleRule) (call.Responsible, error) {
	if rule.CRM <= 0 {
		return f.Calls.Responsible(ctx, account, number, rule)
	}
	asking, cancel := context.WithTimeout(ctx, rule.CRM)
	defer cancel()
	extension, why, err := f.CRM.Responsible(asking, account, number)
	switch {
	case ctx.Err() != nil:
		return call.Responsible{}, context.Cause(ctx)
	case err != nil && asking.Err() != nil:
		why = fmt.Sprintf("the CRM did not answer within %v", rule.CRM)
	case err != nil:
		why = "the CRM does not say: " + err.Error()
	case extension != "":
		return call.Responsible{Operator: extension, Source: call.SourceCRM, Reason: why}, nil
	}
	found, err := f.Calls.Responsible(ctx, account, number, rule)
	found.Reason = why + "; " + found.Reason
	return found, err
}
