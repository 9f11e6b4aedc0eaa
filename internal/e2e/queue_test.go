package e2e

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/acd"
	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/serverproc"
	"github.com/perezvon/perezvon/internal/softphone"
)

// of is the call of a direction with this client, once it is there.
func (s *server) of(d call.Direction, client string) string {
	s.t.Helper()
	var id string
	until(s.t, "a call of "+client, func() bool {
		var list struct {
			Items []struct{ ID, Client string } `json:"items"`
		}
		must(s.t, s.API.Do(limit(s.t), "GET", "/api/v1/calls?direction="+string(d), nil, &list))
		for _, c := range list.Items {
			if c.Client == client {
				id = c.ID
			}
		}
		return id != ""
	})
	return id
}

// keepsPressing is a key pressed again and again, so that it is pressed once the offer
// has begun, on a slow machine too.
func keepsPressing(key string) (keys []softphone.Key) {
	for i := range 40 {
		keys = append(keys, softphone.Key{After: time.Duration(i+1) * 500 * time.Millisecond, Digits: key})
	}
	return keys
}

// Two clients and one operator: the second waits until the first has hung up, a
// third asks to be called and is, once the second has gone.
func TestClientsWaitInAQueueAndOneIsCalledBackInHisTurn(t *testing.T) {
	onBothEngines(t, clientsWaitInAQueueAndOneIsCalledBackInHisTurn)
}

func clientsWaitInAQueueAndOneIsCalledBackInHisTurn(t *testing.T, start engine) {
	t.Helper()
	const first, second, third = "+79160000001", "+79160000002", "+79160000003"
	srv := start(t, serverproc.Options{})
	srv.operator("101", says(managerTone, 0), nil)
	city := srv.carrier("city", says(clientTone, sips))
	must(t, srv.API.Do(limit(t), "PUT", "/api/v1/queues/1000", packet{
		"members": []string{"101"}, "announce": packet{"position": true}, "callback_offer": packet{"key": "5"},
	}, nil))
	srv.route(packet{"queue": "1000"})

	var calling sync.WaitGroup
	defer calling.Wait()
	comes := func(from string, script softphone.Script) string {
		leg, err := city.CallAs(limit(t), from, "+74951112233")
		must(t, err)
		calling.Go(func() { _ = script.Talk(context.WithoutCancel(t.Context()), leg) })
		return srv.of(call.Inbound, from)
	}
	talk := says(clientTone, 0)
	talk.HangupAfter = 2 * sips
	one := comes(first, talk)
	srv.until(one, is(call.Joined, ""))
	talk.HangupAfter = 4 * sips
	two := comes(second, talk)
	three := comes(third, softphone.Script{StayOn: true, Keys: keepsPressing("5")})

	var live acd.Live
	until(t, "the place is kept behind who waits", func() bool {
		must(t, srv.API.Do(limit(t), "GET", "/api/v1/queues/1000/live", nil, &live))
		n := len(live.Waiting)
		return n > 0 && live.Waiting[n-1].Callback && live.Waiting[n-1].Number == third
	})
	srv.expect(three, call.CallbackRequested)
	parted := find(t, srv.expect(one, call.Completed), call.Parted, "").At
	events := srv.expect(two, call.Completed)
	if joined := find(t, events, call.Joined, "").At; joined.Before(parted) {
		t.Errorf("the second is served at %v, the first left at %v", joined, parted)
	}
	back := srv.of(call.Outbound, third)
	returned := srv.expect(back, call.Completed)
	if rung, gone := find(t, returned, call.Dialing, "o1").At, find(t, events, call.Parted, "").At; rung.Before(gone) {
		t.Errorf("the third's turn came at %v, before the second left at %v", rung, gone)
	}
	if dialled, answered := find(t, returned, call.Dialing, "c1").At, find(t, returned, call.Answered, "o1").At; dialled.Before(answered) {
		t.Error("the client is called before a member has answered")
	}

	// While the second waited he heard the queue, then the operator heard him.
	rec := srv.recording(two)
	zero := find(t, events, call.RecordingStarted, "").At
	joined := find(t, events, call.Joined, "").At.Sub(zero)
	rec.left.has(t, clientTone, joined+200*time.Millisecond, joined+1500*time.Millisecond)
	rec.right.has(t, managerTone, joined+200*time.Millisecond, joined+1500*time.Millisecond)
}

// Killed with kill -9 while a client's place in a queue is kept: the next process
// calls him when a member is there, once.
func TestAPlaceInAQueueOutlivesKill9(t *testing.T) { onBothEngines(t, aPlaceInAQueueOutlivesKill9) }

func aPlaceInAQueueOutlivesKill9(t *testing.T, start engine) {
	t.Helper()
	const client = "+79160000003"
	srv := start(t, serverproc.Options{Data: filepath.Join(t.TempDir(), "data")})
	srv.extension("101", nil)
	city := srv.carrier("city", says(clientTone, sips))
	must(t, srv.API.Do(limit(t), "PUT", "/api/v1/queues/1000", packet{
		"members": []string{"101"}, "join_empty": true, "callback_offer": packet{"key": "5"},
	}, nil))
	srv.route(packet{"queue": "1000"})
	leg, err := city.CallAs(limit(t), client, "+74951112233")
	must(t, err)
	asks := softphone.Script{StayOn: true, Keys: keepsPressing("5")}
	_ = asks.Talk(limit(t), leg)
	srv.expect(srv.of(call.Inbound, client), call.CallbackRequested)
	must(t, srv.Kill())

	srv = startAgain(t, srv)
	srv.operator("101", says(managerTone, 0), nil)
	back := srv.of(call.Outbound, client)
	srv.expect(back, call.Completed)
	var live acd.Live
	must(t, srv.API.Do(limit(t), "GET", "/api/v1/queues/1000/live", nil, &live))
	if len(live.Waiting) > 0 {
		t.Errorf("%+v", live.Waiting)
	}
}
