package peers

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"text/template"
	"time"
)

//go:embed *.tmpl
var sources embed.FS

// Forever is a wait that only the other side ends.
const Forever = 10 * time.Minute

// Answerer is what sipp does with calls that come to it, as a carrier or the
// phone behind it. The zero value rings (180), answers at once, talks in
// silence and waits for the hang-up.
type Answerer struct {
	// Tone is what it sends, in Hz; 0 is silence.
	Tone float64
	// Mute: not even a 100 comes back.
	Mute bool
	// NoRinging leaves the 180 out.
	NoRinging bool
	// Early sends 183 with SDP instead of 180, and the tone from then on.
	Early bool
	// Ring is the time before it answers or refuses; Forever waits for the
	// CANCEL, to which 487 is the answer.
	Ring time.Duration
	// CrossCancel answers the call in the instant when the CANCEL arrives.
	CrossCancel bool
	// Refuse is the final status instead of an answer, 0 for an answer.
	Refuse int
	// Header is one more header line of the refusal: "Reason: Q.850;cause=17".
	Header string
	// Username and Password: calls must prove them (401, MD5), and sipp
	// checks the proof itself.
	Username, Password string
	// Info are keys pressed after the answer, by SIP INFO. For RFC 4733 see
	// Audio.Press.
	Info string
	// HangUp is the time from the ACK to its BYE; 0 waits for the other side's.
	HangUp time.Duration
	// Calls is how many it takes before it ends; default 1. With more than
	// one at a time Audio belongs to the last.
	Calls int
}

// Caller is a call that sipp makes. It talks until the other side hangs up.
type Caller struct {
	// Server is called.
	Server netip.AddrPort
	// Number is the user part of the request URI, From that of the caller.
	Number, From string
	// Username and Password answer a 401 or 407, which must come if Password
	// is set.
	Username, Password string
	// Tone is what it sends, in Hz; 0 is silence.
	Tone float64
	// Expect is the final status that must come; 0 is 200.
	Expect int
	// HangUp is the time from the ACK to its BYE; 0 waits for the other side's.
	HangUp time.Duration
	// Refer is whom it wants its call to be transferred to once it is answered
	// (RFC 3515); it hears three times how that goes (sent, rings, answered) and
	// hangs up.
	Refer string
}

// Sipp is a running sipp.
type Sipp struct {
	// Audio is its voice and ears. Its tone starts with the first answer.
	Audio *Audio

	process  *process
	addr     netip.AddrPort
	messages string // file of the SIP messages that went and came
	errors   string // file of its complaints
	follow   sync.WaitGroup
}

// Start runs sipp and waits until it listens.
func (a Answerer) Start(t testing.TB) *Sipp {
	t.Helper()
	audio := openAudio(t, a.Tone)
	data := answererData{Answerer: a, AudioPort: audio.port(), Ringing: !a.NoRinging, Retransmit: true}
	for i := range len(a.Info) {
		data.InfoKeys = append(data.InfoKeys, infoKey{a.Info[i : i+1], 100 + i})
	}
	data.Wait = a.Ring.Milliseconds()
	data.HangUp = a.HangUp.Milliseconds()
	data.Phrase = "Refused"
	s := run(t, audio, "answerer.tmpl", data, "-m", strconv.Itoa(max(1, a.Calls)))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if !s.process.until(ctx, func() bool { return listens(int(s.addr.Port())) }) {
		t.Fatalf("sipp does not listen\n%s", s.process.out.String())
	}
	return s
}

// answererData is what the scenario's template takes.
type answererData struct {
	Answerer
	AudioPort  int
	Ringing    bool
	Wait       int64 // ms
	HangUp     int64 // ms
	Phrase     string
	InfoKeys   []infoKey
	Retransmit bool
}

type infoKey struct {
	Key  string
	CSeq int
}

// Once is the data for a message that is not repeated until it is
// acknowledged.
func (d answererData) Once() answererData {
	d.Retransmit = false
	return d
}

// Start makes the call.
func (c Caller) Start(t testing.TB) *Sipp {
	t.Helper()
	audio := openAudio(t, c.Tone)
	data := callerData{Caller: c, AudioPort: audio.port(), HangUp: c.HangUp.Milliseconds(), CSeq: 1}
	if c.Password != "" {
		data.CSeq = 2
	}
	return run(t, audio, "caller.tmpl", data, "-m", "1", c.Server.String())
}

