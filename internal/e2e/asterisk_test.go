package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/localasterisk"
	"github.com/perezvon/perezvon/internal/serverproc"
	"github.com/perezvon/perezvon/internal/telephony/asterisk/asterisktest"
)

// pbx is a real Asterisk with the phones and carriers of one test. It has them
// by its ARI, as an administrator may add them while it runs.
type pbx struct {
	*localasterisk.Asterisk
	// rtpTimeout ends the calls of phones that have died; empty: nothing does.
	rtpTimeout string
}

// differences are the statuses that Asterisk does not let be what they are with
// the built-in engine, by the case, and why.
var differences = map[string]struct {
	status call.Status
	why    string
}{
	"unallocated by Q.850": {call.ClientTrunkFailure, "chan_pjsip overwrites the cause of a Reason header by the one it makes of the status (chan_pjsip_session_end, 22.10)"},
}

// snoopHole is the longest that may be missing in the recording of what a snoop
// hears.
const snoopHole = 40 * time.Millisecond

// gap is the longest silence when somebody who talks is joined with others. An
// engine that asks another process for each step is later by as much as the
// machine is.
func (s *server) gap() time.Duration {
	if s.pbx != nil {
		return 200 * time.Millisecond
	}
	return 40 * time.Millisecond
}

// wants is the status that a case ends with on the server's engine.
func (s *server) wants(name string, status call.Status) call.Status {
	s.t.Helper()
	d, ok := differences[name]
	if s.pbx == nil || !ok {
		return status
	}
	s.t.Logf("status %v in place of %v: %s", d.status, status, d.why)
	return d.status
}

// serve starts a server that drives the Asterisk.
func (p *pbx) serve(t *testing.T, o serverproc.Options) *server {
	t.Helper()
	args := o.Args
	o.Args = append(slices.Clip(args), "--engine", "asterisk", "--ari-url", p.URL, "--ari-username", p.User)
	o.Env = append(o.Env, "PEREZVON_ARI_PASSWORD="+p.Password)
	s := start(t, o)
	s.pbx, s.SIP, s.args = p, p.Asterisk.SIP.String(), args
	return s
}

// operator makes an operator's endpoint.
func (p *pbx) operator(t *testing.T, extension string) {
	t.Helper()
	p.set(t, "auth", extension, fields{"auth_type": "userpass", "username": extension, "password": phonePassword})
	p.set(t, "aor", extension, fields{"max_contacts": "4"})
	p.endpoint(t, extension, fields{"auth": extension})
}

// trunk makes a carrier's endpoint, which is known by its address, and returns
// its name.
func (p *pbx) trunk(t *testing.T, name string, addr netip.AddrPort) string {
	t.Helper()
	id := "carrier-" + name
	p.set(t, "aor", id, fields{"contact": "sip:" + addr.String()})
	p.endpoint(t, id, fields{"allow_transfer": "no"})
	p.set(t, "identify", id, fields{"endpoint": id, "match": addr.String()})
	return id
}

func (p *pbx) endpoint(t *testing.T, id string, more fields) {
	t.Helper()
	f := fields{
		"aors": id, "context": asterisktest.Context, "disallow": "all", "allow": "alaw,ulaw,g722",
		"direct_media": "no", "dtmf_mode": "auto",
	}
	if p.rtpTimeout != "" {
		f["rtp_timeout"] = p.rtpTimeout
	}
	for k, v := range more {
		f[k] = v
	}
	p.set(t, "endpoint", id, f)
}

// fields are what a section of pjsip.conf says.
type fields map[string]string

// set makes an object of Asterisk's res_pjsip.
func (p *pbx) set(t *testing.T, kind, id string, f fields) {
	t.Helper()
	type field struct {
		Attribute string `json:"attribute"`
		Value     string `json:"value"`
	}
	var body struct {
		Fields []field `json:"fields"`
	}
	for k, v := range f {
		body.Fields = append(body.Fields, field{k, v})
	}
	// disallow goes before allow.
	slices.SortFunc(body.Fields, func(a, b field) int { return -bytes.Compare([]byte(a.Attribute), []byte(b.Attribute)) })
	text, err := json.Marshal(body)
	must(t, err)
	req, err := http.NewRequestWithContext(limit(t), http.MethodPut, p.URL+"/asterisk/config/dynamic/res_pjsip/"+kind+"/"+id, bytes.NewReader(text))
	must(t, err)
	req.SetBasicAuth(p.User, p.Password)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s", kind, id, res.Status)
	}
}
