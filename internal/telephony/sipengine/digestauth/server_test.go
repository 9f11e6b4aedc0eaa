package digestauth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
)

var phone = netip.MustParseAddrPort("192.0.2.10:5060")

// desk is a Server with a clock of its own and the phone of operator 101.
type desk struct {
	*Server
	now     time.Time
	lookups int
}

func newDesk(change func(*Config)) *desk {
	d := &desk{now: time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)}
	c := Config{
		Realm: "perezvon",
		Lookup: func(_ context.Context, user string) (string, bool, error) {
			d.lookups++
			return "secret", user == "101", nil
		},
		Now: func() time.Time { return d.now },
	}
	if change != nil {
		change(&c)
	}
	d.Server = New(c)
	return d
}

func register() *sip.Request {
	req := sip.NewRequest(sip.REGISTER, sip.Uri{Scheme: "sip", Host: "192.0.2.1"})
	req.AppendHeader(&sip.ViaHeader{ProtocolName: "SIP", ProtocolVersion: "2.0", Transport: "UDP", Host: "192.0.2.10", Port: 5060, Params: sip.HeaderParams{{K: "branch", V: "z9hG4bK1"}}})
	req.AppendHeader(&sip.FromHeader{Address: sip.Uri{Scheme: "sip", User: "101", Host: "192.0.2.1"}, Params: sip.HeaderParams{{K: "tag", V: "a"}}})
	req.AppendHeader(&sip.ToHeader{Address: sip.Uri{Scheme: "sip", User: "101", Host: "192.0.2.1"}})
	callID := sip.CallIDHeader("c")
	req.AppendHeader(&callID)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: 7, MethodName: sip.REGISTER})
	return req
}

// try sends a request that answers the challenge to an earlier one.
func (d *desk) try(t *testing.T, req *sip.Request, user, password string) (string, *sip.Response, bool) {
	t.Helper()
	_, challenge, ok := d.Authenticate(t.Context(), req, phone)
	if ok || challenge == nil {
		t.Fatalf("no challenge: %v %v", challenge, ok)
	}
	answer, err := Authorize(req, challenge, user, password)
	if err != nil {
		t.Fatal(err)
	}
	return d.Authenticate(t.Context(), answer, phone)
}

func TestAPhoneThatKnowsItsPasswordIsLetIn(t *testing.T) {
	for _, algorithms := range [][]Algorithm{nil, {MD5, SHA256}, {SHA256}} {
		d := newDesk(func(c *Config) { c.Algorithms = algorithms })
		user, challenge, ok := d.try(t, register(), "101", "secret")
		if user != "101" || challenge != nil || !ok {
			t.Errorf("%v: %q %v %v", algorithms, user, challenge, ok)
		}
	}
}

func TestTheDefaultChallengeIsOneMD5WithQop(t *testing.T) {
	_, challenge, _ := newDesk(nil).Authenticate(t.Context(), register(), phone)
	hs := challenge.GetHeaders("WWW-Authenticate")
	if challenge.StatusCode != 401 || len(hs) != 1 {
		t.Fatalf("%v", challenge)
	}
	ps, ok := parseParams(hs[0].Value())
	if !ok || ps["algorithm"] != "MD5" || ps["qop"] != "auth" || ps["realm"] != "perezvon" || ps["stale"] != "" {
		t.Errorf("%v", hs[0])
	}
}

func TestWhoIsNotLetIn(t *testing.T) {
	edit := func(old, new string) func(string) string {
		return func(s string) string {
			if !strings.Contains(s, old) {
				panic("nothing to change: " + old + " in " + s)
			}
			return strings.Replace(s, old, new, 1)
		}
	}
	for _, c := range []struct {
		name           string
		user, password string
		edit           func(string) string
		stale          bool
	}{
		{name: "wrong password", user: "101", password: "guess"},
		{name: "unknown user", user: "102", password: "secret"},
		{name: "no password set", user: "101", password: ""},
		{name: "another realm", user: "101", password: "secret", edit: edit(`realm="perezvon"`, `realm="other"`)},
		{name: "algorithm not offered", user: "101", password: "secret", edit: edit(`=MD5`, `=SHA-256`)},
		{name: "algorithm unknown", user: "101", password: "secret", edit: edit(`=MD5`, `=MD5-sess`)},
		{name: "qop not offered", user: "101", password: "secret", edit: edit(`qop=auth`, `qop=auth-int`)},
		{name: "count zero", user: "101", password: "secret", edit: edit(`nc=00000001`, `nc=00000000`)},
		{name: "count no number", user: "101", password: "secret", edit: edit(`nc=00000001`, `nc=zz`)},
		{name: "nonce of one's own", user: "101", password: "secret", edit: edit(`nonce="`, `nonce="00`), stale: true},
		{name: "not readable", user: "101", password: "secret", edit: edit(`realm="`, `realm=""`)},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesk(nil)
			_, challenge, _ := d.Authenticate(t.Context(), register(), phone)
			req, err := Authorize(register(), challenge, c.user, c.password)
			if err != nil {
				t.Fatal(err)
			}
			if c.edit != nil {
				h := c.edit(req.GetHeader("Authorization").Value())
				req.RemoveHeader("Authorization")
				req.AppendHeader(sip.NewHeader("Authorization", h))
			}
			user, again, ok := d.Authenticate(t.Context(), req, phone)
			if ok || user != "" || again == nil || again.StatusCode != 401 {
				t.Fatalf("%q %v %v", user, again, ok)
			}
			ps, _ := parseParams(again.GetHeader("WWW-Authenticate").Value())
			if (ps["stale"] == "true") != c.stale {
				t.Errorf("stale=%q", ps["stale"])
			}
		})
	}
}

