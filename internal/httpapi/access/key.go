// Package access decides who may come in by HTTP: API keys and their rights,
// sessions of the console, and signed links that show one call for a while.
// Of a key only its SHA-256 is kept; keys hold 256 random bits, so nothing
// slower is needed.
package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
)

// Right is what a key may do. Each includes the one below it.
type Right string

// The rights, from the least to the most.
const (
	Read  Right = "read"  // see calls, listen to recordings
	Calls Right = "calls" // make callbacks, hang up
	Admin Right = "admin" // trunks, operators, settings, keys
)

// Includes tells that r is enough where need is asked for.
func (r Right) Includes(need Right) bool { return rank(need) > 0 && rank(r) >= rank(need) }

func rank(r Right) int {
	switch r {
	case Read:
		return 1
	case Calls:
		return 2
	case Admin:
		return 3
	}
	return 0
}

// Identity is who stands at the door.
type Identity struct {
	Account string
	Right   Right
	// Name tells the key in logs: its first characters, or "link".
	Name string
	// Call is set if only this call may be seen (signed links).
	Call string
	// Cookie is set if a browser sent the proof by itself, so that the
	// request may come from another site (CSRF).
	Cookie bool
}

// May tells whether the identity has the right, for the call if it is about
// one.
func (i Identity) May(need Right, call string) bool {
	return i.Right.Includes(need) && (i.Call == "" || i.Call == call)
}

// keyStart makes keys recognisable, for people and for scanners of leaked
// secrets.
const keyStart = "pzv_"

// NewKey makes a key's text: 32 random bytes.
func NewKey() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails: crypto/rand.Read
	return keyStart + base64.RawURLEncoding.EncodeToString(b)
}

// Hash is what is kept of a key: its SHA-256 in hexadecimal.
func Hash(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// prefixLength leaves 8 characters of the random part: enough to tell keys
// apart, far too few to guess the rest.
const prefixLength = len(keyStart) + 8

// Prefix is the part of a key that may be shown and logged. Short keys, which
// an administrator may choose, show less.
func Prefix(key string) string {
	return key[:min(prefixLength, len(key)/3)]
}
