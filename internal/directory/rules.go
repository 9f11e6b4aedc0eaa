package directory

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/numbering"
)

// Bounds of what an administrator may write.
const (
	maxText      = 128
	maxPhones    = 10
	maxTrunks    = 16
	maxChannels  = 100_000
	maxOptionsS  = 3600
	minExtension = 2
	maxExtension = 10
)

var (
	trunkName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	hostName  = regexp.MustCompile(`^([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.?$`)
	// userName is the user part of a SIP address, unescaped (RFC 3261 §25.1).
	userName = regexp.MustCompile(`^[A-Za-z0-9_.!~*'()&=+$,;?/-]*$`)
	callerID = regexp.MustCompile(`^\+?[0-9A-Za-z*#_.-]{0,64}$`)

	transports      = []string{"", "udp", "tcp", "tls"}
	callerIDHeaders = []string{"", CallerIDFrom, CallerIDPAI, CallerIDRPID}
	outbounds       = []string{"", OutboundNone, OutboundHome, OutboundAny}
	codecs          = []string{"PCMA", "PCMU", "G722"}
)

// Validate finds everything wrong with the trunk: nil or an invalid.Error.
func (t Trunk) Validate() error {
	var bad invalid.Error
	if !trunkName.MatchString(t.Name) {
		bad.Add("name", "want 1 to 64 letters, digits, - and _")
	}
	switch {
	case t.Host == "" && t.Endpoint == "":
		bad.Add("host", "want the name or address of the carrier")
	case t.Host != "" && !isHost(t.Host):
		bad.Add("host", "want a name or an address, without a port: sip.example.com, 192.0.2.1")
	}
	if t.Port < 0 || t.Port > 65535 {
		bad.Add("port", "want 1 to 65535, or nothing for the default")
	}
	oneOf(&bad, "transport", t.Transport, transports)
	oneOf(&bad, "caller_id_header", t.CallerIDHeader, callerIDHeaders)
	if len(t.Username) > maxText || !userName.MatchString(t.Username) {
		bad.Add("username", "want up to 128 characters of a SIP user name, without spaces, @ and :")
	}
	text(&bad, "password", t.Password)
	if t.Register && t.Username == "" {
		bad.Add("username", "needed to register")
	}
	if t.NumberFormat != "" {
		if err := numbering.ValidFormat(t.NumberFormat); err != nil {
			bad.Add("number_format", err.Error())
		}
	}
	if !callerID.MatchString(t.CallerID) {
		bad.Add("caller_id", "want a number: digits, with or without +")
	}
	between(&bad, "max_channels", t.MaxChannels, 0, maxChannels)
	between(&bad, "options_s", t.OptionsS, 0, maxOptionsS)
	for i, c := range t.Codecs {
		path := fmt.Sprintf("codecs[%d]", i)
		switch {
		case !slices.Contains(codecs, c):
			bad.Add(path, "want one of "+strings.Join(codecs, ", "))
		case slices.Contains(t.Codecs[:i], c):
			bad.Add(path, "named twice")
		}
	}
	text(&bad, "endpoint", t.Endpoint)
	return bad.Err()
}

// Validate finds everything wrong with the operator: nil or an invalid.Error.
func (o Operator) Validate() error {
	var bad invalid.Error
	if !IsExtension(o.Extension) {
		bad.Add("extension", fmt.Sprintf("want %d to %d digits", minExtension, maxExtension))
	}
	text(&bad, "name", o.Name)
	text(&bad, "password", o.Password)
	text(&bad, "bitrix_user_id", o.BitrixUserID)
	if len(o.Phones) > maxPhones {
		bad.Add("phones", fmt.Sprintf("want at most %d", maxPhones))
	}
	for i, p := range o.Phones {
		path := fmt.Sprintf("phones[%d]", i)
		switch e164, err := numbering.Normalize(p, ""); {
		case err != nil || e164 != p:
			bad.Add(path, "want a number as +74951234567")
		case slices.Contains(o.Phones[:i], p):
			bad.Add(path, "named twice")
		}
	}
	if !callerID.MatchString(o.CallerID) {
		bad.Add("caller_id", "want a number: digits, with or without +")
	}
	if len(o.Trunks) > maxTrunks {
		bad.Add("trunks", fmt.Sprintf("want at most %d", maxTrunks))
	}
	for i, trunk := range o.Trunks {
		path := fmt.Sprintf("trunks[%d]", i)
		switch {
		case !trunkName.MatchString(trunk):
			bad.Add(path, "want a trunk's name")
		case slices.Contains(o.Trunks[:i], trunk):
			bad.Add(path, "named twice")
		}
	}
	oneOf(&bad, "outbound", o.Outbound, outbounds)
	return bad.Err()
}

// IsExtension tells that s can be an operator's extension: 2 to 10 digits.
func IsExtension(s string) bool {
	if len(s) < minExtension || len(s) > maxExtension {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
}

func isHost(s string) bool {
	address := s
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		address = s[1 : len(s)-1] // as IPv6 is written in SIP
	}
	if _, err := netip.ParseAddr(address); err == nil {
		return true
	}
	return len(s) <= 253 && hostName.MatchString(s)
}

func oneOf(bad *invalid.Error, path, value string, allowed []string) {
	if !slices.Contains(allowed, value) {
		bad.Add(path, "want one of "+strings.Join(allowed[1:], ", "))
	}
}

func between(bad *invalid.Error, path string, value, low, high int) {
	if value < low || value > high {
		bad.Add(path, fmt.Sprintf("want %d to %d", low, high))
	}
}

// text is free text: short, and nothing that could break a line of SIP.
func text(bad *invalid.Error, path, value string) { longText(bad, path, value, maxText) }

func longText(bad *invalid.Error, path, value string, longest int) {
	switch {
	case utf8.RuneCountInString(value) > longest:
		bad.Add(path, fmt.Sprintf("want at most %d characters", longest))
	case !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl):
		bad.Add(path, "control characters are not allowed")
	}
}
