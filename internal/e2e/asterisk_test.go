package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/perezvon/perezvon/internal/serverproc"
	"github.com/perezvon/perezvon/internal/telephony/asterisk/asterisktest"
	"github.com/perezvon/perezvon/internal/telephony/telephonytest/peers"
)

// The same on a real Asterisk, whose endpoints the trunks are.
func TestManagerAndClientTalkOnAsterisk(t *testing.T) {
	t.Parallel()
	manager, client := talkers(t)
	var pjsip strings.Builder
	for name, peer := range map[string]*peers.Sipp{"managers": manager, "clients": client} {
		fmt.Fprintf(&pjsip, "[pbx-%[1]s]\ntype = endpoint\naors = pbx-%[1]s\ndisallow = all\nallow = alaw\ndirect_media = no\n\n"+
			"[pbx-%[1]s]\ntype = aor\ncontact = sip:%[2]s\n\n", name, peer.Addr())
	}
	node := asterisktest.Start(t, pjsip.String())
	srv := start(t, serverproc.Options{
		Args: []string{"--engine", "asterisk", "--ari-url", node.URL, "--ari-username", node.User},
		Env:  []string{"PEREZVON_ARI_PASSWORD=" + node.Password},
	})
	for _, name := range []string{"managers", "clients"} {
		must(t, srv.API.Do(limit(t), "PUT", "/api/v1/trunks/"+name, map[string]any{"endpoint": "pbx-" + name}, nil))
	}
	managerAndClientTalk(t, srv, manager, client)
}
