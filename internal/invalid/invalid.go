// Package invalid carries what is wrong with an input, field by field, from
// the place that knows the rule to the door that answers 422 with it.
package invalid

import "strings"

// Field is one thing wrong with one field.
type Field struct {
	// Path names the field as the sender wrote it: "client", "managers[1].number".
	Path string `json:"path"`
	// Message says what is wrong and what would be right.
	Message string `json:"message"`
}

// Error is everything wrong with an input. Never empty when returned as error.
type Error []Field

func (e Error) Error() string {
	parts := make([]string, len(e))
	for i, f := range e {
		parts[i] = f.Path + ": " + f.Message
	}
	return strings.Join(parts, "; ")
}

// Add notes one more fault.
func (e *Error) Add(path, message string) { *e = append(*e, Field{path, message}) }

// Within is e with the fields as an outer input has them, where the one they
// are of is its field outer: "client" is "packet.client".
func (e Error) Within(outer string) Error {
	moved := make(Error, len(e))
	for i, f := range e {
		moved[i] = Field{Path: strings.TrimSuffix(outer+"."+f.Path, "."), Message: f.Message}
	}
	return moved
}

// Err is e as an error, nil if nothing is wrong.
func (e Error) Err() error {
	if len(e) == 0 {
		return nil
	}
	return e
}
