package sipengine

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/emiago/sipgo/sip"
)

// numberMax bounds what is taken for a number, in bytes.
const numberMax = 128

// asserted is the number in P-Asserted-Identity (RFC 3325 §9.1), of which there
// may be one as a SIP URI and one as a telephone number; empty if there is
// none that can be read. Only of a trunk may it be asked.
func asserted(req *sip.Request) string {
	for _, h := range req.GetHeaders("P-Asserted-Identity") {
		for _, value := range splitQuoted(h.Value(), ',') {
			uri, ok := addrSpec(value)
			if !ok {
				continue
			}
			if a, err := parseAddress(uri); err == nil && a.user != "" {
				return a.user
			}
		}
	}
	return ""
}

// assert tells an operator's phone which number a carrier vouches for.
func (e *Engine) assert(req *sip.Request, number, host string) {
	if number == "" {
		return
	}
	uri := sip.Uri{Scheme: "sip", User: userPart(number), Host: host}
	req.AppendHeader(sip.NewHeader("P-Asserted-Identity", "<"+uri.String()+">"))
}

// addrSpec is the URI in a header that holds a name-addr or an addr-spec (RFC
// 3261 §20.10): what is in angle brackets outside quotes, otherwise all of it.
func addrSpec(value string) (uri string, ok bool) {
	quoted, from := false, -1
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"' && from < 0:
			quoted = !quoted
		case c == '<' && !quoted && from < 0:
			from = i + 1
		case c == '>' && from >= 0:
			return strings.TrimSpace(value[from:i]), true
		}
	}
	return strings.TrimSpace(value), from < 0 && !quoted
}

// address is what is of use to us in a URI that somebody wrote.
type address struct {
	// user is whom it names, unescaped and without parameters; empty: nobody.
	user string
	// method is the request that is to be sent there, upper case; empty: INVITE.
	method string
	// headers are those to be put into it (RFC 3261 §19.1.1), unescaped.
	headers []sip.HeaderKV
}

// parseAddress reads a sip, sips or tel URI. It is tolerant: of what is of no
// use to us it checks nothing.
func parseAddress(uri string) (a address, err error) {
	scheme, rest, ok := strings.Cut(uri, ":")
	if !ok {
		return a, errNoURI
	}
	var user, params, headers string
	switch strings.ToLower(strings.TrimSpace(scheme)) {
	case "sip", "sips":
		at, query := strings.IndexByte(rest, '@'), strings.IndexByte(rest, '?')
		if at >= 0 && (query < 0 || at < query) {
			user, rest = rest[:at], rest[at+1:]
		}
		rest, headers, _ = strings.Cut(rest, "?")
		_, params, _ = strings.Cut(rest, ";")
		user, _, _ = strings.Cut(user, ":") // a password
		user, _, _ = strings.Cut(user, ";") // parameters of the number
	case "tel":
		rest, headers, _ = strings.Cut(rest, "?")
		user, params, _ = strings.Cut(rest, ";")
	default:
		return a, errNoURI
	}
	if a.user, err = unescape(user); err != nil {
		return a, err
	}
	if len(a.user) > numberMax {
		return a, errNoURI
	}
	for param := range strings.SplitSeq(params, ";") {
		if k, v, _ := strings.Cut(param, "="); strings.EqualFold(k, "method") {
			a.method = strings.ToUpper(v)
		}
	}
	for h := range strings.SplitSeq(headers, "&") {
		k, v, found := strings.Cut(h, "=")
		if !found {
			continue
		}
		if v, err = unescape(v); err != nil {
			return a, err
		}
		a.headers = append(a.headers, sip.HeaderKV{K: k, V: v})
	}
	return a, nil
}

// unescape undoes the escapes of a URI. What could break a line or a screen is
// an error.
func unescape(s string) (string, error) {
	s, err := url.PathUnescape(s)
	if err != nil {
		return "", errNoURI
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return "", errNoURI
	}
	return s, nil
}
