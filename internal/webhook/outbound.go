package webhook

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"time"

	"code.dny.dev/ssrf"
)

// Limits of a request to a receiver.
const (
	connectTimeout = 5 * time.Second
	answerTimeout  = 15 * time.Second // the whole request

	maxAnswerHeader = 64 << 10
	// maxAnswer is how much of an answer is read, so that the connection can
	// be used again.
	maxAnswer = 64 << 10
)

// NewClient makes the client for requests to addresses that strangers name.
// Where it connects is judged after the name was resolved: private networks
// only if allow lists them. It uses no proxy and follows no redirect, for a
// redirect is the receiver's word on where we should connect.
func NewClient(allow []netip.Prefix) *http.Client {
	var v4, v6 []netip.Prefix
	for _, p := range allow {
		if p.Addr().Is4() {
			v4 = append(v4, p)
		} else {
			v6 = append(v6, p)
		}
	}
	guard := ssrf.New(ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...))
	dialer := &net.Dialer{Timeout: connectTimeout, Control: guard.Safe}
	return &http.Client{
		Timeout: answerTimeout,
		Transport: &http.Transport{
			Proxy:                  nil,
			DialContext:            dialer.DialContext,
			TLSHandshakeTimeout:    connectTimeout,
			ForceAttemptHTTP2:      true,
			MaxIdleConnsPerHost:    maxAtHost,
			IdleConnTimeout:        90 * time.Second,
			MaxResponseHeaderBytes: maxAnswerHeader,
			DisableCompression:     true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// forbidden tells that the address was refused by NewClient's policy. What the
// name resolved to is not for the eyes of who ordered the delivery.
func forbidden(err error) bool {
	return errors.Is(err, ssrf.ErrProhibitedIP) || errors.Is(err, ssrf.ErrProhibitedPort) || errors.Is(err, ssrf.ErrProhibitedNetwork)
}
