package peers_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/media/stream"
	"github.com/perezvon/perezvon/internal/media/tone"
	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/sipengine"
	"github.com/perezvon/perezvon/internal/telephony/telephonytest/peers"
)

// Every party sends a tone of its own.
const (
	carrierTone = 1100
	phoneTone   = 900
	callerTone  = 700
	promptTone  = 500
)

// number is whom the engine calls through a carrier.
const number = "+79161234567"

// office is the engine with one operator, 101, and a trunk for each carrier,
// named one, two, ….
type office struct {
	*sipengine.Engine
	calls chan telephony.Leg // that came in
}

type entries struct{ trunks []directory.Trunk }

func (e entries) Trunks(context.Context) ([]directory.Trunk, error) { return e.trunks, nil }

func (e entries) Operator(_ context.Context, extension string) (directory.Operator, error) {
	if extension != "101" {
		return directory.Operator{}, errors.New("no such operator")
	}
	return directory.Operator{Extension: "101", Password: "secret"}, nil
}

func openOffice(t *testing.T, carriers ...*peers.Sipp) *office {
	t.Helper()
	var e entries
	for i, c := range carriers {
		e.trunks = append(e.trunks, directory.Trunk{
			Name: []string{"one", "two", "three"}[i], Host: c.Addr().Addr().String(), Port: int(c.Addr().Port()),
			Username: "perezvon", Password: "carrier's",
		})
	}
	o := &office{calls: make(chan telephony.Leg, 1)}
	config := sipengine.Config{
		Addr: netip.AddrPortFrom(peers.Loopback, 0).String(), Ports: stream.NewPorts(stream.SystemNet(), peers.Loopback, 0, 0), Directory: e,
		Handler: func(ctx context.Context, l telephony.Leg) {
			o.calls <- l
			<-ctx.Done()
		},
	}
	engine, err := startEngine(t, config)
	for range 4 { // the port it chose for UDP may be somebody's for TCP
		if errors.Is(err, syscall.EADDRINUSE) {
			engine, err = startEngine(t, config)
		}
	}
	must(t, err)
	t.Cleanup(func() {
		// Longer than a BYE is repeated to a peer that has gone already (Timer F,
		// 32 s).
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		if err := engine.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	o.Engine = engine
	return o
}

func startEngine(t *testing.T, c sipengine.Config) (*sipengine.Engine, error) {
	engine, err := sipengine.New(c)
	if err != nil {
		return nil, err
	}
	return engine, engine.Start(t.Context())
}

func TestManagerOnBaresipAndClientOnSippHearEachOther(t *testing.T) {
	t.Parallel()
	carrier := peers.Answerer{Tone: carrierTone, Username: "perezvon", Password: "carrier's", Ring: 200 * time.Millisecond}.Start(t)
	o := openOffice(t, carrier)
	phone := peers.Phone{Extension: "101", Password: "secret", Server: o.Addr(), Tone: phoneTone}.Start(t)
	ctx := limit(t)

	manager, err := o.Dial(ctx, telephony.Dial{Leg: "m1", Operator: "101", Timeout: 10 * time.Second})
	must(t, err)
	must(t, hearsPrompt(ctx, manager, phone))

	client, err := o.Dial(ctx, telephony.Dial{Leg: "c1", Trunk: "one", Number: number, CallerID: "+74951234567", Timeout: 10 * time.Second})
	must(t, err)
	joined := make(chan error, 1)
	go func() { joined <- o.Join(ctx, manager, client) }()
	must(t, phone.Hears(ctx, carrierTone))
	must(t, carrier.Audio.Hears(ctx, phoneTone))

	// Keys of both sides reach the server; both ways of pressing them.
	carrier.Audio.Press("4#")
	pressed(ctx, t, client, "4#")
	must(t, phone.Press("5"))
	pressed(ctx, t, manager, "5")
	must(t, client.SendDigits(ctx, "12"))
	if got := carrier.Audio.Digits(); got != "12" {
		t.Errorf("the client's side heard the keys %q, want 12", got)
	}

	must(t, phone.HangUp())
	var hangup *telephony.HangupError
	if err := <-joined; !errors.As(err, &hangup) || hangup.Leg != "m1" || hangup.By != telephony.ByFar {
		t.Errorf("join ended with %v, want the manager's hang-up", err)
	}
	client.Hangup(0)
	must(t, carrier.Wait(ctx))
	invites, err := carrier.AwaitN(ctx, "INVITE", 2) // without and with the proof
	must(t, err)
	last := invites[len(invites)-1]
	if !strings.HasPrefix(last.Text, "INVITE sip:"+number+"@") || !strings.Contains(last.Header("From"), "sip:+74951234567@") {
		t.Errorf("called by\n%s", last.Text)
	}
}

func TestRefusalOfACarrierIsTold(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		carrier peers.Answerer
		code    int
		q850    int
		phase   telephony.Phase
	}{
		"busy":                     {peers.Answerer{Refuse: 486, NoRinging: true}, 486, 0, telephony.PhaseTrying},
		"declines ringing":         {peers.Answerer{Refuse: 603, Ring: 100 * time.Millisecond}, 603, 0, telephony.PhaseRinging},
		"unknown number":           {peers.Answerer{Refuse: 404, NoRinging: true, Header: "Reason: Q.850;cause=1"}, 404, 1, telephony.PhaseTrying},
		"trunk fails":              {peers.Answerer{Refuse: 503, NoRinging: true}, 503, 0, telephony.PhaseTrying},
		"busy after early media":   {peers.Answerer{Refuse: 486, Early: true, Ring: 100 * time.Millisecond}, 486, 0, telephony.PhaseProgress},
		"password is not accepted": {peers.Answerer{Username: "perezvon", Password: "another"}, 403, 0, telephony.PhaseTrying},
		"rings for ever":           {peers.Answerer{Ring: peers.Forever}, 408, 0, telephony.PhaseRinging},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			carrier := tt.carrier.Start(t)
			ctx := limit(t)
			_, err := openOffice(t, carrier).Dial(ctx, telephony.Dial{Leg: "c1", Trunk: "one", Number: number, Timeout: 4 * time.Second})
			var refused *telephony.DialError
			if !errors.As(err, &refused) {
				t.Fatalf("got %v", err)
			}
			if refused.Code != tt.code || refused.Q850 != tt.q850 || refused.Phase != tt.phase || refused.Trunk != "one" {
				t.Errorf("got %+v, want %d, cause %d, in phase %s", *refused, tt.code, tt.q850, tt.phase)
			}
			must(t, carrier.Wait(ctx)) // every message came as the scenario wants, CANCEL and ACK too
		})
	}
}

