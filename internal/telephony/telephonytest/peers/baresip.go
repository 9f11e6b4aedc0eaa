package peers

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/template"
	"time"

	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/media/tone"
	"github.com/perezvon/perezvon/internal/media/wav"
)

// Phone is an operator's phone played by baresip: its own SIP, RTP and jitter
// buffer.
type Phone struct {
	// Extension is the user part of its address.
	Extension string
	// Server is where it registers, and through which it calls.
	Server netip.AddrPort
	// Password registers it, with Extension as the user; empty: it does not
	// register and can be called at Addr.
	Password string
	// Tone is what it sends, in Hz; 0 is silence.
	Tone float64
	// Manual: it rings until Answer. Otherwise it answers at once.
	Manual bool
	// Codec is the one it has, PCMA by default.
	Codec string
}

// Baresip is a running baresip.
type Baresip struct {
	process *process
	addr    netip.AddrPort
	dir     string
	control net.Conn
	reader  sync.WaitGroup

	mu     sync.Mutex
	events []Event
	news   chan struct{} // closed and replaced at each event
}

// Event is something that baresip tells: "CALL_INCOMING", "CALL_RINGING",
// "CALL_ESTABLISHED", "CALL_CLOSED", "REGISTER_FAIL", ….
type Event struct {
	Type  string `json:"type"`
	Peer  string `json:"peeruri"`
	Param string `json:"param"` // of CALL_CLOSED the reason
}

// toneLength is how long the phone sends its tone.
const toneLength = 2 * time.Minute

var baresipConfig = template.Must(template.New("config").Parse(`
poll_method		epoll
sip_listen		{{.Addr}}
audio_source		aufile,{{.Dir}}/tone.wav
audio_player		aubridge,nobody
audio_alert		aubridge,nobody
ausrc_srate		8000
auplay_srate		8000
ausrc_channels		1
auplay_channels		1
audio_buffer		20-160
jitter_buffer_delay	1-5
rtp_ports		20000-40000
snd_path		{{.Dir}}
module_path		{{.Modules}}
module			g711.so
module			g722.so
module			sndfile.so
module			aubridge.so
module			aufile.so
module_tmp		account.so
module_app		menu.so
module_app		ctrl_tcp.so
ctrl_tcp_listen		127.0.0.1:{{.Control}}
`))

// Start runs baresip and waits until it is ready; one with a password, until
// it is registered.
func (p Phone) Start(t testing.TB) *Baresip {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	b := &Baresip{news: make(chan struct{})}
	var control int
	ready := "baresip is ready."
	if p.Password != "" {
		ready = " binding]" // of the registrar's answer
	}
	says := func(what string) func() bool {
		return func() bool { return strings.Contains(b.process.out.String(), what) }
	}
	// It takes the port above its own for TLS, which may be somebody's.
	for tries := 1; ; tries++ {
		b.dir, b.addr, control = t.TempDir(), netip.AddrPortFrom(Loopback, uint16(freePort(t))), freePort(t)
		if err := b.configure(p, control); err != nil {
			t.Fatal(err)
		}
		b.process = start(t, "baresip-core", "baresip", "-f", b.dir)
		if b.process.until(ctx, says(ready)) {
			break
		}
		if tries == 5 || !says("Address already in use")() {
			t.Fatalf("baresip did not say %q\n%s", ready, b.process.out.String())
		}
	}
	var dialer net.Dialer
	var err error
	if b.control, err = dialer.DialContext(ctx, "tcp", netip.AddrPortFrom(Loopback, uint16(control)).String()); err != nil {
		t.Fatal(err)
	}
	b.reader.Go(b.read)
	t.Cleanup(func() {
		_ = b.control.Close()
		b.reader.Wait()
		if t.Failed() {
			t.Logf("baresip at %s told %+v", b.addr, b.Events())
		}
	})
	return b
}

// modules is where Debian puts baresip's parts.
const modules = "/usr/lib/baresip/modules"

