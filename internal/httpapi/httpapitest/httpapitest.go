// Package httpapitest runs a whole API server for tests: the real store, the
// real dispatch and real sockets; only the phones are missing.
package httpapitest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/acd"
	"github.com/perezvon/perezvon/internal/bitrix24"
	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/dispatch"
	"github.com/perezvon/perezvon/internal/httpapi"
	"github.com/perezvon/perezvon/internal/httpapi/access"
	"github.com/perezvon/perezvon/internal/media/wav"
	"github.com/perezvon/perezvon/internal/metrics"
	"github.com/perezvon/perezvon/internal/notice"
	"github.com/perezvon/perezvon/internal/responsible"
	"github.com/perezvon/perezvon/internal/scenario"
	"github.com/perezvon/perezvon/internal/speech"
	"github.com/perezvon/perezvon/internal/store"
	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/webhook"
)

// Server is a running API server.
type Server struct {
	// URL is its address, AdminKey a key with all rights.
	URL, AdminKey string
	Store         *store.Store
	Dispatch      *dispatch.Service
	API           *httpapi.API
	Door          *access.Door
	Phones        *Phones
	Queues        *acd.Hall
	CRM           *bitrix24.Service
	// Started gets every attempt that would dial.
	Started chan scenario.Attempt

	t    *testing.T
	data string
	mu   sync.Mutex
	not  error // why it is not ready
}

// Options change a server before it starts.
type Options struct {
	MetricsAuth bool
	// Trials play what is tried; nil: nobody may try.
	Trials dispatch.Trials
	// Transfers are the conversations under way; nil: none.
	Transfers dispatch.Transfers
	// OutboundAllow are the private networks that webhooks may reach.
	OutboundAllow []netip.Prefix
	// FreePBX is the one beside the server; nil: there is none.
	FreePBX httpapi.FreePBX
	// Register hangs more on the API's mux: the console.
	Register func(*Server)
}

// New starts a server, with one trunk "main" and one operator "101". It is
// stopped when the test ends.
func New(t *testing.T, o Options) *Server {
	t.Helper()
	s := &Server{t: t, data: t.TempDir(), AdminKey: "admin-key-of-the-test", Phones: &Phones{}, Started: make(chan scenario.Attempt, 100)}
	var err error
	if s.Store, err = store.Open(t.Context(), store.Options{DataDir: s.data}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.check(s.Store.Close()) })
	s.Dispatch = dispatch.New(dispatch.Config{Store: s.Store, Runner: s, Speech: anySpeech{}, Hearing: speech.NewHearing(anyHearing{}, ""), Trials: o.Trials, Transfers: o.Transfers})
	_, err = s.Store.PutTrunk(t.Context(), directory.DefaultAccount, directory.Trunk{Name: "main", Host: "sip.example.com", Username: "u", Password: "trunk-secret"})
	s.check(err)
	_, err = s.Store.PutOperator(t.Context(), directory.DefaultAccount, directory.Operator{Extension: "101", Name: "Анна", Password: "Operator-secret-1"})
	s.check(err)
	_, err = access.EnsureAdmin(t.Context(), s.Store, directory.DefaultAccount, s.AdminKey)
	s.check(err)
	signer, err := access.OpenSigner(s.data)
	s.check(err)
	s.Door = &access.Door{Guard: access.NewGuard(access.LookupIn(s.Store)), Signer: signer}

	told := backends{webhook.New(webhook.Config{Store: s.Store, Client: webhook.NewClient(o.OutboundAllow), Allow: o.OutboundAllow, LogURL: s.link, RecordingURL: func(id string, _ time.Time) string { return s.link(id) }}), s.Store}
	s.check(told.EnsureSecret(t.Context(), directory.DefaultAccount))
	s.Store.Journal().OnEvent(told.follow)

	s.Queues = acd.New(s.Phones, s.Store)
	m := metrics.New("test", s.Dispatch.Live, nil)
	feed := httpapi.NewFeed(s.Store.Journal().Subscribe, m.Observe)
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	s.check(err)
	s.URL = "http://" + l.Addr().String()
	s.CRM = s.bitrix24()
	s.API = httpapi.New(httpapi.Config{
		Store: s.Store, Responsible: &responsible.Finder{Calls: s.Store, CRM: s.CRM}, Calls: s.Dispatch, Phones: s.Phones, Queues: s.Queues, Feed: feed, Door: s.Door,
		Recordings: s.recording, Notices: s.notices(), Region: "RU", PublicURL: s.URL, Backends: told, Bitrix24: s.CRM, FreePBX: o.FreePBX, Ready: s.ready,
		Metrics: m.Handler(), MetricsAuth: o.MetricsAuth, Version: "test", Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if o.Register != nil {
		o.Register(s)
	}

	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(feed.Open(ctx))
	running.Go(func() { s.Dispatch.Recall(ctx) })
	running.Go(func() { s.check(s.API.Serve(ctx, l)) })
	t.Cleanup(func() {
		drained, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
		cancel() // no patience: what lives is ended
		// Ended calls are what the test wanted; how they end is dispatch's own test.
		_ = s.Dispatch.Drain(drained)
		stop()
		running.Wait()
	})
	return s
}

func (s *Server) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Error(err)
	}
}