func TestAnswerThatCrossesTheCancelIsHungUp(t *testing.T) {
	t.Parallel()
	carrier := peers.Answerer{Tone: carrierTone, Ring: peers.Forever, CrossCancel: true}.Start(t)
	o := openOffice(t, carrier)
	ctx, cancel := context.WithCancelCause(limit(t))
	gaveUp := errors.New("the manager hung up")
	ringing := make(chan struct{})
	go func() {
		<-ringing
		cancel(gaveUp)
	}()
	_, err := o.Dial(ctx, telephony.Dial{Leg: "c1", Trunk: "one", Number: number, OnProgress: func(p telephony.Progress) {
		if p.Ringing {
			close(ringing)
		}
	}})
	if !errors.Is(err, gaveUp) {
		t.Errorf("got %v", err)
	}
	must(t, carrier.Wait(limit(t))) // it wanted ACK and BYE
}

func TestEarlyMediaOfACarrierIsHeardByTheManager(t *testing.T) {
	t.Parallel()
	carrier := peers.Answerer{Tone: carrierTone, Early: true, Ring: peers.Forever}.Start(t)
	o := openOffice(t, carrier)
	phone := peers.Phone{Extension: "101", Password: "secret", Server: o.Addr(), Tone: phoneTone}.Start(t)
	ctx := limit(t)
	manager, err := o.Dial(ctx, telephony.Dial{Leg: "m1", Operator: "101"})
	must(t, err)
	dial, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		_, err := o.Dial(dial, telephony.Dial{Leg: "c1", Trunk: "one", Number: number, Listener: manager})
		ended <- err
	}()
	must(t, phone.Hears(ctx, carrierTone))
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	must(t, carrier.Wait(ctx))
}

func TestClientThatHangsUpEndsItsLegOnly(t *testing.T) {
	t.Parallel()
	carrier := peers.Answerer{Tone: carrierTone, Info: "7", HangUp: 500 * time.Millisecond}.Start(t)
	o := openOffice(t, carrier)
	ctx := limit(t)
	client, err := o.Dial(ctx, telephony.Dial{Leg: "c1", Trunk: "one", Number: number})
	must(t, err)
	pressed(ctx, t, client, "7")
	<-client.Context().Done()
	var hangup *telephony.HangupError
	if err := context.Cause(client.Context()); !errors.As(err, &hangup) || hangup.By != telephony.ByFar {
		t.Errorf("ended by %v", err)
	}
	must(t, carrier.Wait(ctx))
}

