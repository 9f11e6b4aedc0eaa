package asterisk_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/media/mediatest"
	"github.com/perezvon/perezvon/internal/media/stream"
	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/asterisk"
	"github.com/perezvon/perezvon/internal/telephony/asterisk/ari"
	"github.com/perezvon/perezvon/internal/telephony/asterisk/ari/aritest"
)

// node is a fake Asterisk that keeps channels and bridges. Channels that are
// dialled answer at once.
type node struct {
	*aritest.Fake
	mu       sync.Mutex
	channels map[string]string // name by identifier
	bridges  map[string]bool
	in       map[string]string // bridge by channel
	states   map[string]string // of channels that are not up
	held     map[string]bool
	asked    []string
	made     int
}

func newNode(t *testing.T) *node {
	t.Helper()
	n := &node{
		Fake: aritest.New(t), channels: map[string]string{}, bridges: map[string]bool{}, in: map[string]string{},
		states: map[string]string{}, held: map[string]bool{},
	}
	n.Answers = n.answers
	return n
}

func (n *node) answers(request string, r *http.Request) aritest.Answer {
	q := r.URL.Query()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked = append(n.asked, request)
	method, path, _ := strings.Cut(request, " /")
	at := strings.Split(path, "/")
	made := func(id, name string, vars map[string]string) aritest.Answer {
		n.channels[id] = name
		channel := map[string]any{"id": id, "name": name, "state": "Down", "channelvars": vars}
		n.states[id] = "Down"
		n.Tell(map[string]any{"type": "StasisStart", "channel": channel})
		return aritest.Answer{Code: 200, Body: channel}
	}
	switch {
	case request == "GET /channels":
		all := []map[string]string{}
		for id, name := range n.channels {
			state := "Up"
			if s := n.states[id]; s != "" {
				state = s
			}
			all = append(all, map[string]string{"id": id, "name": name, "state": state})
		}
		return aritest.Answer{Code: 200, Body: all}
	case request == "GET /bridges":
		all := []map[string]any{}
		for id := range n.bridges {
			in := []string{}
			for channel, bridge := range n.in {
				if bridge == id {
					in = append(in, channel)
				}
			}
			all = append(all, map[string]any{"id": id, "channels": in})
		}
		return aritest.Answer{Code: 200, Body: all}
	case request == "GET /applications/"+aritest.App:
		all := []string{}
		for id, name := range n.channels {
			if name != "PJSIP/carrier-8" { // the one of somebody else
				all = append(all, id)
			}
		}
		return aritest.Answer{Code: 200, Body: map[string]any{"channel_ids": all}}
	case request == "GET /asterisk/info":
		return aritest.Answer{Code: 200, Body: map[string]any{"status": map[string]string{"startup_time": "2026-11-21T11:49:19.419+0000"}}}
	case request == "POST /channels/create":
		n.made++
		return made(q.Get("channelId"), fmt.Sprintf("PJSIP/carrier-%08d", n.made), nil)
	case method == "POST" && len(at) == 3 && at[2] == "snoop":
		return made(q.Get("snoopId"), "Snoop/"+at[1], nil)
	case method == "POST" && len(at) == 3 && at[2] == "addChannel":
		if !n.bridges[at[1]] {
			return aritest.Answer{Code: 404, Body: json.RawMessage(`{"message":"Bridge not found"}`)}
		}
		n.in[q.Get("channel")] = at[1]
	case method == "POST" && len(at) == 3 && at[2] == "removeChannel":
		delete(n.in, q.Get("channel"))
	case request == "POST /channels/externalMedia":
		return made(q.Get("channelId"), "UnicastRTP/1", map[string]string{"UNICASTRTP_LOCAL_ADDRESS": "10.0.0.2", "UNICASTRTP_LOCAL_PORT": "10000"})
	case request == "POST /bridges":
		n.bridges[q.Get("bridgeId")] = true
	case method == "POST" && len(at) == 3 && at[2] == "dial":
		delete(n.states, at[1])
		n.Tell(map[string]any{"type": "Dial", "dialstatus": "ANSWER", "peer": map[string]any{"id": at[1]}})
	case method == "GET" && len(at) == 3 && at[2] == "variable" && strings.Contains(q.Get("variable"), "hold"):
		held := "0"
		if n.held[at[1]] {
			held = "1"
		}
		return aritest.Answer{Code: 200, Body: map[string]string{"value": held}}
	case method == "GET" && len(at) == 3 && at[2] == "variable":
		return aritest.Answer{Code: 200, Body: map[string]string{"value": "(alaw)"}}
	case method == "DELETE" && at[0] == "channels":
		if _, there := n.channels[at[1]]; !there {
			return aritest.Answer{Code: 404, Body: json.RawMessage(`{"message":"Channel not found"}`)}
		}
		delete(n.channels, at[1])
		delete(n.in, at[1])
		n.Tell(map[string]any{"type": "ChannelDestroyed", "cause": 16, "channel": map[string]any{"id": at[1]}})
	case method == "DELETE" && at[0] == "bridges":
		delete(n.bridges, at[1])
		for channel, bridge := range n.in {
			if bridge == at[1] {
				delete(n.in, channel)
			}
		}
	}
	return aritest.Answer{Code: 204}
}

// restart forgets all channels and breaks the connection.
func (n *node) restart() {
	n.mu.Lock()
	clear(n.channels)
	clear(n.bridges)
	clear(n.in)
	n.mu.Unlock()
	n.Break()
}

func (n *node) left() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return fmt.Sprint(n.channels, n.bridges)
}

