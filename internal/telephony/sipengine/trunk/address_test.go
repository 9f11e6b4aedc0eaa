package trunk

import (
	"strings"
	"testing"

	"github.com/emiago/sipgo/sip"
	"github.com/google/go-cmp/cmp"

	"github.com/perezvon/perezvon/internal/directory"
)

// prepare writes an INVITE for a trunk and returns the lines that name people,
// without tags.
func prepare(t *testing.T, d directory.Trunk, number, callerID, callerName string) []string {
	t.Helper()
	tb := NewTable(Config{})
	tb.Reload([]directory.Trunk{d})
	req := sip.NewRequest(sip.INVITE, sip.Uri{})
	if err := tb.Get(d.Name).Prepare(req, number, callerID, callerName); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.SplitSeq(strings.TrimSpace(req.String()), "\r\n") {
		if before, _, tagged := strings.Cut(line, ";tag="); tagged {
			line = before
		}
		lines = append(lines, line)
	}
	return lines
}

func TestAShortNumberGoesAsItStands(t *testing.T) {
	for _, number := range []string{"112", "101", "*600"} {
		lines := prepare(t, directory.Trunk{Name: "a", Host: "example.org"}, number, "", "")
		if !strings.Contains(lines[0], " sip:"+number+"@") {
			t.Errorf("%s goes as %s", number, lines[0])
		}
	}
}

func TestPrepare(t *testing.T) {
	for _, c := range []struct {
		name                     string
		trunk                    directory.Trunk
		number, callerID, caller string
		want                     []string
	}{
		{
			"in From, E.164",
			directory.Trunk{Host: "sip.example.ru"}, "+79161234567", "+74951234567", "Иван",
			[]string{"INVITE sip:+79161234567@sip.example.ru SIP/2.0", `From: "Иван" <sip:+74951234567@sip.example.ru>`, "To: <sip:+79161234567@sip.example.ru>"},
		},
		{
			"the trunk's format, port and transport",
			directory.Trunk{Host: "198.51.100.1", Port: 5070, Transport: "tcp", NumberFormat: "ru8"}, "+79161234567", "+74951234567", "",
			[]string{"INVITE sip:89161234567@198.51.100.1:5070;transport=tcp SIP/2.0", "From: <sip:84951234567@198.51.100.1>", "To: <sip:89161234567@198.51.100.1>"},
		},
		{
			"the trunk's own number",
			directory.Trunk{Host: "h", CallerID: "+74950000000", NumberFormat: "digits"}, "+79161234567", "", "",
			[]string{"INVITE sip:79161234567@h SIP/2.0", "From: <sip:74950000000@h>", "To: <sip:79161234567@h>"},
		},
		{
			"the account, where there is no number",
			directory.Trunk{Host: "h", Username: "acme@h"}, "+79161234567", "", "",
			[]string{"INVITE sip:+79161234567@h SIP/2.0", "From: <sip:acme%40h@h>", "To: <sip:+79161234567@h>"},
		},
		{
			"nobody",
			directory.Trunk{Host: "h"}, "+79161234567", "", "",
			[]string{"INVITE sip:+79161234567@h SIP/2.0", "From: <sip:anonymous@h>", "To: <sip:+79161234567@h>"},
		},
		{
			"an extension passes as it is",
			directory.Trunk{Host: "h"}, "+79161234567", "101", "",
			[]string{"INVITE sip:+79161234567@h SIP/2.0", "From: <sip:101@h>", "To: <sip:+79161234567@h>"},
		},
		{
			"P-Asserted-Identity",
			directory.Trunk{Host: "h", Username: "acme", CallerIDHeader: "pai", NumberFormat: "digits"}, "+79161234567", "+74951234567", "Иван",
			[]string{"INVITE sip:79161234567@h SIP/2.0", `P-Asserted-Identity: "Иван" <sip:74951234567@h>`, "From: <sip:acme@h>", "To: <sip:79161234567@h>"},
		},
		{
			"Remote-Party-ID",
			directory.Trunk{Host: "h", Username: "acme", CallerIDHeader: "rpid"}, "+79161234567", "+74951234567", "",
			[]string{"INVITE sip:+79161234567@h SIP/2.0", "Remote-Party-ID: <sip:+74951234567@h>;party=calling;screen=yes;privacy=off", "From: <sip:acme@h>", "To: <sip:+79161234567@h>"},
		},
		{
			"a hostile name and number stay within their places",
			directory.Trunk{Host: "h", CallerIDHeader: "pai"}, "+79161234567", "1@evil>\r\nX: 1", "a\"<sip:x>\\\r\nX-Evil: 1\x00\xff",
			[]string{"INVITE sip:+79161234567@h SIP/2.0", `P-Asserted-Identity: "a\"<sip:x>\\X-Evil: 1" <sip:1%40evil%3E%0D%0AX%3A%201@h>`, `From: "a\"<sip:x>\\X-Evil: 1" <sip:1%40evil%3E%0D%0AX%3A%201@h>`, "To: <sip:+79161234567@h>"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.trunk.Name = "carrier"
			if d := cmp.Diff(c.want, prepare(t, c.trunk, c.number, c.callerID, c.caller)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestPrepareRefusesWhatIsNoNumber(t *testing.T) {
	tb := NewTable(Config{})
	tb.Reload([]directory.Trunk{{Name: "a", Host: "h"}})
	for _, number := range []string{"", "abc", "+7916\r\nX: 1"} {
		if err := tb.Get("a").Prepare(sip.NewRequest(sip.INVITE, sip.Uri{}), number, "", ""); err == nil {
			t.Errorf("%q was taken", number)
		}
	}
}

func FuzzCallerName(f *testing.F) {
	f.Add("+74951234567", `a"b\`)
	f.Fuzz(func(t *testing.T, callerID, name string) {
		tb := NewTable(Config{})
		tb.Reload([]directory.Trunk{{Name: "a", Host: "h", CallerIDHeader: "rpid"}})
		req := sip.NewRequest(sip.INVITE, sip.Uri{})
		if err := tb.Get("a").Prepare(req, "+79161234567", callerID, name); err != nil {
			t.Fatal(err)
		}
		if lines := strings.Split(strings.TrimSpace(req.String()), "\r\n"); len(lines) != 4 {
			t.Fatalf("%q", lines)
		}
		msg, err := sip.NewParser().ParseSIP([]byte(req.String() + "\r\n"))
		if err != nil {
			t.Fatalf("%v in %s", err, req)
		}
		if from := msg.From(); from == nil || from.Address.Host != "h" {
			t.Fatalf("From %v", from)
		}
	})
}
