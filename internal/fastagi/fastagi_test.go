package fastagi_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/fastagi"
	"github.com/perezvon/perezvon/internal/telephony"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs a server for the test and returns its address.
func serve(t *testing.T, s *fastagi.Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return l.Addr().String()
}

// asterisk is the other side: what it answers is by the command.
type asterisk struct {
	t        *testing.T
	conn     net.Conn
	in       *bufio.Reader
	answers  map[string]string // by the whole command; else "200 result=1"
	commands []string
}

// dial connects as AGI(agi://host/script,args…) does.
func dial(t *testing.T, addr, script, callerID string, args ...string) *asterisk {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	a := &asterisk{t: t, conn: conn, in: bufio.NewReader(conn), answers: map[string]string{}}
	var b strings.Builder
	fmt.Fprintf(&b, "agi_network: yes\nagi_network_script: %s\nagi_request: agi://%s/%s\nagi_channel: PJSIP/city-00000001\nagi_callerid: %s\nagi_calleridname: unknown\n", script, addr, script, callerID)
	for i, arg := range args {
		fmt.Fprintf(&b, "agi_arg_%d: %s\n", i+1, arg)
	}
	a.send(b.String() + "\n")
	return a
}

func (a *asterisk) send(text string) {
	a.t.Helper()
	if _, err := io.WriteString(a.conn, text); err != nil {
		a.t.Fatal(err)
	}
}

// run answers until the script has ended.
func (a *asterisk) run() {
	a.t.Helper()
	_ = a.conn.SetDeadline(time.Now().Add(time.Minute))
	for {
		line, err := a.in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSuffix(line, "\n")
		a.commands = append(a.commands, line)
		answer, ok := a.answers[line]
		if !ok {
			answer = "200 result=1"
		}
		if _, err := io.WriteString(a.conn, answer+"\n"); err != nil {
			return
		}
	}
}

// set is the variables that were set.
func (a *asterisk) set() map[string]string {
	vars := make(map[string]string)
	for _, c := range a.commands {
		if rest, ok := strings.CutPrefix(c, "SET VARIABLE "); ok {
			name, value, _ := strings.Cut(rest, " ")
			vars[strings.Trim(name, `"`)] = strings.Trim(value, `"`)
		}
	}
	return vars
}

// records are what the script asks, in memory.
type records struct {
	responsible map[string]string // by number
	paused      []string
	err         error

	mu    sync.Mutex
	asked []call.ResponsibleRule
}

func (r *records) Responsible(_ context.Context, _, number string, rule call.ResponsibleRule) (call.Responsible, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, rule)
	found := call.Responsible{Operator: r.responsible[number], Reason: `the "last" contact of ` + number}
	if !found.Found() {
		found.Reason = "nobody knows " + number
	}
	return found, r.err
}

func (r *records) Operator(_ context.Context, _, extension string) (directory.Operator, error) {
	return directory.Operator{Extension: extension, Paused: slices.Contains(r.paused, extension)}, nil
}

func responsible(r *records) *fastagi.Server {
	script := &fastagi.Responsible{
		LookUp: r, Operators: r, Account: "main", Logger: slog.New(slog.DiscardHandler),
		State: func(string) telephony.DeviceState { return telephony.Unavailable },
	}
	return &fastagi.Server{Scripts: map[string]fastagi.Script{"responsible": script.Serve}}
}

