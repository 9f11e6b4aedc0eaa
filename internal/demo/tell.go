package demo

import (
	"fmt"
	"strings"

	"github.com/perezvon/perezvon/internal/call"
)

// tell puts an event into one line for somebody who reads along.
func tell(e call.Event) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-18s", e.Type)
	word := func(format string, args ...any) { fmt.Fprintf(&b, " "+format, args...) }
	if e.Leg != "" {
		word("%s", e.Leg)
	}
	if e.Other != "" {
		word("with %s", e.Other)
	}
	if e.Role != "" {
		word("(%s)", e.Role)
	}
	switch {
	case e.Operator != "":
		word("operator %s", e.Operator)
	case e.Number != "":
		word("%s", e.Number)
	}
	if e.Trunk != "" {
		word("through %s", e.Trunk)
	}
	if e.CallerID != "" {
		word("shown as %s", e.CallerID)
	}
	if e.SIPCode != 0 {
		word("SIP %d", e.SIPCode)
	}
	if e.Prompt != "" {
		word("%s", e.Prompt)
	}
	if e.Text != "" {
		word("«%s»", e.Text)
	}
	if e.Digits != "" {
		word("%s", e.Digits)
	}
	if e.Action != "" {
		word("→ %s", e.Action)
	}
	if e.Recording != "" {
		word("%s", e.Recording)
	}
	if e.Status != nil {
		word("%s", e.Status)
	}
	if e.By != "" {
		word("by %s", e.By)
	}
	if e.Reason != "" {
		word("— %s", e.Reason)
	}
	return b.String()
}
