package access

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// CookieName is the console's session.
const CookieName = "perezvon_session"

// SessionLife is how long a browser stays signed in.
const SessionLife = 12 * time.Hour

// ErrNoKey means that a request carries nothing to tell whose it is.
var ErrNoKey = errors.New("no key: send the header Authorization: Bearer KEY")

// Door tells who sends a request.
type Door struct {
	Guard  *Guard
	Signer *Signer
	// Secure marks cookies for https only.
	Secure bool
}

// Identify finds the sender by key, then by session, then by a signed link to
// the call, if the request is about one. The error is ErrNoKey or one of
// Guard's.
func (d *Door) Identify(r *http.Request, call string) (Identity, error) {
	if key, ok := bearer(r); ok {
		return d.Guard.Check(r.Context(), Remote(r), key)
	}
	if id, ok := d.Signer.CheckLink(call, r.URL.Query(), time.Now()); ok {
		return id, nil
	}
	if cookie, err := r.Cookie(CookieName); err == nil {
		if hash, ok := d.Signer.CheckSession(cookie.Value, time.Now()); ok {
			id, err := d.Guard.CheckHash(r.Context(), Remote(r), hash)
			id.Cookie = true
			return id, err
		}
	}
	return Identity{}, ErrNoKey
}

// SignIn checks the key somebody typed and, if it is good, gives the browser a
// session. The error is one of Guard's.
func (d *Door) SignIn(ctx context.Context, w http.ResponseWriter, r *http.Request, key string) error {
	if _, err := d.Guard.Check(ctx, Remote(r), key); err != nil {
		return err
	}
	d.setCookie(w, d.Signer.Session(Hash(key), time.Now().Add(SessionLife)), int(SessionLife.Seconds()))
	return nil
}

// SignOut ends the browser's session.
func (d *Door) SignOut(w http.ResponseWriter) { d.setCookie(w, "", -1) }

func (d *Door) setCookie(w http.ResponseWriter, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: CookieName, Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: d.Secure, SameSite: http.SameSiteLaxMode,
	})
}

// bearer takes the key from the header (RFC 6750 §2.1). An empty or ill-formed
// header is a key that is not known, not a missing one.
func bearer(r *http.Request) (string, bool) {
	h := r.Header.Get("Authorization")
	if h == "" {
		return "", false
	}
	scheme, key, _ := strings.Cut(h, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", true
	}
	return strings.TrimSpace(key), true
}

// Remote is the address a request came from; the zero address if it cannot be
// told. Headers of proxies are not believed: anybody can write them.
func Remote(r *http.Request) netip.Addr {
	at, _ := netip.ParseAddrPort(r.RemoteAddr)
	return at.Addr().Unmap()
}
