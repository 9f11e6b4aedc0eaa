package main

import (
	"context"
	"errors"
	"time"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/jobs"
	"github.com/perezvon/perezvon/internal/recording"
	"github.com/perezvon/perezvon/internal/scenario"
	"github.com/perezvon/perezvon/internal/store"
)

// endTime is what the phone system and the jobs get to end in order.
const endTime = 5 * time.Second

// account is the directory of one organisation, as the phone system asks for
// it.
type account struct {
	db   *store.Store
	name string
}

func (a account) Trunks(ctx context.Context) ([]directory.Trunk, error) {
	return a.db.Trunks(ctx, a.name)
}

func (a account) Operator(ctx context.Context, extension string) (directory.Operator, error) {
	return a.db.Operator(ctx, a.name, extension)
}

// tapes lets scenarios record.
type tapes struct{ *recording.Archive }

// Open implements scenario.Tapes.
func (t tapes) Open(callID string) (scenario.Tape, error) { return t.Archive.Open(callID) }

// Render is the archive's, in the words of jobs.
func (t tapes) Render(ctx context.Context, callID string) (time.Duration, error) {
	length, err := t.Archive.Render(ctx, callID)
	if errors.Is(err, recording.ErrEmpty) {
		err = jobs.ErrNothingRecorded
	}
	return length, err
}
