package callback

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/perezvon/perezvon/internal/speech/prompts"
)

// The server's defaults (specification §1).
const (
	DialSequential = "sequential"
	DialParallel   = "parallel"

	// When a failed call moves on to the next trunk (specification §5).
	FailoverNetwork = "network" // the network failed
	FailoverAny     = "any"     // whatever failed, unless a person or his phone answered with it

	defaultLanguage         = "ru"
	defaultVoice            = "female"
	defaultRepeats          = 3
	defaultExtensionDelayMS = 1000
	defaultClientDelayMS    = 3000
	defaultManagerTimeoutS  = 30
	defaultClientTimeoutS   = 45
	defaultAfterCallS       = 15
	defaultAttempt          = 1
)

// maxExtension is the longest string of digits that is taken for an operator's
// extension where a number is expected. Longer extensions are given by sip.
const maxExtension = 6

// Normalize returns the packet with the server's defaults in the empty places
// and its numbers in E.164, read as somebody in region (ISO 3166, "RU") would
// dial them. Where something is wrong it returns an invalid.Error with every
// fault of every field. The packet itself is not changed, and a normalised
// packet normalises to itself.
//
// URLs may not point into private networks, other than those of allow. Only
// what is written in the URL is judged here; who delivers must judge the
// address that a name resolves to.
func (p Packet) Normalize(region string, allow ...netip.Prefix) (Packet, error) {
	p.FillIn()
	c := check{region: region, allow: allow}
	p.Managers = c.managers(p.Managers)
	p.Client = c.client(p.Client)
	c.packet(&p)
	if err := c.bad.Err(); err != nil {
		return Packet{}, err
	}
	return p, nil
}

// FillIn sets the server's defaults where nothing is set.
func (p *Packet) FillIn() {
	orText(&p.DialMode, DialSequential)
	orText(&p.FailoverOn, FailoverNetwork)
	orText(&p.Language, defaultLanguage)
	orText(&p.Voice, defaultVoice)
	orText(&p.Greeting, prompts.Text(p.Language, prompts.Greeting))
	orText(&p.ConnectingText, prompts.Text(p.Language, prompts.Connecting))
	if p.RepeatsBeforeHangup == nil {
		orNumber(&p.RepeatsBeforeConnect, defaultRepeats)
	}
	orNumber(&p.ExtensionDelayMS, defaultExtensionDelayMS)
	orNumber(&p.ClientDelayMS, defaultClientDelayMS)
	orNumber(&p.ManagerTimeoutS, defaultManagerTimeoutS)
	orNumber(&p.ClientTimeoutS, defaultClientTimeoutS)
	orNumber(&p.AfterCallS, defaultAfterCallS)
	if p.Attempt == 0 {
		p.Attempt = defaultAttempt
	}
}

func orText(s *string, value string) {
	if strings.TrimSpace(*s) == "" {
		*s = value
	}
}

func orNumber(n **int, value int) {
	if *n == nil {
		*n = &value
	}
}

// ClientNumber divides Client into the number and the extension that is
// dialled after the answer, "" if there is none.
func (p Packet) ClientNumber() (number, extension string) {
	number, extension, _ = strings.Cut(p.Client, beforeExtension)
	return number, extension
}

// Operator is the extension of the operator to call, and "" if the manager is
// a number outside. It is meaningful once the packet is normalised.
func (t ManagerTarget) Operator() string {
	switch {
	case t.SIP != "":
		return t.SIP
	case !strings.HasPrefix(t.Number, "+"):
		return t.Number
	}
	return ""
}

// Smartcall tells that the client is called on the manager's key (or at the
// repeat limit), not by itself.
func (p Packet) Smartcall() bool { return p.DTMFConnect != "" }

// RouteToManagers is the trunks that carry calls to outside managers, in the
// order to try them. Empty: the packet names none.
func (p Packet) RouteToManagers() []string { return route(p.TrunksManager, p.Trunk) }

// RouteToClient is the same for the client's side.
func (p Packet) RouteToClient() []string { return route(p.TrunksClient, p.Trunk) }

func route(list []string, one string) []string {
	switch {
	case len(list) > 0:
		return slices.Clone(list)
	case one != "":
		return []string{one}
	}
	return nil
}
