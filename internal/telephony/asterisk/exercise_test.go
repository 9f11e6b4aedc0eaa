package asterisk_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/media/stream"
	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/asterisk"
	"github.com/perezvon/perezvon/internal/telephony/asterisk/ari"
	"github.com/perezvon/perezvon/internal/telephony/asterisk/asterisktest"
	"github.com/perezvon/perezvon/internal/telephony/telephonytest"
)

// The engine does what package telephony promises, with a real Asterisk between
// it and the phones.
func TestExercise(t *testing.T) { telephonytest.Exercise(t, newRig, exceptions...) }

// exceptions are what Asterisk does by itself.
var exceptions = []telephonytest.Exception{
	{Case: "Inbound/refused without one is declined", Why: "chan_pjsip has no cause that it refuses with 603; it is 403"},
	{Case: "Inbound/without a codec in common", Why: "Asterisk refuses such a call with 488 before it hands it over"},
	{Case: "Refuse/tells the phone why", Why: "ARI ends a channel with a cause, and has no words for the phone"},
	{Case: "Refuse/in any language", Why: "as above"},
	{Case: "Refuse/and nothing breaks out of the words", Why: "as above"},
}

func newRig(t *testing.T) *telephonytest.Rig {
	t.Helper()
	calls := make(chan telephony.Leg, 4)
	r := &telephonytest.Rig{
		Outside: [2]telephonytest.Outside{
			{Trunk: "one", Password: "carrier's", SIPPhone: telephonytest.NewSIPPhoneAt(t, netip.MustParseAddr("127.0.0.2"), 600)},
			{Trunk: "two", SIPPhone: telephonytest.NewSIPPhoneAt(t, netip.MustParseAddr("127.0.0.3"), 850)},
		},
		Extension: "101", Password: "secret", Operator: telephonytest.NewSIPPhone(t, 1100),
		Stranger: telephonytest.NewSIPPhone(t, 1300),
		Calls:    calls, KeyMethod: asterisk.KeyMethod, StatusOnly: true, CoarseTransfer: true, Gap: 200 * time.Millisecond,
		Patience: 3 * time.Second,
	}
	p := place{operator: directory.Operator{Extension: r.Extension}}
	for _, o := range r.Outside {
		p.trunks = append(p.trunks, directory.Trunk{Name: o.Trunk, Endpoint: "carrier-" + o.Trunk})
	}
	node := asterisktest.Start(t, pjsip(r))
	r.Server = node.SIP

	logger := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	client, err := ari.New(ari.Config{URL: node.URL, User: node.User, Password: node.Password, App: asterisktest.App, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	loopback := netip.MustParseAddr("127.0.0.1")
	e, err := asterisk.New(asterisk.Config{
		ARI: client, Directory: p, Ports: stream.NewPorts(stream.SystemNet(), loopback, 0, 0), MediaAddr: loopback, Logger: logger,
		Handler: func(ctx context.Context, l telephony.Leg) {
			calls <- l
			<-ctx.Done()
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := e.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	r.Engine = e
	return r
}

// pjsip is the configuration of a rig's phones and carriers.
func pjsip(r *telephonytest.Rig) string {
	var b strings.Builder
	object := func(name, kind string, lines ...string) {
		fmt.Fprintf(&b, "[%s]\ntype = %s\n%s\n\n", name, kind, strings.Join(lines, "\n"))
	}
	endpoint := []string{
		"context = " + asterisktest.Context, "disallow = all", "allow = alaw,ulaw,g722", "direct_media = no", "dtmf_mode = auto",
		fmt.Sprintf("rtp_timeout = %g", r.Patience.Seconds()),
	}
	for _, o := range r.Outside {
		id := "carrier-" + o.Trunk
		own := []string{"aors = " + id, "allow_transfer = no"}
		if o.Password != "" {
			object(id, "auth", "auth_type = userpass", "username = acme", "password = "+o.Password)
			own = append(own, "outbound_auth = "+id)
		}
		object(id, "endpoint", append(own, endpoint...)...)
		object(id, "aor", "contact = sip:"+o.Addr().String())
		object(id, "identify", "endpoint = "+id, "match = "+o.Addr().Addr().String())
	}
	object(r.Extension, "auth", "auth_type = userpass", "username = "+r.Extension, "password = "+r.Password)
	object(r.Extension, "aor", "max_contacts = 4")
	object(r.Extension, "endpoint", append([]string{"aors = " + r.Extension, "auth = " + r.Extension}, endpoint...)...)
	return b.String()
}
