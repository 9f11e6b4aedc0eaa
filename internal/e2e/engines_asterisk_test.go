//go:build asterisk

package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/serverproc"
	"github.com/perezvon/perezvon/internal/telephony/asterisk/asterisktest"
)

// engines are the phone systems that tests run with.
var engines = map[string]engine{"builtin": start, "asterisk": startOnAsterisk}

// startOnAsterisk starts an Asterisk and a server that drives it.
func startOnAsterisk(t *testing.T, o serverproc.Options) *server {
	t.Helper()
	p := &pbx{Asterisk: asterisktest.Start(t, "")}
	// --media-timeout has no effect there: it is a setting of endpoints.
	if i := slices.Index(o.Args, "--media-timeout"); i >= 0 {
		d, err := time.ParseDuration(o.Args[i+1])
		must(t, err)
		p.rtpTimeout = fmt.Sprint(d.Seconds())
	}
	return p.serve(t, o)
}
