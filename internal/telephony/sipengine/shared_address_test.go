package sipengine

import (
	"testing"
	"testing/synctest"

	"github.com/emiago/sipgo/sip"
)

func TestAPhoneBehindTheAddressOfATrunkIsAPhone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		desk := w.peerAt(netipAddrPort(peerAddr.Addr().String()+":40000"), 0)
		desk.register("101", "secret")
		if !w.engine.phones.Registered("101") {
			t.Fatal("not registered")
		}
		desk.send(desk.invite(sdpHeader) + "\n" + desk.sdp())
		desk.response(401, sip.INVITE)
		// The carrier itself, from another of its ports, is still the carrier.
		if i := w.peerAt(netipAddrPort(peerAddr.Addr().String()+":5062"), 0).calls("").Info(); i.Trunk != "carrier" {
			t.Errorf("%+v", i)
		}
	})
}