// driven runs f with an engine on a fake node, in virtual time.
func driven(t *testing.T, before func(n *node), f func(t *testing.T, n *node, e *asterisk.Engine)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		before(n)
		e := engineAt(t, n.Config(), place{trunks: []directory.Trunk{{Name: "carrier"}}}, nil)
		f(t, n, e)
		if err := e.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// engine is one that drives a fake node. The test stops it.
func engine(t *testing.T, n *node, p place, handler func(ctx context.Context, l telephony.Leg)) *asterisk.Engine {
	t.Helper()
	return engineAt(t, n.Config(), p, handler)
}

// engineAt is one that reaches its node as c says.
func engineAt(t *testing.T, c ari.Config, p place, handler func(ctx context.Context, l telephony.Leg)) *asterisk.Engine {
	t.Helper()
	client, err := ari.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ip := netip.MustParseAddr("10.0.0.1")
	e, err := asterisk.New(asterisk.Config{
		ARI: client, Directory: p, Ports: stream.NewPorts(mediatest.NewNetwork(), ip, 0, 0), MediaAddr: ip, Handler: handler,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return e
}

func nothing(*node) {}

func calling(t *testing.T, e *asterisk.Engine) telephony.Leg {
	t.Helper()
	l, err := e.Dial(t.Context(), telephony.Dial{Leg: "c1", Trunk: "carrier", Number: "+74951234567"})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func endOf(t *testing.T, l telephony.Leg) *telephony.HangupError {
	t.Helper()
	<-l.Context().Done()
	var h *telephony.HangupError
	if !errors.As(context.Cause(l.Context()), &h) {
		t.Fatalf("%v", context.Cause(l.Context()))
	}
	return h
}

func TestACallOutlivesALostConnection(t *testing.T) {
	driven(t, nothing, func(t *testing.T, n *node, e *asterisk.Engine) {
		l := calling(t, e)
		n.Refuse(true)
		n.Break()
		time.Sleep(20 * time.Second)
		n.Refuse(false)
		time.Sleep(6 * time.Second)
		if err := context.Cause(l.Context()); err != nil {
			t.Fatal(err)
		}
		l.Hangup(0)
		synctest.Wait()
		if left := n.left(); left != "map[] map[]" {
			t.Errorf("left behind: %s", left)
		}
	})
}

func TestARestartOfAsteriskEndsItsCalls(t *testing.T) {
	driven(t, nothing, func(t *testing.T, n *node, e *asterisk.Engine) {
		l := calling(t, e)
		n.restart()
		if h := endOf(t, l); h.By != telephony.ByNetwork || h.Reason == "" {
			t.Errorf("%+v", h)
		}
		if l := calling(t, e); l.Context().Err() != nil {
			t.Error("the next call has ended")
		}
	})
}

func TestAsteriskThatStaysAwayEndsItsCallsAfterHalfAMinute(t *testing.T) {
	driven(t, nothing, func(t *testing.T, n *node, e *asterisk.Engine) {
		l := calling(t, e)
		n.Refuse(true)
		n.Break()
		began := time.Now()
		if h := endOf(t, l); h.By != telephony.ByNetwork {
			t.Errorf("%+v", h)
		}
		if took := time.Since(began); took < 30*time.Second || took > 36*time.Second {
			t.Errorf("ended after %v", took)
		}
		n.Refuse(false)
		time.Sleep(10 * time.Second)
	})
}

func TestWhatAKilledProcessLeftAndNobodyTakesIsEndedAndOthersAreNot(t *testing.T) {
	driven(t, func(n *node) {
		n.channels[aritest.App+"-OLD"] = "PJSIP/carrier-7"
		n.channels["1700000000.1"] = "PJSIP/carrier-8"
		n.channels[aritest.App+"-voice-OLD"] = "UnicastRTP/7"
		n.bridges[aritest.App+"-talk-OLD"], n.bridges["parking"] = true, true
		n.bridges[aritest.App+"-home-OLD"] = true
		n.in[aritest.App+"-OLD"] = aritest.App + "-talk-OLD"
	}, func(t *testing.T, n *node, e *asterisk.Engine) {
		legs, _, err := e.Survivors(t.Context())
		if err != nil || len(legs) != 1 {
			t.Fatal(legs, err)
		}
		legs[0].Hangup(0)
		synctest.Wait()
		if left, want := n.left(), "map[1700000000.1:PJSIP/carrier-8] map[parking:true]"; left != want {
			t.Errorf("left are %s, want %s", left, want)
		}
	})
}

func TestAVoiceThatEndsEndsItsLeg(t *testing.T) {
	driven(t, nothing, func(t *testing.T, n *node, e *asterisk.Engine) {
		l := calling(t, e)
		n.mu.Lock()
		for id, name := range n.channels {
			if strings.HasPrefix(name, "UnicastRTP") {
				n.Tell(map[string]any{"type": "ChannelDestroyed", "cause": 44, "channel": map[string]any{"id": id}})
			}
		}
		n.mu.Unlock()
		if h := endOf(t, l); h.By != telephony.ByNetwork {
			t.Errorf("%+v", h)
		}
	})
}

// place is a directory of two carriers and an operator.
type place struct {
	trunks   []directory.Trunk
	operator directory.Operator
}

func (p place) Trunks(context.Context) ([]directory.Trunk, error) { return p.trunks, nil }

func (p place) Operator(_ context.Context, extension string) (directory.Operator, error) {
	if extension != p.operator.Extension {
		return directory.Operator{}, errors.New("no such operator")
	}
	return p.operator, nil
}