func (b *Baresip) configure(p Phone, control int) error {
	var config strings.Builder
	err := baresipConfig.Execute(&config, map[string]any{"Addr": b.addr, "Dir": b.dir, "Control": control, "Modules": modules})
	if err != nil {
		return err
	}
	codec := p.Codec
	if codec == "" {
		codec = "PCMA"
	}
	account := fmt.Sprintf("<sip:%s@%s;transport=udp>;audio_codecs=%s;auth_user=%s;auth_pass=%s", p.Extension, p.server(b), codec, p.Extension, p.Password)
	if p.Password == "" {
		account += ";regint=0"
	} else {
		account += ";regint=60"
	}
	if !p.Manual {
		account += ";answermode=auto"
	}
	sound, err := os.Create(filepath.Join(b.dir, "tone.wav"))
	if err != nil {
		return err
	}
	defer sound.Close()
	clip := &audio.Clip{Rate: rate, Samples: make([]int16, toneLength*rate/time.Second)}
	if p.Tone != 0 {
		clip = tone.Sine(p.Tone, toneLength, rate, amplitude)
	}
	if err := wav.Write(sound, clip); err != nil {
		return err
	}
	for name, content := range map[string]string{"config": config.String(), "accounts": account + "\n", "contacts": ""} {
		if err := os.WriteFile(filepath.Join(b.dir, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// server is whose user the phone is: its own without a registrar.
func (p Phone) server(b *Baresip) netip.AddrPort {
	if p.Server.IsValid() {
		return p.Server
	}
	return b.addr
}

// Addr is where it listens for SIP.
func (b *Baresip) Addr() netip.AddrPort { return b.addr }

// Dial calls a SIP URI.
func (b *Baresip) Dial(uri string) error { return b.command("dial", uri) }

// Answer accepts the call that rings.
func (b *Baresip) Answer() error { return b.command("accept", "") }

// HangUp ends or declines the call.
func (b *Baresip) HangUp() error { return b.command("hangup", "") }

// Hold puts the call on hold (re-INVITE with sendonly), Resume takes it back.
func (b *Baresip) Hold() error { return b.command("hold", "") }

// Resume takes the call back from hold.
func (b *Baresip) Resume() error { return b.command("resume", "") }

// Transfer sends the other side to a SIP URI (REFER).
func (b *Baresip) Transfer(uri string) error { return b.command("transfer", uri) }

// Press sends keys by RFC 4733, one after another.
func (b *Baresip) Press(keys string) error {
	for _, key := range keys {
		if err := b.command("sndcode", string(key)); err != nil {
			return err
		}
	}
	return nil
}

// command writes an order as a netstring. What comes of it is told by events.
func (b *Baresip) command(name, params string) error {
	order, err := json.Marshal(map[string]string{"command": name, "params": params, "token": name})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(b.control, "%d:%s,", len(order), order)
	return err
}

// read takes what baresip tells until the connection ends.
func (b *Baresip) read() {
	r := bufio.NewReader(b.control)
	for {
		size, err := r.ReadString(':')
		if err != nil {
			return
		}
		n, err := strconv.Atoi(strings.TrimSuffix(size, ":"))
		if err != nil || n < 0 || n > 1<<20 {
			return
		}
		text := make([]byte, n+1) // and a comma
		if _, err := io.ReadFull(r, text); err != nil {
			return
		}
		var told struct {
			IsEvent bool `json:"event"`
			Event
		}
		if json.Unmarshal(text[:n], &told) != nil || !told.IsEvent {
			continue
		}
		b.mu.Lock()
		b.events = append(b.events, told.Event)
		close(b.news)
		b.news = make(chan struct{})
		b.mu.Unlock()
	}
}

// Events are all that it told so far.
func (b *Baresip) Events() []Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]Event(nil), b.events...)
}

// Await waits for an event of a type, also if it was told before.
func (b *Baresip) Await(ctx context.Context, kind string) (Event, error) {
	for {
		b.mu.Lock()
		events, news := b.events, b.news
		b.mu.Unlock()
		for _, e := range events {
			if e.Type == kind {
				return e, nil
			}
		}
		select {
		case <-news:
		case <-b.process.done:
			return Event{}, fmt.Errorf("no %s: %w", kind, errEnded)
		case <-ctx.Done():
			return Event{}, fmt.Errorf("no %s: %w", kind, context.Cause(ctx))
		}
	}
}

// Heard is all that its last call has let it hear, at 8 kHz, or at 16 kHz with
// G722, as it came out of its jitter buffer.
func (b *Baresip) Heard() []int16 {
	dumps, err := filepath.Glob(filepath.Join(b.dir, "dump-*-dec.wav"))
	if err != nil || len(dumps) == 0 {
		return nil
	}
	file, err := os.ReadFile(dumps[len(dumps)-1]) // the names sort by time
	const head = 44
	if err != nil || len(file) < head {
		return nil
	}
	// The sizes in the header are written when the call ends; the sound is
	// there before.
	data := file[head:]
	samples := make([]int16, len(data)/2)
	for i := range samples {
		samples[i] = int16(binary.LittleEndian.Uint16(data[2*i:]))
	}
	return samples
}

// Hears waits until the last 200 ms of what came are the tone of freq Hz.
func (b *Baresip) Hears(ctx context.Context, freq float64) error {
	var heard []int16
	if b.process.until(ctx, func() bool {
		heard = tail(b.Heard())
		return len(heard) == hearWindow && tone.Strength(heard, rate, freq) >= hearEnough
	}) {
		return nil
	}
	return notHeard(ctx, freq, heard)
}
