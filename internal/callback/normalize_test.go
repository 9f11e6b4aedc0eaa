package callback

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/perezvon/perezvon/internal/invalid"
)

func smallest() Packet {
	return Packet{Managers: Managers{{Number: "74951234567"}}, Client: "+79161234567"}
}

func n(v int) *int { return &v }

// "Each field can also be set once on the widget … the widget over the
// server's default": the defaults of the table in §1.
func TestDefaultsOfEveryField(t *testing.T) {
	got, err := smallest().Normalize("RU")
	if err != nil {
		t.Fatal(err)
	}
	want := Packet{
		Managers: Managers{{Number: "+74951234567"}}, Client: "+79161234567", DialMode: "sequential", FailoverOn: "network",
		Greeting: "Звонок с сайта. Пожалуйста, ожидайте соединения", ConnectingText: "Звонок клиенту",
		Language: "ru", Voice: "female", RepeatsBeforeConnect: n(3),
		ExtensionDelayMS: n(1000), ClientDelayMS: n(3000), ManagerTimeoutS: n(30), ClientTimeoutS: n(45), AfterCallS: n(15),
		Attempt: 1,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestDefaultTextsFollowTheLanguage(t *testing.T) {
	p := smallest()
	p.Language = "en-GB"
	p, err := p.Normalize("RU")
	if err != nil {
		t.Fatal(err)
	}
	if p.Greeting != "A call from the website. Please wait to be connected" || p.ConnectingText != "Calling the client" {
		t.Errorf("got %q and %q", p.Greeting, p.ConnectingText)
	}
}

func full() Packet {
	return Packet{
		Widget: "site-1", Managers: Managers{{Number: "8 (495) 123-45-67", Extension: "101"}, {Number: "102"}, {SIP: "sip:103@pbx.example.com"}},
		Client: "8 916 123-45-67^12", DialMode: "parallel",
		Greeting: "Здравствуйте", ConnectingText: "Звоним", IVRText: "Клиент ждёт", RepeatsBeforeHangup: n(24), ExtraInfo: "Иван, «Лада»",
		Language: "en", Voice: "Tatyana", VoiceControl: new(true), Transcribe: new(true),
		ExtensionDelayMS: n(0), ClientDelayMS: n(0), ManagerTimeoutS: n(5), ClientTimeoutS: n(120), AfterCallS: n(0),
		DTMFConnect: "5", DTMFExtraInfo: "#", DTMFCancel: "*", DTMFCancelRecalls: "9", DTMFReschedule: "0", DTMFToManager: "1,,2",
		ClientCallerID: "+74950000001", DefaultCallerIDManager: "84950000002", DefaultCallerIDClient: "office",
		SubstituteForManager: new(bool), SubstituteForClient: new(bool),
		Trunk: "main", TrunksManager: []string{"a", "b"}, TrunksClient: []string{"b", "a"},
		FailoverOn: "any", ClientIP: "203.0.113.7", Attempt: 2, StartWithinS: n(60),
		LogURL: "https://example.com/log?x=1", StatusURL: "http://93.184.215.14:8080/s", EventsURL: "https://[2606:2800:21f::1]/e",
	}
}

func TestEveryFieldIsKept(t *testing.T) {
	want := full()
	for i := range reflect.TypeFor[Packet]().NumField() {
		if reflect.ValueOf(want).Field(i).IsZero() && reflect.TypeFor[Packet]().Field(i).Name != "RepeatsBeforeConnect" {
			t.Errorf("%s is not set in the test", reflect.TypeFor[Packet]().Field(i).Name)
		}
	}
	got, err := full().Normalize("RU")
	if err != nil {
		t.Fatal(err)
	}
	want.Managers = Managers{{Number: "+74951234567", Extension: "101"}, {Number: "102"}, {SIP: "103"}}
	want.Client = "+79161234567^12"
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	again, err := got.Normalize("RU")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(got, again); d != "" {
		t.Errorf("normalising twice changes the packet: %s", d)
	}
}

func TestPacketRoundTripsThroughJSON(t *testing.T) {
	p, err := full().Normalize("RU")
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var back Packet
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(p, back); d != "" {
		t.Error(d)
	}
}

// "Unknown field, bad number, bad key, two keys the same, a URL that points
// inside the server's own network: 422 that names the field."
func TestEachFieldWrongInTurn(t *testing.T) {
	long := strings.Repeat("я", 2001)
	many := make(Managers, 21)
	for i := range many {
		many[i].Number = "101"
	}
	tests := []struct {
		field string
		wrong func(*Packet)
	}{
		{"widget", func(p *Packet) { p.Widget = "a b" }},
		{"managers", func(p *Packet) { p.Managers = nil }},
		{"managers", func(p *Packet) { p.Managers = many }},
		{"managers[0]", func(p *Packet) { p.Managers = Managers{{}} }},
		{"managers[1]", func(p *Packet) { p.Managers = Managers{{Number: "101"}, {Number: "101", SIP: "102"}} }},
		{"managers[0].number", func(p *Packet) { p.Managers[0].Number = "hello" }},
		{"managers[0].number", func(p *Packet) { p.Managers[0].Number = "1" }},
		{"managers[0].sip", func(p *Packet) { p.Managers = Managers{{SIP: "alice"}} }},
		{"managers[0].extension", func(p *Packet) { p.Managers[0].Extension = "12x" }},
		{"managers[0].extension", func(p *Packet) { p.Managers[0].Extension = strings.Repeat("1", 65) }},
		{"client", func(p *Packet) { p.Client = "" }},
		{"client", func(p *Packet) { p.Client = "101" }},
		{"client", func(p *Packet) { p.Client = "+79161234567^" }},
		{"client", func(p *Packet) { p.Client = "+79161234567^ext" }},
		{"dial_mode", func(p *Packet) { p.DialMode = "both" }},
		{"greeting", func(p *Packet) { p.Greeting = long }},
		{"greeting", func(p *Packet) { p.Greeting = "\xff" }},
		{"connecting_text", func(p *Packet) { p.ConnectingText = "a\x00b" }},
		{"ivr_text", func(p *Packet) { p.IVRText = long }},
		{"extra_info", func(p *Packet) { p.ExtraInfo = long }},
		{"language", func(p *Packet) { p.Language = "Russian!" }},
		{"voice", func(p *Packet) { p.Voice = "-x" }},
		{"ivr_repeats_before_connect", func(p *Packet) { p.RepeatsBeforeConnect = n(0) }},
		{"ivr_repeats_before_connect", func(p *Packet) { p.RepeatsBeforeConnect = n(17) }},
		{"ivr_repeats_before_hangup", func(p *Packet) { p.RepeatsBeforeHangup = n(16) }},
		{"ivr_repeats_before_hangup", func(p *Packet) { p.RepeatsBeforeHangup = n(25) }},
		{"ivr_repeats_before_hangup", func(p *Packet) { p.RepeatsBeforeConnect, p.RepeatsBeforeHangup = n(3), n(20) }},
		{"extension_delay_ms", func(p *Packet) { p.ExtensionDelayMS = n(-1) }},
		{"extension_delay_ms", func(p *Packet) { p.ExtensionDelayMS = n(30001) }},
		{"client_delay_ms", func(p *Packet) { p.ClientDelayMS = n(60001) }},
		{"manager_timeout_s", func(p *Packet) { p.ManagerTimeoutS = n(4) }},
		{"client_timeout_s", func(p *Packet) { p.ClientTimeoutS = n(121) }},
		{"after_call_s", func(p *Packet) { p.AfterCallS = n(61) }},
		{"dtmf_connect", func(p *Packet) { p.DTMFConnect = "55" }},
		{"dtmf_extra_info", func(p *Packet) { p.DTMFExtraInfo = "A" }},
		{"dtmf_cancel", func(p *Packet) { p.DTMFCancel = " " }},
		{"dtmf_cancel_recalls", func(p *Packet) { p.DTMFCancelRecalls = "٣" }},
		{"dtmf_reschedule", func(p *Packet) { p.DTMFReschedule = "x" }},
		{"dtmf_reschedule", func(p *Packet) { p.DTMFCancel, p.DTMFReschedule = "1", "1" }},
		{"dtmf_extra_info", func(p *Packet) { p.DTMFConnect, p.DTMFExtraInfo = "#", "#" }},
		{"dtmf_to_manager", func(p *Packet) { p.DTMFToManager = "1;2" }},
		{"client_caller_id", func(p *Packet) { p.ClientCallerID = "a\r\nTo: b" }},
		{"default_caller_id_manager", func(p *Packet) { p.DefaultCallerIDManager = "a@b" }},
		{"default_caller_id_client", func(p *Packet) { p.DefaultCallerIDClient = "\"" }},
		{"trunk", func(p *Packet) { p.Trunk = "a/b" }},
		{"trunks_manager[0]", func(p *Packet) { p.TrunksManager = []string{""} }},
		{"trunks_client[1]", func(p *Packet) { p.TrunksClient = []string{"a", "a"} }},
		{"trunks_client", func(p *Packet) { p.TrunksClient = make([]string, 17) }},
		{"client_ip", func(p *Packet) { p.ClientIP = "example.com" }},
		{"client_ip", func(p *Packet) { p.ClientIP = "fe80::1%eth0" }},
		{"attempt", func(p *Packet) { p.Attempt = -1 }},
		{"failover_on", func(p *Packet) { p.FailoverOn = "never" }},
		{"start_within_s", func(p *Packet) { p.StartWithinS = n(0) }},
		{"managers[0].group", func(p *Packet) { p.Managers[0].Group = "a\x00" }},
		{"log_url", func(p *Packet) { p.LogURL = "ftp://example.com" }},
		{"status_url", func(p *Packet) { p.StatusURL = "https://u:p@example.com" }},
		{"events_url", func(p *Packet) { p.EventsURL = "http://10.0.0.1/" }},
		{"events_url", func(p *Packet) { p.EventsURL = "http://example.com/" + strings.Repeat("a", 2048) }},
	}
	seen := make(map[string]bool)
	for _, tt := range tests {
		p := smallest()
		tt.wrong(&p)
		_, err := p.Normalize("RU")
		var bad invalid.Error
		if !errors.As(err, &bad) || len(bad) != 1 || bad[0].Path != tt.field {
			t.Errorf("%s: got %v", tt.field, err)
		}
		base, _, _ := strings.Cut(tt.field, "[")
		seen[base] = true
	}
	for i := range reflect.TypeFor[Packet]().NumField() {
		f := reflect.TypeFor[Packet]().Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Type.Kind() != reflect.Bool && f.Type != reflect.TypeFor[*bool]() && !seen[name] {
			t.Errorf("no test has a wrong %s", name)
		}
	}
}

func TestAllFaultsAtOnce(t *testing.T) {
	p := Packet{Managers: Managers{{Number: "x"}, {}}, Client: "y", DialMode: "z", ClientDelayMS: n(-1)}
	_, err := p.Normalize("RU")
	var bad invalid.Error
	if !errors.As(err, &bad) {
		t.Fatal(err)
	}
	var paths []string
	for _, f := range bad {
		paths = append(paths, f.Path)
	}
	if d := cmp.Diff([]string{"managers[0].number", "managers[1]", "client", "dial_mode", "client_delay_ms"}, paths); d != "" {
		t.Error(d)
	}
}

func TestURLsInsideTheServersNetwork(t *testing.T) {
	for _, host := range []string{
		"localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.1", "2130706433", "0x7f.0.0.1", "0.0.0.0", "[::1]", "[::]",
		"[::ffff:127.0.0.1]", "[fe80::1%25eth0]", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
		"[fd00::1]", "224.0.0.1", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
	} {
		p := smallest()
		p.StatusURL = fmt.Sprintf("http://%s:8080/x", host)
		if _, err := p.Normalize("RU"); err == nil {
			t.Errorf("%s is taken", host)
		}
	}
	p := smallest()
	p.StatusURL, p.LogURL = "http://127.0.0.1:9/", "http://localhost/"
	if _, err := p.Normalize("RU", netip.MustParsePrefix("127.0.0.0/8")); err != nil {
		t.Errorf("an allowed network: %v", err)
	}
}

// Addresses are counted by their text, so each has one.
func TestAnAddressHasOneSpelling(t *testing.T) {
	for given, want := range map[string]string{
		"203.0.113.7": "203.0.113.7", "::ffff:203.0.113.7": "203.0.113.7", "2001:DB8:0:0::1": "2001:db8::1",
	} {
		p := smallest()
		p.ClientIP = given
		if p, err := p.Normalize("RU"); err != nil || p.ClientIP != want {
			t.Errorf("%s is kept as %s, %v; want %s", given, p.ClientIP, err, want)
		}
	}
}

func TestWhereTheCallsGo(t *testing.T) {
	p, err := full().Normalize("RU")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"", "102", "103"} {
		if got := p.Managers[i].Operator(); got != want {
			t.Errorf("manager %d is operator %q, want %q", i, got, want)
		}
	}
	if number, ext := p.ClientNumber(); number != "+79161234567" || ext != "12" {
		t.Errorf("client %s ext %s", number, ext)
	}
	if d := cmp.Diff([]string{"a", "b"}, p.RouteToManagers()); d != "" {
		t.Error(d)
	}
	p.TrunksClient = nil
	if d := cmp.Diff([]string{"main"}, p.RouteToClient()); d != "" {
		t.Error(d)
	}
	p.Trunk = ""
	if got := p.RouteToClient(); got != nil {
		t.Errorf("got %v, want none", got)
	}
}

// Whatever comes in is refused with the fields' names, or is what it says:
// normalising it again changes nothing.
func FuzzPacket(f *testing.F) {
	for _, p := range []Packet{{}, smallest(), full()} {
		b, err := json.Marshal(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"managers":"101^5_8 495 123-45-67","client":"+7(916)1234567^1","status_url":"http://[::1%25a]/"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p Packet
		if json.Unmarshal(b, &p) != nil {
			return
		}
		once, err := p.Normalize("RU")
		if err != nil {
			var bad invalid.Error
			if !errors.As(err, &bad) || len(bad) == 0 {
				t.Fatalf("%T", err)
			}
			return
		}
		twice, err := once.Normalize("RU")
		if err != nil {
			t.Fatalf("taken once, refused the second time: %v", err)
		}
		if d := cmp.Diff(once, twice); d != "" {
			t.Error(d)
		}
	})
}
