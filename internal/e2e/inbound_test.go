package e2e

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/apiclient"
	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/media/tone"
	"github.com/perezvon/perezvon/internal/serverproc"
	"github.com/perezvon/perezvon/internal/softphone"
	"github.com/perezvon/perezvon/internal/telephony"
)

// sips is how long a phone of these tests lets a tone sound before it hangs up.
const sips = 3 * time.Second

// says is the script of a phone that answers after a moment and lets a tone be
// heard; it hangs up after d, 0: never.
func says(freq float64, d time.Duration) softphone.Script {
	return softphone.Script{
		RingFor: 300 * time.Millisecond, HangupAfter: d, StayOn: true,
		Lines: []softphone.Line{{Clip: tone.Sine(freq, time.Second, 8000, 8000), Loop: true}},
	}
}

// operator makes an operator and brings up his phone, which plays the script on
// calls in.
func (s *server) operator(extension string, in softphone.Script, more packet) *softphone.Phone {
	s.t.Helper()
	s.extension(extension, more)
	p := s.phone(softphone.Config{User: extension, Password: phonePassword}, in)
	must(s.t, p.WaitRegistered(limit(s.t), 10*time.Second))
	return p
}

// carrier brings up a phone that the server knows as a trunk.
func (s *server) carrier(name string, in softphone.Script) *softphone.Phone {
	s.t.Helper()
	p := s.phone(softphone.Config{}, in)
	s.trunkTo(name, netip.MustParseAddrPort(p.Addr()), nil)
	return p
}

func (s *server) phone(c softphone.Config, in softphone.Script) *softphone.Phone {
	s.t.Helper()
	c.Server = s.SIP
	c.OnCall = func(ctx context.Context, leg telephony.Leg) { _ = in.Receive(ctx, leg) }
	p, err := softphone.Start(s.t.Context(), c)
	must(s.t, err)
	s.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = p.Stop(ctx)
	})
	return p
}

// route sets the one route of the office.
func (s *server) route(steps ...any) {
	s.t.Helper()
	must(s.t, s.API.Do(limit(s.t), "PUT", "/api/v1/routes/office", packet{"steps": steps}, nil))
}

// only waits for the first call of a direction and returns its identifier.
func (s *server) only(d call.Direction) string {
	s.t.Helper()
	var id string
	until(s.t, "a call is there", func() bool {
		var list struct {
			Items []apiclient.Call `json:"items"`
		}
		must(s.t, s.API.Do(limit(s.t), "GET", "/api/v1/calls?direction="+string(d), nil, &list))
		if len(list.Items) > 0 {
			id = list.Items[0].ID
		}
		return id != ""
	})
	return id
}

// A client calls in, the route rings an operator, they talk and are recorded:
// the client left, the operator right.
func TestAClientCallsIn(t *testing.T) { onBothEngines(t, aClientCallsIn) }

func aClientCallsIn(t *testing.T, start engine) {
	t.Helper()
	srv := start(t, serverproc.Options{})
	srv.operator("101", says(managerTone, sips), nil)
	client := srv.carrier("city", softphone.Script{})
	srv.route(packet{"operator": "101"})

	leg, err := client.Call(limit(t), "+74951112233")
	must(t, err)
	ear, err := softphone.NewRecorder()
	must(t, err)
	talking := says(clientTone, 0)
	talking.Record = ear
	if err := talking.Talk(limit(t), leg); err == nil {
		t.Error("the client was not hung up when the operator was")
	}
	heard := filepath.Join(t.TempDir(), "heard.wav")
	must(t, ear.Save(limit(t), heard))
	sound, err := os.ReadFile(heard)
	must(t, err)
	readStereo(t, sound).left.has(t, managerTone, time.Second, 2*time.Second)
	id := srv.only(call.Inbound)
	events := srv.expect(id, call.Completed)
	rec := srv.recording(id)
	var list struct{ Items []apiclient.Call }
	must(t, srv.API.Do(limit(t), "GET", "/api/v1/calls", nil, &list))
	if len(list.Items) != 1 {
		t.Errorf("it is %d calls", len(list.Items))
	}
	zero := find(t, events, call.RecordingStarted, "").At
	joined := find(t, events, call.Joined, "").At.Sub(zero)
	parted := find(t, events, call.Parted, "").At.Sub(zero)
	rec.right.has(t, managerTone, joined+200*time.Millisecond, parted-200*time.Millisecond)
	rec.left.has(t, clientTone, joined+200*time.Millisecond, parted-200*time.Millisecond)
}

// An operator's phone calls a colleague and the world, and hears why where it
// may not.
func TestAnOperatorDials(t *testing.T) { onBothEngines(t, anOperatorDials) }

func anOperatorDials(t *testing.T, start engine) {
	t.Helper()
	srv := start(t, serverproc.Options{})
	first := srv.operator("101", says(managerTone, 0), nil)
	srv.operator("102", says(clientTone, sips), nil)
	srv.carrier("city", says(clientTone, sips))

	for number, direction := range map[string]call.Direction{"102": call.Internal, "+74951112233": call.Outbound} {
		leg, err := first.Call(limit(t), number)
		must(t, err)
		_ = says(managerTone, 0).Talk(limit(t), leg)
		srv.expect(srv.only(direction), call.Completed)
	}
	_, err := first.Call(limit(t), "+442071234567")
	if e, ok := err.(*telephony.DialError); !ok || e.Code != 403 { //nolint:errorlint // always a pointer, never wrapped
		t.Errorf("a call abroad: %v", err)
	}
}
