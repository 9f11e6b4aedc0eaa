package access

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/perezvon/perezvon/internal/directory"
)

// Signer makes and checks what carries its own proof: links to one call, and
// the console's session cookies. Both expire. Its secret outlives restarts.
type Signer struct{ secret []byte }

const secretSize = 32

// NewSigner makes a signer with the secret, at least 32 random bytes.
func NewSigner(secret []byte) *Signer { return &Signer{secret} }

// OpenSigner reads the secret from the file link.key of the data folder, which
// is made at the first start.
func OpenSigner(dataDir string) (*Signer, error) {
	name := filepath.Join(dataDir, "link.key")
	secret, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		secret = make([]byte, secretSize)
		rand.Read(secret)
		err = os.WriteFile(name, secret, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("secret of signed links: %w", err)
	}
	if len(secret) < secretSize {
		return nil, fmt.Errorf("secret of signed links: %s is damaged; remove it, and links and sessions given out are void", name)
	}
	return NewSigner(secret), nil
}

// Link signs a call until expires: the query `expires=…&signature=…` opens its
// page, log, recording and peaks.
func (s *Signer) Link(call string, expires time.Time) string {
	at := strconv.FormatInt(expires.Unix(), 10)
	return "expires=" + at + "&signature=" + s.sign("call", call, at)
}

// CheckLink tells who a link's bearer is: somebody who may read the one call.
// False if the signature is not ours for this call, or has expired.
func (s *Signer) CheckLink(call string, query url.Values, now time.Time) (Identity, bool) {
	at := query.Get("expires")
	if call == "" || !s.verify(query.Get("signature"), "call", call, at) || expired(at, now) {
		return Identity{}, false
	}
	return Identity{Account: directory.DefaultAccount, Right: Read, Name: "link", Call: call}, true
}

// Session makes the value of a session cookie for the key with this hash.
func (s *Signer) Session(hash string, expires time.Time) string {
	at := strconv.FormatInt(expires.Unix(), 10)
	return hash + "." + at + "." + s.sign("session", hash, at)
}

// CheckSession gives the hash of the session's key. Whether the key still
// exists is for the Guard to say.
func (s *Signer) CheckSession(cookie string, now time.Time) (hash string, ok bool) {
	parts := strings.Split(cookie, ".")
	if len(parts) != 3 || !s.verify(parts[2], "session", parts[0], parts[1]) || expired(parts[1], now) {
		return "", false
	}
	return parts[0], true
}

func (s *Signer) sign(fields ...string) string {
	mac := hmac.New(sha256.New, s.secret)
	for _, f := range fields {
		fmt.Fprintf(mac, "%d:%s", len(f), f) // lengths keep neighbours apart
	}
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (s *Signer) verify(signature string, fields ...string) bool {
	return hmac.Equal([]byte(signature), []byte(s.sign(fields...)))
}

func expired(at string, now time.Time) bool {
	unix, err := strconv.ParseInt(at, 10, 64)
	return err != nil || !now.Before(time.Unix(unix, 0))
}

// Seal proves that the name was made by this server, for addresses that do not
// expire because what they lead to is not secret but for their being known.
func (s *Signer) Seal(name string) string { return s.sign("seal", name) }

// CheckSeal tells that the proof is of this name.
func (s *Signer) CheckSeal(name, seal string) bool { return s.verify(seal, "seal", name) }
