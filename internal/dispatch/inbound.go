package dispatch

import (
	"context"
	"maps"
	"slices"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/speech"
)

// CheckQueue is the queue as it may be stored, or an invalid.Error: rules
// broken, texts that nothing here can speak. That what it names exists, the
// store checks.
func (s *Service) CheckQueue(ctx context.Context, q directory.Queue) (directory.Queue, error) {
	q, err := q.Normalize(s.config.Region)
	if err != nil {
		return q, err
	}
	return q, s.checkSpoken(ctx, speech.Voice{}, q.Texts())
}

// CheckRoute is CheckQueue for a route.
func (s *Service) CheckRoute(ctx context.Context, r directory.Route) (directory.Route, error) {
	r, err := r.Normalize(s.config.Region)
	if err != nil {
		return r, err
	}
	if r.Transcribe {
		var bad invalid.Error
		if err := s.config.Hearing.Check(r.Language); err != nil {
			bad.Add("transcribe", err.Error())
			return r, bad.Err()
		}
	}
	return r, s.checkSpoken(ctx, speech.Voice{Language: r.Language, Name: r.Voice}, r.Texts())
}

// checkSpoken finds texts, by the path of their fields, that nothing here can
// speak.
func (s *Service) checkSpoken(ctx context.Context, v speech.Voice, texts map[string]string) error {
	var bad invalid.Error
	for _, path := range slices.Sorted(maps.Keys(texts)) {
		err := s.config.Speech.Check(ctx, v, texts[path])
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			bad.Add(path, err.Error())
		}
	}
	return bad.Err()
}
