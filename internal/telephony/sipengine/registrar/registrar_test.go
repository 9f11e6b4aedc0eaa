package registrar

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/google/go-cmp/cmp"
)

var home = netip.MustParseAddrPort("192.0.2.10:40000")

// request is a REGISTER as it is read from the network.
func request(t *testing.T, cseq int, headers ...string) *sip.Request {
	t.Helper()
	text := "REGISTER sip:192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.5:5060;branch=z9hG4bK1;rport\r\n" +
		"From: <sip:101@192.0.2.1>;tag=a\r\nTo: <sip:101@192.0.2.1>\r\nCall-ID: c1\r\n" +
		fmt.Sprintf("CSeq: %d REGISTER\r\n", cseq)
	for _, h := range headers {
		text += h + "\r\n"
	}
	msg, err := sip.NewParser().ParseSIP([]byte(text + "Content-Length: 0\r\n\r\n"))
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	req := msg.(*sip.Request)
	req.SetTransport("UDP")
	req.SetSource(home.String())
	return req
}

type answer struct{ res *sip.Response }

func (a *answer) Respond(res *sip.Response) error {
	a.res = res
	return nil
}

// send lets the registrar answer a request of user 101 from home.
func send(t *testing.T, r *Registrar, req *sip.Request) *sip.Response {
	t.Helper()
	return sendFrom(t, r, req, home)
}

func sendFrom(t *testing.T, r *Registrar, req *sip.Request, source netip.AddrPort) *sip.Response {
	t.Helper()
	var a answer
	if err := r.Handle(t.Context(), req, &a, "101", source); err != nil {
		t.Fatal(err)
	}
	return a.res
}

// uris are the contacts of 101.
func uris(r *Registrar) string {
	var us []string
	for _, b := range r.Contacts("101") {
		us = append(us, b.Contact)
	}
	return strings.Join(us, " ")
}

func TestRegister(t *testing.T) {
	const a, b = "sip:101@10.0.0.5:5060", "sip:101@10.0.0.6:5060;transport=tcp"
	for _, c := range []struct {
		name    string
		headers []string // of the request under test
		user    string   // if another than 101
		code    int
		left    string   // the contacts afterwards; a was there before
		shown   []string // Contact headers of the answer
	}{
		{"a new phone joins", []string{"Contact: <" + b + ">", "Expires: 120"}, "", 200, b + " " + a, []string{"<" + b + ">;expires=120", "<" + a + ">;expires=300"}},
		{"the parameter outranks the header", []string{"Contact: <" + a + ">;expires=90", "Expires: 120"}, "", 200, a, []string{"<" + a + ">;expires=90"}},
		{"no time asked is 300 s", []string{"Contact: <" + a + ">"}, "", 200, a, []string{"<" + a + ">;expires=300"}},
		{"a malformed time is 300 s", []string{"Contact: <" + a + ">;expires=soon", "Expires: -1"}, "", 200, a, []string{"<" + a + ">;expires=300"}},
		{"an hour is the most", []string{"Contact: <" + a + ">", "Expires: 4294967295"}, "", 200, a, []string{"<" + a + ">;expires=3600"}},
		{"a minute is the least", []string{"Contact: <" + a + ">;expires=59"}, "", 423, a, nil},
		{"all or nothing", []string{"Contact: <" + b + ">, <" + a + ">;expires=1"}, "", 423, a, nil},
		{"two at once", []string{"Contact: <" + b + ">;expires=100, <" + a + ">;expires=200;q=0.5"}, "", 200, a + " " + b, []string{"<" + a + ">;expires=200", "<" + b + ">;expires=100"}},
		{"zero removes", []string{"Contact: <" + a + ">", "Expires: 0"}, "", 200, "", nil},
		{"zero for a stranger removes nothing", []string{"Contact: <" + b + ">;expires=0"}, "", 200, a, []string{"<" + a + ">;expires=300"}},
		{"the star removes all", []string{"Contact: *", "Expires: 0"}, "", 200, "", nil},
		{"the star needs zero", []string{"Contact: *", "Expires: 60"}, "", 400, a, nil},
		{"the star needs an Expires", []string{"Contact: *"}, "", 400, a, nil},
		{"the star stands alone", []string{"Contact: *", "Contact: <" + b + ">", "Expires: 0"}, "", 400, a, nil},
		{"a question changes nothing", nil, "", 200, a, []string{"<" + a + ">;expires=300"}},
		{"not SIP", []string{"Contact: <tel:+74951234567>"}, "", 400, a, nil},
		{"another's extension", []string{"Contact: <" + b + ">"}, "102", 403, a, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := New(Config{})
				if res := send(t, r, request(t, 1, "Contact: <"+a+">")); res.StatusCode != 200 {
					t.Fatal(res)
				}
				var got answer
				user := "101"
				if c.user != "" {
					user = c.user
				}
				if err := r.Handle(t.Context(), request(t, 2, c.headers...), &got, user, home); err != nil {
					t.Fatal(err)
				}
				if got.res.StatusCode != c.code {
					t.Fatalf("%v", got.res)
				}
				var shown []string
				for _, h := range got.res.GetHeaders("Contact") {
					shown = append(shown, h.Value())
				}
				if d := cmp.Diff(c.shown, shown); d != "" {
					t.Error(d)
				}
				if left := uris(r); left != c.left {
					t.Errorf("contacts %q, want %q", left, c.left)
				}
				if c.code == 423 && got.res.GetHeader("Min-Expires").Value() != "60" {
					t.Error("no Min-Expires")
				}
			})
		})
	}
}

