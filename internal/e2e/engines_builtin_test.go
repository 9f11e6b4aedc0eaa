//go:build !asterisk

package e2e

// engines are the phone systems that tests run with.
var engines = map[string]engine{"builtin": start}
