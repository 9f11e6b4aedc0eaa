package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/perezvon/perezvon/internal/acd"
	"github.com/perezvon/perezvon/internal/bitrix24"
	"github.com/perezvon/perezvon/internal/config"
	"github.com/perezvon/perezvon/internal/console"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/dispatch"
	"github.com/perezvon/perezvon/internal/dryrun"
	"github.com/perezvon/perezvon/internal/fastagi"
	"github.com/perezvon/perezvon/internal/httpapi"
	"github.com/perezvon/perezvon/internal/httpapi/access"
	"github.com/perezvon/perezvon/internal/jobs"
	"github.com/perezvon/perezvon/internal/media/stream"
	"github.com/perezvon/perezvon/internal/metrics"
	"github.com/perezvon/perezvon/internal/notice"
	"github.com/perezvon/perezvon/internal/recording"
	"github.com/perezvon/perezvon/internal/responsible"
	"github.com/perezvon/perezvon/internal/scenario"
	"github.com/perezvon/perezvon/internal/speech"
	"github.com/perezvon/perezvon/internal/speech/recognizers"
	"github.com/perezvon/perezvon/internal/store"
	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/sipengine"
	"github.com/perezvon/perezvon/internal/telephony/sipengine/registrar"
	"github.com/perezvon/perezvon/internal/transcript"
)

type serveCmd struct {
	config.Settings
}