func TestANonceExpiresAndIsCalledStale(t *testing.T) {
	d := newDesk(nil)
	_, challenge, _ := d.Authenticate(t.Context(), register(), phone)
	req, _ := Authorize(register(), challenge, "101", "secret")
	d.now = d.now.Add(5 * time.Minute)
	_, again, ok := d.Authenticate(t.Context(), req, phone)
	if ok || !strings.Contains(again.GetHeader("WWW-Authenticate").Value(), "stale=true") {
		t.Fatalf("%v %v", again, ok)
	}
	// The phone tries again with the new one by itself.
	req, err := Authorize(req, again, "101", "secret")
	if err != nil {
		t.Fatal(err)
	}
	if user, _, ok := d.Authenticate(t.Context(), req, phone); !ok || user != "101" {
		t.Error("not let in with the new nonce")
	}
}

func TestANonceIsOfItsAddressOnly(t *testing.T) {
	d := newDesk(nil)
	_, challenge, _ := d.Authenticate(t.Context(), register(), phone)
	req, _ := Authorize(register(), challenge, "101", "secret")
	if _, _, ok := d.Authenticate(t.Context(), req, netip.MustParseAddrPort("192.0.2.11:5060")); ok {
		t.Error("let in from another address")
	}
	if _, _, ok := d.Authenticate(t.Context(), req, netip.MustParseAddrPort("192.0.2.10:40000")); !ok {
		t.Error("another port of the same address (a NAT's) was refused")
	}
}

func TestAReplayIsRefused(t *testing.T) {
	d := newDesk(nil)
	_, challenge, _ := d.Authenticate(t.Context(), register(), phone)
	req, _ := Authorize(register(), challenge, "101", "secret")
	if _, _, ok := d.Authenticate(t.Context(), req, phone); !ok {
		t.Fatal("not let in")
	}
	_, again, ok := d.Authenticate(t.Context(), req, phone)
	if ok || !strings.Contains(again.GetHeader("WWW-Authenticate").Value(), "stale=true") {
		t.Errorf("%v %v", again, ok)
	}
}

func TestWithoutQopANonceIsUsedOnce(t *testing.T) {
	d := newDesk(nil)
	_, challenge, _ := d.Authenticate(t.Context(), register(), phone)
	h := challenge.GetHeader("WWW-Authenticate").Value()
	challenge.RemoveHeader("WWW-Authenticate")
	challenge.AppendHeader(sip.NewHeader("WWW-Authenticate", strings.Replace(h, `, qop="auth"`, "", 1)))
	req, err := Authorize(register(), challenge, "101", "secret")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(req.GetHeader("Authorization").Value(), "qop") {
		t.Fatal("a qop that was not offered")
	}
	if _, _, ok := d.Authenticate(t.Context(), req, phone); !ok {
		t.Fatal("not let in")
	}
	if _, _, ok := d.Authenticate(t.Context(), req, phone); ok {
		t.Error("let in twice")
	}
}

func TestNonceCountsMayArriveInAnyOrder(t *testing.T) {
	n := newNonces(time.Minute, 2)
	now := time.Unix(1000, 0)
	nonce := n.issue(now, phone.Addr())
	for i, c := range []struct {
		count uint32
		want  bool
	}{{5, true}, {3, true}, {3, false}, {5, false}, {4, true}, {100, true}, {99, true}, {36, false}, {37, true}, {37, false}, {4294967295, true}, {100, false}, {0, false}} {
		if got := n.use(nonce, c.count); got != c.want {
			t.Errorf("%d: count %d: %v", i, c.count, got)
		}
	}
}