func TestPhoneOnHoldComesBack(t *testing.T) {
	t.Parallel()
	carrier := peers.Answerer{Tone: carrierTone}.Start(t)
	o := openOffice(t, carrier)
	phone := peers.Phone{Extension: "101", Password: "secret", Server: o.Addr(), Tone: phoneTone}.Start(t)
	ctx := limit(t)
	manager, err := o.Dial(ctx, telephony.Dial{Leg: "m1", Operator: "101"})
	must(t, err)
	client, err := o.Dial(ctx, telephony.Dial{Leg: "c1", Trunk: "one", Number: number})
	must(t, err)
	joined := make(chan error, 1)
	go func() { joined <- o.Join(ctx, manager, client) }()
	must(t, phone.Hears(ctx, carrierTone))
	must(t, phone.Hold())
	must(t, phone.Resume())
	must(t, phone.Hears(ctx, carrierTone))
	must(t, carrier.Audio.Hears(ctx, phoneTone))
	client.Hangup(0)
	if err := <-joined; err == nil {
		t.Error("the talk ended without a cause")
	}
	manager.Hangup(0)
	_, err = phone.Await(ctx, "CALL_CLOSED")
	must(t, err)
	must(t, carrier.Wait(ctx))
}

func TestOperatorCallsInAndStrangersAreNotHeard(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	ctx := limit(t)
	caller := peers.Caller{Server: o.Addr(), Number: "84951234567", From: "101", Username: "101", Password: "secret", Tone: callerTone}.Start(t)
	leg := <-o.calls
	if info := leg.Info(); !info.Inbound || info.Operator != "101" || info.To != "84951234567" {
		t.Errorf("the leg is %+v", info)
	}
	must(t, leg.Answer(ctx))
	must(t, hearsPrompt(ctx, leg, caller.Audio))
	leg.Hangup(0)
	must(t, caller.Wait(ctx))

	stranger := peers.Caller{Server: o.Addr(), Number: "84951234567", From: "101", Username: "101", Password: "guessed", Expect: 401}.Start(t)
	must(t, stranger.Wait(ctx))
	if len(o.calls) != 0 {
		t.Error("the stranger's call came in")
	}
}

func TestSippTransfersItsCallByRefer(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	ctx := limit(t)
	caller := peers.Caller{Server: o.Addr(), Number: "100", From: "101", Username: "101", Password: "secret", Refer: "103"}.Start(t)
	leg := <-o.calls
	must(t, leg.Answer(ctx))
	refer, err := leg.Refers().Next(ctx)
	must(t, err)
	if refer.To != "103" || refer.Replaces != nil {
		t.Errorf("%+v", refer)
	}
	refer.Progress(180)
	refer.Progress(200)
	must(t, caller.Wait(ctx))
	told, err := caller.AwaitN(ctx, "NOTIFY", 3)
	must(t, err)
	for i, want := range []string{"SIP/2.0 100 Trying", "SIP/2.0 180 Ringing", "SIP/2.0 200 OK"} {
		if !strings.HasSuffix(strings.TrimSpace(told[i].Text), want) {
			t.Errorf("told\n%s\nwant %q", told[i].Text, want)
		}
	}
	var hangup *telephony.HangupError
	<-leg.Context().Done()
	if err := context.Cause(leg.Context()); !errors.As(err, &hangup) || hangup.By != telephony.ByFar {
		t.Errorf("the leg ended with %v", err)
	}
}

// hearsPrompt plays to a leg until its phone hears it.
func hearsPrompt(ctx context.Context, l telephony.Leg, phone interface {
	Hears(ctx context.Context, freq float64) error
}) error {
	ctx, stop := context.WithCancel(ctx)
	played := make(chan error, 1)
	go func() {
		played <- l.Play(ctx, telephony.Prompt{Clip: tone.Sine(promptTone, time.Second, 8000, 8000), Loop: true})
	}()
	err := phone.Hears(ctx, promptTone)
	stop()
	if played := <-played; !errors.Is(played, context.Canceled) {
		err = errors.Join(err, played)
	}
	return err
}

// pressed waits for keys on a leg.
func pressed(ctx context.Context, t *testing.T, l telephony.Leg, want string) {
	t.Helper()
	var got []byte
	for len(got) < len(want) {
		d, err := l.Digits().Next(ctx)
		if err != nil {
			t.Fatalf("pressed %q so far, want %q: %v", got, want, err)
		}
		got = append(got, d.Key)
	}
	if !slices.Equal(got, []byte(want)) {
		t.Errorf("pressed %q, want %q", got, want)
	}
}

func limit(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
