package digestauth

import "strings"

// Limits of a header from the network.
const (
	maxHeader = 4096
	maxParams = 32
)

// params are the parameters of a challenge or of credentials, names in lower
// case, values unquoted.
type params map[string]string

// parseParams reads `Digest name=value, name="value"` (RFC 7616 §3.3, §3.4).
// It takes what phones write beyond the grammar: unquoted URIs, empty list
// members, any white space. It reports false for what is not Digest or cannot
// be read; of a repeated name the first counts.
func parseParams(s string) (params, bool) {
	const scheme = "digest"
	s = strings.TrimSpace(s)
	if len(s) > maxHeader || len(s) <= len(scheme) || !strings.EqualFold(s[:len(scheme)], scheme) || !isSpace(s[len(scheme)]) {
		return nil, false
	}
	s = s[len(scheme):]
	ps := params{}
	for {
		s = strings.TrimLeft(s, ", \t\r\n")
		if s == "" {
			return ps, len(ps) > 0
		}
		name, rest, ok := strings.Cut(s, "=")
		name = strings.ToLower(strings.TrimSpace(name))
		if !ok || name == "" || strings.ContainsAny(name, " \t\r\n\",") || len(ps) == maxParams {
			return nil, false
		}
		value, rest, ok := parseValue(strings.TrimLeft(rest, " \t\r\n"))
		if !ok {
			return nil, false
		}
		if _, twice := ps[name]; !twice {
			ps[name] = value
		}
		s = rest
	}
}

// parseValue reads one quoted or bare value and what follows it.
func parseValue(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, ", \t\r\n")
		if end < 0 {
			end = len(s)
		}
		value, rest = s[:end], s[end:]
	} else {
		var b strings.Builder
		i := 1
		for ; i < len(s) && s[i] != '"'; i++ {
			if s[i] == '\\' && i+1 < len(s) {
				i++
			}
			b.WriteByte(s[i])
		}
		if i >= len(s) {
			return "", "", false
		}
		value, rest = b.String(), s[i+1:]
	}
	rest = strings.TrimLeft(rest, " \t\r\n")
	if rest != "" && rest[0] != ',' {
		return "", "", false
	}
	return value, rest, true
}

// list splits a parameter that is a list: qop="auth,auth-int".
func (ps params) list(name string) []string {
	var items []string
	for item := range strings.SplitSeq(ps[name], ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, strings.ToLower(item))
		}
	}
	return items
}

// quote writes a quoted-string (RFC 3261 §25.1). Control characters, which
// would end the header, are left out.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		c := s[i]
		if c < ' ' || c == 0x7f {
			continue
		}
		if c == '"' || c == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	b.WriteByte('"')
	return b.String()
}

func isSpace(b byte) bool { return b == ' ' || b == '\t' || b == '\r' || b == '\n' }
