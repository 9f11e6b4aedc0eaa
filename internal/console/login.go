package console

import (
	"errors"
	"net/http"
	"strings"

	"github.com/perezvon/perezvon/internal/httpapi/access"
)

const maxForm = 4 << 10

type loginData struct {
	Next  string
	Error string // key of a text
}

// enter tells who looks at a page. False: the request has been answered, with
// the way to the login form or with the reason.
func (c *Console) enter(w http.ResponseWriter, r *http.Request, callID string) (access.Identity, bool) {
	id, err := c.c.Door.Identify(r, callID)
	switch {
	case err == nil && id.May(access.Read, callID):
		return id, true
	case err == nil:
		c.fail(w, r, http.StatusForbidden, "error.forbidden")
	case errors.Is(err, access.ErrNoKey), errors.Is(err, access.ErrUnknownKey):
		if r.URL.Query().Has("signature") {
			// Somebody without a key was given the link: say what is wrong.
			c.show(w, r, http.StatusUnauthorized, "login", loginData{Next: r.URL.Path, Error: "error.link"})
			return id, false
		}
		http.Redirect(w, r, "/login?next="+r.URL.Path, http.StatusSeeOther)
	case errors.Is(err, access.ErrTooMany):
		c.fail(w, r, http.StatusTooManyRequests, "error.toomany")
	default:
		c.broken(w, r, err)
	}
	return id, false
}

func (c *Console) loginForm(w http.ResponseWriter, r *http.Request) {
	c.show(w, r, http.StatusOK, "login", loginData{Next: here(r.URL.Query().Get("next"))})
}

func (c *Console) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := c.csrf.Check(r); err != nil {
		c.fail(w, r, http.StatusForbidden, "error.forbidden")
		return
	}
	next := here(r.PostFormValue("next"))
	key := strings.TrimSpace(r.PostFormValue("key"))
	switch err := c.c.Door.SignIn(r.Context(), w, r, key); {
	case err == nil:
		http.Redirect(w, r, next, http.StatusSeeOther)
	case errors.Is(err, access.ErrUnknownKey):
		c.show(w, r, http.StatusUnauthorized, "login", loginData{next, "error.key"})
	case errors.Is(err, access.ErrTooMany):
		c.show(w, r, http.StatusTooManyRequests, "login", loginData{next, "error.toomany"})
	default:
		c.c.Logger.ErrorContext(r.Context(), "sign-in failed", "err", err)
		c.fail(w, r, http.StatusInternalServerError, "error.server")
	}
}

func (c *Console) logout(w http.ResponseWriter, r *http.Request) {
	if err := c.csrf.Check(r); err != nil {
		c.fail(w, r, http.StatusForbidden, "error.forbidden")
		return
	}
	c.c.Door.SignOut(w)
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// here is a path on this server to go to after the login: never another
// site's address.
func here(next string) string {
	if !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/"
	}
	return next
}
