package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/store"
)

// widget is the one that the packet names, nil if it names none. A name that
// nothing has is an invalid.Error.
func (s *Service) widget(ctx context.Context, account, name string) (*directory.Widget, error) {
	if name == "" {
		return nil, nil
	}
	w, err := s.config.Store.Widget(ctx, account, name)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, noWidget(name)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return &w, nil
}

func noWidget(name string) error {
	return invalid.Error{{Path: "widget", Message: "there is no widget " + name}}
}

// judge lets the order's widget say what becomes of it. ordered is the packet as
// it was sent.
//
//   - A client on the blacklist is not called: 711.
//   - Outside the hours the call waits for the next opening; if that is later
//     than start_within_s after now, or never, it ends: 713.
//
// Such an order is acknowledged and stored like any other, with a call that has
// ended: who asked gets an id and a log that tells why. The rates (711 as well)
// and open callbacks are looked at when the order is stored.
func judge(n *store.NewCallback, ordered callback.Packet, now time.Time) {
	w := n.Widget
	if w == nil {
		return
	}
	n.RoundRobin = w.RoundRobin && len(ordered.Managers) == 0
	if client, _ := n.Packet.ClientNumber(); w.Blocked(client) {
		n.Verdict = store.Verdict{Status: call.NotAllowed, Reason: client + " is on the blacklist of " + w.Name}
		return
	}
	if w.Hours.Open(now) {
		return
	}
	next := w.Hours.Next(now)
	within := n.Packet.StartWithinS
	switch {
	case next.IsZero():
		n.Verdict = store.Verdict{Status: call.Expired, Reason: w.Name + " is closed and does not open within a year"}
	case within != nil && next.Sub(now) > time.Duration(*within)*time.Second:
		n.Verdict = store.Verdict{Status: call.Expired, Reason: fmt.Sprintf("%s is closed until %s, which is more than %d s away", w.Name, next.UTC().Format(time.RFC3339), *within)}
	default:
		n.StartAt = next
	}
}

// responsible finds who is to be called before the other managers, if the widget
// wants that (responsible_first), and returns what the timeline says of it. An
// order that is not going to be carried out asks nobody.
func (s *Service) responsible(ctx context.Context, n *store.NewCallback) (note string, err error) {
	if n.Widget == nil || !n.Widget.ResponsibleFirst || !n.Verdict.Status.IsZero() {
		return "", nil
	}
	client, _ := n.Packet.ClientNumber()
	who, err := s.config.Responsible.Responsible(ctx, n.Account, client, n.Widget.Responsible())
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	n.First = who.Operator
	return who.Note(), nil
}

// startWithin is how long after its last event an order may be taken up by a
// restarted server.
func (s *Service) startWithin(o store.Order) time.Duration {
	if within := o.Packet.StartWithinS; within != nil && !o.IsRecall() {
		return time.Duration(*within) * time.Second
	}
	return s.config.StartWithin
}

// CheckWidget is the widget as it may be stored, or an invalid.Error that names
// everything that would make its orders fail: rules broken, operators and trunks
// that do not exist, texts that nothing here can speak.
func (s *Service) CheckWidget(ctx context.Context, account string, w directory.Widget) (directory.Widget, error) {
	w, err := w.Normalize(s.config.Region, s.config.Allow...)
	if err != nil {
		return w, err
	}
	var bad invalid.Error
	if _, err := s.checkManagers(ctx, &bad, account, w.Managers); err != nil {
		return w, err
	}
	if _, err := s.knownTrunks(ctx, &bad, account, w.Packet); err != nil {
		return w, err
	}
	spoken := w.Packet
	spoken.FillIn()
	if err := s.checkTexts(ctx, &bad, spoken); err != nil {
		return w, err
	}
	return w, bad.Err()
}
