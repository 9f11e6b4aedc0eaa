package asterisk_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/asterisk"
	"github.com/perezvon/perezvon/internal/telephony/asterisk/ari"
)

// carrier is a directory of one.
var carrier = place{trunks: []directory.Trunk{{Name: "carrier"}}}

// mortal is the connections of a process that may be killed.
type mortal struct {
	ari.Config
	mu    sync.Mutex
	dead  bool
	conns []net.Conn
}

func newMortal(c ari.Config) *mortal {
	m := &mortal{Config: c}
	dial := c.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	m.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		m.mu.Lock()
		dead := m.dead
		m.mu.Unlock()
		if dead {
			return nil, errors.New("killed")
		}
		conn, err := dial(ctx, network, addr)
		m.mu.Lock()
		defer m.mu.Unlock()
		if err == nil && m.dead {
			return nil, errors.Join(errors.New("killed"), conn.Close())
		}
		m.conns = append(m.conns, conn)
		return conn, err
	}
	return m
}

// kill leaves everything in Asterisk as it is.
func (m *mortal) kill(t *testing.T, e *asterisk.Engine) {
	t.Helper()
	m.mu.Lock()
	m.dead = true
	for _, c := range m.conns {
		if c != nil {
			_ = c.Close() // it may have ended
		}
	}
	m.mu.Unlock()
	if err := e.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// talking joins two legs until the function that it returns is called.
func talking(t *testing.T, e *asterisk.Engine, legs ...telephony.Leg) (end func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Join(ctx, legs...) }()
	synctest.Wait()
	return func() error {
		cancel()
		return <-done
	}
}

// bridgings are the requests since the node's beginning that are about a bridge.
func (n *node) bridgings() (all []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range n.asked {
		if strings.HasPrefix(r, "POST /bridges") || strings.HasPrefix(r, "DELETE /bridges") {
			all = append(all, r)
		}
	}
	return all
}

// places is which phones are in which bridges.
func (n *node) places() (all []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for id, name := range n.channels {
		all = append(all, fmt.Sprint(name, " ", n.in[id]))
	}
	slices.Sort(all)
	return all
}

func TestLegsThatTalkAreTakenOverInTheBridgeTheyAreIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		first := newMortal(n.Config())
		e := engineAt(t, first.Config, carrier, nil)
		a, b, alone := calling(t, e), calling(t, e), calling(t, e)
		talking(t, e, a, b)
		names := []string{a.Info().CallID, b.Info().CallID}
		var talk string
		n.mu.Lock()
		for id, name := range n.channels {
			if name == names[0] {
				talk = n.in[id]
				n.held[id] = true
			}
		}
		n.mu.Unlock()
		first.kill(t, e)
		time.Sleep(time.Second)

		before := len(n.bridgings())
		e = engineAt(t, n.Config(), carrier, nil)
		legs, since, err := e.Survivors(t.Context())
		if err != nil || len(legs) != 3 || since.IsZero() {
			t.Fatal(legs, since, err)
		}
		var pair []telephony.Leg
		for _, l := range legs {
			if l.Info().Trunk != "carrier" || l.Info().Inbound || l.Context().Err() != nil {
				t.Errorf("%+v", l.Info())
			}
			if held := l.Info().CallID == names[0]; l.Held().On() != held {
				t.Errorf("%s is held: %v", l.ID(), !held)
			}
			if slices.Contains(names, l.Info().CallID) {
				pair = append(pair, l)
			} else if l.Info().CallID != alone.Info().CallID {
				t.Errorf("%+v", l.Info())
			}
		}
		if calls, _ := e.TrunkCalls("carrier"); calls != 3 {
			t.Errorf("%d calls of the trunk", calls)
		}
		again, _, err := e.Survivors(t.Context())
		if err != nil || len(again) != 0 {
			t.Errorf("told again: %v, %v", again, err)
		}
		end := talking(t, e, pair...)
		for _, r := range n.bridgings()[before:] {
			if strings.Contains(r, talk) {
				t.Errorf("the talk was touched: %s", r)
			}
		}
		if err := end(); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if slices.Contains(n.places(), names[0]+" "+talk) {
			t.Error("the talk is not over")
		}
		for _, l := range legs {
			l.Hangup(0)
		}
		synctest.Wait()
		if left := n.left(); left != "map[] map[]" {
			t.Errorf("left behind: %s", left)
		}
		if err := e.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestAPhoneThatWasLeftRingingIsHungUp(t *testing.T) {
	driven(t, func(n *node) {
		n.channels["perezvon-leg-A"], n.states["perezvon-leg-A"] = "PJSIP/carrier-7", "Ringing"
		n.channels["1700000000.1"], n.states["1700000000.1"] = "PJSIP/carrier-9", "Ring"
	}, func(t *testing.T, n *node, e *asterisk.Engine) {
		legs, _, err := e.Survivors(t.Context())
		if err != nil || len(legs) != 1 || !legs[0].Info().Inbound {
			t.Fatal(legs, err)
		}
		synctest.Wait()
		if left, want := n.left(), "map[1700000000.1:PJSIP/carrier-9] map[]"; left != want {
			t.Errorf("left are %s, want %s", left, want)
		}
		legs[0].Hangup(0)
	})
}
