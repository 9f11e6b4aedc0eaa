package dispatch_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/dispatch"
	"github.com/perezvon/perezvon/internal/scenario"
	"github.com/perezvon/perezvon/internal/store"
	"github.com/perezvon/perezvon/internal/store/storetest"
	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/scripted"
)

// survived is a phone system with legs that outlived a process.
type survived struct {
	legs  []telephony.Leg
	since time.Time
}

func (s survived) Survivors(context.Context) ([]telephony.Leg, time.Time, error) {
	return s.legs, s.since, nil
}

// named is a leg with another channel.
type named struct {
	telephony.Leg
	name string
}

func (n named) Info() telephony.Info { return telephony.Info{CallID: n.name} }

// resumer takes calls that go on, until it is told to end them.
type resumer struct {
	store *store.Store
	came  chan scenario.Left
	ends  chan struct{}
}

func (r resumer) Resume(_ context.Context, left scenario.Left) call.Status {
	r.came <- left
	<-r.ends
	r.store.Journal().Append(call.Event{CallID: left.Call.ID, Type: call.Ended, Status: &call.Completed})
	return call.Completed
}

// What lives of the calls of the process before is given to them; what lives and
// is nobody's is hung up; what is over has the status that is known.
func TestRecoverGoesOnWithCallsThatThePhoneSystemHasKept(t *testing.T) {
	for _, tt := range []struct {
		name string
		// lives are the channels that do; restarted: the phone system is newer.
		lives     []string
		restarted bool
		joined    bool
		direction call.Direction
		goesOn    bool
		status    call.Status
	}{
		{"both talk", []string{"a", "b"}, false, true, call.Inbound, true, call.Completed},
		{"one is there", []string{"b"}, false, true, call.Inbound, true, call.Completed},
		{"both hung up", nil, false, true, call.Inbound, false, call.Completed},
		{"the phone system died, too", nil, true, true, call.Inbound, false, call.Interrupted},
		{"the caller waits", []string{"a"}, false, false, call.Inbound, true, call.Completed},
		{"the caller hung up", nil, false, false, call.Inbound, false, call.Abandoned},
		{"whom he called rang", []string{"a"}, false, false, call.Outbound, false, call.Interrupted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			st := storetest.Open(t)
			id := call.NewID()
			events := []call.Event{
				{CallID: id, Account: mine, Type: call.Created, Direction: tt.direction, Number: "+79160000001"},
				{CallID: id, Type: call.Arrived, Leg: "in", Role: call.Client, SIPCallID: "a"},
				{CallID: id, Type: call.Dialing, Leg: "o1", Role: call.Operator, Operator: "101"},
			}
			if tt.joined {
				events = append(events, call.Event{CallID: id, Type: call.Answered, Leg: "o1", Role: call.Operator, Operator: "101", SIPCallID: "b"},
					call.Event{CallID: id, Type: call.Joined, Leg: "o1", Other: "in"})
			}
			for _, e := range events {
				st.Journal().Append(e)
			}
			if err := st.Journal().Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			phones := survived{since: time.Now().Add(-time.Hour)}
			if tt.restarted {
				phones.since = time.Now().Add(time.Minute)
			}
			engine := scripted.New()
			for _, name := range append([]string{"of nobody"}, tt.lives...) {
				phones.legs = append(phones.legs, named{engine.Incoming(telephony.Info{}, scripted.Phone{}), name})
			}
			r := resumer{st, make(chan scenario.Left, 1), make(chan struct{})}
			d := dispatch.New(dispatch.Config{Store: st, Speech: voice{}, Survivors: phones, Resumer: r})
			if err := d.Recover(t.Context()); err != nil {
				t.Fatal(err)
			}
			if tt.goesOn {
				left := <-r.came
				var legs []string
				for name, l := range left.Legs {
					legs = append(legs, l.Info().CallID)
					if name != map[string]string{"a": "in", "b": "o1"}[l.Info().CallID] || l.Context().Err() != nil {
						t.Errorf("%s is %s, ended: %v", name, l.Info().CallID, l.Context().Err())
					}
				}
				slices.Sort(legs)
				if !slices.Equal(legs, tt.lives) || len(left.Events) != len(events) || left.Seen.Before(left.Events[len(events)-1].At) {
					t.Errorf("%+v", left)
				}
				if d.Live() != 1 {
					t.Errorf("%d calls are live", d.Live())
				}
				// A planned restart leaves it as it is.
				if n, err := d.Leave(t.Context()); n != 1 || err != nil {
					t.Errorf("%d calls are left, %v", n, err)
				}
				close(r.ends)
			}
			if err := d.Drain(t.Context()); err != nil {
				t.Fatal(err)
			}
			if c, err := st.Call(t.Context(), mine, id); err != nil || c.Status != tt.status {
				t.Errorf("%v %v, want %v", c.Status, err, tt.status)
			}
			for _, l := range phones.legs {
				if taken := tt.goesOn && l.Info().CallID != "of nobody"; (l.Context().Err() == nil) != taken {
					t.Errorf("%s is on the phone: %v", l.Info().CallID, !taken)
				}
			}
		})
	}
}
