package fragments_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/localasterisk"
	"github.com/perezvon/perezvon/internal/telephony/asterisk/ari"
	"github.com/perezvon/perezvon/internal/telephony/asterisk/asterisktest"
	"github.com/perezvon/perezvon/internal/telephony/asterisk/checkup"
	"github.com/perezvon/perezvon/internal/telephony/asterisk/fragments"
)

// place is a node with exactly the fragments, but for what is broken in them,
// and a directory.
type place struct {
	trunks    []directory.Trunk
	operators []directory.Operator
	node      *localasterisk.Asterisk
}

// newPlace starts a node. spoil changes the files; modules.conf is that of a
// small node, of which a module can be taken.
func newPlace(t *testing.T, spoil func(files map[string]string), trunks ...string) *place {
	t.Helper()
	// Somebody who is not there, at an address where nobody else is.
	nobody, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nobody.Close() })
	p := &place{operators: []directory.Operator{{Extension: "101", Password: "phone's"}}}
	for _, name := range append([]string{"carrier"}, trunks...) {
		p.trunks = append(p.trunks, directory.Trunk{Name: name, Host: "127.0.0.1", Port: nobody.LocalAddr().(*net.UDPAddr).Port})
	}
	p.node = asterisktest.StartWith(t, localasterisk.Options{Files: func(a *localasterisk.Asterisk) (map[string]string, error) {
		written, err := fragments.Write(fragments.Config{
			URL: a.URL, User: a.User, Password: a.Password, App: asterisktest.App, Own: a.HTTP.Addr(), Trunks: p.trunks, Operators: p.operators,
		})
		if err != nil {
			return nil, err
		}
		files := make(map[string]string)
		for _, f := range written {
			files[f.Name] = f.Text
		}
		small, err := os.ReadFile(filepath.Join(a.Dir(), "modules.conf"))
		if err != nil {
			return nil, err
		}
		files["modules.conf"] = string(small) + "\nload = app_dial.so\n"
		files["pjsip.conf"] = fmt.Sprintf("[transport-udp]\ntype = transport\nprotocol = udp\nbind = %s\n\n%s", a.SIP, files["pjsip.conf"])
		spoil(files)
		return files, nil
	}})
	return p
}