func TestAPhoneIsReachedWhereItsRequestCameFrom(t *testing.T) {
	r := New(Config{})
	req := request(t, 1, "Contact: <sip:101@10.0.0.5>", "User-Agent: Desk 1")
	req.SetTransport("TCP")
	sendFrom(t, r, req, netip.MustParseAddrPort("[::ffff:192.0.2.10]:40000"))
	b := r.Contacts("101")[0]
	if b.Source != home || b.Transport != "TCP" || b.UserAgent != "Desk 1" {
		t.Errorf("%+v", b)
	}
	if !r.At(home) || r.At(netip.MustParseAddrPort("192.0.2.10:40001")) {
		t.Error("At does not know where the phone is")
	}
	if uri, err := b.URI(); err != nil || uri.Host != "10.0.0.5" {
		t.Errorf("%v %v", uri, err)
	}
}

func TestAPhoneThatMovedTakesItsOldPlace(t *testing.T) {
	r := New(Config{})
	send(t, r, request(t, 1, `Contact: <sip:101@10.0.0.5:5060>;+sip.instance="<urn:uuid:1>"`))
	send(t, r, request(t, 2, `Contact: <sip:101@10.0.0.5:6666>;+sip.instance="<urn:uuid:1>"`))
	if got := uris(r); got != "sip:101@10.0.0.5:6666" {
		t.Error(got)
	}
}

func TestARequestThatWasOvertakenIsRefused(t *testing.T) {
	r := New(Config{})
	send(t, r, request(t, 5, "Contact: <sip:101@10.0.0.5>"))
	for _, headers := range [][]string{{"Contact: <sip:101@10.0.0.5>;expires=0"}, {"Contact: *", "Expires: 0"}} {
		for _, cseq := range []int{4, 5} {
			if res := send(t, r, request(t, cseq, headers...)); res.StatusCode != 500 {
				t.Errorf("CSeq %d: %v", cseq, res)
			}
		}
	}
	if !r.Registered("101") {
		t.Error("the phone is gone")
	}
}

func TestTenPhonesAnExtension(t *testing.T) {
	r := New(Config{})
	for i := range 12 {
		send(t, r, request(t, i+1, fmt.Sprintf("Contact: <sip:101@10.0.0.%d>", i)))
	}
	got := r.Contacts("101")
	if len(got) != 10 || got[0].Contact != "sip:101@10.0.0.11" || got[9].Contact != "sip:101@10.0.0.2" {
		t.Errorf("%d: %s", len(got), uris(r))
	}
}

func TestAPhoneThatFallsSilentIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		r := New(Config{OnChange: func(ext string, on bool) { told = append(told, fmt.Sprint(ext, on)) }})
		r.Start(t.Context())
		defer r.Stop()
		send(t, r, request(t, 1, "Contact: <sip:101@10.0.0.5>;expires=60"))
		send(t, r, request(t, 2, "Contact: <sip:101@10.0.0.6>;expires=90"))
		time.Sleep(61 * time.Second)
		if got := uris(r); got != "sip:101@10.0.0.6" {
			t.Error(got)
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if r.Registered("101") || len(r.phones) != 0 {
			t.Error("still there")
		}
		if d := cmp.Diff([]string{"101true", "101false"}, told); d != "" {
			t.Error(d)
		}
	})
}

