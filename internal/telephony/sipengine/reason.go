package sipengine

import (
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// reason is what the Reason headers of a message say (RFC 3326): the Q.850
// cause of the telephone network, and a text.
type reason struct {
	q850 int // 0: none
	sip  int // 0: none
	text string
}

// words are the reason of an end for the timeline: the message that brought
// it, and what it says.
func (r reason) words(message string) string {
	if r.text == "" {
		return message
	}
	return message + ": " + r.text
}

// reasonOf reads the Reason headers of a message. What cannot be read is as if
// it were not there.
func reasonOf(m interface {
	GetHeaders(name string) []sip.Header
}) (r reason) {
	for _, h := range m.GetHeaders("Reason") {
		for _, value := range splitQuoted(h.Value(), ',') {
			parts := splitQuoted(value, ';')
			cause, text := 0, ""
			for _, p := range parts[1:] {
				k, v, _ := strings.Cut(p, "=")
				v = strings.TrimSpace(v)
				switch strings.ToLower(strings.TrimSpace(k)) {
				case "cause":
					if n, err := strconv.Atoi(v); err == nil && 0 < n && n < 1000 {
						cause = n
					}
				case "text":
					text = strings.Trim(v, `"`)
				}
			}
			switch strings.ToUpper(strings.TrimSpace(parts[0])) {
			case "Q.850":
				r.q850 = cause
			case "SIP":
				r.sip = cause
			default:
				continue
			}
			if r.text == "" {
				r.text = text
			}
		}
	}
	return r
}

// splitQuoted splits at a separator outside quotes. It gives at least one part.
func splitQuoted(s string, sep byte) (parts []string) {
	quoted, from := false, 0
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quoted:
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == sep && !quoted:
			parts = append(parts, s[from:i])
			from = i + 1
		}
	}
	return append(parts, s[min(from, len(s)):])
}
