package bitrix24_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/bitrix24"
	"github.com/perezvon/perezvon/internal/bitrix24/bitrixtest"
	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/store"
	"github.com/perezvon/perezvon/internal/store/storetest"
)

// The people of the tests: extension 101 is user 11 by the portal's profile, 102
// user 12 by what is set here, 103 nobody's.
const (
	client         = "+79161234567"
	anna, boris    = "101", "102"
	vera           = "103"
	annaID, borisD = 11, 12
)

const eventsURL = "https://pbx.example.com/api/v1/integrations/bitrix24/events"

// office is a server with a portal beside it.
type office struct {
	t       testing.TB
	store   *store.Store
	portal  *bitrixtest.Portal
	service *bitrix24.Service
	folder  string

	mu     sync.Mutex
	orders []ordered
	wrong  error // of what is ordered
}

type ordered struct {
	packet callback.Packet
	raw    []byte
	key    string
}

func open(t testing.TB) *office {
	t.Helper()
	o := &office{t: t, store: storetest.Open(t), folder: t.TempDir()}
	o.portal = bitrixtest.New("https://example.bitrix24.ru", bitrixtest.User{ID: annaID, Extension: anna}, bitrixtest.User{ID: borisD}, bitrixtest.User{ID: 13, Extension: "999"})
	for _, operator := range []directory.Operator{{Extension: anna}, {Extension: boris, BitrixUserID: "12", Phones: []string{"+79990000102"}}, {Extension: vera}} {
		operator.Password = "Secret-of-a-phone-1"
		if _, err := o.store.PutOperator(t.Context(), storetest.Mine, operator); err != nil {
			t.Fatal(err)
		}
	}
	o.restart()
	o.store.Journal().OnEvent(func(ctx context.Context, tx *store.Tx, c call.Call, e call.Event) error {
		_, err := o.current().Follow(ctx, tx, c, e)
		return err
	})
	return o
}

// restart puts a new service in the place of one that has died.
func (o *office) restart() {
	s := bitrix24.New(bitrix24.Config{
		Store: o.store, Client: &http.Client{Transport: o.portal, Timeout: bitrix24.RequestTime}, EventsURL: eventsURL,
		Recording: func(id string) string { return filepath.Join(o.folder, id+".wav") },
		Order: func(_ context.Context, _ string, p callback.Packet, raw []byte, key string) error {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.orders = append(o.orders, ordered{p, raw, key})
			return o.wrong
		},
		Refuse: func(_ context.Context, account string, p callback.Packet, raw []byte, key, reason string) error {
			p.Attempt = 1
			_, err := o.store.CreateCallback(store.NewCallback{
				Account: account, ID: call.NewID(), CallID: call.NewID(), Received: raw, Key: key, Packet: p,
				Verdict: store.Verdict{Status: call.NotAllowed, Reason: reason},
			})
			return err
		},
	})
	o.mu.Lock()
	defer o.mu.Unlock()
	o.service = s
}

func (o *office) current() *bitrix24.Service {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.service
}

// connect connects by webhook, unless the settings say otherwise.
func (o *office) connect(settings ...bitrix24.Settings) bitrix24.View {
	o.t.Helper()
	c := bitrix24.Settings{WebhookURL: o.portal.WebhookURL()}
	if len(settings) > 0 {
		c = settings[0]
	}
	v, err := o.current().Connect(o.t.Context(), storetest.Mine, c)
	if err != nil {
		o.t.Fatal(err)
	}
	return v
}

// add stores events of a call.
func (o *office) add(id string, events ...call.Event) {
	o.t.Helper()
	for _, e := range events {
		e.CallID = id
		o.store.Journal().Append(e)
	}
	if err := o.store.Journal().Flush(o.t.Context()); err != nil {
		o.t.Fatal(err)
	}
}

// recorded makes the recording of a call.
func (o *office) recorded(id string) []byte {
	o.t.Helper()
	sound := []byte("RIFF of the whole call " + id)
	if err := os.WriteFile(filepath.Join(o.folder, id+".wav"), sound, 0o600); err != nil {
		o.t.Fatal(err)
	}
	return sound
}

