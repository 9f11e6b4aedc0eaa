// Package webhook tells backends what happens on their calls (specification
// 1-callback §1, §2.10): log_url gets the log's address as soon as the call
// exists, events_url every event, status_url the result and later the transcript.
// Subscriptions get the events of all calls of their account (specification
// 2-transfers-and-crm).
//
// What is to be told is stored in the transaction of the event that causes it
// and sent later, so it outlives the process, and a receiver that is slow or
// dead delays nothing but its own deliveries. The deliveries of one call and
// kind, a subscription being a kind, are a lane: they arrive in order, each at least once and always with
// the same id. They are signed as Standard Webhooks says
// (https://www.standardwebhooks.com), and never reach a private network that
// the administrator has not listed.
//
// The jobs that send are River's: package jobs calls Follow and Send.
package webhook

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/perezvon/perezvon/internal/store"
)

// Kinds of deliveries: the field of the packet that they answer.
const (
	KindLog    = "log"    // log_url
	KindEvent  = "event"  // events_url
	KindStatus = "status" // status_url
	// KindTranscript goes to status_url too, in a lane of its own: a transcript
	// may take an hour, and the status does not wait for it.
	KindTranscript = "transcript"
)

// Config is what a Service needs. All fields are needed unless they say
// otherwise.
type Config struct {
	Store *store.Store
	// Client sends: NewClient, or a test's own. It must not follow redirects.
	Client *http.Client
	// LogURL is the address of a call's log.
	LogURL func(callID string) string
	// RecordingURL is a link to a call's recording that needs no key until it
	// expires.
	RecordingURL func(callID string, expires time.Time) string
	// Allow are the private networks that subscriptions' addresses may be in.
	// Default: none.
	Allow []netip.Prefix
	// UserAgent names the sender. Default "Perezvon".
	UserAgent string
	Logger    *slog.Logger // default: none
}

// Service stores and sends deliveries. Follow is called by one goroutine, the
// journal's; everything else by any.
type Service struct {
	config Config
	hosts  hosts
	known  map[string]targets // by live call; Follow's own

	subscriptions subscriptions
}

// New makes a service.
func New(c Config) *Service {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.UserAgent == "" {
		c.UserAgent = "Perezvon"
	}
	return &Service{config: c, known: make(map[string]targets)}
}

// Deliveries lists the account's deliveries: store.Store.Deliveries.
func (s *Service) Deliveries(ctx context.Context, account string, p store.Page, f store.DeliveryFilter) ([]store.Delivery, string, error) {
	return s.config.Store.Deliveries(ctx, account, p, f)
}

// Delivery is one of them: store.Store.Delivery.
func (s *Service) Delivery(ctx context.Context, account, id string) (store.Delivery, error) {
	return s.config.Store.Delivery(ctx, account, id)
}
