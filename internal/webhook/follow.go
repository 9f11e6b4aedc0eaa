package webhook

import (
	"context"
	"errors"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/store"
)

// targets are the addresses that a call's packet names.
type targets struct{ log, events, status string }

// Follow stores, in the event's own transaction, what the event gives to tell,
// and says in which lanes.
func (s *Service) Follow(ctx context.Context, tx *store.Tx, c call.Call, e call.Event) ([]store.Lane, error) {
	lanes, err := s.followSubscriptions(ctx, tx, c, e)
	if err != nil {
		return nil, err
	}
	t, err := s.targets(ctx, tx, c)
	if err != nil || t == (targets{}) {
		return lanes, err
	}
	tell := func(kind, url string, message any) error {
		body, err := encode(message)
		if err != nil {
			return err
		}
		lane := store.Lane{Account: c.Account, CallID: c.ID, Kind: kind}
		lanes = append(lanes, lane)
		return tx.AddDelivery(ctx, store.Delivery{Lane: lane, ID: call.NewID(), Seq: e.Seq, URL: url, Body: body, CreatedAt: time.Now()})
	}
	if t.log != "" && e.Type == call.Created {
		if err := tell(KindLog, t.log, s.log(c)); err != nil {
			return nil, err
		}
	}
	if t.events != "" {
		if err := tell(KindEvent, t.events, event(c, e)); err != nil {
			return nil, err
		}
	}
	if t.status != "" && isResult(e) {
		timeline, err := tx.Timeline(ctx, c.ID)
		if err != nil {
			return nil, err
		}
		if err := tell(KindStatus, t.status, s.status(c, timeline)); err != nil {
			return nil, err
		}
	}
	if t.status != "" && (e.Type == call.Transcribed || e.Type == call.NotTranscribed) {
		segments, err := tx.Transcript(ctx, c.ID)
		if err != nil {
			return nil, err
		}
		if err := tell(KindTranscript, t.status, s.transcript(c, e, segments)); err != nil {
			return nil, err
		}
	}
	return lanes, nil
}

// isResult: the call is over, or it is settled what became of its recording
// (which may be that nobody was heard and there is none).
func isResult(e call.Event) bool {
	return e.Type == call.Ended || e.Type == call.RecordingState && e.Recording != call.RecordingRendering
}

// targets are remembered while the call lives: the packet never changes.
func (s *Service) targets(ctx context.Context, tx *store.Tx, c call.Call) (targets, error) {
	if c.CallbackID == "" {
		return targets{}, nil
	}
	t, ok := s.known[c.ID]
	if !ok {
		p, err := tx.Packet(ctx, c.CallbackID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return t, err
		}
		t = targets{p.LogURL, p.EventsURL, p.StatusURL}
	}
	if c.EndedAt.IsZero() {
		s.known[c.ID] = t
	} else {
		delete(s.known, c.ID)
	}
	return t, nil
}