func lane(id string) store.Lane {
	return store.Lane{Account: storetest.Mine, CallID: id, Kind: bitrix24.Kind}
}

// drain sends until nothing waits in the call's lane, as its job does.
func (o *office) drain(id string) {
	o.t.Helper()
	if err := o.work(o.t.Context(), lane(id)); err != nil {
		o.t.Fatal(err)
	}
}

func (o *office) work(ctx context.Context, l store.Lane) error {
	for {
		wait, more, err := o.current().Send(ctx, l)
		if err != nil || !more {
			return err
		}
		sleep(ctx, wait)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// one is the only call that people see in the portal.
func (o *office) one() bitrixtest.Call {
	o.t.Helper()
	all := o.portal.Finished()
	if len(all) != 1 {
		o.t.Fatalf("the portal has %d finished calls: %+v", len(all), all)
	}
	return all[0]
}

// waiting are the deliveries of a call that wait, and those that are dead.
func (o *office) deliveries(id, state string) []store.Delivery {
	o.t.Helper()
	list, _, err := o.store.Deliveries(o.t.Context(), storetest.Mine, store.Page{Limit: 200}, store.DeliveryFilter{CallID: id, State: state})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		o.t.Fatal(err)
	}
	return list
}

// Pieces of timelines.
func created(at time.Time, d call.Direction) call.Event {
	return call.Event{At: at, Type: call.Created, Account: storetest.Mine, Direction: d, Number: client, Attempt: 1}
}

func rings(at time.Time, leg, operator string) call.Event {
	return call.Event{At: at, Type: call.Dialing, Leg: leg, Role: call.Operator, Operator: operator}
}

func picksUp(at time.Time, leg, operator string) call.Event {
	return call.Event{At: at, Type: call.Answered, Leg: leg, Role: call.Operator, Operator: operator}
}

func joined(at time.Time, leg string) call.Event {
	return call.Event{At: at, Type: call.Joined, Leg: leg, Other: "c1"}
}

func parted(at time.Time, leg string, o call.Outcome) call.Event {
	return call.Event{At: at, Type: call.Parted, Leg: leg, Other: "c1", Outcome: o}
}

func ended(at time.Time, s call.Status, reason string) call.Event {
	return call.Event{At: at, Type: call.Ended, Status: &s, Reason: reason}
}

// talk is an inbound call: two phones ring, Anna picks up, talks for 20 s, and
// passes the client on to Boris, who talks for 40 s.
func talk(at time.Time) []call.Event {
	after := func(s float64) time.Time { return at.Add(time.Duration(s * float64(time.Second))) }
	return []call.Event{
		created(at, call.Inbound),
		{At: at, Type: call.Arrived, Leg: "c1", Role: call.Client, Number: client},
		rings(after(1), "o1", anna),
		rings(after(1), "o2", vera),
		picksUp(after(5), "o1", anna),
		{At: after(5), Type: call.DialCancelled, Leg: "o2", Role: call.Operator, Reason: "answered elsewhere"},
		{At: after(5), Type: call.RecordingStarted},
		joined(after(5), "o1"),
		{At: after(25), Type: call.TransferStarted, Leg: "o1", Operator: anna, Number: boris},
		parted(after(25), "o1", call.Transferred),
		{At: after(25), Type: call.LegEnded, Leg: "o1", Role: call.Operator},
		rings(after(25), "o3", boris),
		picksUp(after(30), "o3", boris),
		joined(after(30), "o3"),
		{At: after(70), Type: call.LegEnded, Leg: "c1", Role: call.Client},
		parted(after(70), "o3", call.Done),
		{At: after(70), Type: call.LegEnded, Leg: "o3", Role: call.Operator},
		ended(after(70), call.Completed, ""),
		{At: after(75), Type: call.RecordingState, Recording: call.RecordingReady, DurationS: 65},
	}
}
