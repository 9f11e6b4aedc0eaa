package webhook_test

import (
	"bytes"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/store/storetest"
	"github.com/perezvon/perezvon/internal/webhook"
)

// forbiddenText is what is told of an address that the policy refuses.
const forbiddenText = "the address is in a private network that --outbound-allow does not list"

func TestPrivateAddressesAreNeverReached(t *testing.T) {
	var hits atomic.Int32
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer inside.Close()
	_, port, err := net.SplitHostPort(inside.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s := storetest.Open(t)
	strict := webhook.NewClient([]netip.Prefix{netip.MustParsePrefix("127.0.0.2/32"), netip.MustParsePrefix("fd12::/16")})
	w := newService(t, s, strict)
	follow(s, w)
	for _, host := range []string{
		"127.0.0.1", "localhost" /* a name that resolves to it */, "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]",
		"10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "[::ffff:169.254.169.254]", "224.0.0.1", "255.255.255.255",
		"[fd00::1]", "[fe80::1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "127.1", "2130706433", "0x7f000001",
	} {
		n := create(t, s, "http://"+host+":"+port)
		if _, _, err := w.Send(t.Context(), lane(n, webhook.KindLog)); err != nil {
			t.Fatal(err)
		}
		d, err := s.NextDelivery(t.Context(), lane(n, webhook.KindLog))
		if err != nil || d.Tries != 1 || d.LastStatus != 0 {
			t.Fatalf("%s: %+v, %v", host, d, err)
		}
		// The odd spellings of 127.0.0.1 are names that nobody resolves.
		if odd := host[0] >= '0' && host[0] <= '9' && !netIP(host); d.LastError != forbiddenText && !odd {
			t.Errorf("%s: %s", host, d.LastError)
		}
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("%d requests came in", n)
	}
}

func netIP(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	var hits atomic.Int32
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer inside.Close()
	outside := newReceiver()
	for _, code := range []int{301, 302, 303, 307, 308} {
		outside.answer = func(int, *http.Request) *http.Response { return status(code, "Location", inside.URL) }
		server := httptest.NewServer(outside)
		s := storetest.Open(t)
		w := newService(t, s, webhook.NewClient(loopback))
		follow(s, w)
		n := create(t, s, server.URL)
		if _, _, err := w.Send(t.Context(), lane(n, webhook.KindLog)); err != nil {
			t.Fatal(err)
		}
		d, err := s.NextDelivery(t.Context(), lane(n, webhook.KindLog))
		if err != nil || d.LastStatus != code || d.Tries != 1 {
			t.Errorf("%d: %+v, %v", code, d, err)
		}
		server.Close()
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

func TestTLSIsVerifiedAndAnswersAreLimited(t *testing.T) {
	r := newReceiver()
	untrusted := httptest.NewUnstartedServer(r)
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains of us
	untrusted.StartTLS()
	defer untrusted.Close()
	var taken atomic.Int64 // of the endless answers
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for {
			n, err := w.Write(bytes.Repeat([]byte("x"), 1<<16))
			if taken.Add(int64(n)); err != nil {
				return
			}
		}
	}))
	defer endless.Close()
	s := storetest.Open(t)
	w := newService(t, s, webhook.NewClient(loopback))
	follow(s, w)

	n := create(t, s, untrusted.URL)
	if _, _, err := w.Send(t.Context(), lane(n, webhook.KindLog)); err != nil {
		t.Fatal(err)
	}
	if d, err := s.NextDelivery(t.Context(), lane(n, webhook.KindLog)); err != nil || d.LastError == "" || len(r.all()) != 0 {
		t.Errorf("an unknown certificate was accepted: %+v, %v", d, err)
	}

	n = create(t, s, endless.URL)
	add(t, s, n.CallID, call.Event{Type: call.Note})
	drain(t, s, w, lane(n, webhook.KindEvent))
	// What sockets hold is taken too.
	if n := taken.Load(); n > 64<<20 {
		t.Errorf("%d MB of two endless answers were taken", n>>20)
	}
}
