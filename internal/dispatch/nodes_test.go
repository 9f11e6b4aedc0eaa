package dispatch_test

import (
	"net/netip"
	"testing"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/dispatch"
	"github.com/perezvon/perezvon/internal/store/storetest"
)

// twoNodes are one for clients in 192.0.2.0/24 and one for all others.
type twoNodes struct{ near, far *runner }

func (n twoNodes) Nearest(client netip.Addr) (dispatch.Node, string) {
	switch {
	case !client.IsValid():
		return dispatch.Node{Name: "far", Runner: n.far}, "no client_ip"
	case netip.MustParsePrefix("192.0.2.0/24").Contains(client):
		return dispatch.Node{Name: "near", Runner: n.near}, "near " + client.String()
	}
	return dispatch.Node{Name: "far", Runner: n.far}, "far from " + client.String()
}

// "client_ip picks the media node": of a new request, of a recall, and of what a
// restarted server takes up; the timeline tells it before anything is dialled.
func TestAnAttemptIsMadeByTheNodeNearestToTheClient(t *testing.T) {
	virtual(t, func(t *testing.T) {
		b := recalling(t, call.ClientBusy)
		nodes := twoNodes{near: b.runner, far: &runner{store: b.store, hook: b.runner.hook}}
		b.service = dispatch.New(dispatch.Config{Store: b.store, Nodes: nodes, Speech: voice{}})
		stop := b.recall(t)
		chosen := func(callID, node, why string) {
			t.Helper()
			events, err := b.store.Events(t.Context(), mine, callID, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range events {
				switch e.Type {
				case call.NodeChosen:
					if e.Node != node || e.Reason != why {
						t.Errorf("%s, because %s; want %s, because %s", e.Node, e.Reason, node, why)
					}
					return
				case call.Dialing:
					t.Error("dialled before a node was chosen")
				}
			}
			t.Error("no node was chosen")
		}
		managers := func(p *callback.Packet) { p.Managers = callback.Managers{{Number: "101"}} }

		a, _ := b.asks(t, func(p *callback.Packet) { managers(p); p.ClientIP = "::ffff:192.0.2.7" })
		r := b.waits(t, a.ID, callback.StateDone) // after a recall
		for _, attempt := range r.Attempts {
			chosen(attempt.CallID, "near", "near 192.0.2.7")
		}
		if len(r.Attempts) != 2 || len(nodes.near.attempts()) != 2 || len(nodes.far.attempts()) != 0 {
			t.Errorf("%d attempts, %d and %d were made", len(r.Attempts), len(nodes.near.attempts()), len(nodes.far.attempts()))
		}

		far, _ := b.asks(t, func(p *callback.Packet) { managers(p); p.Client, p.ClientIP = "+79160000002", "2001:db8::1" })
		b.waits(t, far.ID, callback.StateDone)
		chosen(far.CallID, "far", "far from 2001:db8::1")

		left := storetest.Create(t, b.store, "+79160000003") // by a process that died
		if err := b.service.Recover(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.waits(t, left.ID, callback.StateDone)
		chosen(left.CallID, "far", "no client_ip")
		if n := len(nodes.far.attempts()); n != 2 {
			t.Error(n, "attempts were made by the far node")
		}
		stop()
		b.drain(t)
	})
}

// Where there is one node, it is chosen, whoever asks; its name is the process's.
func TestTheOnlyNodeIsChosen(t *testing.T) {
	b := newBench(t)
	a := b.accept(t)
	e := b.until(t, a.CallID, call.NodeChosen)
	if e.Node != b.store.Node() || e.Node == "" || e.Reason != "the only media node" {
		t.Errorf("%+v", e)
	}
	b.until(t, a.CallID, call.Dialing)
	b.drain(t)
}
