package sipengine_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/media/stream"
	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/sipengine"
	"github.com/perezvon/perezvon/internal/telephony/telephonytest"
)

// The built-in engine does what package telephony promises, over real sockets.
func TestExercise(t *testing.T) { telephonytest.Exercise(t, newRig) }

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

func newRig(t *testing.T) *telephonytest.Rig {
	t.Helper()
	calls := make(chan telephony.Leg, 4)
	r := &telephonytest.Rig{
		Outside: [2]telephonytest.Outside{
			{Trunk: "one", Password: "carrier's", SIPPhone: telephonytest.NewSIPPhone(t, 600)},
			{Trunk: "two", SIPPhone: telephonytest.NewSIPPhone(t, 850)},
		},
		Extension: "101", Password: "secret", Operator: telephonytest.NewSIPPhone(t, 1100),
		Stranger: telephonytest.NewSIPPhone(t, 1300),
		Calls:    calls,
		Patience: 3 * time.Second, // a machine that stalls for a second has not lost a phone
	}
	p := place{operator: directory.Operator{Extension: r.Extension, Password: r.Password}}
	for _, o := range r.Outside {
		p.trunks = append(p.trunks, directory.Trunk{
			Name: o.Trunk, Host: o.Addr().Addr().String(), Port: int(o.Addr().Port()), Codecs: []string{"PCMA", "PCMU", "G722"},
			Username: "acme", Password: o.Password,
		})
	}
	e := startEngine(t, sipengine.Config{
		Directory: p,
		Handler: func(ctx context.Context, l telephony.Leg) {
			calls <- l
			<-ctx.Done()
		},
		MediaTimeout: r.Patience,
	})
	r.Engine, r.Server = e, e.Addr()
	return r
}

// startEngine runs an engine on loopback until the end of the test.
func startEngine(t *testing.T, c sipengine.Config) *sipengine.Engine {
	t.Helper()
	c.Addr = "127.0.0.1:0"
	c.Ports = stream.NewPorts(stream.SystemNet(), netip.MustParseAddr("127.0.0.1"), 0, 0)
	e, err := sipengine.New(c)
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
	return e
}