type callerData struct {
	Caller
	AudioPort  int
	HangUp     int64 // ms
	CSeq       int   // of the INVITE that is answered
	Authorized bool
}

// Refused is the data for the ACK of the challenge.
func (d callerData) Refused() callerData {
	d.CSeq = 1
	return d
}

// WithProof is the data for the second INVITE.
func (d callerData) WithProof() callerData {
	d.Authorized = true
	return d
}

func run(t testing.TB, audio *Audio, source string, data any, args ...string) *Sipp {
	t.Helper()
	dir := t.TempDir()
	templates := template.Must(template.ParseFS(sources, "sdp.tmpl", source))
	var scenario bytes.Buffer
	if err := templates.ExecuteTemplate(&scenario, source, data); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "scenario.xml")
	if err := os.WriteFile(file, scenario.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &Sipp{
		Audio: audio, addr: netip.AddrPortFrom(Loopback, uint16(freePort(t))),
		messages: filepath.Join(dir, "messages"), errors: filepath.Join(dir, "errors"),
	}
	common := []string{
		"-sf", file, "-i", Loopback.String(), "-bind_local", "-p", strconv.Itoa(int(s.addr.Port())),
		"-nostdin", "-aa", "-skip_rlimit", "-max_retrans", "5", "-timeout", "120s", "-timeout_error",
		"-trace_msg", "-message_file", s.messages, "-trace_err", "-error_file", s.errors,
	}
	s.process = start(t, "sip-tester", "sipp", append(common, args...)...)
	ctx, cancel := context.WithCancel(t.Context())
	s.follow.Go(func() { s.direct(ctx) })
	t.Cleanup(func() {
		cancel()
		s.follow.Wait()
		if t.Failed() {
			complaints, _ := os.ReadFile(s.errors)
			messages, _ := os.ReadFile(s.messages)
			t.Logf("sipp at %s\n%s\n%s", s.addr, complaints, messages)
		}
	})
	return s
}

// direct turns the audio to where the SIP messages say.
func (s *Sipp) direct(ctx context.Context) {
	var remote netip.AddrPort
	seen := 0
	s.process.until(ctx, func() bool {
		all := s.Messages()
		for _, m := range all[min(seen, len(all)):] {
			switch media, ok := m.media(); {
			case m.Method() == "BYE" || m.Method() == "CANCEL":
				s.Audio.to(netip.AddrPort{})
				remote = netip.AddrPort{}
			case ok && m.Received && m.isInvite():
				remote = media
				if !m.isRequest() { // we asked and this is the answer
					s.Audio.to(remote)
				}
			case ok && !m.Received && m.isInvite() && !m.isRequest():
				s.Audio.to(remote)
			}
		}
		seen = len(all)
		return false
	})
}

// Addr is where it listens.
func (s *Sipp) Addr() netip.AddrPort { return s.addr }

// Wait waits until sipp has ended by itself: nil if every message came as the
// scenario wants.
func (s *Sipp) Wait(ctx context.Context) error {
	if err := s.process.wait(ctx); err != nil {
		complaints, _ := os.ReadFile(s.errors)
		return fmt.Errorf("sipp: %w\n%s", err, complaints)
	}
	return nil
}

// Messages are the SIP messages so far, as sipp saw them.
func (s *Sipp) Messages() []Message {
	trace, err := os.ReadFile(s.messages)
	if err != nil {
		return nil // none came yet
	}
	return readMessages(trace)
}

// Await waits for a message that sipp received: a method ("INVITE", "BYE") or
// the status of a response ("200"). It returns the first.
func (s *Sipp) Await(ctx context.Context, what string) (Message, error) {
	got, err := s.AwaitN(ctx, what, 1)
	if err != nil {
		return Message{}, err
	}
	return got[0], nil
}

// AwaitN waits for n such messages; a message that came again counts again.
func (s *Sipp) AwaitN(ctx context.Context, what string, n int) ([]Message, error) {
	var found []Message
	ok := s.process.until(ctx, func() bool {
		found = nil
		for _, m := range s.Messages() {
			if m.Received && (m.Method() == what || m.Status() == what) {
				found = append(found, m)
			}
		}
		return len(found) >= n
	})
	if !ok {
		return found, fmt.Errorf("sipp received %d %s, want %d", len(found), what, n)
	}
	return found, nil
}
