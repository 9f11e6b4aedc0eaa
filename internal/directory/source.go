package directory

import (
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/invalid"
)

// checkSource finds what is wrong with who knows the responsible operator, and
// with the time that the CRM has to say so.
func checkSource(bad *invalid.Error, source, timeout string, s call.ResponsibleSource, ms int) {
	switch s {
	case "", call.SourceCalls:
		if ms != 0 {
			bad.Add(timeout, "belongs to source crm")
		}
	case call.SourceCRM:
		if ms != 0 {
			between(bad, timeout, ms, int(call.MinCRMTime.Milliseconds()), int(call.MaxCRMTime.Milliseconds()))
		}
	default:
		bad.Add(source, "want calls or crm")
	}
}

// crmTime is call.ResponsibleRule.CRM of such settings.
func crmTime(s call.ResponsibleSource, ms int) time.Duration {
	switch {
	case s != call.SourceCRM:
		return 0
	case ms == 0:
		return call.DefaultCRMTime
	}
	return time.Duration(ms) * time.Millisecond
}
