package config

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
)

// Secret is a text that is never printed: every way of formatting, logging or
// encoding it gives ***. Convert it to a string where it is used.
type Secret string

const masked = "***"

// String implements fmt.Stringer.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return masked
}

// GoString implements fmt.GoStringer.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText keeps the secret out of JSON and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Ports is a range of UDP ports, both ends included, written "10000-19999".
type Ports struct{ Low, High int }

// String writes the range as it is given.
func (p Ports) String() string { return fmt.Sprintf("%d-%d", p.Low, p.High) }

// MarshalText implements encoding.TextMarshaler.
func (p Ports) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads "A-B".
func (p *Ports) UnmarshalText(text []byte) error {
	low, high, ok := strings.Cut(string(text), "-")
	if !ok {
		return fmt.Errorf("%q is not a range of ports: write 10000-19999", text)
	}
	var r Ports
	for _, end := range []struct {
		text string
		to   *int
	}{{low, &r.Low}, {high, &r.High}} {
		n, err := strconv.ParseUint(strings.TrimSpace(end.text), 10, 16)
		if err != nil {
			return fmt.Errorf("%q is not a range of ports: write 10000-19999", text)
		}
		*end.to = int(n)
	}
	*p = r
	return nil
}

func trimSlash(url string) string { return strings.TrimRight(url, "/") }
