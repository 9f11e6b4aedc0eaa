package webhook

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/store"
)

// Errors of replays.
var (
	// ErrDisabled says that nothing is sent to the subscription now.
	ErrDisabled = errors.New("the webhook is disabled; enable it first")
	// ErrNotReplayable says that telling it twice would do something twice.
	ErrNotReplayable = errors.New("only what is told to webhooks and to the addresses of packets can be replayed; a delivery to a CRM can be retried")
)

// longestSpan is the longest time that one replay may ask for.
const longestSpan = 31 * 24 * time.Hour

// Replay tells one delivery anew, whatever became of it: the same body, under
// an id of its own, so that a receiver that has it takes it again. (A retry
// keeps the id: a receiver that has it may pass it over.) The error may be
// store.ErrNotFound, ErrDisabled or ErrNotReplayable.
func (s *Service) Replay(ctx context.Context, account, id string, asked store.Asked) (store.Delivery, error) {
	d, err := s.config.Store.Delivery(ctx, account, id)
	if err != nil {
		return d, err
	}
	if hook := SubscriptionOf(d.Kind); hook != "" {
		w, err := s.config.Store.Webhook(ctx, account, hook)
		if err != nil {
			return d, err
		}
		if !w.On() {
			return d, ErrDisabled
		}
		d.URL = w.URL
	} else if !Replayable(d.Kind) {
		return d, ErrNotReplayable
	}
	copied := store.Delivery{Lane: d.Lane, ID: call.NewID(), Seq: d.Seq, URL: d.URL, Body: d.Body, CreatedAt: time.Now()}
	if _, err := s.config.Store.ReplayDeliveries(ctx, []store.Delivery{copied}, false, asked); err != nil {
		return d, err
	}
	return s.config.Store.Delivery(ctx, account, copied.ID)
}

// Replayable tells whether deliveries of that kind are only told: to tell them
// twice does nothing twice.
func Replayable(kind string) bool {
	return SubscriptionOf(kind) != "" || slices.Contains([]string{KindLog, KindEvent, KindStatus, KindTranscript}, kind)
}

// Span says what of a subscription is replayed.
type Span struct {
	From, Until time.Time // of the events; Until excluded
	// Missing leaves out what was delivered or waits.
	Missing bool
	// Cursor is where the page before ended; empty at first.
	Cursor string
}

// ReplaySpan tells a subscription anew what happened in a span of time and is
// subscribed to now: also what happened before the subscription was made and
// while it was off. One page of calls is done at a time, oldest first; next is the
// cursor to go on with, empty after the last. n is how many events will be told.
// The error may be an invalid.Error, store.ErrNotFound or ErrDisabled.
func (s *Service) ReplaySpan(ctx context.Context, account, id string, span Span, asked store.Asked) (n int, next string, err error) {
	if err := span.check(); err != nil {
		return 0, "", err
	}
	w, err := s.config.Store.Webhook(ctx, account, id)
	if err != nil {
		return 0, "", err
	}
	if !w.On() {
		return 0, "", ErrDisabled
	}
	calls, next, err := s.config.Store.CallsWithin(ctx, account, span.From, span.Until, store.Page{Limit: store.MaxLimit, Cursor: span.Cursor})
	if err != nil {
		return 0, "", err
	}
	for _, callID := range calls {
		list, err := s.replayed(ctx, w, callID, span)
		if err != nil {
			return n, "", err
		}
		if len(list) == 0 {
			continue
		}
		told, err := s.config.Store.ReplayDeliveries(ctx, list, span.Missing, asked)
		if err != nil {
			return n, "", err
		}
		n += told
	}
	return n, next, nil
}

func (span Span) check() error {
	var bad invalid.Error
	switch {
	case span.From.IsZero():
		bad.Add("from", "is needed: the time of the first event")
	case span.Until.IsZero():
		bad.Add("until", "is needed: the time after the last event")
	case !span.From.Before(span.Until):
		bad.Add("until", "must be after from")
	case span.Until.Sub(span.From) > longestSpan:
		bad.Add("until", "at most 31 days after from; replay the rest by itself")
	}
	return bad.Err()
}

// replayed is what a subscription is told anew of one call: each event with the
// call as it was then.
func (s *Service) replayed(ctx context.Context, w store.Webhook, callID string, span Span) ([]store.Delivery, error) {
	timeline, err := s.config.Store.Events(ctx, w.Account, callID, 0)
	if err != nil {
		return nil, err
	}
	c := call.Call{Account: w.Account}
	var list []store.Delivery
	for _, e := range timeline {
		c.Apply(e)
		if e.At.Before(span.From) || !e.At.Before(span.Until) || !w.Wants(c.Direction, e.Type) {
			continue
		}
		body, err := encode(s.notice(c, e))
		if err != nil {
			return nil, err
		}
		list = append(list, subscriptionDelivery(w, e, body))
	}
	return list, nil
}

// TestType is the type of what Test sends.
const TestType = "webhook.test"

// Tested is what came of a test.
type Tested struct {
	Delivered bool
	Status    int    // HTTP; 0: no answer came
	Error     string // why it was no success
	Elapsed   time.Duration
}

// testNotice goes to a subscription that is tried.
type testNotice struct {
	Type      string `json:"type"`
	Version   int    `json:"version"`
	Timestamp string `json:"timestamp"`
	Data      struct {
		Webhook string `json:"webhook"` // id of the subscription
	} `json:"data"`
}

// Test sends a TestType event to a subscription, also to one that is off, waits
// for the answer and tells it. It is sent once, and no delivery is made of it.
// The error is store.ErrNotFound or a failure of ours.
func (s *Service) Test(ctx context.Context, account, id string) (Tested, error) {
	w, err := s.config.Store.Webhook(ctx, account, id)
	if err != nil {
		return Tested{}, err
	}
	begin := time.Now()
	n := testNotice{Type: TestType, Version: noticeVersion, Timestamp: begin.UTC().Format(stamp)}
	n.Data.Webhook = w.ID
	body, err := encode(n)
	if err != nil {
		return Tested{}, err
	}
	a := s.post(ctx, store.Delivery{Lane: store.Lane{Account: account, Kind: w.Kind()}, ID: call.NewID(), URL: w.URL, Body: body})
	if a.ours != nil {
		return Tested{}, a.ours
	}
	return Tested{Delivered: a.succeeded(), Status: a.status, Error: strings.TrimSpace(a.reason), Elapsed: time.Since(begin)}, nil
}
