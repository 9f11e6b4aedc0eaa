package digestauth

import (
	"crypto/rand"
	"errors"
	"slices"
	"strings"

	"github.com/emiago/sipgo/sip"
)

var (
	// ErrNoChallenge: the response is not a 401 or 407 with a challenge that
	// we can answer.
	ErrNoChallenge = errors.New("no digest challenge that can be answered")
	// ErrRejected: the request carried credentials for the realm already, and
	// the far end did not merely want a newer nonce: the password is wrong.
	ErrRejected = errors.New("the credentials were rejected")
)

// Authorize answers a challenge: it returns a copy of req, ready to be sent,
// with the next CSeq, a new branch and credentials for the first challenge of
// res with an algorithm and qop that we speak (RFC 3261 §22.2, RFC 8760 §2.4).
// req is not changed. The errors are ErrNoChallenge and ErrRejected.
func Authorize(req *sip.Request, res *sip.Response, username, password string) (*sip.Request, error) {
	from, to := "WWW-Authenticate", "Authorization"
	switch res.StatusCode {
	case sip.StatusUnauthorized:
	case sip.StatusProxyAuthRequired:
		from, to = "Proxy-Authenticate", "Proxy-Authorization"
	default:
		return nil, ErrNoChallenge
	}
	for _, h := range res.GetHeaders(from) {
		ps, ok := parseParams(h.Value())
		if !ok {
			continue
		}
		a, spoken := algorithm(ps["algorithm"])
		qop, can := chooseQOP(ps)
		if !spoken || !can || ps["nonce"] == "" {
			continue
		}
		if tried(req, to, ps["realm"]) && !strings.EqualFold(ps["stale"], "true") {
			return nil, ErrRejected
		}
		fresh := again(req)
		removeCredentials(fresh, to, ps["realm"])
		fresh.AppendHeader(sip.NewHeader(to, answer(fresh, ps, a, qop, username, password)))
		return fresh, nil
	}
	return nil, ErrNoChallenge
}

// chooseQOP picks the quality of protection; false if none offered is spoken.
func chooseQOP(ps params) (string, bool) {
	offered := ps.list("qop")
	if len(offered) == 0 {
		return "", true
	}
	for _, qop := range []string{"auth", "auth-int"} {
		if slices.Contains(offered, qop) {
			return qop, true
		}
	}
	return "", false
}

// answer is the value of an Authorization header.
func answer(req *sip.Request, ps params, a Algorithm, qop, username, password string) string {
	c := credentials{
		username: username, realm: ps["realm"], nonce: ps["nonce"], uri: req.Recipient.String(),
		method: string(req.Method), body: req.Body(),
	}
	if qop != "" {
		c.qop, c.nc, c.cnonce = qop, "00000001", rand.Text()
	}
	value := "Digest username=" + quote(username) + ", realm=" + quote(c.realm) + ", nonce=" + quote(c.nonce) +
		", uri=" + quote(c.uri)
	if ps["algorithm"] != "" {
		value += ", algorithm=" + string(a)
	}
	if qop != "" {
		value += ", cnonce=" + quote(c.cnonce) + ", qop=" + c.qop + ", nc=" + c.nc
	}
	if opaque, ok := ps["opaque"]; ok {
		value += ", opaque=" + quote(opaque)
	}
	return value + ", response=" + quote(c.response(a, password))
}

// again is a copy of a request as a new transaction.
func again(req *sip.Request) *sip.Request {
	fresh := req.Clone()
	if cseq := fresh.CSeq(); cseq != nil {
		cseq.SeqNo++
	}
	if via := fresh.Via(); via != nil {
		via.Params.Add("branch", sip.GenerateBranch())
	}
	return fresh
}

// tried tells whether a request has credentials for a realm.
func tried(req *sip.Request, header, realm string) bool {
	return slices.ContainsFunc(req.GetHeaders(header), func(h sip.Header) bool { return forRealm(h, realm) })
}

// removeCredentials takes out those for a realm; those for other realms (a
// proxy on the way asked, too) stay.
func removeCredentials(req *sip.Request, header, realm string) {
	had := req.GetHeaders(header)
	for req.RemoveHeader(header) {
	}
	for _, h := range had {
		if !forRealm(h, realm) {
			req.AppendHeader(h)
		}
	}
}

func forRealm(h sip.Header, realm string) bool {
	ps, ok := parseParams(h.Value())
	return ok && ps["realm"] == realm
}
