// Package bitrix24 tells a Bitrix24 portal of calls, and starts the calls that
// it asks for (specification 2-transfers-and-crm, section CRM).
//
// What is to be told is made of a call's events by Story, which is pure, and
// stored as a delivery in the event's own transaction. The deliveries of one
// call are a lane; the jobs that send them call Send. So a portal that is down,
// slow or full delays no call, and nothing is lost with the process.
//
// Nothing appears twice either. What may be asked again is: register gives the
// same CALL_ID for the same EXTERNAL_CALL_ID, a record replaces the one before.
// What may not (finish, a transcript) is noted on the disk before it is sent,
// and looked for in the portal's statistics before it would be sent again.
//
// Methods, errors and limits are those of the REST API as Bitrix24 documents it
// (https://apidocs.bitrix24.com).
package bitrix24

import (
	"context"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"

	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/store"
)

// Kind is the kind of these deliveries: one lane for each call.
const Kind = "bitrix24"

// name is that of the connection in the store.
const name = "bitrix24"

// Config is what a Service needs. All fields are needed unless they say
// otherwise.
type Config struct {
	Store *store.Store
	// Client sends. It must not follow redirects, and not connect to private
	// networks that the administrator has not listed. It should give up after
	// RequestTime.
	Client *http.Client
	// Allow are the private networks that a portal may be in: portals there may
	// be reached by plain HTTP, others by HTTPS alone. Default: none.
	Allow []netip.Prefix
	// Recording is the file of a call's finished recording, WAV.
	Recording func(callID string) string
	// Order starts the callbacks that the portal asks for. key makes a repeated
	// order harmless; raw is kept as what came.
	Order func(ctx context.Context, account string, p callback.Packet, raw []byte, key string) error
	// Refuse keeps such an order as one that is not carried out (711), for that
	// reason.
	Refuse func(ctx context.Context, account string, p callback.Packet, raw []byte, key, reason string) error
	// EventsURL is where the portal reports events to. A portal cannot reach an
	// address that is not public.
	EventsURL string
	Logger    *slog.Logger // default: none
}

// Service tells portals. Follow is called by one goroutine, the journal's;
// everything else by any.
type Service struct {
	config   Config
	followed map[string]following // by live call; Follow's own

	mu      sync.Mutex
	portals map[string]*portal // by account

	renewals sync.WaitGroup // of tokens, for whom nobody may be left to wait
	lasting  context.Context
	breakOff context.CancelFunc
}

// New makes a service.
func New(c Config) *Service {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Service{config: c, followed: make(map[string]following), portals: make(map[string]*portal)}
	s.lasting, s.breakOff = context.WithCancel(context.Background())
	return s
}

// Close waits for the tokens that are being renewed; when ctx ends, that is
// broken off. Nothing may be asked of the service any more.
func (s *Service) Close(ctx context.Context) {
	defer s.breakOff()
	defer context.AfterFunc(ctx, s.breakOff)()
	s.renewals.Wait()
}

// ErrNotConnected says that the account has no portal.
var ErrNotConnected = errors.New("the account is not connected with Bitrix24")

// portal is the account's portal as this process knows it, with the settings as
// they are now; ErrNotConnected if it has none.
func (s *Service) portal(ctx context.Context, account string) (*portal, error) {
	kept, err := s.load(ctx, account)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.portals[account]
	if p == nil || p.base() != kept.base() {
		p = newPortal(s, account)
		s.portals[account] = p
	}
	p.use(kept)
	return p, nil
}

// same compares secrets.
func same(a, b string) bool {
	return a != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}
