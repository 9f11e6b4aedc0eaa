package access

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/store"
)

var (
	home     = netip.MustParseAddr("192.0.2.1")
	attacker = netip.MustParseAddr("192.0.2.66")
)

// known is a lookup of one key; asked counts.
func known(key string, asked *int) Lookup {
	return func(_ context.Context, hash string) (Identity, error) {
		*asked++
		if hash != Hash(key) {
			return Identity{}, ErrUnknownKey
		}
		return Identity{Account: directory.DefaultAccount, Right: Calls}, nil
	}
}

func TestRightsIncludeOneAnother(t *testing.T) {
	for _, test := range []struct {
		has, need Right
		want      bool
	}{
		{Admin, Read, true}, {Admin, Calls, true}, {Admin, Admin, true},
		{Calls, Read, true}, {Calls, Calls, true}, {Calls, Admin, false},
		{Read, Read, true}, {Read, Calls, false}, {"", Read, false}, {Admin, "", false}, {"owner", Read, false},
	} {
		if got := test.has.Includes(test.need); got != test.want {
			t.Errorf("%q includes %q: %v", test.has, test.need, got)
		}
	}
}

// Failed keys are rate limited by address, and nobody else suffers.
func TestWrongKeysAreSlowedDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		g := NewGuard(known("good", &asked))
		for i := range wrongAtOnce {
			if _, err := g.Check(t.Context(), attacker, "wrong"); !errors.Is(err, ErrUnknownKey) {
				t.Fatalf("wrong key %d: %v", i, err)
			}
		}
		if _, err := g.Check(t.Context(), attacker, "wrong"); !errors.Is(err, ErrTooMany) {
			t.Fatalf("after %d wrong keys: %v", wrongAtOnce, err)
		}
		before := asked
		if _, err := g.Check(t.Context(), attacker, "another"); !errors.Is(err, ErrTooMany) || asked != before {
			t.Errorf("a blocked address costs a look-up (%v)", err)
		}
		if _, err := g.Check(t.Context(), home, "good"); err != nil {
			t.Errorf("another address suffers: %v", err)
		}
		if _, err := g.Check(t.Context(), attacker, "good"); err != nil {
			t.Errorf("a key known to be good suffers at the same address: %v", err)
		}
		time.Sleep(RetryAfter)
		if _, err := g.Check(t.Context(), attacker, "wrong"); !errors.Is(err, ErrUnknownKey) {
			t.Errorf("after the wait: %v", err)
		}
	})
}

func TestGuardForgetsRatherThanGrows(t *testing.T) {
	asked := 0
	g := NewGuard(known("good", &asked))
	for i := range addresses + 100 {
		addr := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		if _, err := g.Check(t.Context(), addr, "wrong"); !errors.Is(err, ErrUnknownKey) {
			t.Fatal(err)
		}
	}
	if len(g.wrong) > addresses {
		t.Errorf("remembers %d addresses", len(g.wrong))
	}
}

func TestFailureOfTheStoreIsNotAWrongKey(t *testing.T) {
	broken := errors.New("disk")
	g := NewGuard(func(context.Context, string) (Identity, error) { return Identity{}, broken })
	for range wrongAtOnce + 5 {
		if _, err := g.Check(t.Context(), home, "x"); !errors.Is(err, broken) {
			t.Fatal(err)
		}
	}
}