func TestForgottenNoncesAreRefused(t *testing.T) {
	n := newNonces(time.Minute, 2)
	var all []string
	for i := range 3 {
		nonce := n.issue(time.Unix(1000+int64(i), 0), phone.Addr())
		all = append(all, nonce)
		if !n.use(nonce, 1) {
			t.Fatalf("nonce %d refused", i)
		}
	}
	if n.use(all[0], 2) || n.use(all[0], 1) {
		t.Error("the memory is full, and a replay got through")
	}
	if !n.use(all[1], 2) || !n.use(all[2], 2) {
		t.Error("a remembered nonce was refused")
	}
	if n.used.order.Len() > 2 || len(n.used.index) > 2 {
		t.Error("the memory is not bounded")
	}
}

func TestWhoGuessesIsSilencedForLongerEachTime(t *testing.T) {
	d := newDesk(nil)
	for ban := time.Minute; ban <= 2*time.Hour; ban *= 2 {
		want := min(ban, time.Hour)
		for i := range 5 {
			_, challenge, ok := d.try(t, register(), "101", fmt.Sprint("guess", i))
			if ok || (challenge == nil) != (i == 4) {
				t.Fatalf("guess %d: %v %v", i, challenge, ok)
			}
		}
		lookups := d.lookups
		d.now = d.now.Add(want - time.Second)
		if _, challenge, ok := d.Authenticate(t.Context(), register(), phone); ok || challenge != nil || d.Allowed(phone.Addr()) {
			t.Fatalf("not silent %v after the guesses", want-time.Second)
		}
		if d.lookups != lookups {
			t.Fatal("a silenced address reached the directory")
		}
		if !d.Allowed(netip.MustParseAddr("192.0.2.11")) {
			t.Fatal("the neighbour is silenced, too")
		}
		d.now = d.now.Add(time.Second)
	}
}

func TestAnAddressCannotBeSilencedBySomebodyElse(t *testing.T) {
	d := newDesk(func(c *Config) { c.Challenges = 10 })
	// Spoofed requests, with credentials and without: their sender never sees
	// a nonce.
	_, challenge, _ := d.Authenticate(t.Context(), register(), netip.MustParseAddrPort("198.51.100.1:5060"))
	wrong, _ := Authorize(register(), challenge, "101", "guess")
	for range 200 {
		d.Authenticate(t.Context(), wrong, phone)
		d.Authenticate(t.Context(), register(), phone)
	}
	if !d.Allowed(phone.Addr()) {
		t.Error("silenced")
	}
	if _, challenge, _ := d.Authenticate(t.Context(), register(), phone); challenge != nil {
		t.Error("challenges are sent without end: we would flood the victim")
	}
	d.now = d.now.Add(time.Minute)
	if _, _, ok := d.try(t, register(), "101", "secret"); !ok {
		t.Error("not let in afterwards")
	}
}

func TestAnExemptAddressIsNeverSilenced(t *testing.T) {
	d := newDesk(func(c *Config) { c.Exempt = func(a netip.Addr) bool { return a == phone.Addr() } })
	for range 200 {
		if _, challenge, ok := d.try(t, register(), "101", "guess"); ok || challenge == nil {
			t.Fatal("silenced")
		}
	}
	if user, _, ok := d.try(t, register(), "101", "secret"); !ok || user != "101" {
		t.Error("not let in")
	}
}

func TestRememberedSourcesAreBounded(t *testing.T) {
	g := newGuard(5, time.Minute, 16)
	now := time.Unix(0, 0)
	for i := range 1000 {
		g.fail(now, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
	}
	if len(g.sources.index) != 16 || g.sources.order.Len() != 16 {
		t.Errorf("%d sources", len(g.sources.index))
	}
}

func TestAnIPv6HouseholdIsOneSource(t *testing.T) {
	g := newGuard(2, time.Minute, 16)
	now := time.Unix(0, 0)
	g.fail(now, netip.MustParseAddr("2001:db8::1"))
	g.fail(now, netip.MustParseAddr("2001:db8::2"))
	if !g.banned(now, netip.MustParseAddr("2001:db8::3")) || g.banned(now, netip.MustParseAddr("2001:db8:0:1::3")) {
		t.Error("a /64 is not one source")
	}
}

func TestADirectoryThatCannotBeAskedIs500(t *testing.T) {
	d := newDesk(func(c *Config) {
		c.Lookup = func(context.Context, string) (string, bool, error) { return "", false, errors.New("down") }
	})
	_, res, ok := d.try(t, register(), "101", "secret")
	if ok || res == nil || res.StatusCode != 500 {
		t.Errorf("%v %v", res, ok)
	}
}
