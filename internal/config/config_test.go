package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var compare = cmp.Options{cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }), cmpopts.EquateEmpty()}

func environ(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "perezvon.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// The commented file says what the struct says, of every setting.
func TestDefaultFileIsTheDefaults(t *testing.T) {
	name := write(t, string(DefaultFile))
	got, err := Load([]string{"--config", name}, environ())
	if err != nil {
		t.Fatal(err)
	}
	got.Config = ""
	if diff := cmp.Diff(Default(), got, compare); diff != "" {
		t.Errorf("the file differs from the defaults (-struct +file):\n%s", diff)
	}
	typ := reflect.TypeFor[Settings]()
	for i := range typ.NumField() {
		if key := typ.Field(i).Tag.Get("yaml"); key != "" && !strings.Contains(string(DefaultFile), "\n"+key+":") {
			t.Errorf("the file lacks %s", key)
		}
	}
	if err := got.Validate(); err != nil {
		t.Errorf("the defaults are not valid: %v", err)
	}
}

// Contract: flag > environment > file > default.
func TestPrecedence(t *testing.T) {
	file := write(t, "drain: 1s\n")
	for _, test := range []struct {
		name string
		args []string
		env  []string
		want time.Duration
	}{
		{"default", nil, nil, time.Minute},
		{"file", []string{"--config", file}, nil, time.Second},
		{"file named by the environment", nil, []string{"PEREZVON_CONFIG", file}, time.Second},
		{"nothing said in either", []string{"--config", write(t, "drain:\n")}, []string{"PEREZVON_DRAIN", ""}, time.Minute},
		{"environment over file", []string{"--config", file}, []string{"PEREZVON_DRAIN", "2s"}, 2 * time.Second},
		{"flag over environment and file", []string{"--drain", "3s", "--config", file}, []string{"PEREZVON_DRAIN", "2s"}, 3 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := Load(test.args, environ(test.env...))
			if err != nil {
				t.Fatal(err)
			}
			if s.Drain != test.want {
				t.Errorf("drain is %v, want %v", s.Drain, test.want)
			}
		})
	}
}