func (p *place) check(t *testing.T) *checkup.Report {
	t.Helper()
	r, err := checkup.Run(t.Context(), checkup.Config{
		URL: p.node.URL, User: p.node.User, Password: p.node.Password, App: asterisktest.App, MediaAddr: netip.MustParseAddr("127.0.0.1"),
		Trunks: p.trunks, Operators: p.operators,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// empty tells that nothing is left of an examination.
func (p *place) empty(t *testing.T) {
	t.Helper()
	c, err := ari.New(ari.Config{URL: p.node.URL, User: p.node.User, Password: p.node.Password, App: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	patience := time.Now().Add(10 * time.Second)
	// Asterisk answers first, and ends a bridge or an application then.
	for {
		channels, err := c.Channels(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		bridges, err := c.Bridges(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		apps, err := c.Applications(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(channels)+len(bridges)+len(apps) == 0 {
			return
		}
		if time.Now().After(patience) {
			t.Fatalf("left are %+v, %+v, %v", channels, bridges, apps)
		}
	}
}

// in changes a line of a file, which must be there.
func in(file, from, to string) func(map[string]string) {
	return func(files map[string]string) {
		if !strings.Contains(files[file], from) {
			panic(file + " has no " + from)
		}
		files[file] = strings.Replace(files[file], from, to, 1)
	}
}

// without takes a module away.
func without(module string) func(map[string]string) {
	return in("modules.conf", "load = "+module+".so\n", "")
}

// offline is what every place here has: nobody's phone is registered.
const offline = "operator.offline"

func TestANodeWithTheFragmentsIsInOrder(t *testing.T) {
	t.Parallel()
	p := newPlace(t, func(map[string]string) {})
	for range 2 { // the first leaves nothing that the second trips over
		r := p.check(t)
		for _, f := range r.Findings {
			if f.Level == checkup.Fault || f.Level == checkup.Warning && f.Check != offline {
				t.Errorf("%s:\n%s", f.Check, r.Text(checkup.English))
			}
		}
		for _, check := range []string{"ari.ok", "modules.ok", "timing.ok", "events.ok", "clock.ok", "media.ok", "trunks.ok", "dialplan.ok"} {
			if _, ok := r.Find(check); !ok {
				t.Errorf("%s is not examined:\n%s", check, r.Text(checkup.English))
			}
		}
		if s := r.Sound; s == nil || s.Returned != s.Sent || s.RoundTrip <= 0 {
			t.Errorf("%+v", r.Sound)
		}
		p.empty(t)
	}
}

func TestEachFragmentThatIsBrokenIsNamed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		spoil func(map[string]string)
		check string
		about string // what the finding is about
	}{
		"http.conf: off":             {in("http.conf", "enabled = yes", "enabled = no"), "ari.unreachable", ""},
		"http.conf: another port":    {in("http.conf", "bindport = ", "bindport = 1"), "ari.unreachable", ""},
		"http.conf: a prefix":        {in("http.conf", "bindport", "prefix = pbx\nbindport"), "ari.absent", ""},
		"ari.conf: off":              {in("ari.conf", "enabled = yes", "enabled = no"), "ari.absent", ""},
		"ari.conf: another user":     {in("ari.conf", "[perezvon]", "[other]"), "ari.password", ""},
		"ari.conf: another password": {in("ari.conf", "password = ", "password = x"), "ari.password", ""},
		"ari.conf: read only":        {in("ari.conf", "read_only = no", "read_only = yes"), "ari.read_only", ""},
		"ari.conf: another machine":  {in("ari.conf", "read_only", "deny = 0.0.0.0/0.0.0.0\npermit = 10.0.0.1/255.255.255.255\nread_only"), "ari.password", ""},

		"modules.conf: without a clock":         {without("res_timing_pthread"), "timing.none", ""},
		"modules.conf: without WebSockets":      {without("res_http_websocket"), "ari.absent", ""},
		"modules.conf: without a list":          {without("res_ari_asterisk"), "ari.absent", ""},
		"modules.conf: without events":          {without("res_ari_events"), "module.missing", "res_ari_events"},
		"modules.conf: without external media":  {without("chan_rtp"), "module.missing", "chan_rtp"},
		"modules.conf: without Stasis":          {without("app_stasis"), "module.missing", "app_stasis"},
		"modules.conf: without recording":       {without("res_stasis_snoop"), "module.missing", "res_stasis_snoop"},
		"modules.conf: without phones":          {without("chan_pjsip"), "module.missing", "chan_pjsip"},
		"modules.conf: without a codec":         {without("codec_g722"), "endpoint.codec", "101"},
		"modules.conf: without asking":          {without("func_pjsip_endpoint"), "endpoint.unknown", "func_pjsip_endpoint"},
		"pjsip.conf: no trunk":                  {in("pjsip.conf", "[carrier]\ntype = endpoint", "[other]\ntype = endpoint"), "trunk.missing", "carrier"},
		"pjsip.conf: no operator":               {in("pjsip.conf", "[101]\ntype = endpoint", "[102]\ntype = endpoint"), "operator.missing", "101"},
		"pjsip.conf: a phone without its key":   {in("pjsip.conf", "allow_transfer = yes", "allow_transfer = no"), "operator.transfers", "101"},
		"extensions.conf: not even for phones":  {in("extensions.conf", "[perezvon-phones]", "[phones]"), "dialplan.absent", "perezvon-phones"},
		"extensions.conf: another application ": {in("extensions.conf", "Stasis(perezvon)", "Stasis(other)"), "dialplan.other", "perezvon"},
		"extensions.conf: another context":      {in("extensions.conf", "[perezvon]", "[from-carrier]"), "dialplan.absent", "perezvon"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, tt.spoil)
			named(t, p.check(t), tt.check, tt.about)
		})
	}
}

// Of many trunks each is wrong in a way of its own: one node shows them all.
func TestEachEndpointThatIsBrokenIsNamed(t *testing.T) {
	t.Parallel()
	ways := []struct{ name, from, to, check string }{
		{"away", "contact = sip:", "qualify_timeout = 0.1\nqualify_frequency = 1\ncontact = sip:", "trunk.offline"},
		{"nowhere", "contact = ", ";", "trunk.offline"},
		{"trusts", "trust_id_inbound = no", "trust_id_inbound = yes", "trunk.trusts"},
		{"transfers", "allow_transfer = no", "allow_transfer = yes", "trunk.transfers"},
		{"keyless", "dtmf_mode = auto", "dtmf_mode = inband", "endpoint.keys"},
		{"direct", "direct_media = no", "direct_media = yes", "endpoint.direct"},
		{"opus", "allow = alaw,ulaw\n", "allow = opus\n", "endpoint.codecs"},
		{"some", "allow = alaw,ulaw\n", "allow = alaw,opus\n", "endpoint.codec"},
		{"none", "allow = alaw,ulaw\n", "\n", "endpoint.codecs"},
		{"without", "aors = without", "", "endpoint.aors"},
		{"rings", "context = perezvon", "context = rings", "dialplan.elsewhere"},
		{"others", "context = perezvon", "context = others", "dialplan.other"},
		{"numbers", "context = perezvon", "context = numbers", "dialplan.absent"},
		{"lost", "context = perezvon", "context = lost", "dialplan.absent"},
		{"answers", "context = perezvon", "context = answers", "dialplan.ok"},
	}
	names := make([]string, len(ways))
	for i, w := range ways {
		names[i] = w.name
	}
	p := newPlace(t, func(files map[string]string) {
		for _, w := range ways {
			before, after, ok := strings.Cut(files["pjsip.conf"], "; ---- trunk "+w.name+" ----")
			if !ok || !strings.Contains(after, w.from) {
				t.Errorf("%s has no %s", w.name, w.from)
			}
			files["pjsip.conf"] = before + strings.Replace(after, w.from, w.to, 1)
		}
		files["extensions.conf"] += `
[rings]
exten => _X.,1,Dial(PJSIP/1@carrier)
 same => n,Hangup()
[others]
exten => _X.,1,Stasis(another,7)
[numbers]
exten => 100,1,Stasis(perezvon)
[answers]
exten => _X.,1,Answer()
 same => n,Set(X=1)
 same => n,Goto(deeper,1,1)
[deeper]
exten => 1,1,Stasis(perezvon,inbound,7)
`
	}, names...)
	r := p.check(t)
	for _, w := range ways {
		about := w.name
		named(t, r, w.check, about)
	}
	for _, f := range r.Findings {
		if f.About == "carrier" && f.Level != checkup.OK {
			t.Errorf("%s of one that is in order", f.Check)
		}
	}
	// Nobody was rung, although a context would have.
	if log := p.node.Log(); !strings.Contains(log, "Max forwards exceeded") {
		t.Errorf("the dialplan was not kept from ringing")
	}
	p.empty(t)
}

func named(t *testing.T, r *checkup.Report, check, about string) {
	t.Helper()
	for _, f := range r.Findings {
		if f.Check == check && (about == "" || f.About == about) {
			told := f.Tell(checkup.English)
			t.Logf("%s %s\n→ %s", told.Level, told.Text, told.Remedy)
			return
		}
	}
	t.Errorf("%s of %q is not found:\n%s", check, about, r.Text(checkup.English))
}
