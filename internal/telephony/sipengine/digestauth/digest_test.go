package digestauth

import (
	"fmt"
	"testing"

	"github.com/icholy/digest"
)

func TestResponseOfTheRFCs(t *testing.T) {
	rfc7616 := credentials{
		username: "Mufasa", realm: "http-auth@example.org", uri: "/dir/index.html", method: "GET",
		nonce:  "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
		cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", nc: "00000001", qop: "auth",
	}
	rfc2617 := credentials{
		username: "Mufasa", realm: "testrealm@host.com", uri: "/dir/index.html", method: "GET",
		nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093", cnonce: "0a4f113b", nc: "00000001", qop: "auth",
	}
	rfc2069 := rfc2617
	rfc2069.qop, rfc2069.nc, rfc2069.cnonce = "", "", ""
	for _, c := range []struct {
		name      string
		given     credentials
		password  string
		algorithm Algorithm
		want      string
	}{
		{"RFC 7616 §3.9.1 MD5", rfc7616, "Circle of Life", MD5, "8ca523f5e9506fed4657c9700eebdbec"},
		{"RFC 7616 §3.9.1 SHA-256", rfc7616, "Circle of Life", SHA256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"},
		{"RFC 2617 §3.5", rfc2617, "Circle Of Life", MD5, "6629fae49393a05397450978507c4ef1"},
		{"RFC 2069 form", rfc2069, "Circle Of Life", MD5, "670fd8c2df070c60b045671b8b24ff02"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.given.response(c.algorithm, c.password); got != c.want {
				t.Errorf("response %s, want %s", got, c.want)
			}
		})
	}
}

// An independent implementation computes the same.
func TestResponseAgreesWithIcholy(t *testing.T) {
	for _, a := range []Algorithm{MD5, SHA256} {
		for _, qop := range []string{"", "auth"} {
			challenge := &digest.Challenge{Realm: `кв"артира`, Nonce: "n1", Algorithm: string(a)}
			c := credentials{username: "101", realm: challenge.Realm, nonce: "n1", uri: "sip:10.0.0.1", method: "REGISTER"}
			if qop != "" {
				challenge.QOP = []string{qop}
				c.qop, c.nc, c.cnonce = qop, "0000002a", "c1"
			}
			other, err := digest.Digest(challenge, digest.Options{
				Method: c.method, URI: c.uri, Count: 42, Username: c.username, Password: "пароль", Cnonce: c.cnonce,
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := c.response(a, "пароль"); got != other.Response {
				t.Errorf("%s qop=%q: %s, the other says %s", a, qop, got, other.Response)
			}
		}
	}
}

func TestParseParams(t *testing.T) {
	for _, c := range []struct {
		header string
		want   params // nil: cannot be read
	}{
		{`Digest realm="a", nonce="b"`, params{"realm": "a", "nonce": "b"}},
		{"digest\trealm = \"a\"\r\n ,\tNONCE=b", params{"realm": "a", "nonce": "b"}},
		{`Digest uri=sip:a@b:5060,qop=auth`, params{"uri": "sip:a@b:5060", "qop": "auth"}},
		{`Digest realm="a \"b\" \\c, d=e"`, params{"realm": `a "b" \c, d=e`}},
		{`Digest realm="a",,opaque="",`, params{"realm": "a", "opaque": ""}},
		{`Digest realm="a", realm="b"`, params{"realm": "a"}},
		{`Basic cmVhbG0=`, nil},
		{`Digest`, nil},
		{`Digest `, nil},
		{`Digest realm`, nil},
		{`Digest realm="a`, nil},
		{`Digest realm="a\`, nil},
		{`Digest realm="a" nonce="b"`, nil},
		{`Digest ="a"`, nil},
		{``, nil},
	} {
		got, ok := parseParams(c.header)
		if ok != (c.want != nil) || ok && fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%q: %v %v, want %v", c.header, got, ok, c.want)
		}
	}
}

func FuzzParseParams(f *testing.F) {
	f.Add(`Digest realm="a", nonce=b, uri=sip:x@y`)
	f.Add(`Digest realm="a\"`)
	f.Fuzz(func(t *testing.T, header string) {
		ps, ok := parseParams(header)
		if !ok {
			return
		}
		// What was read can be written, and is the same when read again,
		// but for control characters, which are never written.
		for name, value := range ps {
			again, ok := parseParams("Digest " + name + "=" + quote(value))
			want, _, _ := parseValue(quote(value))
			if !ok || again[name] != want {
				t.Fatalf("%q: %s=%q became %q", header, name, value, again[name])
			}
		}
	})
}