func TestEverySettingFromEachSource(t *testing.T) {
	want := Settings{
		Data: "/srv/p", Database: "postgres://u:p@h/d", HTTP: "0.0.0.0:80", PublicURL: "https://calls.example", MetricsAuth: true,
		AdminKey: "0123456789abcdef", SIP: "0.0.0.0:5070", SIPTLS: "0.0.0.0:5061", SIPAdvertise: netip.MustParseAddr("192.0.2.1"),
		TLSCert: "c.pem", TLSKey: "k.pem", RTPPorts: Ports{20000, 20099}, MediaTimeout: 30 * time.Second,
		Engine: "asterisk", ARIURL: "http://127.0.0.1:8088/ari", ARIUsername: "u", ARIPassword: "p", ARIApp: "app", AGI: "127.0.0.1:4573",
		AGIAllow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")},
		FreePBX:  "mysql://u:p@h/asteriskcdrdb", FreePBXEvery: time.Minute, FreePBXTimezone: "Asia/Almaty",
		Recognizer: "vosk", RecognizerURL: "ws://10.0.0.5:2700", RecognizerKey: "k", RecognizerModel: "m", RecognizerLanguage: "ru",
		Region: "KZ", OutboundAllow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}, Drain: 5 * time.Second,
		LogLevel: "debug", LogFormat: "json",
		TransferAttended: "*21", TransferBlind: "#1", TransferBack: "*9", TransferThreeWay: "*8", TransferDigitTimeout: 2 * time.Second,
		TransferInterDigitTimeout: 4 * time.Second, TransferRing: 30 * time.Second, TransferReturn: false,
		PickupCode: "*7", PickupAnyCode: "*70",
		NoticeCode: "*61", NoticeAllow: []string{"_1XX", "_2[0-4]X"}, NoticeMax: 2 * time.Minute, NoticeTemplate: "Никого нет",
	}
	var args, env []string
	var file strings.Builder
	v := reflect.ValueOf(want)
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag
		if tag.Get("yaml") == "" {
			continue
		}
		text := fmt.Sprint(v.Field(i).Interface())
		switch f := v.Field(i).Interface().(type) {
		case Secret:
			text = string(f)
		case []netip.Prefix:
			text = "10.0.0.0/8,fd00::/8"
		case []string:
			text = strings.Join(f, ",")
		}
		args = append(args, "--"+tag.Get("name")+"="+text)
		env = append(env, Variable(tag.Get("name")), text)
		if _, list := v.Field(i).Interface().([]netip.Prefix); list {
			text = "[10.0.0.0/8, fd00::/8]"
		} else if strings.HasPrefix(tag.Get("yaml"), "transfer_") || strings.HasPrefix(tag.Get("yaml"), "notice_") || strings.HasPrefix(tag.Get("yaml"), "pickup_") {
			text = fmt.Sprintf("%q", text) // '#' and '*' mean something in YAML
		}
		fmt.Fprintf(&file, "%s: %s\n", tag.Get("yaml"), text)
	}
	name := write(t, file.String())
	for source, load := range map[string]func() (Settings, error){
		"flags":                   func() (Settings, error) { return Load(args, environ()) },
		"environment":             func() (Settings, error) { return Load(nil, environ(env...)) },
		"file":                    func() (Settings, error) { return Load([]string{"--config", name}, environ()) },
		"file with hyphened keys": func() (Settings, error) { return Load([]string{"--config", hyphened(t, file.String())}, environ()) },
	} {
		t.Run(source, func(t *testing.T) {
			got, err := load()
			if err != nil {
				t.Fatal(err)
			}
			got.Config = ""
			if diff := cmp.Diff(want, got, compare); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if err := got.Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

func hyphened(t *testing.T, file string) string {
	t.Helper()
	var out strings.Builder
	for line := range strings.Lines(file) {
		key, rest, _ := strings.Cut(line, ":")
		out.WriteString(strings.ReplaceAll(key, "_", "-") + ":" + rest)
	}
	return write(t, out.String())
}

func TestBadSourcesAreToldWithTheirPlace(t *testing.T) {
	for _, test := range []struct {
		name, file string
		env        []string
		want       []string
	}{
		{"unknown keys, all of them", "data: x\nhtpp: y\ndrain: 1s\nsipp: z\n", nil, []string{`:2: unknown setting "htpp"`, `:4: unknown setting "sipp"`}},
		{"config in the file", "config: other.yaml\n", nil, []string{`:1: unknown setting "config"`}},
		{"bad duration", "data: x\n\ndrain: soon\n", nil, []string{"--drain", "perezvon.yaml:3:"}},
		{"bad ports", "rtp_ports: 1000\n", nil, []string{"perezvon.yaml:1:", "10000-19999"}},
		{"bad engine", "engine: kamailio\n", nil, []string{"perezvon.yaml:1:", "must be one of sip,asterisk"}},
		{"nested", "http: {addr: x}\n", nil, []string{"perezvon.yaml:1:", "a value is a text"}},
		{"a list", "- http\n", nil, []string{"perezvon.yaml:1:", "key: value"}},
		{"not YAML", "http: [\n", nil, []string{"perezvon.yaml"}},
		{"twice", "http: a:1\nhttp: b:2\n", nil, []string{"perezvon.yaml"}},
		{"environment", "", []string{"PEREZVON_SIP_ADVERTISE", "here"}, []string{"--sip-advertise", "PEREZVON_SIP_ADVERTISE:"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Load([]string{"--config", write(t, test.file)}, environ(test.env...))
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
	if _, err := Load([]string{"--config", "missing.yaml"}, environ()); err == nil || !strings.Contains(err.Error(), "missing.yaml") {
		t.Errorf("a missing file gives %v", err)
	}
}

func TestValidateTellsAllProblems(t *testing.T) {
	s := Settings{
		HTTP: "8080", SIP: "host:99999", SIPTLS: ":5061", AGI: "x", PublicURL: "ftp://x", AdminKey: "short", RTPPorts: Ports{80, 90},
		MediaTimeout: time.Second, Drain: -time.Second, Region: "ru", Engine: EngineAsterisk, SIPAdvertise: netip.MustParseAddr("0.0.0.0"), TLSCert: "x",
		TransferAttended: "*", TransferBlind: "*2", TransferBack: "a", TransferThreeWay: "123456", TransferRing: time.Hour,
		PickupCode: "8", PickupAnyCode: "*8x",
		NoticeCode: "600", NoticeAllow: []string{"1XX"},
		FreePBX: "postgres://short", FreePBXTimezone: "Mars",
	}
	err := s.Validate()
	if err == nil {
		t.Fatal("valid")
	}
	for _, flag := range []string{"data", "http", "sip", "sip-tls", "agi", "public-url", "rtp-ports", "media-timeout", "drain", "region", "ari-url", "ari-username", "sip-advertise", "tls-cert",
		"transfer-attended", "transfer-back", "transfer-three-way", "transfer-digit-timeout", "transfer-inter-digit-timeout", "transfer-ring",
		"pickup-code", "pickup-any-code", "notice-code", "notice-allow", "notice-max", "freepbx", "freepbx-every", "freepbx-timezone"} {
		if !strings.Contains(err.Error(), "--"+flag+": ") {
			t.Errorf("does not mention --%s:\n%v", flag, err)
		}
	}
	if strings.Contains(err.Error(), "short") {
		t.Error("the problem shows the secret")
	}
}

func TestTheRecogniserIsCheckedAtTheStart(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		want string // "" is fine
	}{
		"none":                      {nil, ""},
		"a Vosk server":             {[]string{"--recognizer=vosk", "--recognizer-url=ws://127.0.0.1:2700", "--recognizer-language=ru"}, ""},
		"a Vosk server without URL": {[]string{"--recognizer=vosk"}, "--recognizer-url: "},
		"a Vosk server over HTTP":   {[]string{"--recognizer=vosk", "--recognizer-url=http://127.0.0.1:2700"}, "ws:// or wss://"},
		"OpenAI":                    {[]string{"--recognizer=openai", "--recognizer-key=sk-hunter2"}, ""},
		"OpenAI without a key":      {[]string{"--recognizer=openai"}, "--recognizer-key: "},
		"one's own server":          {[]string{"--recognizer=openai", "--recognizer-url=http://10.0.0.5:8000/v1"}, ""},
		"Yandex":                    {[]string{"--recognizer=yandex", "--recognizer-key=AQVN"}, ""},
		"Yandex without a key":      {[]string{"--recognizer=yandex"}, "--recognizer-key: "},
		"an unknown one":            {[]string{"--recognizer=siri"}, "must be one of"},
		"a URL of nothing":          {[]string{"--recognizer-url=ws://127.0.0.1:2700"}, "--recognizer: "},
		"a key that is no key":      {[]string{"--recognizer=yandex", "--recognizer-key=hunter2\n"}, "--recognizer-key: has characters"},
		"no language":               {[]string{"--recognizer=openai", "--recognizer-key=x", "--recognizer-language=по-русски"}, "--recognizer-language: "},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(tt.args, environ())
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter2")):
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestLoadValidates(t *testing.T) {
	if _, err := Load([]string{"--drain=-1s"}, environ()); err == nil || !strings.Contains(err.Error(), "--drain") {
		t.Errorf("got %v", err)
	}
}

func TestSecretsAreNeverPrinted(t *testing.T) {
	s := Settings{AdminKey: "hunter2hunter2", ARIPassword: "hunter2", RecognizerKey: "hunter2", Database: "postgres://u:hunter2@h/d"}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("settings", "key", s.AdminKey, "all", s)
	asJSON, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprint(s), fmt.Sprintf("%+v", s), fmt.Sprintf("%#v", s), fmt.Sprintf("%q", s.AdminKey), string(asJSON), log.String()} {
		if strings.Contains(text, "hunter2") {
			t.Errorf("printed: %s", text)
		}
	}
}

func TestURL(t *testing.T) {
	for _, test := range []struct{ public, http, want string }{
		{"", "127.0.0.1:8080", "http://127.0.0.1:8080"},
		{"https://calls.example/", "127.0.0.1:8080", "https://calls.example"},
	} {
		s := Settings{PublicURL: test.public, HTTP: test.http}
		if got := s.URL(); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}