func TestForget(t *testing.T) {
	r := New(Config{})
	send(t, r, request(t, 1, "Contact: <sip:101@10.0.0.5>"))
	gone := r.Contacts("101")[0]
	// It has come back on another connection meanwhile.
	sendFrom(t, r, request(t, 2, "Contact: <sip:101@10.0.0.5>"), netip.MustParseAddrPort("192.0.2.10:40001"))
	r.Forget(gone)
	if !r.Registered("101") {
		t.Fatal("the new connection was forgotten")
	}
	r.Forget(r.Contacts("101")[0])
	if r.Registered("101") {
		t.Error("not forgotten")
	}
}

// memory is a Keeper that may fail.
type memory struct {
	mu    sync.Mutex
	kept  []Binding
	saves int
	err   error
}

func (m *memory) Save(_ context.Context, all []Binding) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.saves++
	if m.err != nil {
		return m.err
	}
	m.kept = all
	return nil
}

func (m *memory) Load(context.Context) ([]Binding, error) { return m.kept, m.err }

func TestARestartDoesNotLoseThePhones(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		r := New(Config{Keeper: m})
		r.Start(t.Context())
		send(t, r, request(t, 1, "Contact: <sip:101@10.0.0.5>;expires=60"))
		send(t, r, request(t, 2, "Contact: <sip:101@10.0.0.6>;expires=600"))
		want := r.Contacts("101")
		// A crash would lose no more than five seconds.
		time.Sleep(saveEvery + sweepEvery)
		synctest.Wait()
		if m.saves != 1 || len(m.kept) != 2 {
			t.Fatalf("%d saves, kept %v", m.saves, m.kept)
		}
		time.Sleep(saveEvery + sweepEvery)
		r.Stop()
		if m.saves != 1 {
			t.Errorf("%d saves of what did not change", m.saves)
		}

		r = New(Config{Keeper: m})
		r.Start(t.Context())
		if d := cmp.Diff(want, r.Contacts("101"), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); d != "" {
			t.Error(d)
		}
		r.Stop()

		time.Sleep(2 * time.Minute)
		r = New(Config{Keeper: m})
		r.Start(t.Context())
		defer r.Stop()
		if got := uris(r); got != "sip:101@10.0.0.6" {
			t.Errorf("after two minutes: %s", got)
		}
	})
}

func TestASaveThatFailedIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		r := New(Config{Keeper: m})
		r.Start(t.Context())
		m.mu.Lock()
		m.err = errors.New("disk full")
		m.mu.Unlock()
		send(t, r, request(t, 1, "Contact: <sip:101@10.0.0.5>"))
		time.Sleep(7 * time.Second)
		m.mu.Lock()
		m.err = nil
		m.mu.Unlock()
		r.Stop()
		if len(m.kept) != 1 {
			t.Errorf("kept %v", m.kept)
		}
	})
}

func FuzzHandle(f *testing.F) {
	f.Add("<sip:101@10.0.0.5>;expires=60", "300")
	f.Add("*", "0")
	f.Add(`"a" <sip:1@[::1]:1;transport=tcp>;+sip.instance="<x>", sip:b`, "x")
	parser := sip.NewParser()
	f.Fuzz(func(t *testing.T, contact, expires string) {
		if strings.ContainsAny(contact+expires, "\r\n") {
			return
		}
		text := "REGISTER sip:192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.5:5060;branch=z9hG4bK1;rport\r\n" +
			"From: <sip:101@192.0.2.1>;tag=a\r\nTo: <sip:101@192.0.2.1>\r\nCall-ID: c1\r\nCSeq: 1 REGISTER\r\n" +
			"Contact: " + contact + "\r\nExpires: " + expires + "\r\nContent-Length: 0\r\n\r\n"
		msg, err := parser.ParseSIP([]byte(text))
		if err != nil {
			return
		}
		req := msg.(*sip.Request)
		req.SetTransport("UDP")
		req.SetSource(home.String())
		r := New(Config{})
		var a answer
		if err := r.Handle(t.Context(), req, &a, "101", home); err != nil || a.res == nil {
			t.Fatal("no answer")
		}
		// What is shown can be read again.
		if _, err := parser.ParseSIP([]byte(a.res.String())); err != nil {
			t.Fatalf("%v in %s", err, a.res)
		}
		for _, b := range r.Contacts("101") {
			if _, err := b.URI(); err != nil {
				t.Fatalf("%v in %q", err, b.Contact)
			}
		}
	})
}