// Run serves until SIGTERM or SIGINT, then lets live calls finish within
// --drain, ends the rest, and returns.
func (c *serveCmd) Run(ctx context.Context) (err error) {
	log := c.logger()
	// The data folder holds passwords and conversations: what is made in it is
	// nobody else's, whoever made the folder.
	syscall.Umask(0o077)
	// Calls leave garbage when they begin and end, not while people talk: to
	// collect it twice as often costs next to nothing and saves memory.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return err
	}
	db, err := store.Open(ctx, store.Options{DSN: string(c.Database), DataDir: c.Data, Logger: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	var calls *dispatch.Service
	phones, ports, err := c.engine(ctx, db, func(ctx context.Context, leg telephony.Leg) { calls.Take(ctx, leg) }, log)
	if err != nil {
		return err
	}
	library := speech.New(filepath.Join(c.Data, "prompts"), speech.NewEspeak())
	library.Logger = log
	hearing, err := recognizers.New(c.Recognizer, recognizers.Options{
		URL: c.RecognizerURL, Key: string(c.RecognizerKey), Model: c.RecognizerModel, Language: c.RecognizerLanguage,
	})
	if err != nil {
		return err
	}
	voice := speech.Voice{Language: "ru"}
	rules, err := c.noticeRules(ctx, library, voice)
	if err != nil {
		return err
	}
	notices, err := notice.Open(filepath.Join(c.Data, "notices"), db, library, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, notices.Close()) }()
	archive := tapes{recording.NewArchive(filepath.Join(c.Data, "recordings"), sounds{library, notices})}
	archive.DropConsultations = !c.RecordConsultations
	queues := acd.New(phones, db)
	services := scenario.Services{
		Engine: phones, Journal: db.Journal(), Tapes: archive, Speech: library, Operators: db, Locations: db, Hearing: hearing,
		Directory: db, Queues: queues, Pauses: db, Lines: scenario.NewLines(), Talks: scenario.NewTalks(), Pickups: scenario.NewPickups(),
		Features: c.features(), Region: c.Region, Logger: log,
	}
	self, err := dryrun.Self()
	if err != nil {
		return err
	}
	board := &scenario.Switchboard{Services: services, Voice: voice, Notices: notices, NoticeRules: rules}
	who := &responsible.Finder{Calls: db} // and the CRM, below
	board.Responsible = who
	calls = dispatch.New(dispatch.Config{
		Store: db, Responsible: who,
		Runner: &scenario.Callbacks{Services: services},
		Board:  board,
		Speech: library, Hearing: hearing, Trials: dryrun.NewProcess(self, "try"), Region: c.Region, Allow: c.OutboundAllow, Logger: log,
		Transfers: services.Talks, Survivors: survivors(phones), Resumer: board,
	})
	board.Later = calls
	signer, err := access.OpenSigner(c.Data)
	if err != nil {
		return err
	}
	hooks, err := c.webhooks(ctx, db, signer, log)
	if err != nil {
		return err
	}
	crm := c.bitrix24(db, calls, archive.Archive, log)
	who.CRM = crm
	work := jobs.Config{Store: db, Render: archive.Render, Discard: archive.Discard, Deliveries: tellers{hooks, crm}, Logger: log}
	if hearing != nil {
		work.Transcribe = (&transcript.Writer{Calls: db, Recordings: archive.Archive, Hearing: hearing}).Write
	}
	later, err := jobs.New(ctx, work)
	if err != nil {
		return err
	}
	watch := metrics.New(versionName(), calls.Live, func() metrics.Packets { return metrics.Packets(ports.Totals()) })
	feed := httpapi.NewFeed(db.Journal().Subscribe, watch.Observe)
	pbx, err := c.freePBX(db, watch.Registry(), log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pbx.close()) }()
	api, err := c.api(ctx, db, who, calls, phones, queues, feed, archive.Archive, notices, signer, backends{hooks, later}, crm, pbx, watch, log)
	if err != nil {
		return err
	}
	agi := c.fastAGI(db, who, phones, notices, library, rules, signer, log)
	api.Mux().Handle("GET "+fastagi.SoundsPath, agi.sounds)

	// Everything is made; now it starts, the takers of work last.
	listener, err := net.Listen("tcp", c.HTTP)
	if err != nil {
		return err
	}
	if err := agi.listen(c.AGI); err != nil {
		return errors.Join(err, listener.Close())
	}
	if err := phones.Start(ctx); err != nil {
		return errors.Join(err, listener.Close())
	}
	// Services outlive ctx: what drains still needs them.
	lasting, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	running, lasting := errgroup.WithContext(lasting)
	pass := feed.Open(lasting)
	running.Go(func() error { pass(); return nil })
	running.Go(func() error { archive.Watch(lasting); return nil })
	running.Go(func() error { notices.Watch(lasting); return nil })
	if err := later.Start(lasting); err != nil {
		return errors.Join(err, listener.Close())
	}
	if err := calls.Recover(lasting); err != nil {
		return errors.Join(err, listener.Close())
	}
	running.Go(func() error { calls.Recall(lasting); return nil })
	running.Go(func() error { calls.KeepPlaces(lasting); return nil })
	running.Go(func() error { queues.Watch(phones.DeviceStates(lasting)); return nil })
	running.Go(func() error { return api.Serve(lasting, listener) })
	running.Go(func() error { return agi.serve(lasting) })
	running.Go(func() error { pbx.watch(lasting, c.FreePBXEvery); return nil })
	log.Info("ready", "http", c.URL(), "phones", phones, "data", c.Data, "version", versionName())

	select {
	case <-ctx.Done():
		log.Info("stopping: no new calls", "drain", c.Drain)
	case <-lasting.Done(): // a service failed
	}
	draining, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.Drain)
	defer cancel()
	left, err := c.drain(draining, calls, phones)
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	if left == 0 {
		// A far end that does not answer must not make a clean stop a failure.
		if cut := phones.Stop(ending); cut != nil {
			log.Warn("the last answers of phones were not waited for", "err", cut)
		}
	} else {
		log.Info("calls are left to the next start", "calls", left)
	}
	err = errors.Join(err, later.Stop(ending))
	end()
	archive.Flush()
	rest := make(chan error, 1)
	go func() { rest <- running.Wait() }()
	select {
	case others := <-rest:
		err = errors.Join(err, others)
	case <-afterwards(ending, left): // whoever carries out a call that is left
	}
	crm.Close(ending)
	return err
}

// keeper is a phone system that keeps calls while the server is not there.
type keeper interface {
	dispatch.Survivors
	// Leave disconnects, and leaves the calls as they are.
	Leave()
}

// drain waits for the live calls, as far as they must be waited for. left is how
// many of them the next start goes on with: what carries them out here waits for
// phones that tell nothing any more, and ends with the process.
func (c *serveCmd) drain(ctx context.Context, calls *dispatch.Service, phones phoneSystem) (left int, err error) {
	k, ok := phones.(keeper)
	if !ok || !c.KeepCalls {
		return 0, calls.Drain(ctx)
	}
	if left, err = calls.Leave(ctx); left > 0 {
		k.Leave()
	}
	return left, err
}

