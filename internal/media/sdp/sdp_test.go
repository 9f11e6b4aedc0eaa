package sdp

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/perezvon/perezvon/internal/media"
)

// lines joins the lines of a description, given with spaces between them
// where that is unambiguous.
func lines(l ...string) string { return strings.Join(l, "\r\n") + "\r\n" }

var plain = lines("v=0", "o=alice 123 456 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0",
	"m=audio 49170 RTP/AVP 8 0 101", "a=rtpmap:8 PCMA/8000", "a=rtpmap:0 PCMU/8000",
	"a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-16", "a=ptime:20", "a=sendrecv")

func mustParse(t *testing.T, body string) *Session {
	t.Helper()
	s, err := Parse([]byte(body))
	if err != nil {
		t.Fatalf("%v in\n%s", err, body)
	}
	return s
}

func addr(s string) netip.AddrPort {
	if s == "" {
		return netip.AddrPort{}
	}
	return netip.MustParseAddrPort(s)
}

func TestPlainDescriptionIsRead(t *testing.T) {
	want := &Session{
		Addr: addr("192.0.2.1:49170"),
		RTCP: addr("192.0.2.1:49171"),
		Formats: []Format{
			{PT: 8, Name: "PCMA", Clock: 8000},
			{PT: 0, Name: "PCMU", Clock: 8000},
			{PT: 101, Name: "telephone-event", Clock: 8000, Fmtp: "0-16"},
		},
		EventPT: 101,
		Ptime:   20 * time.Millisecond,
		Origin:  Origin{"alice", "123", "456", "192.0.2.1"},
	}
	if diff := cmp.Diff(want, mustParse(t, plain), cmpopts.IgnoreUnexported(Session{}),
		cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}

func TestSloppyDescriptionsAreForgiven(t *testing.T) {
	for name, body := range map[string]string{
		"bare line feeds":           strings.ReplaceAll(plain, "\r\n", "\n"),
		"bare carriage returns":     strings.ReplaceAll(plain, "\r\n", "\r"),
		"no line end at the end":    strings.TrimSpace(plain),
		"empty lines":               strings.ReplaceAll(plain, "\r\n", "\r\n\r\n"),
		"spaces at the ends":        strings.ReplaceAll(plain, "\r\n", "  \r\n "),
		"no s=":                     strings.Replace(plain, "s=-\r\n", "", 1),
		"empty s=":                  strings.Replace(plain, "s=-", "s=", 1),
		"no v=":                     strings.Replace(plain, "v=0\r\n", "", 1),
		"no t=":                     strings.Replace(plain, "t=0 0\r\n", "", 1),
		"c= after t=":               strings.Replace(plain, "c=IN IP4 192.0.2.1\r\nt=0 0\r\n", "t=0 0\r\nc=IN IP4 192.0.2.1\r\n", 1),
		"no c= but an origin":       strings.Replace(plain, "c=IN IP4 192.0.2.1\r\n", "", 1),
		"spaces in the user of o=":  strings.Replace(plain, "o=alice ", "o=Alice of Wonder Land ", 1),
		"spaces after the mark":     strings.ReplaceAll(plain, "=", "= "),
		"a TTL":                     strings.Replace(plain, "c=IN IP4 192.0.2.1", "c=IN IP4 192.0.2.1/127", 1),
		"a count of ports":          strings.Replace(plain, "audio 49170", "audio 49170/2", 1),
		"names in small letters":    strings.ReplaceAll(plain, "PCM", "pcm"),
		"static types unexplained":  strings.NewReplacer("a=rtpmap:8 PCMA/8000\r\n", "", "a=rtpmap:0 PCMU/8000\r\n", "").Replace(plain),
		"channels":                  strings.Replace(plain, "PCMA/8000", "PCMA/8000/1", 1),
		"unknown lines":             plain + "y=what\r\nnonsense\r\n=\r\n",
		"broken attributes":         plain + "a=rtpmap:999 X/8000\r\na=rtpmap:8\r\na=rtpmap:8 PCMA\r\na=ptime:soon\r\na=fmtp:x\r\na=\r\n",
		"broken format numbers":     strings.Replace(plain, "AVP 8 ", "AVP x 300 -1 8 ", 1),
		"an address in IPv6 dress":  strings.Replace(plain, "c=IN IP4 192.0.2.1", "c=IN IP6 ::ffff:192.0.2.1", 1),
		"the address at the stream": strings.NewReplacer("c=IN IP4 192.0.2.1", "c=IN IP4 203.0.113.9", "a=ptime", "c=IN IP4 192.0.2.1\r\na=ptime").Replace(plain),
	} {
		t.Run(name, func(t *testing.T) {
			s := mustParse(t, body)
			if s.Addr != addr("192.0.2.1:49170") || s.EventPT != 101 || s.Direction != SendRecv {
				t.Errorf("%v, event %d, %v", s.Addr, s.EventPT, s.Direction)
			}
			_, chosen, err := Local{Codecs: []media.Codec{media.PCMA}}.Answer(s)
			if err != nil || chosen.PT != 8 {
				t.Errorf("chose %d: %v", chosen.PT, err)
			}
		})
	}
}

func TestWhatCannotBeUsedIsRefusedWithItsReason(t *testing.T) {
	replace := func(old, new string) string { return strings.Replace(plain, old, new, 1) }
	for name, c := range map[string]struct {
		body string
		want error
	}{
		"nothing":               {"", ErrNoAudio},
		"not SDP":               {"Signal=1\r\nDuration=160\r\n", ErrNoAudio},
		"video only":            {replace("m=audio", "m=video"), ErrNoAudio},
		"refused audio":         {replace("49170", "0"), ErrNoAudio},
		"over another profile":  {replace("RTP/AVP", "TCP/TLS"), ErrNoAudio},
		"SRTP":                  {replace("RTP/AVP", "RTP/SAVP"), ErrSRTP},
		"WebRTC":                {replace("RTP/AVP", "UDP/TLS/RTP/SAVPF"), ErrSRTP},
		"port out of range":     {replace("49170", "70000"), ErrMalformed},
		"no port":               {replace("49170 ", ""), ErrMalformed},
		"control characters":    {replace("RTP/AVP", "RTP/\x00AVP"), ErrMalformed},
		"too large":             {plain + strings.Repeat("a=x\r\n", 20000), ErrMalformed},
		"too many streams":      {plain + strings.Repeat("m=audio 0 RTP/AVP 0\r\n", 40), ErrMalformed},
		"no address":            {"m=audio 4000 RTP/AVP 8\r\n", ErrNoAddress},
		"a multicast group":     {replace("c=IN IP4 192.0.2.1", "c=IN IP4 224.2.1.1/127/3"), ErrNoAddress},
		"multicast over IPv6":   {replace("c=IN IP4 192.0.2.1", "c=IN IP6 ff15::101"), ErrNoAddress},
		"group in IPv6 disguse": {replace("c=IN IP4 192.0.2.1", "c=IN IP6 ::ffff:224.2.1.1"), ErrNoAddress},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse([]byte(c.body)); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}

func TestPlainAudioIsFoundBesideEncrypted(t *testing.T) {
	s := mustParse(t, strings.Replace(plain, "m=audio", "m=audio 7000 RTP/SAVP 8\r\nm=audio", 1))
	if s.Addr.Port() != 49170 {
		t.Errorf("took port %d", s.Addr.Port())
	}
}

func TestHostNameLeavesTheAddressToBeLearnt(t *testing.T) {
	s := mustParse(t, strings.Replace(plain, "c=IN IP4 192.0.2.1", "c=IN IP4 phone.example", 1))
	if s.Addr.IsValid() || s.RTCP.IsValid() {
		t.Errorf("%v, %v", s.Addr, s.RTCP)
	}
}

func TestHold(t *testing.T) {
	for _, c := range []struct {
		name, address, attribute string
		at                       string // session or media
		theirs, ours             Direction
	}{
		{"no hold", "192.0.2.1", "", "media", SendRecv, SendRecv},
		{"by sendonly", "192.0.2.1", "a=sendonly", "media", SendOnly, RecvOnly},
		{"by inactive", "192.0.2.1", "a=inactive", "media", Inactive, Inactive},
		{"by recvonly", "192.0.2.1", "a=recvonly", "media", RecvOnly, SendOnly},
		{"by sendonly for the session", "192.0.2.1", "a=sendonly", "session", SendOnly, RecvOnly},
		{"by address", "0.0.0.0", "", "media", SendOnly, RecvOnly},
		{"by address and attribute", "0.0.0.0", "a=inactive", "media", Inactive, Inactive},
		{"by address, recvonly", "0.0.0.0", "a=recvonly", "media", Inactive, Inactive},
		{"by IPv6 address", "::", "", "media", SendOnly, RecvOnly},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := strings.Replace(plain, "a=sendrecv\r\n", "", 1)
			body = strings.Replace(body, "c=IN IP4 192.0.2.1", "c=IN IP4 "+c.address, 1)
			if c.at == "session" {
				body = strings.Replace(body, "m=", c.attribute+"\r\nm=", 1)
			} else {
				body += c.attribute + "\r\n"
			}
			s := mustParse(t, body)
			answer, chosen, err := Local{IP: netip.MustParseAddr("198.51.100.1"), Port: 4000, Codecs: []media.Codec{media.PCMA}}.Answer(s)
			if err != nil {
				t.Fatal(err)
			}
			if s.Direction != c.theirs || chosen.Direction != c.ours || !strings.Contains(string(answer), "a="+c.ours.String()+"\r\n") {
				t.Errorf("theirs %v, ours %v, answered\n%s", s.Direction, chosen.Direction, answer)
			}
		})
	}
}

