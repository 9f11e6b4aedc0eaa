// Package directory is what an administrator sets: trunks, operators, widgets,
// queues, routes and hours. Types and their rules; the store keeps them.
package directory

import (
	"fmt"
	"strings"

	"github.com/perezvon/perezvon/internal/numbering"
)

// Operator is somebody with an extension, whose phones register here.
type Operator struct {
	Extension    string   `json:"extension" doc:"Digits, 2 to 10"`
	Name         string   `json:"name,omitempty" maxLength:"128"`
	Password     string   `json:"password,omitempty" doc:"Of the phones' registration. Never shown again"`
	Phones       []string `json:"phones,omitempty" doc:"Outside numbers rung beside the registered phones"`
	BitrixUserID string   `json:"bitrix_user_id,omitempty"`
	Paused       bool     `json:"paused,omitempty" doc:"No calls from queues and for the responsible manager"`

	CallerID string `json:"caller_id,omitempty" doc:"The number shown when this operator calls out. Default: the trunk's"`
	// Trunks are tried in this order when the operator calls out; empty: the
	// account's in the order of their names.
	Trunks []string `json:"trunks,omitempty" doc:"To call out by, in this order. Default: the account's trunks in the order of their names"`
	// Outbound is one of Outbound…; empty: OutboundHome. See MayDial.
	Outbound    string `json:"outbound,omitempty" enum:"none,home,any" doc:"Where the operator may call out to: nowhere, the country of the server's region, anywhere. Default home"`
	CallWaiting bool   `json:"call_waiting,omitempty" doc:"Ring although the operator is talking. Default false: callers get busy"`
}

// Where an operator may call out to.
const (
	OutboundNone = "none"
	OutboundHome = "home" // the country of the server's region
	OutboundAny  = "any"
)

// MayDial tells that the operator may call the number (E.164) out of a server
// whose region it is (ISO 3166). A call that he may not make is
// call.NotAllowed.
func (o Operator) MayDial(number, region string) bool {
	switch o.Outbound {
	case OutboundAny:
		return true
	case OutboundNone:
		return false
	}
	country := numbering.Country(number)
	return country != "" && strings.EqualFold(country, region)
}

// References are what the operator needs to exist.
func (o Operator) References() []Reference {
	var list references
	for i, trunk := range o.Trunks {
		list.add(fmt.Sprintf("trunks[%d]", i), KindTrunk, trunk)
	}
	return list
}

// DefaultAccount owns everything until there is a second organisation.
const DefaultAccount = "main"
