package digestauth

import (
	"errors"
	"strings"
	"testing"

	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"
)

// challenged is a response with these challenges.
func challenged(code int, challenges ...string) *sip.Response {
	res := sip.NewResponse(code, "")
	name := "WWW-Authenticate"
	if code == 407 {
		name = "Proxy-Authenticate"
	}
	for _, c := range challenges {
		res.AppendHeader(sip.NewHeader(name, c))
	}
	return res
}

func TestAuthorizeTakesTheFirstChallengeItCanAnswer(t *testing.T) {
	for _, c := range []struct {
		name       string
		challenges []string
		algorithm  string
		qop        string
		err        error
	}{
		{"plain", []string{`Digest realm="r", nonce="n"`}, "", "", nil},
		{"qop list", []string{`Digest realm="r", nonce="n", algorithm=MD5, qop="auth-int, auth"`}, "MD5", "auth", nil},
		{"lower case", []string{`Digest realm="r", nonce="n", algorithm=md5, qop="auth"`}, "MD5", "auth", nil},
		{"SHA-256 first", []string{`Digest realm="r", nonce="n", algorithm=SHA-256`, `Digest realm="r", nonce="n", algorithm=MD5`}, "SHA-256", "", nil},
		{"one unknown", []string{`Digest realm="r", nonce="n", algorithm=AKAv1-MD5`, `Basic x=y`, `Digest`, `Digest realm="r", nonce="n", algorithm=MD5`}, "MD5", "", nil},
		{"auth-int alone", []string{`Digest realm="r", nonce="n", qop="auth-int"`}, "", "auth-int", nil},
		{"qop unknown", []string{`Digest realm="r", nonce="n", qop="other"`}, "", "", ErrNoChallenge},
		{"no nonce", []string{`Digest realm="r"`}, "", "", ErrNoChallenge},
		{"none", nil, "", "", ErrNoChallenge},
	} {
		t.Run(c.name, func(t *testing.T) {
			req, err := Authorize(register(), challenged(401, c.challenges...), "101", "secret")
			if !errors.Is(err, c.err) {
				t.Fatal(err)
			}
			if err != nil {
				return
			}
			got, err := digest.ParseCredentials(req.GetHeader("Authorization").Value())
			if err != nil {
				t.Fatal(err)
			}
			if got.Algorithm != c.algorithm || got.QOP != c.qop || got.URI != "sip:192.0.2.1" || got.Username != "101" {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestAuthorizeMakesAFreshCopy(t *testing.T) {
	old := register()
	before := old.String()
	req, err := Authorize(old, challenged(407, `Digest realm="r", nonce="n"`), "101", "secret")
	if err != nil {
		t.Fatal(err)
	}
	if old.String() != before {
		t.Error("the request that was sent has changed")
	}
	if req.CSeq().SeqNo != 8 || req.CallID().Value() != "c" {
		t.Errorf("CSeq %v, Call-ID %v", req.CSeq(), req.CallID())
	}
	branch, _ := req.Via().Params.Get("branch")
	if branch == "z9hG4bK1" || !strings.HasPrefix(branch, "z9hG4bK") {
		t.Errorf("branch %q", branch)
	}
	if req.GetHeader("Proxy-Authorization") == nil || req.GetHeader("Authorization") != nil {
		t.Error("the answer is in the wrong header")
	}
}

func TestAuthorizeGivesUpWhenThePasswordIsWrong(t *testing.T) {
	first, err := Authorize(register(), challenged(401, `Digest realm="r", nonce="1"`), "101", "secret")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Authorize(first, challenged(401, `Digest realm="r", nonce="2"`), "101", "secret"); !errors.Is(err, ErrRejected) {
		t.Error(err)
	}
	second, err := Authorize(first, challenged(401, `Digest realm="r", nonce="2", stale=TRUE`), "101", "secret")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(second.GetHeaders("Authorization")); n != 1 {
		t.Errorf("%d Authorization headers", n)
	}
	// Another realm is another password's matter: its answer joins the first.
	third, err := Authorize(second, challenged(401, `Digest realm="q", nonce="3"`), "101", "secret")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(third.GetHeaders("Authorization")); n != 2 {
		t.Errorf("%d Authorization headers", n)
	}
}

func TestAHostileChallengeAddsNoHeader(t *testing.T) {
	req, err := Authorize(register(), challenged(401, "Digest realm=\"a\r\nX-Evil: 1\", nonce=\"n\"\"\", opaque=\"\x00\""), "101", "secret")
	if err == nil && strings.Contains(req.String(), "\r\nX-Evil") {
		t.Errorf("%s", req)
	}
}