func TestTheResponsibleManagerIsSetOnTheChannel(t *testing.T) {
	r := &records{responsible: map[string]string{"89161234567": "101", "+79161112233": "102"}, paused: []string{"102"}}
	addr := serve(t, responsible(r))
	const hint, device = `GET FULL VARIABLE "${EXTENSION_STATE(101@ext-local)}"`, `GET FULL VARIABLE "${DEVICE_STATE(PJSIP/101)}"`
	for _, tt := range []struct {
		name, callerID string
		args           []string
		answers        map[string]string
		manager, state string
		reason         string
	}{
		{"his hint tells", "89161234567", nil, map[string]string{hint: "200 result=1 (INUSE)"}, "101", "INUSE", `the \"last\" contact of 89161234567`},
		{"his device tells", "89161234567", nil, map[string]string{hint: "200 result=1 (UNKNOWN)", device: "200 result=1 (NOT_INUSE)"}, "101", "NOT_INUSE", `the \"last\" contact of 89161234567`},
		{"Asterisk knows neither", "89161234567", nil, map[string]string{hint: "200 result=0", device: "200 result=1 (INVALID)"}, "101", "UNAVAILABLE", `the \"last\" contact of 89161234567`},
		{"he is paused here", "+79161112233", nil, nil, "102", "PAUSED", `the \"last\" contact of +79161112233`},
		{"the argument is the number", "000", []string{"89161234567"}, map[string]string{hint: "200 result=1 (RINGING)"}, "101", "RINGING", `the \"last\" contact of 89161234567`},
		{"nobody", "89160000000", nil, nil, "", "", "nobody knows 89160000000"},
		{"no number", "unknown", nil, nil, "", "", "nobody knows "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := dial(t, addr, "responsible", tt.callerID, tt.args...)
			a.answers = tt.answers
			a.run()
			got := a.set()
			if got["MANAGER"] != tt.manager || got["MANAGER_STATE"] != tt.state || got["RESPONSIBLE_REASON"] != tt.reason || len(got) != 3 {
				t.Errorf("%v\n%v", got, a.commands)
			}
		})
	}
}

func TestTheAddressSaysHowToLook(t *testing.T) {
	r := &records{responsible: map[string]string{"89161234567": "101"}}
	addr := serve(t, responsible(r))
	a := dial(t, addr, "responsible?window=30d&policy=first&outcomes=answered,busy&source=crm&hints=from-phones", "89161234567")
	a.run()
	if !slices.Contains(a.commands, `GET FULL VARIABLE "${EXTENSION_STATE(101@from-phones)}"`) {
		t.Errorf("%q", a.commands)
	}
	want := call.ResponsibleRule{Window: 30 * 24 * time.Hour, Policy: call.PolicyFirst, Outcomes: []call.ContactOutcome{call.ContactAnswered, call.ContactBusy}, CRM: call.DefaultCRMTime}
	if diff := cmp.Diff(want, r.asked[0]); diff != "" {
		t.Error(diff)
	}
	for _, query := range []string{"window=yesterday", "window=0", "policy=best", "source=stars", "outcomes=bored", "hints=a)}${SHELL(reboot", "who=me"} {
		a := dial(t, addr, "responsible?"+query, "89161234567")
		a.run()
		if got := a.set(); got["MANAGER"] != "" || !strings.HasPrefix(got["RESPONSIBLE_REASON"], "the address is wrong") || len(a.commands) != 3 {
			t.Errorf("%s: %q", query, a.commands)
		}
	}
}

func TestALookUpThatFailsSaysNobody(t *testing.T) {
	addr := serve(t, responsible(&records{err: errors.New("the database is away")}))
	a := dial(t, addr, "responsible", "89161234567")
	a.run()
	if got := a.set(); got["MANAGER"] != "" || got["RESPONSIBLE_REASON"] != "the look-up failed" {
		t.Errorf("%v", got)
	}
}

