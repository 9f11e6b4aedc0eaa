package fragments_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/telephony/asterisk/fragments"
)

// usual is what is written for a node beside the server.
func usual() fragments.Config {
	return fragments.Config{
		URL: "http://127.0.0.1:8088/ari", User: "perezvon", Password: "word", App: "perezvon", Own: netip.MustParseAddr("127.0.0.1"),
		Trunks:    []directory.Trunk{{Name: "carrier", Host: "sip.example.org"}},
		Operators: []directory.Operator{{Extension: "101", Password: "phone's"}},
	}
}

// lines are those of a fragment that say something.
func lines(text string) string {
	var said []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, ";") {
			said = append(said, line)
		}
	}
	return strings.Join(said, "\n")
}

func TestFragmentsAreFilledWithTheSettingsAndTheDirectory(t *testing.T) {
	for name, tt := range map[string]struct {
		set        func(c *fragments.Config)
		file       string
		has, hasNo []string
	}{
		"ARI beside the server":         {nil, "http.conf", []string{"bindaddr = 127.0.0.1\nbindport = 8088"}, []string{"tls", "prefix"}},
		"ARI by another name":           {func(c *fragments.Config) { c.URL = "http://localhost/ari" }, "http.conf", []string{"bindaddr = 127.0.0.1\nbindport = 8088"}, nil},
		"ARI on another machine":        {func(c *fragments.Config) { c.URL = "http://10.0.0.2:80/pbx/ari/" }, "http.conf", []string{"bindaddr = 10.0.0.2\nbindport = 80\nprefix = pbx"}, nil},
		"ARI over TLS":                  {func(c *fragments.Config) { c.URL = "https://pbx.example.org:8089/ari" }, "http.conf", []string{"tlsenable = yes\ntlsbindaddr = 0.0.0.0:8089"}, []string{"bindport"}},
		"the user":                      {nil, "ari.conf", []string{"[perezvon]\ntype = user\nread_only = no\npassword = word\n"}, []string{"deny", "permit"}},
		"nobody else from the network":  {func(c *fragments.Config) { c.URL, c.Own = "http://10.0.0.2:8088/ari", netip.MustParseAddr("10.0.0.1") }, "ari.conf", []string{";deny = 0.0.0.0/0.0.0.0\n;permit = 10.0.0.1/255.255.255.255"}, nil},
		"a trunk without registration":  {nil, "pjsip.conf", []string{"[carrier]\ntype = endpoint\ncontext = perezvon\naors = carrier\n", "contact = sip:sip.example.org", "match = sip.example.org"}, []string{"registration", "outbound_auth", "qualify"}},
		"an operator":                   {nil, "pjsip.conf", []string{"[101]\ntype = endpoint\ncontext = perezvon-phones\naors = 101\nauth = 101\n", "username = 101\npassword = phone's"}, nil},
		"no trunks yet":                 {func(c *fragments.Config) { c.Trunks = nil }, "pjsip.conf", []string{"[101]"}, []string{"[carrier]", "…"}},
		"no operators yet":              {func(c *fragments.Config) { c.Operators = nil }, "pjsip.conf", []string{"[carrier]"}, []string{"[101]", "…"}},
		"calls are handed over":         {func(c *fragments.Config) { c.App = "calls" }, "extensions.conf", []string{"[perezvon]\nexten => _[+*#0-9a-zA-Z]!,1,Stasis(calls)"}, nil},
		"somebody rings in its absence": {func(c *fragments.Config) { c.Operators = append(c.Operators, directory.Operator{Extension: "102"}) }, "extensions.conf", []string{"Dial(PJSIP/101&PJSIP/102,60)", "exten => 102,1,Dial(PJSIP/102,60)"}, nil},
		"modules":                       {nil, "modules.conf", []string{"[modules]\nload = res_stasis.so", "load = chan_rtp.so"}, nil},
		"a trunk with everything": {func(c *fragments.Config) {
			c.Trunks = []directory.Trunk{{
				Name: "carrier", Endpoint: "out", Host: "sip.example.org", Port: 5070, Transport: "tcp", Username: "acme", Password: "s3", Register: true, OptionsS: 30,
				Codecs: []string{"G722", "PCMA"},
			}}
		}, "pjsip.conf", []string{
			"[out]\ntype = endpoint", "outbound_auth = out\nfrom_user = acme\n", "allow = g722,alaw\n", `contact = sip:sip.example.org:5070\;transport=tcp`, "qualify_frequency = 30",
			"username = acme\npassword = s3", "[out]\ntype = registration\noutbound_auth = out\nserver_uri = " + `sip:sip.example.org:5070\;transport=tcp` + "\nclient_uri = sip:acme@sip.example.org\ncontact_user = acme",
		}, nil},
	} {
		c := usual()
		if tt.set != nil {
			tt.set(&c)
		}
		files, err := fragments.Write(c)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, f := range files {
			if f.Name != tt.file {
				continue
			}
			text := lines(f.Text) + "\n"
			for _, s := range tt.has {
				if !strings.Contains(text, s) && !strings.Contains(f.Text, s) {
					t.Errorf("%s: there is no\n%s\nin\n%s", name, s, text)
				}
			}
			for _, s := range tt.hasNo {
				if strings.Contains(text, s) {
					t.Errorf("%s: there is %q in\n%s", name, s, text)
				}
			}
		}
	}
}

func TestNothingBreaksOutOfItsLine(t *testing.T) {
	for name, set := range map[string]func(c *fragments.Config){
		"--ari-username":          func(c *fragments.Config) { c.User = "a]\n[b" },
		"--ari-app":               func(c *fragments.Config) { c.App = "a)\n same => n,System(x" },
		"--ari-password":          func(c *fragments.Config) { c.Password = "a;b" },
		"--ari-url":               func(c *fragments.Config) { c.URL = "http://127.0.0.1/a;b/ari" },
		"trunk carrier, endpoint": func(c *fragments.Config) { c.Trunks[0].Endpoint = "a b" },
		"trunk carrier, host":     func(c *fragments.Config) { c.Trunks[0].Host = "a\nb" },
		"trunk carrier, username": func(c *fragments.Config) { c.Trunks[0].Username = "a;b" },
		"trunk carrier, password": func(c *fragments.Config) { c.Trunks[0].Password = " a" },
		"operator 101, password":  func(c *fragments.Config) { c.Operators[0].Password = ">a" },
		"operator 101&PJSIP/102":  func(c *fragments.Config) { c.Operators[0].Extension = "101&PJSIP/102" },
	} {
		c := usual()
		set(&c)
		if _, err := fragments.Write(c); err == nil || !strings.Contains(err.Error(), name+": ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
