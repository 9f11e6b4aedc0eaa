// Package fragments writes what an Asterisk needs in its configuration to serve
// Perezvon, filled with the settings of the server and with its directory: for
// an administrator to put into the files that are there.
package fragments

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"text/template"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/telephony/asterisk/checkup"
)

// Config is what is filled in.
type Config struct {
	// URL is ARI's: its port is that of http.conf. Required.
	URL string
	// User, Password and App are those that the server is given. Required.
	User, Password, App string
	// Own is the address of this machine for Asterisk: if that is another
	// machine, ARI is to be open to Own alone.
	Own netip.Addr
	// Trunks and Operators are the directory's; of either an example, commented
	// out, if there is none.
	Trunks    []directory.Trunk
	Operators []directory.Operator
}

// Context is the one that hands calls over; those of operators' phones begin in
// PhoneContext. AwayContext and PhoneAwayContext take over when there is no
// server.
const (
	Context          = "perezvon"
	PhoneContext     = "perezvon-phones"
	AwayContext      = "perezvon-away"
	PhoneAwayContext = "perezvon-phones-away"
)

// File is a fragment of one of Asterisk's files.
type File struct {
	Name string // as ari.conf
	Text string
}

// Names are those of the files, in the order of Write.
var Names = []string{"http.conf", "ari.conf", "pjsip.conf", "extensions.conf", "modules.conf"}

//go:embed conf
var conf embed.FS

// Write fills in all fragments. An error says what cannot be written into
// Asterisk's files.
func Write(c Config) ([]File, error) {
	v, err := c.values()
	if err != nil {
		return nil, err
	}
	t, err := template.New("").Option("missingkey=error").ParseFS(conf, "conf/*.conf")
	if err != nil {
		return nil, err
	}
	files := make([]File, 0, len(Names))
	for _, name := range Names {
		var b strings.Builder
		if err := t.ExecuteTemplate(&b, name, v); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		files = append(files, File{name, b.String()})
	}
	return files, nil
}

// values are what the templates are filled with.
type values struct {
	Config

	Bind, Port, Prefix string
	TLS                bool
	Remote             bool // the server is on another machine
	Trunk              []trunk
	Modules            []string
	Phones             string // as Dial takes them
	// SampleTrunk and SampleOperator: they are examples, and commented out.
	SampleTrunk, SampleOperator bool

	Context, PhoneContext, AwayContext, PhoneAwayContext string
}

// trunk is a directory.Trunk in Asterisk's words.
type trunk struct {
	directory.Trunk

	Endpoint, Address, Codecs string
}

func (c Config) values() (v values, err error) {
	v.Config, v.Modules = c, checkup.Modules()
	v.Context, v.PhoneContext, v.AwayContext, v.PhoneAwayContext = Context, PhoneContext, AwayContext, PhoneAwayContext
	u, err := url.Parse(c.URL)
	if err != nil {
		return v, err
	}
	v.TLS, v.Port = u.Scheme == "https", cmp.Or(u.Port(), "8088")
	v.Prefix = strings.Trim(strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), "/ari"), "/")
	remote := c.Own.IsValid() && !c.Own.IsLoopback()
	switch ip, err := netip.ParseAddr(u.Hostname()); {
	case err == nil:
		v.Bind, v.Remote = ip.String(), remote && !ip.IsLoopback()
	case u.Hostname() == "localhost":
		v.Bind = "127.0.0.1"
	default: // wherever the name leads to
		v.Bind, v.Remote = "0.0.0.0", remote
	}
	if v.SampleTrunk = len(c.Trunks) == 0; v.SampleTrunk {
		c.Trunks = []directory.Trunk{{Name: "carrier", Host: "sip.example.org", Username: "74951234567", Password: "…", Register: true}}
	}
	if v.SampleOperator = len(c.Operators) == 0; v.SampleOperator {
		v.Operators = []directory.Operator{{Extension: "101", Password: "…"}}
	}
	for _, t := range c.Trunks {
		v.Trunk = append(v.Trunk, inAsterisk(t))
	}
	var phones []string
	for _, o := range v.Operators[:min(len(v.Operators), mostPhones)] {
		phones = append(phones, "PJSIP/"+o.Extension)
	}
	v.Phones = strings.Join(phones, "&")
	return v, v.check()
}

// mostPhones ring at once while Perezvon is away.
const mostPhones = 10

// word is what may stand in brackets and in the arguments of the dialplan.
var word = regexp.MustCompile(`^[A-Za-z0-9_.+-]+$`)

// check tells everything that would break out of its line.
func (v values) check() error {
	var problems []error
	name := func(what, text string) {
		if !word.MatchString(text) {
			problems = append(problems, fmt.Errorf("%s: must be letters, digits, and -_.+ only, to stand in Asterisk's files", what))
		}
	}
	value := func(what, text string) {
		// A semicolon begins a comment, a line break ends the value, and what
		// stands around it is taken away.
		if strings.ContainsAny(text, ";\r\n") || strings.TrimSpace(text) != text || strings.HasPrefix(text, ">") {
			problems = append(problems, fmt.Errorf("%s: has a character that Asterisk's files cannot hold", what))
		}
	}
	name("--ari-username", v.User)
	name("--ari-app", v.App)
	value("--ari-password", v.Password)
	value("--ari-url", v.Prefix)
	for _, t := range v.Trunk {
		name("trunk "+t.Name+", endpoint", t.Endpoint)
		value("trunk "+t.Name+", host", t.Host)
		value("trunk "+t.Name+", username", t.Username)
		value("trunk "+t.Name+", password", t.Password)
	}
	for _, o := range v.Operators {
		name("operator "+o.Extension, o.Extension)
		value("operator "+o.Extension+", password", o.Password)
	}
	return errors.Join(problems...)
}

func inAsterisk(t directory.Trunk) trunk {
	a := trunk{Trunk: t, Endpoint: checkup.EndpointOf(t), Address: t.Host}
	if t.Port != 0 {
		a.Address = net.JoinHostPort(t.Host, strconv.Itoa(t.Port))
	}
	if t.Transport != "" && t.Transport != "udp" {
		a.Address += `\;transport=` + t.Transport
	}
	var codecs []string
	for _, c := range t.Codecs {
		if name, ok := formats[c]; ok {
			codecs = append(codecs, name)
		}
	}
	if a.Codecs = strings.Join(codecs, ","); a.Codecs == "" {
		a.Codecs = "alaw,ulaw"
	}
	return a
}

// formats are Asterisk's names of codecs.
var formats = map[string]string{"PCMA": "alaw", "PCMU": "ulaw", "G722": "g722"}