// What a script says never breaks out of its argument, and what Asterisk says
// in between is understood.
func TestTheProtocol(t *testing.T) {
	type outcome struct {
		value string
		err   error
	}
	outcomes := make(chan outcome, 1)
	addr := serve(t, &fastagi.Server{Scripts: map[string]fastagi.Script{
		"set": func(_ context.Context, s *fastagi.Session) error { return s.Set("V", "a\"b\\c\nHANGUP\r\x00d я") },
		"long": func(_ context.Context, s *fastagi.Session) error {
			outcomes <- outcome{err: s.Set("V", strings.Repeat("x", 3000))}
			return nil
		},
		"eval": func(_ context.Context, s *fastagi.Session) error {
			v, err := s.Eval("${X}")
			outcomes <- outcome{v, err}
			return nil
		},
		"twice": func(_ context.Context, s *fastagi.Session) error {
			_, err := s.Eval("${X}")
			if err == nil {
				_, err = s.Eval("${X}")
			}
			outcomes <- outcome{err: err}
			return err
		},
	}})
	a := dial(t, addr, "set", "1")
	a.run()
	if want := []string{`SET VARIABLE "V" "a\"b\\c HANGUP  d я"`}; !slices.Equal(a.commands, want) {
		t.Errorf("%q", a.commands)
	}
	a = dial(t, addr, "long", "1")
	a.run()
	if o := <-outcomes; o.err == nil || len(a.commands) != 0 {
		t.Error("a command that Asterisk would cut was sent")
	}
	for _, tt := range []struct{ answer, value, err string }{
		{"200 result=1 (a (b) c)", "a (b) c", ""},
		{"200 result=0", "", ""},
		{"HANGUP\n200 result=1 (x)", "x", ""},
		{"520-Invalid command syntax.  Proper usage follows:\n Usage: GET\n\t1 2\n520 End of proper usage.", "", "520 End of proper usage."},
		{"510 Invalid or unknown command", "", "510 Invalid"},
		{"511 Command Not Permitted on a dead channel or intercept routine", "", "hung up"},
		{"200 result=x", "", "is no result"},
		{strings.Repeat("x", 20000), "", "too long"},
		{strings.Repeat("\n", 300), "", "too many lines"},
	} {
		a := dial(t, addr, "eval", "1")
		a.answers[`GET FULL VARIABLE "${X}"`] = tt.answer
		a.run()
		o := <-outcomes
		if o.value != tt.value || (o.err == nil) != (tt.err == "") || o.err != nil && !strings.Contains(o.err.Error(), tt.err) {
			t.Errorf("%.40q: %+v", tt.answer, o)
		}
	}
	a = dial(t, addr, "twice", "1")
	a.answers[`GET FULL VARIABLE "${X}"`] = "HANGUP\n200 result=1 (x)"
	a.run()
	if o := <-outcomes; !errors.Is(o.err, fastagi.ErrHangup) || len(a.commands) != 1 {
		t.Errorf("%v %q", o.err, a.commands)
	}
}

func TestWhatIsNoRequestIsNotServed(t *testing.T) {
	addr := serve(t, responsible(&records{}))
	for _, request := range []string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"agi_network: yes\n\n",
		"agi_network_script: nothing\n\n",
		"agi_network_script: responsible?%zz\n\n",
		"agi_" + strings.Repeat("x", 10000) + ": 1\n",
		strings.Repeat("agi_x: "+strings.Repeat("y", 7000)+"\n", 20),
		strings.Repeat("agi_x: 1\n", 300),
	} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, request) // it may be cut off before its end
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
		if got, err := io.ReadAll(conn); len(got) > 0 {
			t.Errorf("%.40q: %q %v", request, got, err)
		}
		_ = conn.Close()
	}
}

func TestOnlyListedAddressesMayConnect(t *testing.T) {
	s := responsible(&records{})
	s.Allow = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	conn, err := net.Dial("tcp", serve(t, s))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("it was let in")
	}
	s = responsible(&records{})
	s.Allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	a := dial(t, serve(t, s), "responsible", "89161234567")
	a.run()
	if len(a.commands) == 0 {
		t.Error("it was not let in")
	}
}

// A server that stops lets go of calls whose scripts are under way.
func TestTheEndCutsWhatIsUnderWay(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	begun, ended := make(chan struct{}), make(chan error, 1)
	s := &fastagi.Server{Scripts: map[string]fastagi.Script{"slow": func(_ context.Context, s *fastagi.Session) error {
		close(begun)
		_, err := s.Eval("${X}") // nobody answers
		return err
	}}}
	go func() { ended <- s.Serve(ctx, l) }()
	dial(t, l.Addr().String(), "slow", "1")
	<-begun
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Whatever comes as a request or an answer, the session ends without harm.
func FuzzSession(f *testing.F) {
	f.Add("agi_network_script: s\nagi_arg_1: a\n\n200 result=1 (x)\n200 result=1 (SUCCESS)\n")
	f.Add("agi_network_script: s?a=b\n\n520-Usage\n 1\n520 End\n")
	f.Add("agi_network_script: s\n\nHANGUP\n511 dead\n")
	f.Fuzz(func(t *testing.T, text string) {
		near, far := net.Pipe()
		go func() {
			_, _ = io.WriteString(far, text)
			_ = far.Close()
		}()
		go func() { _, _ = io.Copy(io.Discard, far) }()
		session, err := fastagi.Open(near)
		if err == nil {
			if v, err := session.Eval("${X}"); err == nil && strings.ContainsAny(v, "\n") {
				t.Errorf("%q", v)
			}
			_, _ = session.Play("x", 0)
		}
		_ = near.Close()
	})
}