func TestSignedLinks(t *testing.T) {
	s := NewSigner([]byte(strings.Repeat("s", secretSize)))
	now := time.Now()
	valid, _ := url.ParseQuery(s.Link("call-1", now.Add(time.Minute)))
	id, ok := s.CheckLink("call-1", valid, now)
	if !ok || !id.May(Read, "call-1") {
		t.Fatalf("a valid link is refused: %+v", id)
	}
	if id.May(Read, "call-2") || id.May(Read, "") || id.May(Calls, "call-1") {
		t.Error("the link opens more than its call, to read")
	}
	forged := func(key, value string) url.Values {
		q := url.Values{"expires": valid["expires"], "signature": valid["signature"]}
		q.Set(key, value)
		return q
	}
	for name, try := range map[string]struct {
		call  string
		query url.Values
		at    time.Time
	}{
		"expired":           {"call-1", valid, now.Add(time.Minute + time.Second)},
		"another call":      {"call-2", valid, now},
		"no call":           {"", valid, now},
		"longer life":       {"call-1", forged("expires", "99999999999"), now},
		"no life":           {"call-1", forged("expires", ""), now},
		"signature changed": {"call-1", forged("signature", otherFirst(valid.Get("signature"))), now},
		"no signature":      {"call-1", forged("signature", ""), now},
		"nothing":           {"call-1", nil, now},
	} {
		if _, ok := s.CheckLink(try.call, try.query, try.at); ok {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, ok := NewSigner([]byte(strings.Repeat("o", secretSize))).CheckLink("call-1", valid, now); ok {
		t.Error("another server's link is accepted")
	}
}

// otherFirst is s with another first character: a fixed one would now and then
// be the one that is there.
func otherFirst(s string) string {
	if s[0] == 'A' {
		return "B" + s[1:]
	}
	return "A" + s[1:]
}

func TestTheSecretOutlivesRestarts(t *testing.T) {
	dir := t.TempDir()
	first, err := OpenSigner(dir)
	if err != nil {
		t.Fatal(err)
	}
	second, err := OpenSigner(dir)
	if err != nil {
		t.Fatal(err)
	}
	q, _ := url.ParseQuery(first.Link("c", time.Now().Add(time.Minute)))
	if _, ok := second.CheckLink("c", q, time.Now()); !ok {
		t.Error("a link does not survive a restart")
	}
	if info, err := os.Stat(filepath.Join(dir, "link.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read the secret: %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(filepath.Join(dir, "link.key"), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenSigner(dir); err == nil {
		t.Error("a damaged secret is taken")
	}
}

func TestDoor(t *testing.T) {
	asked := 0
	d := &Door{Guard: NewGuard(known("good", &asked)), Signer: NewSigner([]byte(strings.Repeat("s", secretSize)))}
	request := func(change func(*http.Request)) *http.Request {
		r := httptest.NewRequest(http.MethodGet, "/x", nil)
		change(r)
		return r
	}
	session := func(key string, life time.Duration) func(*http.Request) {
		return func(r *http.Request) {
			r.AddCookie(&http.Cookie{Name: CookieName, Value: d.Signer.Session(Hash(key), time.Now().Add(life))})
		}
	}
	header := func(h string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", h) }
	}
	for name, test := range map[string]struct {
		change func(*http.Request)
		want   error
	}{
		"key":                           {header("Bearer good"), nil},
		"scheme in lower case":          {header("bearer good"), nil},
		"wrong key":                     {header("Bearer bad"), ErrUnknownKey},
		"other scheme":                  {header("Basic good"), ErrUnknownKey},
		"empty key":                     {header("Bearer"), ErrUnknownKey},
		"nothing":                       {func(*http.Request) {}, ErrNoKey},
		"session":                       {session("good", time.Minute), nil},
		"session of a key that is gone": {session("gone", time.Minute), ErrUnknownKey},
		"session expired":               {session("good", -time.Minute), ErrNoKey},
		"session forged": {func(r *http.Request) {
			r.AddCookie(&http.Cookie{Name: CookieName, Value: Hash("good") + ".99999999999.x"})
		}, ErrNoKey},
		"link": {func(r *http.Request) { r.URL.RawQuery = d.Signer.Link("call-1", time.Now().Add(time.Minute)) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := d.Identify(request(test.change), "call-1"); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}

	w := httptest.NewRecorder()
	if err := d.SignIn(t.Context(), w, request(func(*http.Request) {}), "good"); err != nil {
		t.Fatal(err)
	}
	cookie := w.Result().Cookies()[0]
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || strings.Contains(cookie.Value, "good") {
		t.Errorf("cookie %+v", cookie)
	}
	if err := d.SignIn(t.Context(), w, request(func(*http.Request) {}), "bad"); !errors.Is(err, ErrUnknownKey) {
		t.Error("signed in with a wrong key")
	}
}

// "PEREZVON_ADMIN_KEY: the first API key with all rights. Not set: one is made
// at the first start and printed once."
func TestEnsureAdmin(t *testing.T) {
	open := func() *store.Store {
		s, err := store.Open(t.Context(), store.Options{DataDir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	t.Run("given", func(t *testing.T) {
		s := open()
		for range 2 { // a second start changes nothing
			if made, err := EnsureAdmin(t.Context(), s, directory.DefaultAccount, "chosen-by-the-administrator"); err != nil || made != "" {
				t.Fatalf("made %q, %v", made, err)
			}
		}
		checkAdmin(t, s, "chosen-by-the-administrator")
	})
	t.Run("given anew", func(t *testing.T) {
		s := open()
		for _, given := range []string{"chosen-last-year", "chosen-this-year"} {
			if _, err := EnsureAdmin(t.Context(), s, directory.DefaultAccount, given); err != nil {
				t.Fatal(err)
			}
		}
		checkAdmin(t, s, "chosen-this-year") // and no other
	})
	t.Run("made once", func(t *testing.T) {
		s := open()
		made, err := EnsureAdmin(t.Context(), s, directory.DefaultAccount, "")
		if err != nil || len(made) != len(keyStart)+43 {
			t.Fatalf("made %q, %v", made, err)
		}
		checkAdmin(t, s, made)
		if again, err := EnsureAdmin(t.Context(), s, directory.DefaultAccount, ""); err != nil || again != "" {
			t.Errorf("the second start made %q, %v", again, err)
		}
	})
}

func checkAdmin(t *testing.T, s *store.Store, key string) {
	t.Helper()
	id, err := NewGuard(LookupIn(s)).Check(t.Context(), home, key)
	if err != nil || id.Right != Admin || id.Account != directory.DefaultAccount {
		t.Errorf("%+v, %v", id, err)
	}
	keys, err := s.Keys(t.Context(), directory.DefaultAccount)
	if err != nil || len(keys) != 1 || strings.Contains(keys[0].Prefix, key) {
		t.Errorf("%+v, %v", keys, err)
	}
}