// Run implements dispatch.Runner: a call that rings until it is cancelled.
func (s *Server) Run(ctx context.Context, a scenario.Attempt) call.Status {
	s.Started <- a
	<-ctx.Done()
	return call.Cancelled
}

func (s *Server) recording(callID string) string {
	return filepath.Join(s.data, "recordings", callID)
}

func (s *Server) notices() *notice.Shelf {
	shelf, err := notice.Open(filepath.Join(s.data, "notices"), s.Store, anySpeech{}, slog.New(slog.NewTextHandler(s.t.Output(), nil)))
	s.check(err)
	s.t.Cleanup(func() { s.check(shelf.Close()) })
	return shelf
}

func (s *Server) ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.not
}

// SetReady lets the server be not ready, or ready again with nil.
func (s *Server) SetReady(not error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.not = not
}

// Append stores events of a call.
func (s *Server) Append(events ...call.Event) {
	s.t.Helper()
	for _, e := range events {
		s.Store.Journal().Append(e)
	}
	if err := s.Store.Journal().Flush(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// NewCall stores a call that has just begun at the moment.
func (s *Server) NewCall(at time.Time) (id string) {
	s.t.Helper()
	id = call.NewID()
	s.Append(call.Event{CallID: id, At: at, Type: call.Created, Account: directory.DefaultAccount, Direction: call.Callback, Number: "+79161234567", Attempt: 1})
	return id
}

// Talk stores the whole life of a call that began at the moment: the manager
// 101 answered, the client too, they talked for 20 s.
func (s *Server) Talk(at time.Time) (id string) {
	s.t.Helper()
	id = s.NewCall(at)
	s.Append(TalkEvents(id, at)...)
	return id
}

// TalkEvents are the events of such a call after its first one.
func TalkEvents(id string, at time.Time) []call.Event {
	events := []call.Event{
		{At: at.Add(10 * time.Millisecond), Type: call.CallerIDChosen, Role: call.Manager, CallerID: "+74950000000", Reason: "the packet's default"},
		{At: at.Add(20 * time.Millisecond), Type: call.Dialing, Leg: "m1", Role: call.Manager, Operator: "101", CallerID: "+74950000000", TimeoutMS: 30000},
		{At: at.Add(300 * time.Millisecond), Type: call.Ringing, Leg: "m1", SIPCode: 180},
		{At: at.Add(2500 * time.Millisecond), Type: call.Answered, Leg: "m1", Role: call.Manager, Operator: "101", Codec: "PCMA", ElapsedMS: 2480},
		{At: at.Add(2510 * time.Millisecond), Type: call.RecordingStarted},
		{At: at.Add(2520 * time.Millisecond), Type: call.PromptStarted, Leg: "m1", Prompt: "greeting", Text: "Звонок с сайта. <b>Пожалуйста</b>, ожидайте соединения"},
		{At: at.Add(5900 * time.Millisecond), Type: call.PromptEnded, Leg: "m1", Prompt: "greeting", Reason: "finished"},
		{At: at.Add(5910 * time.Millisecond), Type: call.Waiting, Leg: "m1", Reason: "client_delay_ms", TimeoutMS: 3000},
		{At: at.Add(8910 * time.Millisecond), Type: call.Dialing, Leg: "c1", Role: call.Client, Number: "+79161234567", Trunk: "spare", CallerID: "+74950000000", TimeoutMS: 45000},
		{At: at.Add(9100 * time.Millisecond), Type: call.DialFailed, Leg: "c1", Role: call.Client, Trunk: "spare", SIPCode: 503, Reason: "Service Unavailable", ElapsedMS: 190},
		{At: at.Add(9110 * time.Millisecond), Type: call.Dialing, Leg: "c2", Role: call.Client, Number: "+79161234567", Trunk: "main", CallerID: "+74950000000", TimeoutMS: 45000},
		{At: at.Add(9600 * time.Millisecond), Type: call.Ringing, Leg: "c2", SIPCode: 180},
		{At: at.Add(13 * time.Second), Type: call.Answered, Leg: "c2", Role: call.Client, Number: "+79161234567", Codec: "PCMA", ElapsedMS: 3890},
		{At: at.Add(13010 * time.Millisecond), Type: call.Joined, Leg: "m1", Other: "c2"},
		{At: at.Add(20 * time.Second), Type: call.DigitReceived, Leg: "m1", Digits: "5", Method: "rfc4733"},
		{At: at.Add(33010 * time.Millisecond), Type: call.LegEnded, Leg: "c2", By: "far"},
		{At: at.Add(33020 * time.Millisecond), Type: call.Parted, Leg: "m1", Other: "c2"},
		{At: at.Add(33030 * time.Millisecond), Type: call.LegEnded, Leg: "m1", By: "us"},
		{At: at.Add(33040 * time.Millisecond), Type: call.Ended, Status: &call.Completed},
	}
	for i := range events {
		events[i].CallID = id
	}
	return events
}

// RecordingLength is that of Record's recordings.
const RecordingLength = 30 * time.Second

// Record puts a recording of RecordingLength in its place and tells it is
// ready: syllables of 300 Hz left, of 500 Hz right, in turns.
func (s *Server) Record(id string) {
	s.t.Helper()
	const rate = 8000
	n := int(RecordingLength.Seconds()) * rate
	samples := [2][]int16{make([]int16, n), make([]int16, n)}
	var peaks [2][]int
	for i := range n {
		second := i / rate
		side := 1
		if second >= 12 && second%4 < 2 {
			side = 0
		}
		loud := 9000 * math.Abs(math.Sin(float64(i)/rate*math.Pi*2.5)) * (0.4 + 0.6*math.Abs(math.Sin(float64(second))))
		samples[side][i] = int16(loud * math.Sin(2*math.Pi*float64(300+200*side)*float64(i)/rate))
		if i%800 == 799 {
			for c := range peaks {
				low, high := 0, 0
				for _, v := range samples[c][i-799 : i+1] {
					low, high = min(low, int(v>>8)), max(high, int(v>>8))
				}
				peaks[c] = append(peaks[c], low, high)
			}
		}
	}
	s.Sound(id, "recording.wav", rate, samples[0], samples[1])
	text, err := json.Marshal(map[string]any{"version": 1, "duration_ms": RecordingLength.Milliseconds(), "interval_ms": 100, "left": peaks[0], "right": peaks[1]})
	s.check(err)
	s.check(os.WriteFile(filepath.Join(s.recording(id), "peaks.json"), text, 0o600))
	s.Append(call.Event{CallID: id, Type: call.RecordingState, Recording: call.RecordingReady, DurationS: RecordingLength.Seconds()})
}

// Sound writes a stereo file into the folder of a call's recording.
func (s *Server) Sound(id, name string, rate int, left, right []int16) {
	s.t.Helper()
	s.check(os.MkdirAll(s.recording(id), 0o750))
	file, err := os.Create(filepath.Join(s.recording(id), name))
	s.check(err)
	defer file.Close()
	out := wav.NewStereo(file, rate)
	s.check(out.Write(left, right))
	s.check(out.Close())
}

// Key makes a key with the right.
func (s *Server) Key(right access.Right) string {
	s.t.Helper()
	key := access.NewKey()
	err := s.Store.CreateKey(s.t.Context(), store.Key{
		ID: call.NewID(), Account: directory.DefaultAccount, Name: string(right), Prefix: access.Prefix(key), Hash: access.Hash(key), Rights: []string{string(right)},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return key
}

// Answer is what a request got.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Do sends a request with the admin's key. The body is sent as it is if it is
// a string, as JSON otherwise; nil: none. Headers come in pairs and may take
// the key away ("Authorization", "").
func (s *Server) Do(method, path string, body any, headers ...string) Answer {
	s.t.Helper()
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = bytes.NewReader([]byte(b))
	default:
		text, err := json.Marshal(b)
		if err != nil {
			s.t.Fatal(err)
		}
		r = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+path, r)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.AdminKey)
	if r != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] == "" {
			req.Header.Del(headers[i])
			continue
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return Answer{res.StatusCode, res.Header, text}
}

// Into decodes the answer.
func (a Answer) Into(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal(a.Body, v); err != nil {
		t.Fatalf("%v in %s", err, a.Body)
	}
}

func (s *Server) link(callID string) string { return s.URL + "/calls/" + callID }

// backends stores what is to be told and sends nothing.
type backends struct {
	*webhook.Service
	store *store.Store
}

func (b backends) follow(ctx context.Context, tx *store.Tx, c call.Call, e call.Event) error {
	_, err := b.Follow(ctx, tx, c, e)
	return err
}

// RetryDelivery implements httpapi.Backends.
func (b backends) RetryDelivery(ctx context.Context, account, id string) (store.Delivery, error) {
	return b.store.RetryDelivery(ctx, account, id, asked)
}

func asked(context.Context, *store.Tx, store.Lane) error { return nil }

// ReplayDelivery implements httpapi.Backends.
func (b backends) ReplayDelivery(ctx context.Context, account, id string) (store.Delivery, error) {
	return b.Replay(ctx, account, id, asked)
}

// ReplaySpan implements httpapi.Backends.
func (b backends) ReplaySpan(ctx context.Context, account, id string, span webhook.Span) (n int, next string, err error) {
	return b.Service.ReplaySpan(ctx, account, id, span, asked)
}

// bitrix24 reaches portals on this machine.
func (s *Server) bitrix24() *bitrix24.Service {
	here := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	return bitrix24.New(bitrix24.Config{
		Store: s.Store, Client: webhook.NewClient(here), Allow: here, EventsURL: s.URL + httpapi.Bitrix24EventsPath, Recording: s.recording,
		Order: func(ctx context.Context, account string, p callback.Packet, raw []byte, key string) error {
			_, err := s.Dispatch.Accept(ctx, account, p, raw, key)
			return err
		},
		Refuse: func(ctx context.Context, account string, p callback.Packet, raw []byte, key, reason string) error {
			_, err := s.Dispatch.Refuse(ctx, account, p, raw, key, reason)
			return err
		},
	})
}

// anyHearing could understand everything, if it were asked.
type anyHearing struct{ speech.Recognizer }

func (anyHearing) Check(string) error { return nil }

// Unspeakable is a text that nothing here can speak.
const Unspeakable = "[unspeakable]"

// anySpeech can speak everything but Unspeakable.
type anySpeech struct{}

func (anySpeech) Check(_ context.Context, v speech.Voice, text string) error {
	if text == Unspeakable {
		return &speech.UnavailableError{Text: text, Voice: v, Hint: "install something"}
	}
	return nil
}

// Length implements dispatch.Speech.
func (anySpeech) Length(context.Context, speech.Voice, string) (time.Duration, bool) {
	return time.Second, true
}

// Phones implements httpapi.Phones: everything is well and idle.
type Phones struct {
	mu      sync.Mutex
	reloads int
	states  map[string]telephony.DeviceState
}

// Set lets the phones of an operator do something; they are free otherwise.
func (p *Phones) Set(extension string, state telephony.DeviceState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.states == nil {
		p.states = make(map[string]telephony.DeviceState)
	}
	p.states[extension] = state
}

// Reloads is how often something changed.
func (p *Phones) Reloads() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reloads
}

// Trunk implements httpapi.Phones.
func (p *Phones) Trunk(name string) (httpapi.TrunkState, bool) {
	healthy := true
	return httpapi.TrunkState{Healthy: &healthy}, name == "main"
}

// DeviceState implements httpapi.Phones.
func (p *Phones) DeviceState(extension string) telephony.DeviceState {
	p.mu.Lock()
	defer p.mu.Unlock()
	if state, ok := p.states[extension]; ok {
		return state
	}
	return telephony.NotInUse
}

// Contacts implements httpapi.Phones.
func (p *Phones) Contacts(extension string) []string {
	if extension == "101" {
		return []string{"192.0.2.7:5062"}
	}
	return nil
}

// Reload implements httpapi.Phones.
func (p *Phones) Reload(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reloads++
	return nil
}
