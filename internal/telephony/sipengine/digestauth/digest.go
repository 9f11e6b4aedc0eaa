package digestauth

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Algorithm is how the password is hashed, by its name in the header.
type Algorithm string

// The algorithms spoken.
const (
	MD5    Algorithm = "MD5"     // RFC 2617, what every phone can
	SHA256 Algorithm = "SHA-256" // RFC 8760
)

// algorithm finds one by its name in any case; none named is MD5
// (RFC 7616 §3.3). false: one we do not speak, e.g. MD5-sess.
func algorithm(name string) (Algorithm, bool) {
	switch strings.ToUpper(name) {
	case "", string(MD5):
		return MD5, true
	case string(SHA256):
		return SHA256, true
	}
	return "", false
}

// hash is H() of RFC 7616 §3.4 over the parts joined with colons, in hex.
func (a Algorithm) hash(parts ...string) string {
	joined := []byte(strings.Join(parts, ":"))
	if a == SHA256 {
		sum := sha256.Sum256(joined)
		return hex.EncodeToString(sum[:])
	}
	sum := md5.Sum(joined)
	return hex.EncodeToString(sum[:])
}

// credentials are what a response is computed from, as they stand in the
// header.
type credentials struct {
	username, realm, nonce, uri, method string
	qop, nc, cnonce                     string // empty without qop (RFC 2069 style)
	body                                []byte // for qop auth-int
}

// response is the request-digest (RFC 7616 §3.4.1).
func (c credentials) response(a Algorithm, password string) string {
	ha1 := a.hash(c.username, c.realm, password)
	a2 := []string{c.method, c.uri}
	if c.qop == "auth-int" {
		a2 = append(a2, a.hash(string(c.body)))
	}
	ha2 := a.hash(a2...)
	if c.qop == "" {
		return a.hash(ha1, c.nonce, ha2)
	}
	return a.hash(ha1, c.nonce, c.nc, c.cnonce, c.qop, ha2)
}
