package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/media/tone"
	"github.com/perezvon/perezvon/internal/media/wav"
	"github.com/perezvon/perezvon/internal/serverproc"
	"github.com/perezvon/perezvon/internal/telephony/telephonytest/peers"
)

// run runs the program to its end and returns what it printed.
func run(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if err != nil || strings.Contains(string(out), "DATA RACE") {
		t.Fatalf("perezvon %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// perezvon demo places a real callback with spoken voices on both sides, prints
// the timeline, the result, and where the recording is.
func TestDemo(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	out := run(t, "demo", "--once", "--language", "en", "--data", data)
	for _, want := range []string{"call.created", "leg.answered", "joined", "200 completed", "/calls/"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in:\n%s", want, out)
		}
	}
	file, err := os.ReadFile(filepath.Join(data, "demo-recording.wav"))
	must(t, err)
	rec := readStereo(t, file)
	for _, c := range []channel{rec.left, rec.right} {
		if level := rms(c.samples); level < 200 {
			t.Errorf("the %s channel is silent: level %.0f", c.name, level)
		}
	}
}

// perezvon bench calls drives concurrent callbacks and reports what they cost.
func TestBenchCalls(t *testing.T) {
	t.Parallel()
	out := run(t, "bench", "calls", "-n", "3", "--rate", "10", "--hold", "1s")
	for _, want := range []string{"of 3, completed 3", "CPU per call-second", "memory per call", "first INVITE", "relay"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in:\n%s", want, out)
		}
	}
}

// perezvon phone registers, answers, plays a tone, sends keys and records.
func TestPhone(t *testing.T) {
	t.Parallel()
	srv := start(t, serverproc.Options{})
	srv.extension("101", nil)
	client := peers.Answerer{Tone: clientTone, HangUp: 4 * time.Second}.Start(t)
	srv.trunk("clients", client)
	heard := filepath.Join(t.TempDir(), "heard.wav")
	var log lockedBuffer
	phone := exec.Command(program, "phone", "--server", srv.SIP, "--user", "101", "--ring", "100ms",
		"--play", "tone:500", "--repeat", "--record", heard, "--once", "--keys", "7@6s")
	phone.Env = append(os.Environ(), "PEREZVON_PHONE_PASSWORD="+phonePassword)
	phone.Stdout, phone.Stderr = &log, &log
	must(t, phone.Start())
	ended := make(chan error, 1)
	go func() { ended <- phone.Wait() }()
	t.Cleanup(func() { _ = phone.Process.Signal(syscall.SIGKILL) })
	until(t, "the phone is registered", func() bool {
		var o struct{ Contacts []string }
		return srv.API.Do(limit(t), "GET", "/api/v1/operators/101", nil, &o) == nil && len(o.Contacts) == 1
	})
	a := srv.callback(order(packet{"managers": "101", "trunks_manager": nil}))
	must(t, client.Audio.Hears(limit(t), 500))
	srv.expect(a.CallID, call.Completed)
	select {
	case err := <-ended:
		if err != nil {
			t.Fatalf("%v\n%s", err, &log)
		}
	case <-limit(t).Done():
		t.Fatalf("the phone does not end\n%s", &log)
	}
	f, err := os.Open(heard)
	must(t, err)
	defer f.Close()
	clip, err := wav.Read(f)
	must(t, err)
	// The last second before the hang-up is the client's tone.
	last := clip.Samples[len(clip.Samples)-3*clip.Rate/2 : len(clip.Samples)-clip.Rate/2]
	if s := tone.Strength(last, clip.Rate, clientTone); s < 0.7 {
		t.Errorf("the phone did not record the client: strength %.2f", s)
	}
}