func TestStreamHasTheLastWordOnDirection(t *testing.T) {
	s := mustParse(t, strings.Replace(plain, "m=", "a=inactive\r\nm=", 1))
	if s.Direction != SendRecv {
		t.Errorf("%v", s.Direction)
	}
}

func TestEventsHaveAnyPayloadType(t *testing.T) {
	for _, c := range []struct {
		old, new string
		want     uint8
	}{
		{"101", "101", 101},
		{"101", "96", 96},
		{"101", "127", 127},
		{"telephone-event", "Telephone-Event", 101},
		{"telephone-event/8000", "telephone-event/48000", 0},
		{"a=rtpmap:101 telephone-event/8000\r\n", "", 0},
		{" 101\r\n", "\r\n", 0},
	} {
		if got := mustParse(t, strings.ReplaceAll(plain, c.old, c.new)).EventPT; got != c.want {
			t.Errorf("%q for %q: %d, want %d", c.new, c.old, got, c.want)
		}
	}
}

func TestPtimeIsBelievedWithinReason(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"20": 20 * time.Millisecond, "30": 30 * time.Millisecond, "10.0": 10 * time.Millisecond,
		"0": 0, "-20": 0, "5": 0, "100000": 0, "1e400": 0, "NaN": 0, "": 0,
	} {
		if got := mustParse(t, strings.Replace(plain, "ptime:20", "ptime:"+value, 1)).Ptime; got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

func TestRTCPMayGoElsewhere(t *testing.T) {
	for attribute, want := range map[string]string{
		"":                              "192.0.2.1:49171",
		"a=rtcp:53020":                  "192.0.2.1:53020",
		"a=rtcp:53020 IN IP4 192.0.2.7": "192.0.2.7:53020",
		"a=rtcp:0":                      "192.0.2.1:49171",
		"a=rtcp:what":                   "192.0.2.1:49171",
	} {
		if got := mustParse(t, plain+attribute+"\r\n").RTCP; got != addr(want) {
			t.Errorf("%q: %v, want %s", attribute, got, want)
		}
	}
	if got := mustParse(t, strings.Replace(plain, "49170", "65535", 1)).RTCP; got.IsValid() {
		t.Errorf("above the last port there is %v", got)
	}
}
