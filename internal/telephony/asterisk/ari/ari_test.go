package ari_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/perezvon/perezvon/internal/telephony/asterisk/ari"
	"github.com/perezvon/perezvon/internal/telephony/asterisk/ari/aritest"
)

// notes is a Listener that keeps what it is told.
type notes struct {
	events    chan ari.Event
	lost      chan error
	connected chan struct{}
	refuse    chan error // what Connected returns, once for each
}

func newNotes() *notes {
	return &notes{events: make(chan ari.Event, 64), lost: make(chan error, 64), connected: make(chan struct{}, 64), refuse: make(chan error, 1)}
}

func (n *notes) Connected(context.Context) error {
	n.connected <- struct{}{}
	select {
	case err := <-n.refuse:
		return err
	default:
		return nil
	}
}
func (n *notes) Event(e ari.Event) { n.events <- e }
func (n *notes) Lost(err error)    { n.lost <- err }

// listening runs f with a fake and a client that listens, in virtual time.
func listening(t *testing.T, f func(t *testing.T, fake *aritest.Fake, c *ari.Client, n *notes)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		fake := aritest.New(t)
		c, err := ari.New(fake.Config())
		if err != nil {
			t.Fatal(err)
		}
		n := newNotes()
		ctx, stop := context.WithCancelCause(t.Context())
		done := make(chan error, 1)
		go func() { done <- c.Listen(ctx, n) }()
		<-n.connected
		<-opened(t, fake)
		f(t, fake, c, n)
		stop(errOver)
		if err := <-done; !errors.Is(err, errOver) {
			t.Errorf("listening ended with %v", err)
		}
		c.Close()
	})
}

var errOver = errors.New("the test is over")

func opened(t *testing.T, fake *aritest.Fake) <-chan struct{} {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := fake.Opened(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	return done
}

func TestAnEventMayComeBeforeTheAnswerThatCausedIt(t *testing.T) {
	listening(t, func(t *testing.T, fake *aritest.Fake, c *ari.Client, n *notes) {
		fake.Answers = func(request string, r *http.Request) aritest.Answer {
			if request != "POST /channels/create" || r.URL.Query().Get("endpoint") != "PJSIP/101" || r.URL.Query().Get("app") != aritest.App {
				t.Errorf("%s %v", request, r.URL.Query())
			}
			fake.Tell(map[string]any{"type": "StasisStart", "channel": map[string]any{"id": "mine", "name": "PJSIP/101-1", "state": "Down"}})
			if e := <-n.events; e.Type != ari.StasisStart || e.Channel.ID != "mine" {
				t.Errorf("%+v", e)
			}
			return aritest.Answer{Code: 200, Body: map[string]any{"id": "mine", "name": "PJSIP/101-1"}}
		}
		if ch, err := c.Create(t.Context(), "mine", "PJSIP/101", nil); err != nil || ch.Name != "PJSIP/101-1" {
			t.Errorf("%+v, %v", ch, err)
		}
	})
}

func TestEventsComeInOrderAndWhatCannotBeReadIsPassedOver(t *testing.T) {
	listening(t, func(t *testing.T, fake *aritest.Fake, _ *ari.Client, n *notes) {
		fake.Tell(map[string]any{"type": "ChannelDtmfReceived", "digit": "1", "channel": map[string]any{"id": "a"}, "timestamp": "2026-11-21T11:49:19.419+0000"})
		fake.Say("{nonsense")
		fake.Say(`{"type":"ChannelHold","channel":[]}`)
		fake.Tell(map[string]any{"type": "SomethingNew", "news": 1})
		fake.Tell(map[string]any{"type": "ChannelDestroyed", "cause": 17, "tech_cause": 486, "cause_txt": "User busy", "channel": map[string]any{"id": "a"}})
		first, _, last := <-n.events, <-n.events, <-n.events
		want := time.Date(2026, 11, 21, 11, 49, 19, 419e6, time.UTC)
		if first.Digit != "1" || !first.Timestamp.Equal(want) {
			t.Errorf("%+v", first)
		}
		if last.Cause != 17 || last.TechCause != 486 || last.CauseText != "User busy" || last.Channel.ID != "a" {
			t.Errorf("%+v", last)
		}
	})
}

func TestABrokenConnectionIsOpenedAgain(t *testing.T) {
	listening(t, func(t *testing.T, fake *aritest.Fake, _ *ari.Client, n *notes) {
		began := time.Now()
		fake.Refuse(true)
		fake.Break()
		// 100 ms, 200, 400, 800, 1600, 3200, and then 5 s each.
		for range 9 {
			if err := <-n.lost; err == nil {
				t.Error("lost without a reason")
			}
		}
		if took := time.Since(began); took != 16300*time.Millisecond {
			t.Errorf("nine tries took %v", took)
		}
		fake.Refuse(false)
		<-n.connected
		<-opened(t, fake)
		fake.Tell(map[string]any{"type": "StasisEnd", "channel": map[string]any{"id": "a"}})
		if e := <-n.events; e.Type != ari.StasisEnd {
			t.Errorf("%+v", e)
		}
	})
}

func TestAConnectionThatCannotBeTakenOverIsOpenedAgain(t *testing.T) {
	listening(t, func(t *testing.T, fake *aritest.Fake, _ *ari.Client, n *notes) {
		want := errors.New("cannot list the channels")
		n.refuse <- want
		fake.Break()
		<-n.lost
		<-n.connected
		if err := <-n.lost; !errors.Is(err, want) {
			t.Errorf("lost for %v", err)
		}
		<-n.connected
	})
}

func TestARefusalTellsAsterisksReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := aritest.New(t)
		c, err := ari.New(fake.Config())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for _, tt := range []struct {
			answer aritest.Answer
			want   ari.Error
			gone   bool
		}{
			{aritest.Answer{Code: 404, Body: map[string]any{"message": "Channel not found"}}, ari.Error{Code: 404, Message: "Channel not found"}, true},
			{aritest.Answer{Code: 409, Body: map[string]any{"error": "in the wrong state"}}, ari.Error{Code: 409, Message: "in the wrong state"}, false},
			{aritest.Answer{Code: 500}, ari.Error{Code: 500, Message: "Internal Server Error"}, false},
		} {
			fake.Answers = func(string, *http.Request) aritest.Answer { return tt.answer }
			err := c.Answer(t.Context(), "a/b")
			tt.want.Request = "POST /channels/a/b/answer"
			var got *ari.Error
			if !errors.As(err, &got) {
				t.Fatalf("%v", err)
			}
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Error(diff)
			}
			if ari.Gone(err) != tt.gone {
				t.Errorf("gone: %v", err)
			}
		}
	})
}

func TestAnAsteriskThatDoesNotAnswerIsNotWaitedForForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := aritest.New(t)
		c, err := ari.New(fake.Config())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		release := make(chan struct{})
		fake.Answers = func(string, *http.Request) aritest.Answer { <-release; return aritest.Answer{Code: 200} }
		began := time.Now()
		if _, err := c.Channels(t.Context()); err == nil || time.Since(began) != 10*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(errOver) })
		if _, err := c.Channels(ctx); !errors.Is(err, errOver) {
			t.Errorf("%v", err)
		}
		close(release)
	})
}

func TestConfigNamesWhatIsWrong(t *testing.T) {
	for _, c := range []ari.Config{
		{URL: "", App: "x"}, {URL: "asterisk:8088", App: "x"}, {URL: "ftp://a/ari", App: "x"}, {URL: "http:///ari", App: "x"}, {URL: "http://a/ari"}, {URL: "http://a\x7f", App: "x"},
	} {
		if _, err := ari.New(c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}
