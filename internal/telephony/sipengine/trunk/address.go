package trunk

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/emiago/sipgo/sip"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/numbering"
)

// request is a request to the trunk itself, without From and To.
func (t *Trunk) request(method sip.RequestMethod) *sip.Request {
	req := sip.NewRequest(method, t.uri(""))
	req.SetTransport(strings.ToUpper(t.transport()))
	return req
}

// uri is a user at the trunk.
func (t *Trunk) uri(user string) sip.Uri {
	u := sip.Uri{Scheme: "sip", User: user, Host: t.Host, Port: t.Port}
	if t.transport() != "udp" {
		u.UriParams = sip.HeaderParams{{K: "transport", V: t.transport()}}
	}
	return u
}

// Prepare addresses a request to a number behind the trunk: Request-URI,
// transport, To, From with a new tag, and the header that carries the caller's
// number (Trunk.CallerIDHeader). number is E.164, or a short number or code (112, 101, *600) that goes as it
// stands. callerID is E.164 or whatever
// the trunk lets pass as a number (an extension), empty: the trunk's own;
// callerName may be anything. It fails if the number cannot be written in the
// trunk's format.
func (t *Trunk) Prepare(req *sip.Request, number, callerID, callerName string) error {
	dialled := number
	if !short(number) {
		var err error
		if dialled, err = numbering.Format(number, t.NumberFormat); err != nil {
			return fmt.Errorf("number for trunk %s: %w", t.Name, err)
		}
	}
	dialled = escapeUser(dialled)
	req.Recipient = t.uri(dialled)
	req.SetTransport(strings.ToUpper(t.transport()))

	caller := sip.Uri{Scheme: "sip", User: t.caller(callerID), Host: t.Host}
	from, name := caller, displayName(callerName)
	switch t.CallerIDHeader {
	case directory.CallerIDPAI:
		from = t.account(caller)
		replace(req, "P-Asserted-Identity", nameAddr(name, caller))
	case directory.CallerIDRPID:
		from = t.account(caller)
		replace(req, "Remote-Party-ID", nameAddr(name, caller)+";party=calling;screen=yes;privacy=off")
	}
	if from.User != caller.User {
		name = "" // the account's user is somebody else
	}
	for req.RemoveHeader("From") || req.RemoveHeader("To") {
	}
	req.AppendHeader(&sip.FromHeader{DisplayName: name, Address: from, Params: sip.HeaderParams{{K: "tag", V: sip.GenerateTagN(16)}}})
	req.AppendHeader(&sip.ToHeader{Address: sip.Uri{Scheme: "sip", User: dialled, Host: t.Host}})
	return nil
}

// short tells a number that no country's plan has: of emergency services, an
// extension, a service code.
func short(number string) bool {
	return number != "" && len(number) <= maxShort && strings.Trim(number, "0123456789*#") == ""
}

// maxShort is one less than the shortest number that could be a whole one
// written without its +.
const maxShort = 6

// caller is the user part that shows who calls.
func (t *Trunk) caller(callerID string) string {
	for _, id := range []string{callerID, t.CallerID} {
		if id == "" {
			continue
		}
		if formatted, err := numbering.Format(id, t.NumberFormat); err == nil {
			id = formatted
		}
		return escapeUser(id)
	}
	if t.Username != "" {
		return escapeUser(t.Username)
	}
	return "anonymous"
}

// account is who we are to the trunk, where the caller's number has a header
// of its own; without an account it is the caller.
func (t *Trunk) account(caller sip.Uri) sip.Uri {
	if t.Username != "" {
		caller.User = escapeUser(t.Username)
	}
	return caller
}

func replace(req *sip.Request, name, value string) {
	for req.RemoveHeader(name) {
	}
	req.AppendHeader(sip.NewHeader(name, value))
}

// nameAddr is a name-addr (RFC 3261 §25.1); name is already escaped.
func nameAddr(name string, uri sip.Uri) string {
	if name != "" {
		name = `"` + name + `" `
	}
	return name + "<" + uri.String() + ">"
}

// maxName bounds a display name, in characters.
const maxName = 64

// displayName is a caller's name as it may stand between the quotes of a
// header: control characters and broken UTF-8 are left out, quotes and
// backslashes escaped.
func displayName(name string) string {
	var b strings.Builder
	n := 0
	for _, c := range strings.TrimSpace(name) {
		if c == utf8.RuneError || unicode.IsControl(c) || n == maxName {
			continue
		}
		if c == '"' || c == '\\' {
			b.WriteByte('\\')
		}
		b.WriteRune(c)
		n++
	}
	return b.String()
}

// escapeUser writes the user part of a URI: what RFC 3261 §25.1 does not allow
// there is percent-encoded. ';' and '/' are allowed by it and yet encoded,
// because peers misread them.
func escapeUser(user string) string {
	const allowed = "-_.!~*'()&=+$,?"
	var b strings.Builder
	for i := range len(user) {
		c := user[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(allowed, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