// afterwards is when what calls that are left hold up is not waited for; never,
// where none is.
func afterwards(ending context.Context, left int) <-chan struct{} {
	if left == 0 {
		return nil
	}
	return ending.Done()
}

// features are the keys by which operators transfer.
func (c *serveCmd) features() scenario.Features {
	return scenario.Features{
		Attended: c.TransferAttended, Blind: c.TransferBlind, Back: c.TransferBack, ThreeWay: c.TransferThreeWay,
		PickUp: c.PickupCode, PickUpAny: c.PickupAnyCode,
		InterDigit: c.TransferInterDigitTimeout, Digit: c.TransferDigitTimeout, Ring: c.TransferRing, NoReturn: !c.TransferReturn,
	}
}

// builtin is the built-in phone system, and the pool of its media ports.
// take is given the calls that come.
func (c *serveCmd) builtin(db *store.Store, take func(context.Context, telephony.Leg), log *slog.Logger) (phoneSystem, *stream.Ports, error) {
	host, _, err := net.SplitHostPort(c.SIP)
	if err != nil {
		return nil, nil, err
	}
	if host == "" { // ":5060", as listeners are often written
		host, c.SIP = "0.0.0.0", "0.0.0.0"+c.SIP
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return nil, nil, fmt.Errorf("--sip %s: the host must be an IP address: %w", c.SIP, err)
	}
	ports := stream.NewPorts(stream.SystemNet(), ip, c.RTPPorts.Low, c.RTPPorts.High)
	cfg := sipengine.Config{
		Addr: c.SIP, TLSAddr: c.SIPTLS, Advertise: c.SIPAdvertise,
		Ports:        ports,
		Directory:    account{db, directory.DefaultAccount},
		Phones:       registrar.File(filepath.Join(c.Data, "phones.json")),
		Ledger:       filepath.Join(c.Data, "calls.jsonl"),
		MediaTimeout: c.MediaTimeout,
		UserAgent:    "Perezvon " + versionName(),
		Logger:       log,
		Handler:      take,
	}
	if c.SIPTLS != "" {
		pair, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
		if err != nil {
			return nil, nil, fmt.Errorf("--tls-cert, --tls-key: %w", err)
		}
		cfg.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	}
	engine, err := sipengine.New(cfg)
	return sipPhones{engine}, ports, err
}

func (c *serveCmd) api(ctx context.Context, db *store.Store, who *responsible.Finder, calls *dispatch.Service, phones phoneSystem, queues *acd.Hall,
	feed *httpapi.Feed, archive *recording.Archive, notices *notice.Shelf, signer *access.Signer, told backends, crm *bitrix24.Service, pbx neighbour, watch *metrics.Metrics, log *slog.Logger,
) (*httpapi.API, error) {
	made, err := access.EnsureAdmin(ctx, db, directory.DefaultAccount, string(c.AdminKey))
	if err != nil {
		return nil, err
	}
	if made != "" {
		fmt.Printf("The first API key, shown only now: %s\n", made)
	}
	if n := len(c.AdminKey); n > 0 && n < 16 {
		log.Warn("the admin key is short and can be guessed; take 16 characters or more")
	}
	door := &access.Door{
		Guard: access.NewGuard(access.LookupIn(db)), Signer: signer,
		Secure: strings.HasPrefix(c.URL(), "https://"),
	}
	api := httpapi.New(httpapi.Config{
		Store: db, Responsible: who, Calls: calls, Phones: phones, Queues: queues, Feed: feed, Door: door,
		Recordings: archive.Folder, Notices: notices, Region: c.Region, PublicURL: c.URL(), Backends: told, Bitrix24: crm, FreePBX: pbx.api(),
		Ready:   func() error { return errors.Join(calls.Ready(), db.Healthy()) },
		Metrics: watch.Handler(), MetricsAuth: c.MetricsAuth,
		Version: versionName(), Logger: log,
	})
	console.Register(api.Mux(), console.Config{Store: db, Queues: queues, Phones: phones, CRM: crm, Door: door, Logger: log})
	return api, nil
}

// logger writes to the error output: the output proper is for the first key.
func (c *serveCmd) logger() *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.LogLevel)) // kong has checked it
	o := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, o))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, o))
}
