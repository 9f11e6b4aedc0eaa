package e2e

import (
	"net/netip"
	"testing"

	"github.com/perezvon/perezvon/internal/serverproc"
)

// engine starts a server that makes its calls with one of the phone systems.
type engine func(t *testing.T, o serverproc.Options) *server

// onBothEngines runs a test with each phone system. The test is the same: what
// registers, calls and is called speaks to server.SIP, whose that may be.
func onBothEngines(t *testing.T, test func(t *testing.T, start engine)) {
	t.Helper()
	t.Parallel()
	for name, start := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, start)
		})
	}
}

// extension makes an operator, whose phones may register with phonePassword;
// more settings may be given.
func (s *server) extension(number string, more packet) {
	s.t.Helper()
	body := packet{"password": phonePassword}
	for k, v := range more {
		body[k] = v
	}
	if s.pbx != nil {
		s.pbx.operator(s.t, number)
	}
	must(s.t, s.API.Do(limit(s.t), "PUT", "/api/v1/operators/"+number, body, nil))
}

// trunkTo makes whoever speaks SIP at an address known as a trunk; more settings
// may be given.
func (s *server) trunkTo(name string, addr netip.AddrPort, more packet) {
	s.t.Helper()
	body := packet{"host": addr.Addr().String(), "port": addr.Port()}
	if s.pbx != nil {
		body = packet{"endpoint": s.pbx.trunk(s.t, name, addr)}
	}
	for k, v := range more {
		body[k] = v
	}
	must(s.t, s.API.Do(limit(s.t), "PUT", "/api/v1/trunks/"+name, body, nil))
}
